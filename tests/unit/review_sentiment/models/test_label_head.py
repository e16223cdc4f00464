"""A classification head starts from the words of the labels, scores as plain transformers, and is saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from review_sentiment.errors import DataError, ModelUnavailableError
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.label_head import (
    head_from_words,
    head_of,
    load_head,
    random_head,
    save_head,
    use_head,
)
from review_sentiment.models.lora import HEAD_FILE
from review_sentiment.models.merged_pass import merged_pass_of
from review_sentiment.models.packed_attention import MODEL_TYPES
from review_sentiment.scoring import scored_model
from review_sentiment.scoring.label_tokens import answer_branches
from review_sentiment.scoring.next_token import score_next_tokens
from review_sentiment.scoring.scored_model import merge_if_it_fits, require_plain_scores
from tests.families import FAMILIES, random_model

PLAN = plan_compute("cpu", "fp32")
LABELS = ("negative", "neutral", "positive")
FIRST_TOKENS = [40, 7, 211]
ROWS = [[5, 6, 7, 8, *range(20, 20 + length)] for length in (3, 17, 9, 1, 30)]
ROUNDING = 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_from_words_has_the_logits_of_the_words_and_leaves_the_rest_of_the_model(family: str) -> None:
    model = random_model(family)
    ids = torch.tensor([ROWS[1]])
    with torch.no_grad():
        words = model(input_ids=ids).logits[..., FIRST_TOKENS]
        embeddings = model.get_input_embeddings().weight.clone()
        use_head(model, head_from_words(model, LABELS, FIRST_TOKENS))
        torch.testing.assert_close(model(input_ids=ids).logits, words, rtol=1e-5, atol=1e-5)
    assert torch.equal(model.get_input_embeddings().weight, embeddings)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_of_a_head_are_those_of_plain_transformers(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scored_model.TOLERANCE, "fp32", ROUNDING)
    model = random_model(family)
    use_head(model, head_from_words(model, LABELS, FIRST_TOKENS))
    require_plain_scores(model, PLAN)
    merge_if_it_fits(model, PLAN)
    assert (merged_pass_of(model, PLAN) is not None) == (family in MODEL_TYPES)


@pytest.mark.parametrize("packs_rows", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_row_has_the_same_scores_in_any_batch(precision: str, packs_rows: bool) -> None:
    plan = replace(PLAN, packs_rows=packs_rows, precision=precision)
    model = random_model("llama").to(plan.dtype)
    use_head(model, random_head(model, LABELS, 1))
    together, answered = score_next_tokens(model, ROWS, range(3), plan, 100_000)
    alone = np.concatenate([score_next_tokens(model, [row], range(3), plan, 100_000)[0] for row in ROWS])
    np.testing.assert_allclose(together, alone, atol=1e-5 if precision == "fp32" else 0.02)
    np.testing.assert_array_equal(answered, together.argmax(1))
    np.testing.assert_allclose(np.exp(together).sum(1), 1, rtol=1e-6)


def test_a_merged_head_has_the_same_scores_in_any_batch_to_the_bit() -> None:
    model = random_model("llama")
    use_head(model, random_head(model, LABELS, 1))
    merge_if_it_fits(model, PLAN)
    together, _ = score_next_tokens(model, ROWS, range(3), PLAN, 100_000)
    alone = [score_next_tokens(model, [row], range(3), PLAN, 100_000)[0] for row in ROWS]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_the_logits_of_a_head_are_fp32_under_autocast_and_for_states_in_bf16() -> None:
    head = random_head(random_model("llama"), LABELS, 1)
    hidden = torch.randn(4, 64).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(hidden)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, hidden.float() @ head.weight.t(), rtol=1e-6, atol=1e-6)


def test_a_random_head_follows_from_the_seed() -> None:
    model = random_model("llama")
    one, same, other = (random_head(model, LABELS, seed) for seed in (1, 1, 2))
    assert torch.equal(one.weight, same.weight)
    assert not torch.equal(one.weight, other.weight)
    assert one.weight.shape == (3, 64)


@pytest.mark.parametrize("family", ["llama", "phi"])  # Phi's output layer has a bias
def test_a_saved_head_is_loaded_as_it_was_in_files_that_are_equal(family: str, tmp_path: Path) -> None:
    model = random_model(family).bfloat16()
    head = head_from_words(model, LABELS, FIRST_TOKENS)
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_head(head, tmp_path / name)
        files.append((tmp_path / name / HEAD_FILE).read_bytes())
    assert files[0] == files[1]
    loaded = load_head(tmp_path / "a", torch.device("cpu"))
    assert loaded.labels == LABELS
    assert loaded.state_dict().keys() == head.state_dict().keys()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in head.state_dict().items())
    assert loaded.weight.dtype == torch.float32


def test_a_damaged_head_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / HEAD_FILE).write_bytes(b"not safetensors")
    with pytest.raises(ModelUnavailableError, match=r"head\.safetensors cannot be read.*--rerun finetune"):
        load_head(tmp_path, torch.device("cpu"))


def test_a_head_answers_only_with_its_own_labels_in_their_order() -> None:
    model = random_model("llama")
    use_head(model, random_head(model, LABELS, 1))
    assert head_of(model) is not None
    tokenizer: object = None
    branches = answer_branches(model, tokenizer, "", LABELS)  # type: ignore[arg-type]
    assert [branch.labels_by_token for branch in branches] == [{0: [0], 1: [1], 2: [2]}]
    with pytest.raises(DataError, match="answers with negative, neutral, positive, not with positive"):
        answer_branches(model, tokenizer, "", LABELS[::-1])  # type: ignore[arg-type]
