"""The reviews that a split chooses stay the same: others would train again, and be evaluated on others."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from review_sentiment.data.review_table import ReviewTable, table_of
from review_sentiment.data.splits import SplitRules, split_reviews
from review_sentiment.data.stored_reviews import StoredReviews

RULES: dict[str, Any] = {
    "evaluation_share": 0.3,
    "validation_share": 0.25,
    "train_per_category": 40,
    "validation_per_category": 12,
    "evaluation_per_category": 20,
    "composition": "equal",
    "majority_ratio": 3.0,
}
GROUP_ROWS = 37


def tables(grouped: float, users: float, labels: str, rare: float = 0.5) -> list[ReviewTable]:
    """Return two categories that share products, users and texts; a text in three has a near copy.

    `grouped` and `users` are the fractions of reviews with a product and with a user.
    """
    draw = random.Random(0)
    found = []
    for category in "BA":
        rows = []
        for number in range(300):
            words = [f"{'BA'[number % 2]}{number // 3}x{place}" for place in range(draw.choice([4, 12, 40]))]
            if draw.random() < 0.6:
                words[draw.randrange(len(words))] = f"c{number}"
            text = " ".join(words)
            label = labels[0] if draw.random() < rare else draw.choice(labels[1:])
            rows.append(
                {
                    "review_id": f"{draw.getrandbits(64):016x}",
                    "category": category,
                    "group": f"P{draw.randrange(60)}" if draw.random() < grouped else None,
                    "user": f"U{draw.randrange(400)}" if draw.random() < users else None,
                    "source_label": label,
                    "language": "en",
                    "time": float(number // 5),
                    "verified_purchase": draw.choice([None, True, False]),
                    "label": label,
                    "title": draw.choice(["", "Très ⭐"]),
                    "text": draw.choice([text, text.upper(), f"{text}!!"]),
                }
            )
        found.append(table_of(category, rows, {"3 stars": 7}, fraction=0.5))
    return found


def stored(table: ReviewTable) -> StoredReviews:
    """Return the table as a parquet file of several row groups."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table.frame, preserve_index=False), file, row_group_size=GROUP_ROWS)
    return StoredReviews(lambda: io.BytesIO(file.getvalue()), table.counts)


# Made with the split that held all reviews in one table (commit 8373e24).
@pytest.mark.parametrize(
    ("data", "rules", "digest"),
    [
        ({"grouped": 1, "users": 0.7, "labels": "np"}, {}, "b3cacb7337522758"),
        (
            {"grouped": 1, "users": 0.7, "labels": "np", "rare": 0.2},
            {"natural_interval": 0.05},
            "83538fc4c43c734c",
        ),
        ({"grouped": 0.5, "users": 0.5, "labels": "np"}, {"composition": "natural"}, "239c5ffd59e006c1"),
        ({"grouped": 0, "users": 0, "labels": "np"}, {"composition": "rare_first"}, "01709a5444414634"),
        ({"grouped": 0, "users": 0.3, "labels": "npqr"}, {"majority_ratio": 1.5}, "710b6fa47ea90f41"),
        (
            {"grouped": 1, "users": 0, "labels": "npq", "rare": 0.1},
            {"composition": "rare_first", "train_per_category": 10_000},
            "a97f58858e13fe90",
        ),
        (
            {"grouped": 0.5, "users": 0.5, "labels": "np"},
            {"by": "time", "composition": "natural"},
            "45e6972a47efe05e",
        ),
    ],
)
def test_the_same_reviews_are_chosen_as_ever(
    data: Mapping[str, Any], rules: Mapping[str, Any], digest: str
) -> None:
    chosen = split_reviews([stored(table) for table in tables(**data)], SplitRules(**RULES | rules), seed=5)
    content = [chosen.unused.sample(20, seed=3).drop(columns="weight").to_csv()]
    for part in (chosen.train, chosen.validation, chosen.decision, chosen.evaluation):
        content += [part.frame.to_csv(), repr([(one, list(one.dropped.items())) for one in part.counts])]
    assert hashlib.sha256("".join(content).encode()).hexdigest()[:16] == digest
