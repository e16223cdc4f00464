"""The loss if the labels of the training reviews are not equally frequent.

With 5 % negative reviews, a model that always answers "positive" already has a low loss. Undersampling throws
90 % of the positive reviews away (`data/splits.py`). These two keep them:

- `weights`: the loss of a review is multiplied by n / (labels * n_y), where n_y reviews have its label. Each
  label then has the same part of the loss, but a few reviews of a rare label count so much that the model may
  learn them by heart.
- `logit_adjusted` (A. Menon et al., "Long-tail learning via logit adjustment", arXiv 2007.07314, equation
  10): in training, and only there, the log of the label's share is added to its logit. So the model need not
  learn how rare a label is, and its scores are those for equally frequent labels.

A label can have several tokens, and labels can begin with the same ones. They are a tree then: at each token,
the answers that are still possible divide into branches. The share of a branch is the sum over its labels,
and its adjustment is log(share of the branch / share of all that were possible). For labels that differ in
their first token this is Menon's loss. Otherwise each branching is balanced for itself: the exact loss would
take the scores of all labels, and so more tokens of each review.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from review_sentiment.training.answer_logits import IGNORED

if TYPE_CHECKING:
    from review_sentiment.config import Balance

Path = tuple[int, ...]
"""Tokens of an answer so far."""


def answers_of(labels: Iterable[Sequence[int]]) -> list[Path]:
    """Return the tokens of each row's answer, from its labels."""
    return [tuple(token for token in row if token != IGNORED) for row in labels]


def changes_the_loss(method: Balance) -> bool:
    """Return whether the loss is another one than the mean cross-entropy."""
    return method in ("weights", "logit_adjusted")


@dataclass(frozen=True)
class ClassBalance:
    """What the loss does about labels that are not equally frequent: a weight or an adjustment by answer."""

    method: Balance
    shares: dict[Path, float]

    @classmethod
    def of(cls, method: Balance, answers: Sequence[Sequence[int]]) -> ClassBalance:
        """Return the balance for the tokens of each training review's answer."""
        counts = Counter(map(tuple, answers))
        return cls(method, {path: count / counts.total() for path, count in counts.items()})

    def losses(self, logits: torch.Tensor, answers: Sequence[Path]) -> torch.Tensor:
        """Return the loss [n] of each answer token.

        `logits` [n, vocabulary] in FP32 are those at the tokens of the answers, one after another.
        """
        targets = torch.tensor([token for path in answers for token in path], device=logits.device)
        if self.method == "logit_adjusted":
            logits = self._adjusted(logits, answers)
        losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        if self.method != "weights":
            return losses
        weights = [1 / (len(self.shares) * self.shares[path]) for path in answers for _ in path]
        return losses * torch.tensor(weights, device=logits.device)

    def _adjusted(self, logits: torch.Tensor, answers: Sequence[Path]) -> torch.Tensor:
        places, tokens, added = [], [], []
        branches = [self._branches(path[:depth]) for path in answers for depth in range(len(path))]
        for place, branch in enumerate(branches):
            for token, adjustment in branch.items():
                places.append(place)
                tokens.append(token)
                added.append(adjustment)
        index = torch.tensor(places, device=logits.device), torch.tensor(tokens, device=logits.device)
        values = torch.tensor(added, device=logits.device, dtype=logits.dtype)
        return logits.index_put(index, values, accumulate=True)

    def _branches(self, before: Path) -> dict[int, float]:
        """Return the adjustment of each token that continues an answer which begins with `before`."""
        shares: defaultdict[int, float] = defaultdict(float)
        for path, share in self.shares.items():
            if path[: len(before)] == before and len(path) > len(before):
                shares[path[len(before)]] += share
        total = sum(shares.values())
        return {token: math.log(share / total) for token, share in shares.items()}
