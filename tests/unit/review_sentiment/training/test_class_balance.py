"""The loss of labels that are not equally frequent, against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from review_sentiment.training.class_balance import ClassBalance, Path, changes_the_loss

END, VOCABULARY = 9, 12
FLAT: tuple[Path, ...] = ((1, END), (2, END), (3, 5, END))
TREE: tuple[Path, ...] = ((1, END), (1, 2, END), (3, 2, END), (4, END))
"""The first label is the beginning of the second."""
COUNTS = (50, 30, 15, 5)


def answers(labels: tuple[Path, ...]) -> list[Path]:
    return [path for path, count in zip(labels, COUNTS, strict=False) for _ in range(count)]


def logits_of(paths: list[Path]) -> torch.Tensor:
    """Return random logits for the tokens of the answers."""
    return torch.randn(sum(map(len, paths)), VOCABULARY, generator=torch.Generator().manual_seed(1))


def test_labels_of_different_first_tokens_have_menons_loss() -> None:
    batch = [FLAT[0], FLAT[2], FLAT[1]]
    logits = logits_of(batch)
    found = ClassBalance.of("logit_adjusted", answers(FLAT)).losses(logits, batch)
    shares = np.array(COUNTS[:3]) / sum(COUNTS[:3])
    first = torch.cat([torch.zeros(1, dtype=torch.long), torch.tensor([2, 5])])  # rows of first tokens
    adjusted = logits[first].clone()
    adjusted[:, [1, 2, 3]] += torch.tensor(np.log(shares), dtype=torch.float32)
    expected = torch.nn.functional.cross_entropy(adjusted, torch.tensor([1, 3, 2]), reduction="none")
    assert found[first] == pytest.approx(expected)
    # After it there is one way to go on, which needs no adjustment.
    rest = torch.tensor([1, 3, 4, 6])
    plain = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 9, 3, 5, 9, 2, 9]), reduction="none")
    assert found[rest] == pytest.approx(plain[rest])


def test_where_labels_part_the_branches_are_adjusted_by_their_conditional_shares() -> None:
    batch = [TREE[1]]
    logits = logits_of(batch)
    found = ClassBalance.of("logit_adjusted", answers(TREE)).losses(logits, batch)
    for place, (target, shares) in enumerate(
        ((1, {1: 0.8, 3: 0.15, 4: 0.05}), (2, {END: 5 / 8, 2: 3 / 8}), (END, {END: 1.0}))
    ):
        row = logits[place].clone()
        for token, share in shares.items():
            row[token] += np.log(share)
        assert found[place] == pytest.approx(float(-torch.log_softmax(row, -1)[target]))


def test_weighted_labels_have_the_same_part_of_the_loss() -> None:
    paths = answers(TREE)
    plain = ClassBalance.of("none", paths).losses(torch.zeros(sum(map(len, paths)), VOCABULARY), paths)
    found = ClassBalance.of("weights", paths).losses(torch.zeros_like(logits_of(paths)), paths)
    weights = dict.fromkeys(TREE, 0.0)
    starts = np.cumsum([0, *map(len, paths)])[:-1]
    for path, start in zip(paths, starts, strict=True):
        weights[path] += float(found[start] / plain[start])
    assert list(weights.values()) == pytest.approx([sum(COUNTS) / len(TREE)] * len(TREE))


@pytest.mark.parametrize(("method", "changes"), [("undersample", False), ("none", False), ("weights", True)])
def test_only_two_methods_change_the_loss(method: str, changes: bool) -> None:
    balance = ClassBalance.of(method, answers(FLAT))  # type: ignore[arg-type]
    assert changes_the_loss(balance.method) is changes
    batch = list(FLAT)
    plain = torch.nn.functional.cross_entropy(
        logits_of(batch), torch.tensor([token for path in batch for token in path]), reduction="none"
    )
    assert torch.equal(balance.losses(logits_of(batch), batch), plain) is not changes
