"""Train, validation and evaluation reviews that share no product, no user and no text.

A model that has memorised a product, an author or a text looks better than it is on another review of them.

A hash of the product decides which part it belongs to. Unlike a draw, a hash is the same on every machine,
and a new category, another cap or more reviews move no product to another part. So a change of an evaluation
setting leaves the training rows as they are, and the cached training stays valid.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from review_sentiment.data.cleaning import normalised
from review_sentiment.data.near_duplicates import near_duplicates
from review_sentiment.data.review_table import COLUMNS, CategoryCounts, ReviewTable, whole_counts
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash, unit_interval

PARTS = ("train", "validation", "evaluation")
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
    """Fractions of the products (0-1), maximum rows per category, and which parts are balanced."""

    evaluation_share: float
    validation_share: float
    train_per_category: int
    validation_per_category: int
    evaluation_per_category: int
    balance_train: bool
    balance_evaluation: bool


@dataclass(frozen=True)
class Splits:
    """The three parts. Validation is balanced if training is."""

    train: ReviewTable
    validation: ReviewTable
    evaluation: ReviewTable


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

    # `place` is in [0, 1) and belongs to the product. The parts are three intervals, and evaluation is the
    # first: a larger validation share takes products from training only.
    place = reviews["product"].map(lambda product: unit_interval(str(seed), "product", product))
    held_out = rules.evaluation_share + rules.validation_share
    in_part = [place < rules.evaluation_share, place < held_out]
    reviews["part"] = np.select(in_part, ["evaluation", "validation"], "train")
    _drop_shared(reviews)
    parts = {name: _part(name, reviews[reviews["part"] == name], rules, seed) for name in PARTS}
    _report(tables, parts)
    return Splits(**parts)


def _drop_shared(reviews: pd.DataFrame) -> None:
    """Mark in the column `dropped` the reviews whose user or text another part has too."""

    def left(*parts: str) -> pd.DataFrame:
        return reviews[reviews["part"].isin(parts) & (reviews["dropped"] == "")]

    # Users are in several parts, because products decide. The evaluation keeps all its reviews, so that
    # nothing but its products shapes what we report; then the validation; training has the most reviews to
    # lose.
    evaluation_users = set(left("evaluation")["user"].dropna())
    held_out_users = evaluation_users | set(left("validation")["user"].dropna())
    for part, users in (("validation", evaluation_users), ("train", held_out_users)):
        rows = left(part)
        reviews.loc[rows.index[rows["user"].isin(users)], "dropped"] = SAME_USER
    # Similar texts come last, among the rows that are left: comparing them takes a product of two sparse
    # matrices, where users and products are looked up.
    for part, others in (("validation", ["evaluation"]), ("train", ["evaluation", "validation"])):
        rows = left(part)
        near = near_duplicates(rows["plain"].tolist(), left(*others)["plain"].tolist())
        reviews.loc[rows.index[near], "dropped"] = SIMILAR_TEXT


def _part(name: str, reviews: pd.DataFrame, rules: SplitRules, seed: int) -> ReviewTable:
    """Return the rows of a part within its cap."""
    cap = getattr(rules, f"{name}_per_category")
    balanced = rules.balance_evaluation if name == "evaluation" else rules.balance_train
    shuffled = _shuffled(reviews[reviews["dropped"] == ""], seed, "choice")
    chosen = [_chosen(category, cap, balanced) for _, category in shuffled.groupby("category", sort=True)]
    # A second order: in that of the choice the rare class, which is taken whole, would come last, because the
    # other class has only small hashes. Then the first rows would not be a random sample of all.
    rows = _shuffled(pd.concat(chosen), seed, "order") if chosen else shuffled
    classes = shuffled.groupby("category")["label"].nunique()
    one_class = reviews["category"].isin(classes.index[classes == 1]) & balanced
    beyond = reviews.index.isin(shuffled.index.difference(rows.index))
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
            f"{sorted(table.class_counts()) or 'none'}; it needs both. Add categories, or change "
            f"split.{name}_per_category or split.{fraction}."
        )
    return table


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


def _chosen(reviews: pd.DataFrame, cap: int, balanced: bool) -> pd.DataFrame:
    """Return the first reviews of a category up to its cap, as many of each label if balanced."""
    if not balanced:
        return reviews.head(cap)
    labels = reviews.groupby("label")
    # With one label there is no balance, and the category gives nothing.
    each = min(cap // labels.ngroups, labels.size().min()) if labels.ngroups > 1 else 0
    return labels.head(each)


def _shuffled(reviews: pd.DataFrame, seed: int, purpose: str) -> pd.DataFrame:
    """Return the reviews in the order of a hash: random, and the same on every machine."""
    keys = [stable_hash(str(seed), purpose, review) for review in reviews["review_id"]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return reviews.iloc[order]
