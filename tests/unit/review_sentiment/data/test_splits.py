"""Splits whose parts share nothing."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import combinations

import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from review_sentiment.data.cleaning import normalised
from review_sentiment.data.review_table import ReviewTable, table_of, whole_counts
from review_sentiment.data.split_keys import ONE_CLASS, SAME_TEXT, SAME_USER, SIMILAR_TEXT
from review_sentiment.data.splits import SplitRules, Splits, split_reviews
from review_sentiment.errors import DataError

RULES = SplitRules(
    evaluation_share=0.3,
    validation_share=0.25,
    train_per_category=40,
    validation_per_category=12,
    evaluation_per_category=20,
    composition="equal",
    majority_ratio=3.0,
)
OPEN = replace(
    RULES,
    train_per_category=10_000,
    validation_per_category=10_000,
    evaluation_per_category=10_000,
    composition="natural",
)
SEEDS = st.integers(0, 2**32)
OVERLAP = 0.4


def rows_of(seed: int, category: str, count: int = 90) -> list[dict[str, object]]:
    """Return rows, some of which share their user, their product, or their text up to its spelling."""
    draw = random.Random(f"{seed} {category}")
    rows: list[dict[str, object]] = []
    for number in range(count):
        shared = draw.random() < OVERLAP
        text = f"Text {draw.randrange(count) if shared else f'{category} {number}'} of ours"
        label = draw.choice(["negative", "positive"])
        rows.append(
            {
                "review_id": f"{draw.getrandbits(64):016x}",
                "category": category,
                "group": f"P{draw.randrange(40)}" if shared else f"P{category}{draw.randrange(40)}",
                "user": draw.choice([None, f"U{draw.randrange(200)}"]),
                "source_label": "5" if label == "positive" else "1",
                "label": label,
                "title": "",
                "text": draw.choice([text, text.upper(), f"{text}!!"]),
            }
        )
    return rows


def tables_of(seed: int, categories: str = "ABC") -> list[ReviewTable]:
    """Return one table per category."""
    return [table_of(name, rows_of(seed, name), {"3 stars": 7}) for name in categories]


def skewed_tables_of(seed: int) -> list[ReviewTable]:
    """Return tables in which one review in six is negative."""
    tables = []
    for name in "AB":
        rows = rows_of(seed, name, 240)
        kept = [row for number, row in enumerate(rows) if row["label"] == "positive" or number % 5 == 0]
        tables.append(table_of(name, kept))
    return tables


def parts_of(splits: Splits) -> dict[str, pd.DataFrame]:
    """Return the frames of the three parts by name."""
    return {name: getattr(splits, name).frame for name in ("train", "validation", "evaluation")}


@settings(max_examples=10)
@given(SEEDS, st.sampled_from([RULES, OPEN]))
def test_parts_share_no_product_no_user_and_no_text(seed: int, rules: SplitRules) -> None:
    frames = parts_of(split_reviews(tables_of(seed), rules, seed)).values()
    for some, others in combinations(frames, 2):
        assert not set(some["group"]) & set(others["group"])
        assert not set(some["user"].dropna()) & set(others["user"].dropna())
        assert not set(some["text"].map(normalised)) & set(others["text"].map(normalised))
    for frame in frames:
        assert not frame["text"].map(normalised).duplicated().any()


@settings(max_examples=10)
@given(SEEDS)
def test_unused_reviews_could_be_trained_on_and_are_in_no_part(seed: int) -> None:
    """Every review that would be trained on without a cap is trained on with it, or left over."""
    capped = split_reviews(tables_of(seed), replace(OPEN, train_per_category=20, composition="equal"), seed)
    unused = capped.unused.sample(10_000, seed=1)
    for frame in (capped.decision.frame, capped.evaluation.frame):
        assert not set(unused["group"]) & set(frame["group"])
        assert not set(unused["user"].dropna()) & set(frame["user"].dropna())
        assert not set(unused["text"].map(normalised)) & set(frame["text"].map(normalised))
    train = capped.train.frame
    assert not set(unused["review_id"]) & set(train["review_id"])
    whole = split_reviews(tables_of(seed), replace(OPEN, train_per_category=20_000), seed)
    allowed = set(train["review_id"]) | set(unused["review_id"])
    assert set(whole.train.frame["review_id"]) <= allowed


@settings(max_examples=10)
@given(SEEDS, st.floats(1, 9))
def test_every_category_of_every_part_is_balanced_and_within_its_cap(seed: int, ratio: float) -> None:
    splits = split_reviews(skewed_tables_of(seed), replace(RULES, majority_ratio=ratio), seed)
    for name in parts_of(splits):
        for _, rows in getattr(splits, name).frame.groupby("category"):
            counts = rows.loc[rows["balanced"], "label"].value_counts()
            assert counts["negative"] == counts["positive"] > 0
            assert counts.sum() <= getattr(RULES, f"{name}_per_category")
            assert (rows["label"] == "negative").sum() == counts["negative"]
            assert len(rows) == counts.sum() or name == "evaluation"
            assert (rows["label"] == "positive").sum() <= ratio * counts["positive"]


@settings(max_examples=10)
@given(SEEDS)
def test_weights_restore_the_source_of_a_held_out_set(seed: int) -> None:
    """They count the source's reviews of each category and label, of which a part was read."""
    tables = skewed_tables_of(seed)
    read_in_part = replace(tables[0], counts=(replace(tables[0].counts[0], fraction=0.25),))
    splits = split_reviews([read_in_part, *tables[1:]], RULES, seed)
    for part in (splits.decision, splits.evaluation):
        assert part.frame["balanced"].tolist() == sorted(part.frame["balanced"], reverse=True)
        for (category, label), rows in part.frame.groupby(["category", "label"]):
            (source,) = next(table for table in tables if table.counts[0].category == category).counts
            total = source.labels[label] * (4 if category == "A" else 1)
            assert rows["weight"].sum() == pytest.approx(total)
    assert set(splits.train.frame["weight"]) == set(splits.validation.frame["weight"]) == {1.0}
    core = splits.decision.frame[splits.decision.frame["balanced"]].assign(weight=1.0)
    assert_frame_equal(splits.validation.frame, core.reset_index(drop=True))


@settings(max_examples=10)
@given(SEEDS, st.integers(20, 60), st.floats(1, 9))  # a smaller cap may draw one class only: an error
def test_other_evaluation_settings_leave_the_training_rows_as_they_are(
    seed: int, cap: int, ratio: float
) -> None:
    other = replace(RULES, evaluation_per_category=cap, majority_ratio=ratio)
    first, second = (split_reviews(tables_of(seed), rules, seed) for rules in (RULES, other))
    assert_frame_equal(first.train.frame, second.train.frame)
    assert_frame_equal(first.validation.frame, second.validation.frame)


@settings(max_examples=10)
@given(SEEDS)
def test_a_wanted_precision_adds_evaluation_reviews_of_frequent_labels_and_nothing_else(seed: int) -> None:
    few = replace(RULES, majority_ratio=2.0)
    first, second = (
        split_reviews(skewed_tables_of(seed), rules, seed)
        for rules in (few, replace(few, natural_interval=0.03))
    )
    for part in ("train", "validation", "decision"):
        assert_frame_equal(getattr(first, part).frame, getattr(second, part).frame)
    before, after = first.evaluation.class_counts(), second.evaluation.class_counts()
    assert after["negative"] == before["negative"]
    assert after["positive"] > before["positive"]
    assert set(first.evaluation.frame["review_id"]) < set(second.evaluation.frame["review_id"])


@settings(max_examples=10)
@given(SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_and_of_the_tables_does_not_matter(seed: int, shuffler: random.Random) -> None:
    tables = tables_of(seed)
    shuffled = [
        replace(table, frame=table.frame.sample(frac=1, random_state=shuffler.randrange(2**32)))
        for table in tables
    ]
    shuffler.shuffle(shuffled)
    first, second = (parts_of(split_reviews(some, RULES, seed)) for some in (tables, shuffled))
    for name, frame in first.items():
        assert_frame_equal(frame, second[name])


def test_a_review_in_two_categories_stays_in_the_same_one_in_any_order_of_the_categories() -> None:
    """The category is not part of the review's id, so both rows have the same id."""
    rows = rows_of(1, "A")
    tables = [table_of(name, [row | {"category": name} for row in rows]) for name in "AB"]
    first, second = (split_reviews(some, OPEN, seed=1) for some in (tables, tables[::-1]))
    assert_frame_equal(first.train.frame, second.train.frame)


@settings(max_examples=10)
@given(SEEDS)
def test_a_new_category_moves_no_product_to_another_part(seed: int) -> None:
    def place(categories: str) -> dict[str, str]:
        splits = split_reviews(tables_of(seed, categories), OPEN, seed)
        return {product: name for name, frame in parts_of(splits).items() for product in frame["group"]}

    try:
        before, after = place("A"), place("ABC")
    except DataError:
        reject()  # one small category can leave a part without a label
    both = before.keys() & after.keys()
    assert both
    assert {product: before[product] for product in both} == {product: after[product] for product in both}


@settings(max_examples=10)
@given(SEEDS, st.sampled_from([RULES, OPEN]))
def test_every_row_of_every_category_is_in_a_part_or_counted_as_dropped(seed: int, rules: SplitRules) -> None:
    tables = tables_of(seed)
    splits = split_reviews(tables, rules, seed)
    parts = [splits.train, splits.decision, splits.evaluation]
    for one in (one for part in parts for one in part.counts):
        assert one.read == one.kept + sum(one.dropped.values())
    assert sum(part.read for part in parts) == sum(map(len, tables))
    whole = whole_counts(tables, parts)
    assert [(one.category, one.read) for one in whole] == [(name, 97) for name in "ABC"]
    for one in whole:
        assert one.read == one.kept + sum(one.dropped.values())
        assert one.kept == sum(int((part.frame["category"] == one.category).sum()) for part in parts)
        assert one.dropped["3 stars"] == 7


def test_a_shared_row_is_counted_with_the_part_that_its_product_belongs_to() -> None:
    splits = split_reviews(tables_of(7), OPEN, seed=7)
    assert splits.train.dropped[SAME_TEXT] > 0
    assert splits.train.dropped[SAME_USER] > 0
    assert splits.evaluation.dropped[SAME_TEXT] > 0
    assert SAME_USER not in splits.evaluation.dropped


@pytest.mark.parametrize(
    ("rows", "reason", "warning"),
    [
        ([row | {"label": "positive"} for row in rows_of(2, "B")], ONE_CLASS, "no review in train, "),
        (rows_of(2, "B", count=2), "", "no review in "),
        ([], "", "no review in train, validation, evaluation"),
        (rows_of(2, "B", count=24), "", "only \\d+ reviews in all parts|no review in "),
    ],
    ids=["one class", "two rows", "empty", "few rows"],
)
def test_a_category_of_which_little_is_left_is_named(
    caplog: pytest.LogCaptureFixture, rows: list[dict[str, object]], reason: str, warning: str
) -> None:
    tables = [*tables_of(2, "A"), table_of("B", rows, {"3 stars": 4})]
    with caplog.at_level("INFO"):
        splits = split_reviews(tables, RULES, seed=2)
    (whole,) = (
        one
        for one in whole_counts(tables, [splits.train, splits.decision, splits.evaluation])
        if one.category == "B"
    )
    assert whole.read == len(rows) + 4 == whole.kept + sum(whole.dropped.values())
    assert reason in (*whole.dropped, "")
    said = [record.getMessage() for record in caplog.records]
    assert any(re.match(f"warning: B has ({warning})", line) for line in said)
    (told,) = (line for line in said if line.startswith("B: "))
    assert told.endswith(f"of {whole.read} rows used; dropped: {whole.reasons()}")


def test_without_any_review_the_reasons_of_each_category_are_an_error() -> None:
    tables = [table_of("A", [], {"3 stars": 2}), table_of("B", [])]
    with pytest.raises(DataError, match=r"No category has a usable review.*A: 3 stars \(2\); B: nothing"):
        split_reviews(tables, RULES, seed=1)


def test_missing_users_are_not_the_same_user() -> None:
    rows = [row | {"user": None} for row in rows_of(3, "A")]
    splits = split_reviews([table_of("A", rows)], OPEN, seed=3)
    assert SAME_USER not in splits.train.dropped
    assert len(splits.train) > len(splits.evaluation) > 0


def test_without_balance_training_reviews_have_the_shares_of_the_source() -> None:
    """Cleaning kept a maximum per class, so the table has more negative reviews than the source."""
    (table,) = tables_of(5, "A")
    capped = replace(table, counts=(replace(table.counts[0], labels={"negative": 200, "positive": 800}),))
    counts = split_reviews([capped], OPEN, seed=5).train.class_counts()
    assert counts["positive"] == pytest.approx(4 * counts["negative"], abs=2)


def test_without_balance_a_category_fills_its_cap() -> None:
    rules = replace(OPEN, train_per_category=8)
    splits = split_reviews(tables_of(5), rules, seed=5)
    assert splits.train.frame["category"].value_counts().to_dict() == {"A": 8, "B": 8, "C": 8}


@settings(max_examples=10)
@given(SEEDS, st.integers(2, 60))
def test_a_cap_takes_no_rare_review_away_before_a_frequent_one(seed: int, cap: int) -> None:
    rules = replace(OPEN, composition="rare_first")
    whole = split_reviews(tables_of(seed), rules, seed).train.frame
    rules = replace(rules, train_per_category=cap)
    kept = split_reviews(tables_of(seed), rules, seed).train.frame
    for category, reviews in whole.groupby("category"):
        available = reviews["label"].value_counts()
        found = kept[kept["category"] == category]["label"].value_counts()
        assert found.sum() == min(cap, available.sum())
        rare = min(available.min(), cap // len(available))
        assert found.min() >= rare


def test_the_fractions_are_fractions_of_the_products() -> None:
    rows = [
        row | {"group": f"P{number}", "user": None, "text": f"text {number}"}
        for number, row in enumerate(rows_of(1, "A", count=2_000))
    ]
    frames = parts_of(split_reviews([table_of("A", rows)], OPEN, seed=1))
    shares = {name: len(frame) / 2_000 for name, frame in frames.items()}
    assert shares == pytest.approx({"train": 0.45, "validation": 0.25, "evaluation": 0.3}, abs=0.04)


def test_another_seed_gives_another_split() -> None:
    first, second = (split_reviews(tables_of(1), OPEN, seed).evaluation.frame for seed in (1, 2))
    assert set(first["group"]) != set(second["group"])


@pytest.mark.parametrize("part", ["train", "validation", "evaluation"])
def test_a_part_without_both_labels_is_an_error_that_names_its_cap(part: str) -> None:
    rules = replace(RULES, **{f"{part}_per_category": 1})
    with pytest.raises(DataError, match=rf"The {part} part has 0 reviews.*split\.{part}_per_category"):
        split_reviews(tables_of(1), rules, seed=1)


def test_reviews_with_only_one_label_are_an_error() -> None:
    rows = [row | {"label": "positive"} for row in rows_of(1, "A")]
    with pytest.raises(DataError, match=r"labels \['positive'\]; it needs two at least"):
        split_reviews([table_of("A", rows)], OPEN, seed=1)


def ungrouped(seed: int, users: bool) -> list[ReviewTable]:
    """Return a table without groups, in which three rows each differ by one word of forty."""
    draw = random.Random(seed)
    rows = [row | {"group": None} for row in rows_of(seed, "A", 240)]
    for number, row in enumerate(rows):
        words = [f"w{number // 3}x{place}" for place in range(40)]
        words[draw.randrange(40)] = f"changed{number}"
        row |= {"text": " ".join(words), "user": f"U{number % 60}" if users else None}
    return [table_of("A", rows)]


def test_without_groups_texts_that_are_nearly_the_same_are_in_one_part() -> None:
    splits = split_reviews(ungrouped(3, users=False), OPEN, seed=1)
    clusters = [
        {re.findall(r"w(\d+)x", text)[0] for text in frame["text"]} for frame in parts_of(splits).values()
    ]
    assert all(clusters)
    assert all(not one & other for one, other in combinations(clusters, 2))
    parts = (splits.train, splits.decision, splits.evaluation)
    dropped = {reason for part in parts for one in part.counts for reason in one.dropped}
    assert SIMILAR_TEXT not in dropped, "they are together, so that none is lost"


def test_without_groups_the_rows_of_a_user_are_in_one_part() -> None:
    splits = split_reviews(ungrouped(3, users=True), OPEN, seed=1)
    users = [set(frame["user"]) for frame in parts_of(splits).values()]
    assert all(users)
    assert all(not one & other for one, other in combinations(users, 2))


def test_the_order_of_rows_without_groups_does_not_matter() -> None:
    (table,) = ungrouped(5, users=False)
    backwards = replace(table, frame=table.frame.iloc[::-1].reset_index(drop=True))
    first, second = (split_reviews([one], OPEN, seed=1) for one in (table, backwards))
    assert_frame_equal(first.train.frame, second.train.frame)


def test_by_time_the_latest_reviews_evaluate_and_the_past_trains() -> None:
    rows = [row | {"time": float(number // 5)} for number, row in enumerate(rows_of(7, "A", 300))]
    rules = replace(OPEN, by="time", evaluation_share=0.2, validation_share=0.1)
    parts = parts_of(split_reviews([table_of("A", rows)], rules, seed=1))
    assert parts["train"]["time"].max() < parts["validation"]["time"].min()
    assert parts["validation"]["time"].max() < parts["evaluation"]["time"].min()
    assert parts["evaluation"]["time"].min() == 48, "a fifth of 60 days, each in one part"
    plain = [set(frame["text"].map(normalised)) for frame in parts.values()]
    assert all(not one & other for one, other in combinations(plain, 2))
    groups = [set(frame["group"]) for frame in parts.values()]
    assert groups[0] & groups[2], "production has the same products"


def test_a_part_without_a_label_is_an_error_that_names_it() -> None:
    rows = rows_of(4, "A", 200)
    rare = [
        row | {"label": "rare", "group": "P1", "text": f"rare text {n}"} for n, row in enumerate(rows[:5])
    ]
    with pytest.raises(
        DataError, match=r"The \w+ part has no review with the label 'rare'\. Add reviews of it"
    ):
        split_reviews([table_of("A", [*rows[5:], *rare])], OPEN, seed=1)
