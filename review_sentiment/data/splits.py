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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from review_sentiment.data.cleaning import normalised, sample_key
from review_sentiment.data.held_out_size import others_per_rarest
from review_sentiment.data.near_duplicates import near_duplicates
from review_sentiment.data.parts import PARTS, HeldOutShares, assigned_parts
from review_sentiment.data.review_table import COLUMNS, CategoryCounts, ReviewTable, whole_counts
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash

if TYPE_CHECKING:
    from review_sentiment.config import Composition, Settings

SAME_TEXT = "same text elsewhere"
SAME_USER = "user in another part"
SIMILAR_TEXT = "similar text in another part"
BEYOND = "beyond cap or balance"
ONE_CLASS = "one class only"
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


@dataclass(frozen=True)
class Splits:
    """The three parts; `decision` has the validation reviews, balanced, and more of the frequent labels.

    Only the balanced ones are used in training, so that `majority_ratio` does not change it. `unused` has the
    reviews that could be trained on, but are beyond cap or balance.
    """

    train: ReviewTable
    validation: ReviewTable
    decision: ReviewTable
    evaluation: ReviewTable
    unused: ReviewTable


def split_reviews(tables: list[ReviewTable], rules: SplitRules, seed: int) -> Splits:
    """Split the reviews of all categories.

    Raises:
        DataError: no category has a review, or a part would be empty or have reviews of one class only.
    """
    reviews = pd.concat([table.frame for table in tables], ignore_index=True)
    if reviews.empty:
        found = "; ".join(f"{one.category}: {one.reasons()}" for table in tables for one in table.counts)
        raise DataError(
            f"No category has a usable review. Dropped: {found}. Check data.source and data.categories."
        )
    # The order of the tables must not decide which of several reviews with the same text is kept.
    reviews = reviews.sort_values(["review_id", "category"], ignore_index=True)
    reviews["plain"] = reviews["text"].map(normalised)
    reviews["dropped"] = np.where(reviews["plain"].duplicated(), SAME_TEXT, "")

    shares = HeldOutShares(rules.evaluation_share, rules.validation_share)
    reviews["part"] = assigned_parts(reviews, rules.by, shares, seed)
    _drop_shared(reviews, users=rules.by == "group")
    source = {one.category: one for table in tables for one in table.counts}
    parts = {
        name: _part(name, reviews[reviews["part"] == name], source, _choice(name, rules), seed)
        for name in PARTS
    }
    if rules.natural_interval:
        ratio = _evaluation_ratio(_weighted(parts["evaluation"], source), rules)
        enlarged = replace(rules, majority_ratio=ratio)
        rows = reviews[reviews["part"] == "evaluation"]
        parts["evaluation"] = _part("evaluation", rows, source, _choice("evaluation", enlarged), seed)
    _require_labels(parts, sorted(set(reviews["label"])))
    _report(tables, parts)
    weighted = {name: _weighted(parts[name], source) for name in PARTS[1:]}
    decision, evaluation = weighted["validation"], weighted["evaluation"]
    return Splits(parts["train"], _balanced(decision), decision, evaluation, _unused(reviews, parts["train"]))


def _evaluation_ratio(evaluation: ReviewTable, rules: SplitRules) -> float:
    """Return the majority ratio with which the evaluation set reaches `natural_interval`."""
    mass = evaluation.frame.groupby("label")["weight"].sum()
    rarest = evaluation.class_counts()[str(mass.idxmin())]
    ratio = others_per_rarest(rules.natural_interval, rarest, float(mass.min() / mass.sum()))
    return max(rules.majority_ratio, ratio)


def _drop_shared(reviews: pd.DataFrame, *, users: bool) -> None:
    """Mark in the column `dropped` the reviews whose text another part has too, or whose user if asked."""

    def left(*parts: str) -> pd.DataFrame:
        return reviews[reviews["part"].isin(parts) & (reviews["dropped"] == "")]

    # Users are in several parts, because groups decide. The evaluation keeps all its reviews, so that
    # nothing but its groups shapes what we report; then the validation; training has the most reviews to
    # lose.
    evaluation_users = set(left("evaluation")["user"].dropna())
    held_out_users = evaluation_users | set(left("validation")["user"].dropna())
    for part, others in (("validation", evaluation_users), ("train", held_out_users)) if users else ():
        rows = left(part)
        reviews.loc[rows.index[rows["user"].isin(others)], "dropped"] = SAME_USER
    # Similar texts come last, among the rows that are left: comparing them takes a product of two sparse
    # matrices, where users and products are looked up.
    for part, held_out in (("validation", ["evaluation"]), ("train", ["evaluation", "validation"])):
        rows = left(part)
        near = near_duplicates(rows["plain"].tolist(), left(*held_out)["plain"].tolist())
        reviews.loc[rows.index[near], "dropped"] = SIMILAR_TEXT


def _unused(reviews: pd.DataFrame, train: ReviewTable) -> ReviewTable:
    usable = reviews[(reviews["part"] == "train") & (reviews["dropped"] == "")]
    unused = usable[~usable["review_id"].isin(train.frame["review_id"])]
    return ReviewTable(unused[list(COLUMNS)].reset_index(drop=True))


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


Choice = Callable[[CategoryCounts, pd.DataFrame], pd.DataFrame]
"""Takes a category's counts and its reviews in random order, and returns the chosen ones."""


def _choice(name: str, rules: SplitRules) -> Choice:
    """Return how a part chooses among its reviews of a category."""
    cap = getattr(rules, f"{name}_per_category")
    if name != "train":
        return partial(_stratified, cap, rules.majority_ratio)
    return {
        "equal": partial(_stratified, cap, 1.0),
        "rare_first": partial(_rare_first, cap),
        "natural": partial(_natural, cap),
    }[rules.composition]


def _part(
    name: str, reviews: pd.DataFrame, source: Mapping[str, CategoryCounts], choose: Choice, seed: int
) -> ReviewTable:
    """Return the chosen rows of a part."""
    # By the hash that the categories were sampled by: if more reviews are read, those chosen before come
    # first again. So an evaluation setting that needs more reviews does not change the training reviews.
    usable = _ordered(
        reviews[reviews["dropped"] == ""], lambda row: (sample_key(row.plain, seed), row.review_id)
    )
    chosen = [choose(source[str(name)], rows) for name, rows in usable.groupby("category", sort=True)]
    # A second order: in that of the choice the rare class, which is taken whole, would come last, because the
    # other class has only small hashes. Then the first rows would not be a random sample of all.
    # The balanced reviews come first, so that the first rows of a part are balanced too.
    rows = _ordered(
        pd.concat(chosen) if chosen else usable,
        lambda row: (not row.balanced, stable_hash(str(seed), "order", row.review_id)),
    )
    classes = usable.groupby("category")["label"].nunique()
    one_class = reviews["category"].isin(classes.index[classes == 1])
    beyond = reviews.index.isin(usable.index.difference(rows.index))
    reasons = reviews["dropped"].mask(beyond, BEYOND).mask(beyond & one_class, ONE_CLASS)
    counts = tuple(
        CategoryCounts(str(category), len(own), int((own == "").sum()), dict(Counter(own[own != ""])))
        for category, own in reasons.groupby(reviews["category"])
    )
    table = ReviewTable(rows[list(COLUMNS)].reset_index(drop=True), counts)
    if len(table.class_counts()) <= 1:
        fraction = "validation_share" if name == "validation" else "evaluation_share"
        raise DataError(
            f"The {name} part has {len(table)} reviews with the labels "
            f"{sorted(table.class_counts()) or 'none'}; it needs two at least. Add categories, or change "
            f"split.{name}_per_category or split.{fraction}."
        )
    return table


def _require_labels(parts: Mapping[str, ReviewTable], labels: Sequence[str]) -> None:
    """Check that every part has reviews of every label: what was not trained or measured would look fine."""
    for name, table in parts.items():
        missing = [f"'{label}'" for label in labels if label not in table.class_counts()]
        if missing:
            raise DataError(
                f"The {name} part has no review with the label {' or '.join(missing)}. Add reviews of it, "
                f"leave it out of data.labels, or raise split.{name}_per_category"
                f"{'' if name == 'train' else f' or split.{name}_share'}."
            )


def _weighted(part: ReviewTable, source: Mapping[str, CategoryCounts]) -> ReviewTable:
    """Return the part with each review's weight: the source's reviews of its category and label, per review.

    Weighted in this way, a sample that is stratified by category and label has the shares of its source
    (D. G. Horvitz and D. J. Thompson, 1952).
    """
    cells = part.frame.groupby(["category", "label"])["label"].transform("size")
    pairs = zip(part.frame["category"], part.frame["label"], strict=True)
    in_source = np.array([source[category].in_source(label) for category, label in pairs])
    return replace(part, frame=part.frame.assign(weight=in_source / cells))


def _report(tables: Sequence[ReviewTable], parts: Mapping[str, ReviewTable]) -> None:
    """Log what became of each category's rows, and warn by name if little or nothing of it is left."""
    for whole in whole_counts(tables, list(parts.values())):
        name = whole.category
        kept = {part: int((table.frame["category"] == name).sum()) for part, table in parts.items()}
        used = ", ".join(f"{count:,} {part}" for part, count in kept.items())
        logger.info("%s: %s of %s rows used; dropped: %s", name, used, f"{whole.read:,}", whole.reasons())
        missing = [part for part, count in kept.items() if not count]
        if missing:
            logger.warning("warning: %s has no review in %s", name, ", ".join(missing))
        elif whole.kept < FEW:
            logger.warning("warning: %s has only %d reviews in all parts", name, whole.kept)


def _stratified(
    cap: int, majority_ratio: float, source: CategoryCounts, reviews: pd.DataFrame
) -> pd.DataFrame:
    """Return equally many reviews of each label up to the cap, and more of the frequent labels.

    The former are marked as balanced. Of a label that is r times as frequent in the source as the rarest,
    there are up to r times as many, or `majority_ratio` times if that is less.
    """
    labels = reviews.groupby("label")
    # With one label there is no balance, and the category gives nothing.
    each = min(cap // labels.ngroups, labels.size().min()) if labels.ngroups > 1 else 0
    in_source = _in_source(source, reviews)
    most = ((in_source / in_source.min()).clip(upper=majority_ratio) * each).astype(int)
    chosen = labels.cumcount() < reviews["label"].map(most)
    return reviews.assign(balanced=labels.cumcount() < each)[chosen]


def _rare_first(cap: int, source: CategoryCounts, reviews: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001
    """Return reviews up to the cap: equally many of each label, and more of the others if a label has fewer.

    So a cap takes no rare review away as long as there is a frequent one to take.
    """
    sizes = reviews["label"].value_counts(ascending=True)
    left, each = cap, {}
    for place, (label, size) in enumerate(sizes.items()):
        each[label] = min(int(size), left // (len(sizes) - place))
        left -= each[label]
    return reviews[reviews.groupby("label").cumcount() < reviews["label"].map(each)]


def _natural(cap: int, source: CategoryCounts, reviews: pd.DataFrame) -> pd.DataFrame:
    """Return reviews up to the cap in the shares that the labels have in the source.

    Taking all would not do: cleaning has kept a maximum of each class.
    """
    labels = reviews.groupby("label")
    in_source = _in_source(source, reviews)
    shares = in_source / in_source.sum()
    each = (shares * min(cap, (labels.size() / shares).min())).round()
    return reviews[labels.cumcount() < reviews["label"].map(each)].head(cap)


def _in_source(source: CategoryCounts, reviews: pd.DataFrame) -> pd.Series:
    """Return how many reviews of each label the source has, for the labels of the reviews."""
    return pd.Series({label: source.in_source(label) for label in sorted(set(reviews["label"]))})


def _ordered(reviews: pd.DataFrame, key: Callable[[Any], Any]) -> pd.DataFrame:
    """Return the reviews in the order of a key made of hashes: random, and the same on every machine."""
    keys = [key(row) for row in reviews.itertuples()]
    return reviews.iloc[sorted(range(len(keys)), key=keys.__getitem__)]
