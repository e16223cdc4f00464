"""From raw records to clean, labelled, deduplicated reviews."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from review_sentiment.config import DROP
from review_sentiment.data.cleaning import (
    MAX_REASONS,
    CleaningRules,
    clean_category,
    clean_text,
    mask_title,
    normalised,
)
from review_sentiment.data.labels import BINARY, scheme_of
from review_sentiment.data.records import BrokenRecord, ReviewRecord
from review_sentiment.data.sources.source import Chunk, Reading
from review_sentiment.errors import DataError

Raw = ReviewRecord | BrokenRecord
BROKEN = BrokenRecord("Tops.jsonl line 1", "not JSON")


def review(text: str, rating: float | str = 5, **fields: str | bool | None) -> ReviewRecord:
    """Return a record with this text."""
    return ReviewRecord.model_validate({"text": text, "label": rating, "group": "P"} | fields)


def reading(records: Iterable[Raw], shuffled: bool = False) -> Reading:
    """Return a reading with one row per chunk."""
    return Reading((Chunk([record], 100) for record in records), shuffled)


def rules(max_per_class: int = 100, max_broken_share: float = 1.0) -> CleaningRules:
    """Return rules that by default keep everything."""
    return CleaningRules(BINARY, max_per_class, max_per_class, max_broken_share)


RECORDS = st.lists(
    st.builds(
        review,
        st.sampled_from(["Nice!", "nice", "Bad fit", "<br />", "Soft", "Tore", "so soft", "WARM", "warm."]),
        st.sampled_from([1, 2, 3, 4, 4.5, 5]),
        user=st.sampled_from([None, "U1", "U2"]),
    )
    | st.just(BROKEN),
    max_size=25,
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("I love it.<br /><br />Really", "I love it. Really"),
        ("<P>One</p><b>two</B>", "One two"),
        ("Tom &amp; I&#39;m", "Tom & I'm"),
        ("fits&lt;br&gt;well", "fits well"),
        ("[[VIDEOID:abc123]]Works [[ASIN:B00X a title]]", "Works"),
        ("  a\t b\n\nc  ", "a b c"),
        ("size < 8 and > 6, I <3 it", "size < 8 and > 6, I <3 it"),
        ("[[brackets]] stay", "[[brackets]] stay"),
    ],
)
def test_html_markers_and_white_space_are_removed_and_words_are_kept(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    "title", ["Five Stars", "5 stars!", "1 Star", "4/5", "4.5 out of 5 stars", "three-star", "★★★★☆", "***"]
)
def test_a_title_that_only_repeats_the_stars_is_masked(title: str) -> None:
    assert mask_title(title) == ""


@pytest.mark.parametrize("title", ["Five Stars for comfort", "One size", "Great", "5 pairs", "!!!", ""])
def test_any_other_title_is_kept(title: str) -> None:
    assert mask_title(title) == title


def test_a_long_title_of_stars_and_a_word_takes_no_time() -> None:
    start = time.process_time()
    assert mask_title("*" * 400 + "a")
    assert time.process_time() - start < 0.5


def test_texts_that_a_reader_would_call_the_same_are_equal_when_normalised() -> None:
    assert normalised("  GREAT, really_great!! ") == normalised("great really great") == "great really great"
    assert normalised("great") != normalised("grate")


def test_a_row_has_the_values_of_the_record() -> None:
    known: dict[str, str | bool] = {"title": "Five Stars", "user": "U7", "group": "0012"}
    record = review("Fits <b>well</b>", 4, **known, verified_purchase=True)
    row = clean_category("Tops", reading([record]), rules(), seed=1).frame.iloc[0].to_dict()
    assert len(str(row.pop("review_id"))) == 16
    assert pd.isna(row.pop("time"))
    assert row == {
        "category": "Tops",
        "group": "0012",
        "user": "U7",
        "source_label": "4",
        "language": "en",
        "verified_purchase": True,
        "label": "positive",
        "title": "",
        "text": "Fits well",
        "weight": 1.0,
        "balanced": True,
    }


@pytest.mark.parametrize("column", ["user", "verified_purchase"])
def test_a_value_that_the_source_does_not_have_is_missing(column: str) -> None:
    assert clean_category("Tops", reading([review("ok")]), rules(), seed=1).frame[column].isna().all()


def test_dropped_rows_are_counted_by_reason() -> None:
    records: list[Raw] = [
        review("Good"),
        review("good!"),
        review("meh", 3),
        review("hm", 4.5),
        review("<br>"),
    ]
    table = clean_category("Tops", reading([*records, BROKEN]), rules(), seed=1)
    assert table.read == 6
    assert len(table) == 1
    assert table.dropped == {"same text": 1, "3 stars": 1, "4.5 stars": 1, "empty text": 1, "not JSON": 1}


@settings(max_examples=50)
@given(RECORDS, st.integers(1, 3))
def test_rows_are_kept_or_counted_and_no_text_is_twice_in_a_class(records: list[Raw], cap: int) -> None:
    table = clean_category("Tops", reading(records), rules(max_per_class=cap), seed=1)
    assert table.read == len(records) == len(table) + sum(table.dropped.values())
    assert max(table.class_counts().values(), default=0) <= cap
    assert (
        not table.frame.assign(same=table.frame["text"].map(normalised)).duplicated(["label", "same"]).any()
    )


@settings(max_examples=50)
@given(
    RECORDS.map(lambda rows: [review("Kept"), *rows]), st.integers(1, 3), st.randoms(use_true_random=False)
)
def test_the_order_of_the_records_does_not_matter(
    records: list[Raw], cap: int, shuffler: random.Random
) -> None:
    shuffled = records.copy()
    shuffler.shuffle(shuffled)
    first, second = (
        clean_category("Tops", reading(rows), rules(cap), seed=1) for rows in (records, shuffled)
    )
    assert_frame_equal(first.frame, second.frame)


def test_another_seed_draws_another_sample() -> None:
    records = [review(f"text {number}") for number in range(50)]
    first, second = (clean_category("Tops", reading(records), rules(10), seed).frame for seed in (1, 2))
    assert len(first) == len(second) == 10
    assert set(first["text"]) != set(second["text"])


def test_broken_rows_up_to_the_limit_are_accepted() -> None:
    table = clean_category(
        "Tops", reading([*map(review, "abc"), BROKEN]), rules(max_broken_share=0.25), seed=1
    )
    assert table.dropped == {"not JSON": 1}


def test_more_broken_rows_than_the_limit_are_an_error_with_examples() -> None:
    with pytest.raises(DataError, match=r"Tops: 1 of 3 rows.*max_broken_share = 25\.0%.*line 1: not JSON"):
        clean_category("Tops", reading([*map(review, "ab"), BROKEN]), rules(max_broken_share=0.25), seed=1)


@pytest.mark.parametrize(
    ("records", "warning"),
    [
        ([], "Tops has no usable review"),
        ([review("a", 3)], "Tops has no usable review"),
        ([review("a"), review("b")], "Tops has only 2 positive reviews"),
    ],
)
def test_a_category_without_a_review_or_with_one_class_is_named(
    caplog: pytest.LogCaptureFixture, records: list[Raw], warning: str
) -> None:
    table = clean_category("Tops", reading(records), rules(), seed=1)
    assert [one.category for one in table.counts] == ["Tops"]
    assert f"warning: {warning}" in [record.getMessage() for record in caplog.records]


def test_one_review_per_user_and_group_is_kept() -> None:
    records = [review("first", user="U1"), review("second", user="U1"), review("third"), review("4th")]
    table = clean_category("Tops", reading(records), rules(), seed=1)
    assert table.dropped == {"same user and group": 1}
    assert len(table) == 3  # without a user it is unknown who wrote it


def test_a_reading_in_random_order_stops_when_every_class_is_full() -> None:
    records = [review(f"text {number}", 1 if number % 4 else 5) for number in range(100)]
    table = clean_category("Tops", reading(records, shuffled=True), rules(max_per_class=3), seed=1)
    assert table.read == 9  # the third positive review is the ninth row
    assert table.class_counts() == {"negative": 3, "positive": 3}
    assert table.counts[0].source_labels == {"1": 6, "5": 3}
    in_order = clean_category("Tops", reading(records), rules(max_per_class=3), seed=1)
    assert in_order.read == 100


def test_the_labels_of_the_source_are_counted_before_any_cap() -> None:
    records = [review(f"text {number}", 1 if number % 4 == 0 else 5) for number in range(100)]
    (whole,) = clean_category("Tops", reading(records), rules(max_per_class=3), seed=1).counts
    assert (whole.labels, whole.fraction) == ({"negative": 25, "positive": 75}, 1.0)
    some = replace(reading(records, shuffled=True), size=10_000)  # bytes, 100 a row
    (part,) = clean_category("Tops", some, rules(max_per_class=3), seed=1).counts
    assert part.fraction == part.read / 100 == 0.09
    assert part.in_source("negative") == pytest.approx(3 / 0.09)


MIXED = (
    "The jacket fits well and the colour is lovely.",
    "Die Jacke passt gut und die Farbe ist sehr schön.",
    "这件外套很合身，颜色也很漂亮。",
    "Куртка отлично сидит, цвет очень красивый.",
    "Meh.",
)
LANGUAGES = ("en", "de", "zh", "ru", "unknown")


def test_no_script_is_dropped_and_languages_are_named() -> None:
    kept = clean_category("Tops", reading([review(text) for text in MIXED]), rules(), seed=1)
    assert not kept.dropped
    found = dict(zip(kept.frame["text"], kept.frame["language"], strict=True))
    assert found == dict(zip(MIXED, LANGUAGES, strict=True))


def test_other_languages_are_dropped_if_some_are_named_but_not_what_is_too_short_to_tell() -> None:
    wanted = replace(rules(), languages=("en", "zh"))
    kept = clean_category("Tops", reading([review(text) for text in MIXED]), wanted, seed=1)
    assert set(kept.frame["language"]) == {"en", "zh", "unknown"}
    assert kept.dropped == {"not in cleaning.languages": 2}
    assert kept.counts[0].labels == {"positive": 3}


def test_values_that_are_not_listed_are_dropped_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    scheme = scheme_of({"bug": "bug report", "1": "praise", "?": DROP})
    values = ["bug", "bug", "+1", "?", "spam", "spam", "a secret text " * 10, "", None]
    records = [review(f"text {number}", value) for number, value in enumerate(values)]  # type: ignore[arg-type]
    table = clean_category("Tickets", reading(records), replace(rules(), scheme=scheme), seed=1)
    assert table.class_counts() == {"bug report": 2, "praise": 1}
    assert table.dropped == {
        "label '?' is left out": 1,
        "label 'spam' is not in data.labels": 2,
        "a long label is not in data.labels": 1,
        "no label": 2,
    }
    assert table.counts[0].source_labels == {"1": 1, "?": 1, "bug": 2, "no label": 2, "not listed": 3}
    assert (
        "Tickets: 3 rows have a label that data.labels does not list: label 'spam' (2), a long" in caplog.text
    )
    assert "secret" not in caplog.text
    assert set(table.frame["source_label"]) == {"bug", "1"}


def test_a_column_that_has_no_labels_does_not_fill_the_memory_with_reasons() -> None:
    records = [review(f"text {number}", str(number)) for number in range(3 * MAX_REASONS)]
    scheme = scheme_of(("1", "2"))
    table = clean_category("Tops", reading(records), replace(rules(), scheme=scheme), seed=1)
    assert len(table.dropped) == MAX_REASONS + 1
    assert sum(table.dropped.values()) == 3 * MAX_REASONS - 2


def test_reviews_without_a_group_are_kept_although_their_user_is_the_same() -> None:
    records = [review(f"text {number}", user="U", group=None) for number in range(3)]
    assert len(clean_category("Tops", reading(records), rules(), seed=1)) == 3


def test_a_review_without_a_readable_time_is_broken_if_times_are_needed() -> None:
    times = ["2024-05-31", "soon", None]
    records = [ReviewRecord(text=f"text {number}", label="5", time=time) for number, time in enumerate(times)]
    needing = replace(rules(), needs_time=True)
    table = clean_category("Tops", reading(records), needing, seed=1)
    assert table.dropped == {"unreadable time": 2}
    assert table.frame["time"].tolist() == [1_717_113_600.0]
    assert clean_category("Tops", reading(records), rules(), seed=1).frame["time"].isna().all()
    with pytest.raises(DataError, match=r"row 2: unreadable time"):
        clean_category("Tops", reading(records), replace(needing, max_broken_share=0.5), seed=1)
