"""Train, validation and evaluation reviews that share no product, no user and no text.

A product's place is decided by a hash of its identifier, not by a draw: it is
the same on every machine, and a new category, another cap or more reviews move
no product from one part to another. So a change of an evaluation setting leaves
the training rows as they are, and training stays cached.
"""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from review_sentiment.data.cleaning import normalised
from review_sentiment.data.near_duplicates import near_duplicates
from review_sentiment.data.review_table import COLUMNS, ReviewTable
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash, unit_interval


@dataclass(frozen=True)
class SplitRules:
    """Shares of the products (0-1), caps in rows a category, and which parts are balanced."""

    evaluation_share: float
    validation_share: float
    train_per_category: int
    validation_per_category: int
    evaluation_per_category: int
    balance_train: bool
    balance_evaluation: bool


@dataclass(frozen=True)
class Splits:
    """The three parts. Validation is balanced as training is."""

    train: ReviewTable
    validation: ReviewTable
    evaluation: ReviewTable


def split_reviews(tables: list[ReviewTable], rules: SplitRules, seed: int) -> Splits:
    """Split the union of the categories' tables.

    Raises:
        DataError: a part would be empty or has rows of one class only.
    """
    everything = pd.concat([table.frame for table in tables], ignore_index=True)
    everything = everything.sort_values(["review_id", "category"], ignore_index=True)
    plain = everything["text"].map(normalised)
    duplicate = plain.duplicated()
    unique = everything[~duplicate].assign(plain=plain[~duplicate])

    place = unique["product"].map(lambda product: unit_interval(str(seed), "product", product))
    in_evaluation = place < rules.evaluation_share
    in_validation = ~in_evaluation & (place < rules.evaluation_share + rules.validation_share)
    evaluation_users = set(unique.loc[in_evaluation, "user"].dropna())
    validation_users = set(unique.loc[in_validation, "user"].dropna())
    knows_evaluation = ~in_evaluation & unique["user"].isin(evaluation_users)
    knows_validation = ~in_evaluation & ~in_validation & unique["user"].isin(validation_users)

    evaluation = unique[in_evaluation]
    validation, near_evaluation = _unlike(unique[in_validation & ~knows_evaluation], evaluation)
    train, near_others = _unlike(
        unique[~in_evaluation & ~in_validation & ~knows_evaluation & ~knows_validation],
        pd.concat([evaluation, validation]),
    )
    shared = {
        "same text in another category or product": int(duplicate.sum()),
        "user also in another part": int((knows_evaluation | knows_validation).sum()),
        "nearly the same text in another part": near_evaluation + near_others,
    }
    parts = {
        "train": (train, rules.train_per_category, rules.balance_train),
        "validation": (validation, rules.validation_per_category, rules.balance_train),
        "evaluation": (evaluation, rules.evaluation_per_category, rules.balance_evaluation),
    }
    capped = {
        name: _cap(name, rows, cap, balanced, shared if name == "train" else {}, seed)
        for name, (rows, cap, balanced) in parts.items()
    }
    return Splits(**capped)


def _unlike(rows: pd.DataFrame, others: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows whose text is not nearly one of the others, and the number of the rest."""
    near = near_duplicates(rows["plain"].tolist(), others["plain"].tolist())
    return rows[~near], int(near.sum())


def _shuffled(rows: pd.DataFrame, seed: int, purpose: str) -> pd.DataFrame:
    """Return the rows in the order of a hash of the review: the same on every machine."""
    keys = [stable_hash(str(seed), purpose, review) for review in rows["review_id"]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return rows.iloc[order]


def _cap(
    part: str, rows: pd.DataFrame, cap: int, balanced: bool, shared: dict[str, int], seed: int
) -> ReviewTable:
    """Take at most `cap` rows of every category, by the order of a hash of the review."""
    dropped = Counter(shared)
    shuffled = _shuffled(rows, seed, "choice")
    kept: list[pd.DataFrame] = []
    for _, category_rows in shuffled.groupby("category", sort=True):
        by_label = [group for _, group in category_rows.groupby("label", sort=True)]
        if balanced:
            each = min(cap // len(by_label), *(len(group) for group in by_label)) if len(by_label) > 1 else 0
            kept.extend(group.head(each) for group in by_label)
        else:
            kept.append(category_rows.head(cap))
    # Another order than the one of the choice: there the scarce class, which is
    # taken whole, would come last, and the head would be no random sample.
    table = _shuffled(pd.concat(kept), seed, "order") if kept else shuffled
    dropped["beyond the cap or the balance"] += len(rows) - len(table)
    frame = table[list(COLUMNS)].reset_index(drop=True)
    result = ReviewTable(frame, len(rows) + sum(shared.values()), dict(sorted(dropped.items())))
    if len(result.class_counts()) <= 1:
        share = "validation_share" if part == "validation" else "evaluation_share"
        raise DataError(
            f"The {part} part has {len(result)} reviews with the labels "
            f"{sorted(result.class_counts()) or 'none'}; it needs both. Add categories, or change "
            f"split.{part}_per_category or split.{share}."
        )
    return result
