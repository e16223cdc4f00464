"""Label scoring gives the answer of generation, with any batch size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from review_sentiment.data.prompts import PromptBuilder
from review_sentiment.errors import DataError
from review_sentiment.evaluation import audit
from review_sentiment.evaluation.audit import generate_answers
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.resources.memory import shape_from
from review_sentiment.scoring import label_scoring, next_token, token_budget
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.scoring.label_tokens import label_branches
from tests.tiny import prompt_of

LABELS = ("negative", "positive")


@pytest.fixture(scope="module", params=[True, False], ids=["packed", "padded"])
def parts(tiny_model: ModelIdentity, request: pytest.FixtureRequest):
    plan = replace(plan_compute("cpu", "fp32"), packs_rows=request.param)
    base = replace(tiny_model, quantization="none")
    tokenizer = load_tokenizer(base)
    builder = PromptBuilder(tokenizer, prompt_of(LABELS))
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
            answers = generate_answers(model, tokenizer, prompts, LABELS, plan)
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


SHARED = ("good", "good and bad", "good and fine", "awful")
"""The first is the beginning of two others, which share a second word; the last is on its own."""


def sequence_log_probs(model, tokenizer, prompt: str, label: str) -> list[float]:
    """Return the log-probability of each token of a label and of the end, by full forward passes."""
    start = len(tokenizer.encode(prompt, add_special_tokens=False))
    ids = tokenizer(prompt + label + tokenizer.eos_token, add_special_tokens=False, return_tensors="pt")[
        "input_ids"
    ]
    with torch.no_grad():
        log_probs = model(input_ids=ids).logits[0].float().log_softmax(-1)
    return [float(log_probs[place - 1, ids[0, place]]) for place in range(start, ids.shape[1])]


def test_labels_that_share_a_beginning_are_told_apart_by_what_follows(parts) -> None:
    model, tokenizer, prompts, plan = parts
    scores = score_labels(model, tokenizer, prompts[:4], SHARED, plan, 4096)
    for row, prompt in enumerate(prompts[:4]):
        tokens = {label: sequence_log_probs(model, tokenizer, prompt, label) for label in SHARED}
        shared = {
            label: next(
                place
                for place in range(1, len(tokens[label]) + 1)
                if not any(
                    ids[:place] == label_ids(tokenizer, prompt, label)[:place]
                    for other in SHARED
                    if other != label
                    for ids in [label_ids(tokenizer, prompt, other)]
                )
            )
            for label in SHARED
        }
        expected = [sum(tokens[label][: shared[label]]) for label in SHARED]
        np.testing.assert_allclose(scores.label_log_probs[row], expected, atol=1e-4)
    assert (scores.label_mass < 1).all()


def label_ids(tokenizer, prompt: str, label: str) -> list[int]:
    start = len(tokenizer.encode(prompt, add_special_tokens=False))
    return tokenizer.encode(prompt + label + tokenizer.eos_token, add_special_tokens=False)[start:]


MANY = (*(f"fine {number}" for number in range(25)), "fine", *(f"class {n} of all" for n in range(24)))
"""Fifty labels of several tokens, one of them the beginning of others."""


def distinct_tokens(tokenizer, prompt: str, labels: tuple[str, ...]) -> list[int]:
    """Return how many tokens of each label tell it from all others."""
    ids = [label_ids(tokenizer, prompt, label) for label in labels]
    return [
        next(n for n in range(1, len(own) + 1) if sum(other[:n] == own[:n] for other in ids) == 1)
        for own in ids
    ]


def test_fifty_labels_have_the_log_probabilities_of_full_forwards(parts) -> None:
    model, tokenizer, prompts, plan = parts
    scores = score_labels(model, tokenizer, prompts[:3], MANY, plan, 4096)
    assert scores.label_log_probs.shape == (3, 50)
    counts = distinct_tokens(tokenizer, prompts[0], MANY)
    assert max(counts) > 3
    for row, prompt in enumerate(prompts[:3]):
        expected = [
            sum(sequence_log_probs(model, tokenizer, prompt, label)[:count])
            for label, count in zip(MANY, counts, strict=True)
        ]
        np.testing.assert_allclose(scores.label_log_probs[row], expected, atol=1e-4)
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1)


def test_the_answer_among_fifty_labels_is_that_of_greedy_generation(parts) -> None:
    """The prompts of any batching, against the choice at every node by full forwards."""
    model, tokenizer, prompts, plan = parts
    head = model.get_output_embeddings()
    before = head.weight.detach().clone()
    tokens = {token for label in MANY for token in label_ids(tokenizer, prompts[0], label)}
    try:
        with torch.no_grad():  # a model that writes tokens of labels only
            head.weight[[token for token in range(len(head.weight)) if token not in tokens]] = 0
            head.weight.mul_(4)
        scores = score_labels(model, tokenizer, prompts, MANY, plan, 4096)
        generated = generate_answers(model, tokenizer, prompts, MANY, plan)
    finally:
        with torch.no_grad():
            head.weight.copy_(before)
    for answered, text in zip(scores.answered, generated, strict=True):
        if text in MANY:
            assert MANY[answered] == text
        elif answered >= 0:
            ids = label_ids(tokenizer, prompts[0], MANY[answered])
            count = distinct_tokens(tokenizer, prompts[0], MANY)[answered]
            assert text.startswith(tokenizer.decode(ids[:count]))


def test_a_prompt_is_computed_once_for_all_labels(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer, prompts, plan = parts
    computed = 0
    real = next_token.pack

    def counting(rows, most_shared):
        nonlocal computed
        batch = real(rows, most_shared)
        computed += batch.rows.tokens
        return batch

    monkeypatch.setattr(next_token, "pack", counting)
    score_labels(model, tokenizer, prompts, MANY, plan, 4096)
    branches = label_branches(tokenizer, prompts[0], MANY)
    own = sum(len(tokenizer.encode(prompt)) for prompt in prompts)
    behind = len(prompts) * sum(len(branch.after) + 1 for branch in branches)
    assert len(branches) > 5
    assert (computed > 0) == plan.packs_rows
    assert computed <= own + behind


@pytest.mark.parametrize("wanted", SHARED)
def test_the_answer_is_the_label_that_greedy_generation_would_write(
    parts, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that always continues with the next token of one label."""
    model, tokenizer, prompts, plan = parts
    ids = label_ids(tokenizer, prompts[0], wanted)
    start = len(tokenizer.encode(prompts[0], add_special_tokens=False))

    def spelling(_model, rows, candidates, _plan, _budget, _per_prompt=1):
        def chosen(row):
            written, place = row[start:], len(row) - start
            follows = written == ids[:place] and place < len(ids) and ids[place] in candidates
            return candidates.index(ids[place]) if follows else -1

        return np.zeros((len(rows), len(candidates))), np.array([chosen(row) for row in rows])

    monkeypatch.setattr(label_scoring, "score_next_tokens", spelling)
    scores = score_labels(model, tokenizer, prompts[:1], SHARED, plan, 4096)
    assert [SHARED[index] for index in scores.answered] == [wanted]


def test_equal_labels_and_no_prompt_are_refused(parts) -> None:
    model, tokenizer, prompts, plan = parts
    with pytest.raises(DataError, match="are the same tokens"):
        score_labels(model, tokenizer, prompts, ("positive", "positive"), plan, 4096)
    with pytest.raises(DataError, match="empty"):
        score_labels(model, tokenizer, [], LABELS, plan, 4096)


def test_a_batch_that_does_not_fit_goes_through_in_halves(
    parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, tokenizer, prompts, plan = parts
    whole = score_labels(model, tokenizer, prompts, LABELS, plan, 100_000)
    for name in ("_packed_logits", "_padded_logits"):
        logits_of = getattr(next_token, name)

        def of_few_rows(model, rows, logits_of=logits_of):
            if len(rows) > 3:
                raise torch.OutOfMemoryError("of the GPU")
            return logits_of(model, rows)

        monkeypatch.setattr(next_token, name, of_few_rows)
    with caplog.at_level("INFO", "review_sentiment"):
        halved = score_labels(model, tokenizer, prompts, LABELS, plan, 100_000)
    np.testing.assert_allclose(halved.label_log_probs, whole.label_log_probs, atol=1e-5)
    np.testing.assert_array_equal(halved.answered, whole.answered)
    assert "out of memory with 24 rows" in caplog.text


def test_a_row_that_does_not_fit_alone_is_an_error(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer, prompts, plan = parts

    def fail(*_):
        raise torch.OutOfMemoryError("of the GPU")

    for name in ("_packed_logits", "_padded_logits"):
        monkeypatch.setattr(next_token, name, fail)
    with pytest.raises(torch.OutOfMemoryError):
        score_labels(model, tokenizer, prompts[:2], LABELS, plan, 100_000)


@pytest.mark.parametrize(("free", "fits"), [(1e3, 1), (1e6, 600), (1e12, 4_096)])
def test_the_budget_follows_free_memory_up_to_what_is_fast(
    parts, monkeypatch: pytest.MonkeyPatch, free: float, fits: int
) -> None:
    model, _, _, plan = parts
    monkeypatch.setattr(token_budget, "free_bytes", lambda _: free)
    budget = token_budget.token_budget(model, plan)
    assert 1 <= budget <= fits
    assert budget * token_budget.bytes_per_token(shape_from(model.config)) <= max(
        free, token_budget.bytes_per_token(shape_from(model.config))
    )


def test_answers_are_the_same_one_by_one_and_together(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer, prompts, plan = parts
    together = audit.generate_answers(model, tokenizer, prompts, LABELS, plan)
    monkeypatch.setattr(audit, "ANSWERS_PER_BATCH", 1)
    assert audit.generate_answers(model, tokenizer, prompts, LABELS, plan) == together
    assert len(set(together)) > 1
