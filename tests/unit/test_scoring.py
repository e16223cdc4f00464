"""Label scoring says what generation would say, from any batch size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from review_sentiment.errors import DataError
from review_sentiment.models import BaseModel, load_model, load_tokenizer, plan_compute
from review_sentiment.prompts import PromptBuilder
from review_sentiment.scoring import generate_answers, score_labels

LABELS = ("negative", "positive")


@pytest.fixture(scope="module", params=[True, False], ids=["packed", "padded"])
def parts(tiny_model: BaseModel, request: pytest.FixtureRequest):
    plan = replace(plan_compute("cpu", "fp32"), packs_rows=request.param)
    base = replace(tiny_model, quantization="none")
    tokenizer = load_tokenizer(base)
    builder = PromptBuilder(tokenizer, LABELS, 160)
    texts = ["awful " * (n % 9 + 1) + "but fine" for n in range(24)]
    return load_model(base, plan), tokenizer, [builder.prompt("", text) for text in texts], plan


def test_any_batch_size_gives_the_same_scores(parts) -> None:
    model, tokenizer, prompts, plan = parts
    one_by_one = score_labels(model, tokenizer, prompts, LABELS, plan, tokens_per_batch=1)
    together = score_labels(model, tokenizer, prompts, LABELS, plan, tokens_per_batch=100_000)
    np.testing.assert_allclose(together.label_log_probs, one_by_one.label_log_probs, atol=1e-5)
    np.testing.assert_array_equal(together.answered, one_by_one.answered)


def test_scores_are_the_log_probabilities_of_a_full_forward(parts) -> None:
    model, tokenizer, prompts, plan = parts
    scores = score_labels(model, tokenizer, prompts[:3], LABELS, plan, 4096)
    for row, prompt in enumerate(prompts[:3]):
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            log_probs = model(input_ids=ids).logits[0, -1].float().log_softmax(-1)
        first = [tokenizer.encode(label, add_special_tokens=False)[0] for label in LABELS]
        np.testing.assert_allclose(scores.label_log_probs[row], log_probs[first].numpy(), atol=1e-5)


def test_an_answer_is_a_label_exactly_where_greedy_generation_starts_it(parts) -> None:
    model, tokenizer, prompts, plan = parts
    head = model.get_output_embeddings()
    first = [tokenizer.encode(label, add_special_tokens=False)[0] for label in LABELS]
    starts = [tokenizer.decode([token]) for token in first]
    ids = tokenizer(prompts[0], add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        winner = int(model(input_ids=ids).logits[0, -1].argmax())
    before = head.weight.detach().clone()
    found = []
    for label in (None, 0, 1):
        try:
            if label is not None:  # let the label win where another token won
                with torch.no_grad():
                    head.weight[first[label]] = before[winner] * 1.2
            scores = score_labels(model, tokenizer, prompts, LABELS, plan, 4096)
            answers = generate_answers(model, tokenizer, prompts, plan)
        finally:
            with torch.no_grad():
                head.weight.copy_(before)
        expected = [next((i for i, s in enumerate(starts) if answer.startswith(s)), -1) for answer in answers]
        assert scores.answered.tolist() == expected
        found.extend(expected)
    assert set(found) == {-1, 0, 1}


def test_probabilities_sum_to_one_and_unlikely_labels_are_unparsed(parts) -> None:
    model, tokenizer, prompts, plan = parts
    scores = score_labels(model, tokenizer, prompts, LABELS, plan, 4096)
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1.0)
    assert (scores.label_mass < 1).all()
    assert (scores.answered == -1).any()


def test_labels_with_the_same_first_token_and_no_prompt_are_refused(parts) -> None:
    model, tokenizer, prompts, plan = parts
    with pytest.raises(DataError, match="same token"):
        score_labels(model, tokenizer, prompts, ("positive", "positive x"), plan, 4096)
    with pytest.raises(DataError, match="empty"):
        score_labels(model, tokenizer, [], LABELS, plan, 4096)
