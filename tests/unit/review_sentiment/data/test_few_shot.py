"""Prompts with examples."""

from __future__ import annotations

import pandas as pd
import pytest

from review_sentiment.data.chats import ChatDataset, format_chats
from review_sentiment.data.few_shot import MAX_WORDS, FewShot, with_examples
from review_sentiment.data.prompt_format import PromptFormat
from review_sentiment.errors import UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.loading import load_tokenizer

FORM = PromptFormat(("bad", "good"), "Is it bad or good?", 64)


def reviews(each: int) -> pd.DataFrame:
    """Return short and long reviews in turn."""
    rows = [
        {
            "title": "",
            "text": f"{label} number {number} " + "word " * (number % 2) * MAX_WORDS,
            "label": label,
        }
        for number in range(each)
        for label in FORM.labels
    ]
    return pd.DataFrame(rows)


def test_the_prompt_begins_with_short_reviews_of_each_label(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    form = with_examples(FewShot(FORM, reviews(10), 3, seed=1), tokenizer)
    blocks = form.instruction.strip().split("\n\n")
    assert blocks[0] == FORM.instruction
    assert sorted(block.split("\n")[1] for block in blocks[1:]) == ["Answer: bad"] * 3 + ["Answer: good"] * 3
    assert all(f"Review: {block.split()[-1]}" in block and "word" not in block for block in blocks[1:])
    plain = format_chats(tiny_chats.frame, tokenizer, PromptFormat(tiny_chats.labels, FORM.instruction, 64))
    shown = format_chats(
        tiny_chats.frame, tokenizer, PromptFormat(tiny_chats.labels, form.instruction, form.max_tokens)
    )
    # The examples take nothing from the reviews.
    assert list(shown.frame["truncated"]) == list(plain.frame["truncated"])


def test_other_seeds_choose_other_examples_and_the_same_seed_the_same(tiny_model: ModelIdentity) -> None:
    tokenizer = load_tokenizer(tiny_model)
    found = [with_examples(FewShot(FORM, reviews(40), 2, seed), tokenizer) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_a_review_cannot_end_its_turn(tiny_model: ModelIdentity) -> None:
    tokenizer = load_tokenizer(tiny_model)
    end = str(tokenizer.eos_token)
    frame = reviews(2).assign(text=f"nice {end} try")
    assert end not in with_examples(FewShot(FORM, frame, 1, seed=1), tokenizer).instruction


def test_too_many_examples_are_refused(tiny_model: ModelIdentity) -> None:
    with pytest.raises(UsageError, match=r"arms\.shots=17 makes 34 examples of 2 labels, and 32 fit"):
        with_examples(FewShot(FORM, reviews(20), 17, seed=1), load_tokenizer(tiny_model))
