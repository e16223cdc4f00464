"""Train, validation and evaluation reviews that share no product, no user and no text.

A model that has memorised a product, an author or a text looks better than it is on another review of them.

A hash of the product decides which part it belongs to. Unlike a draw, a hash is the same on every machine,
and a new category, another cap or more reviews move no product to another part. So a change of an evaluation
setting leaves the training rows as they are, and the cached training stays valid.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from review_sentiment.data.cleaning import normalised
from review_sentiment.data.near_duplicates import near_duplicates
from review_sentiment.data.review_table import COLUMNS, ReviewTable
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash, unit_interval


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
        DataError: a part would be empty or have reviews of one class only.
    """
    reviews = pd.concat([table.frame for table in tables], ignore_index=True)
    # The order of the tables must not decide which of several reviews with the same text is kept.
    reviews = reviews.sort_values(["review_id", "category"], ignore_index=True)
    plain = reviews["text"].map(normalised)
    unique = reviews.assign(plain=plain)[~plain.duplicated()]

    # `place` is in [0, 1) and belongs to the product. The parts are three intervals, and evaluation is the
    # first: a larger validation share takes products from training only.
    place = unique["product"].map(lambda product: unit_interval(str(seed), "product", product))
    held_out = rules.evaluation_share + rules.validation_share
    evaluation = unique[place < rules.evaluation_share]
    validation = unique[(place >= rules.evaluation_share) & (place < held_out)]
    train = unique[place >= held_out]

    # Users are in several parts, because products decide. The evaluation keeps all its reviews, so that
    # nothing but its products shapes what we report; then the validation; training has the most reviews to
    # lose.
    evaluation_users = set(evaluation["user"].dropna())
    held_out_users = evaluation_users | set(validation["user"].dropna())
    validation, validation_users = _without(validation, validation["user"].isin(evaluation_users))
    train, train_users = _without(train, train["user"].isin(held_out_users))
    # Similar texts come last, among the rows that are left: comparing them takes a product of two sparse
    # matrices, where users and products are looked up.
    validation, validation_texts = _without(validation, _near(validation, evaluation))
    train, train_texts = _without(train, _near(train, pd.concat([evaluation, validation])))
    shared = {
        "same text in another category or product": len(reviews) - len(unique),
        "user also in another part": validation_users + train_users,
        "nearly the same text in another part": validation_texts + train_texts,
    }
    return Splits(
        _part("train", train, rules, seed, shared),
        _part("validation", validation, rules, seed),
        _part("evaluation", evaluation, rules, seed),
    )


def _near(reviews: pd.DataFrame, others: pd.DataFrame) -> pd.Series:
    return pd.Series(near_duplicates(reviews["plain"].tolist(), others["plain"].tolist()), reviews.index)


def _without(reviews: pd.DataFrame, dropped: pd.Series) -> tuple[pd.DataFrame, int]:
    """Return the other reviews, and the number of dropped ones."""
    return reviews[~dropped], int(dropped.sum())


def _part(
    name: str, reviews: pd.DataFrame, rules: SplitRules, seed: int, shared: Mapping[str, int] | None = None
) -> ReviewTable:
    """Return the rows of a part within its cap. `shared` counts rows that no part has, by reason."""
    cap = getattr(rules, f"{name}_per_category")
    balanced = rules.balance_evaluation if name == "evaluation" else rules.balance_train
    shuffled = _shuffled(reviews, seed, "choice")
    chosen = [_chosen(category, cap, balanced) for _, category in shuffled.groupby("category", sort=True)]
    # A second order: in that of the choice the rare class, which is taken whole, would come last, because the
    # other class has only small hashes. Then the first rows would not be a random sample of all.
    rows = _shuffled(pd.concat(chosen), seed, "order") if chosen else shuffled
    dropped = Counter(shared or {})
    read = len(reviews) + dropped.total()
    dropped["beyond the cap or the balance"] += len(reviews) - len(rows)
    table = ReviewTable(rows[list(COLUMNS)].reset_index(drop=True), read, dict(sorted(dropped.items())))
    if len(table.class_counts()) <= 1:
        fraction = "validation_share" if name == "validation" else "evaluation_share"
        raise DataError(
            f"The {name} part has {len(table)} reviews with the labels "
            f"{sorted(table.class_counts()) or 'none'}; it needs both. Add categories, or change "
            f"split.{name}_per_category or split.{fraction}."
        )
    return table


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
