"""Train, validation and evaluation reviews that share no group, no user and no text.

A model that has memorised a product, an author or a text looks better than it is on another review of them.

A hash of the group, such as a product, decides which part it belongs to. Unlike a draw, a hash is the same on
every machine, and a new category, another cap or more reviews move no group to another part. So a change of
an evaluation setting leaves the training rows as they are, and the cached training stays valid. Without
groups, all reviews of a user are a group, and without users, reviews that are nearly the same. Splits by time
answer another question, how a model of the past does later: products and users may then be in all parts.

Validation and evaluation sets are stratified. Production has the class shares of the source, often one
negative review in eight, and a set with these shares would have too few negative reviews to measure anything.
So a held-out set begins with equally many reviews of each label, and goes on with more of the frequent
labels: precision at the natural share depends on the rare errors among them. Each review has a weight, the
number of the source's reviews that it stands for, and so figures for production can be computed from the set.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from review_sentiment.data.held_out_size import others_per_rarest
from review_sentiment.data.leakage import drop_repeated, drop_shared, keep_similar_together
from review_sentiment.data.parts import PARTS, TRAIN, HeldOutShares
from review_sentiment.data.review_table import CategoryCounts, Reviews, ReviewTable, whole_counts
from review_sentiment.data.split_keys import BEYOND, SplitKeys, read_keys
from review_sentiment.data.stratification import (
    Chosen,
    Quotas,
    chosen_reviews,
    held_out_quotas,
    training_quotas,
)
from review_sentiment.errors import DataError

if TYPE_CHECKING:
    from review_sentiment.config import Composition, Settings

FEW = 30
"""A category with fewer reviews in all parts together says nothing about its accuracy."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitRules:
    """Fractions of the groups (0-1), maximum rows per category, and the labels of the parts.

    `composition` is that of the training part. `majority_ratio` is the maximum number of held-out reviews of
    a label per review of the rarest one. In the evaluation set, there may be more until the rarest label's
    precision is known to `natural_interval`.
    """

    evaluation_share: float
    validation_share: float
    train_per_category: int
    validation_per_category: int
    evaluation_per_category: int
    composition: Composition
    majority_ratio: float
    natural_interval: float = 0.0
    by: Literal["group", "time"] = "group"

    @classmethod
    def of(cls, settings: Settings) -> SplitRules:
        """Return the rules of a run's settings."""
        return cls(
            **settings.split.model_dump(),
            composition=settings.training.composition,
            natural_interval=settings.evaluation.natural_interval,
        )

    def quotas(self, part: str) -> Quotas:
        """Return how many reviews of each category a part has."""
        cap = getattr(self, f"{part}_per_category")
        if part == "train":
            return training_quotas(cap, self.composition)
        return held_out_quotas(cap, self.majority_ratio)


@dataclass(frozen=True)
class Unused:
    """The reviews that could be trained on, but are beyond cap or balance."""

    keys: SplitKeys
    train: Chosen

    def sample(self, most: int, seed: int) -> pd.DataFrame:
        """Return a random sample of at most `most` reviews."""
        left = self.keys.left(TRAIN)
        left[self.train.rows.index] = False
        numbers = np.flatnonzero(left)
        # By id, so that the order of the tables does not matter.
        in_order = pd.Series(numbers[np.argsort(self.keys.ids[numbers])])
        return self.keys.rows(in_order.sample(min(most, len(numbers)), random_state=seed).to_numpy())


@dataclass(frozen=True)
class Splits:
    """The three parts; `decision` has the validation reviews, balanced, and more of the frequent labels.

    Only the balanced ones are used in training, so that `majority_ratio` does not change it. `unused` reads
    the reviews that it has when it is asked for them.
    """

    train: ReviewTable
    validation: ReviewTable
    decision: ReviewTable
    evaluation: ReviewTable
    unused: Unused


def split_reviews(tables: Sequence[Reviews], rules: SplitRules, seed: int) -> Splits:
    """Split the reviews of all categories.

    Raises:
        DataError: no category has a review, or a part would be empty or have reviews of one class only.
    """
    if not any(map(len, tables)):
        found = "; ".join(f"{one.category}: {one.reasons()}" for table in tables for one in table.counts)
        raise DataError(
            f"No category has a usable review. Dropped: {found}. Check data.source and data.categories."
        )
    shares = HeldOutShares(rules.evaluation_share, rules.validation_share)
    keys = read_keys(tables, rules.by, shares, seed)
    drop_repeated(keys)
    keep_similar_together(keys, shares, seed)
    drop_shared(keys, users=rules.by == "group")
    source = {one.category: one for table in tables for one in table.counts}

    def choose(part: str, rules: SplitRules) -> Chosen:
        chosen = chosen_reviews(keys, PARTS.index(part), source, rules.quotas(part), seed)
        _require_classes(part, chosen)
        return chosen if part == "train" else _weighted(chosen, source)

    parts = {part: choose(part, rules) for part in PARTS}
    if rules.natural_interval:
        ratio = _evaluation_ratio(parts["evaluation"], rules)
        parts["evaluation"] = choose("evaluation", replace(rules, majority_ratio=ratio))
    _require_labels(parts, list(keys.labels.categories))
    _report(tables, parts)
    train, decision, evaluation = (_table(keys, parts[part]) for part in PARTS)
    return Splits(train, _balanced(decision), decision, evaluation, Unused(keys, parts["train"]))


def _table(keys: SplitKeys, part: Chosen) -> ReviewTable:
    """Return the chosen reviews with their texts."""
    found = keys.rows(part.rows.index.to_numpy())
    columns = {name: part.rows[name].to_numpy() for name in ("balanced", "weight")}
    return ReviewTable(found.assign(**columns), part.counts)


def _evaluation_ratio(evaluation: Chosen, rules: SplitRules) -> float:
    """Return the majority ratio with which the evaluation set reaches `natural_interval`."""
    mass = evaluation.rows.groupby("label")["weight"].sum()
    rarest = evaluation.class_counts()[str(mass.idxmin())]
    ratio = others_per_rarest(rules.natural_interval, rarest, float(mass.min() / mass.sum()))
    return max(rules.majority_ratio, ratio)


def _balanced(part: ReviewTable) -> ReviewTable:
    """Return the balanced reviews of a held-out set."""
    frame = part.frame[part.frame["balanced"]].assign(weight=1.0)
    kept = frame.groupby("category").size()
    counts = []
    for one in part.counts:
        own = int(kept.get(one.category, 0))
        dropped = dict(Counter(one.dropped) + Counter({BEYOND: one.kept - own}))
        counts.append(replace(one, kept=own, dropped=dropped))
    return ReviewTable(frame.reset_index(drop=True), tuple(counts))


def _require_classes(name: str, part: Chosen) -> None:
    """Check that a part has reviews of two classes."""
    counts = part.class_counts()
    if len(counts) <= 1:
        fraction = "validation_share" if name == "validation" else "evaluation_share"
        raise DataError(
            f"The {name} part has {len(part.rows)} reviews with the labels {sorted(counts) or 'none'}; it "
            f"needs two at least. Add categories, or change split.{name}_per_category or split.{fraction}."
        )


def _require_labels(parts: Mapping[str, Chosen], labels: Sequence[str]) -> None:
    """Check that every part has reviews of every label: what was not trained or measured would look fine."""
    for name, part in parts.items():
        missing = [f"'{label}'" for label in labels if label not in part.class_counts()]
        if missing:
            raise DataError(
                f"The {name} part has no review with the label {' or '.join(missing)}. Add reviews of it, "
                f"leave it out of data.labels, or raise split.{name}_per_category"
                f"{'' if name == 'train' else f' or split.{name}_share'}."
            )


def _weighted(part: Chosen, source: Mapping[str, CategoryCounts]) -> Chosen:
    """Return the part with each review's weight: the source's reviews of its category and label, per review.

    Weighted in this way, a sample that is stratified by category and label has the shares of its source
    (D. G. Horvitz and D. J. Thompson, 1952).
    """
    cells = part.rows.groupby(["category", "label"])["label"].transform("size")
    pairs = zip(part.rows["category"], part.rows["label"], strict=True)
    in_source = np.array([source[category].in_source(label) for category, label in pairs])
    return replace(part, rows=part.rows.assign(weight=in_source / cells))


def _report(tables: Sequence[Reviews], parts: Mapping[str, Chosen]) -> None:
    """Log what became of each category's rows, and warn by name if little or nothing of it is left."""
    for whole in whole_counts(tables, list(parts.values())):
        name = whole.category
        kept = {part: int((chosen.rows["category"] == name).sum()) for part, chosen in parts.items()}
        used = ", ".join(f"{count:,} {part}" for part, count in kept.items())
        logger.info("%s: %s of %s rows used; dropped: %s", name, used, f"{whole.read:,}", whole.reasons())
        missing = [part for part, count in kept.items() if not count]
        if missing:
            logger.warning("warning: %s has no review in %s", name, ", ".join(missing))
        elif whole.kept < FEW:
            logger.warning("warning: %s has only %d reviews in all parts", name, whole.kept)
