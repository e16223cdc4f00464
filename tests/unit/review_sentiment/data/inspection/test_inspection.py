"""Thirty kinds of tables are understood, nine kinds of bad columns reported, large tables sampled fairly."""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from review_sentiment.data.inspection import blocks, table_sample
from review_sentiment.data.inspection.inspection import TableReport, Tokens, inspect_table
from review_sentiment.data.inspection.roles import ROLES
from review_sentiment.data.inspection.table_sample import read_sample
from review_sentiment.errors import DataError, UsageError
from tests.unit.review_sentiment.data.inspection.review_tables import TABLES, UNSEEN, ReviewTable

Row = dict[str, Any]
SEED = 1
WORDS = Tokens("words", 12, lambda _labels: lambda title, text: len(f"{title} {text}".split()))
SECONDS = 2.0


def written(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> Path:
    """Write rows as CSV or as JSON lines, by the name of the file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
        else:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


def inspected(path: Path, **given: str) -> TableReport:
    """Inspect with a word as a token."""
    return inspect_table(path, SEED, given, WORDS)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_columns_of_thirty_kinds_of_tables_are_recognised(table: ReviewTable, tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", table.rows(), table.delimiter)
    found = inspected(path).mapping
    wrong = {}
    for role in ROLES:
        expected = table.roles.get(role)
        fair = expected if isinstance(expected, tuple) else (expected,)
        if found.get(role) not in fair:
            wrong[role] = (found.get(role), fair)
    assert not wrong


def test_a_heading_does_not_win_against_the_content(tmp_path: Path) -> None:
    table = next(table for table in TABLES if table.name == "headings that mislead")
    report = inspected(written(tmp_path / "table.csv", table.rows()))
    assert report.mapping["text"] == "comment"
    assert [(one.code, one.column) for one in report.findings if one.column == "text"] == [
        ("numeric text", "text")
    ]


def reviews(count: int = 120) -> list[Row]:
    """Return rows without a fault, except that there are few of them."""
    rng = Random(SEED)
    words = [f"{one}{other}" for one in ("zip", "coat", "seam", "tore", "week") for other in "abcdefgh"]
    return [
        {
            "text": f"My {' '.join(rng.sample(words, 7))}.",
            "label": ("bad", "good", "fine")[row * 7 % 3],
            "price": row * 37 % 50,
        }
        for row in range(count)
    ]


def changed(**columns: Callable[[int, Row], Any]) -> list[Row]:
    """Return the rows with other values in some columns."""
    return [
        {**row, **{name: value(index, row) for name, value in columns.items()}}
        for index, row in enumerate(reviews())
    ]


def without(column: str) -> list[Row]:
    """Return the rows without a column."""
    return [{name: value for name, value in row.items() if name != column} for row in reviews()]


BAD_COLUMNS = {
    "missing": (without("label"), "missing label", None),
    "empty": (changed(price=lambda *_: ""), "empty column", "price"),
    "numeric text": (changed(text=lambda index, _: index * 31), "numeric text", "text"),
    "one class": (changed(label=lambda *_: "good"), "one class", "label"),
    "51 classes": (changed(label=lambda index, _: f"class {index % 51}"), "too many classes", "label"),
    "label in text": (
        changed(text=lambda _, row: f"{row['text']} [{row['label']}]"),
        "label inside the text",
        "text",
    ),
    "leaking": (
        changed(price=lambda index, row: len(row["label"]) * 100 + ord(row["label"][0]) + index % 2),
        "leaking column",
        "price",
    ),
    "wrong encoding": (
        changed(text=lambda _, row: f"{row['text']} Größe".encode().decode("cp1252")),
        "wrong encoding",
        "text",
    ),
    "mixed types": (changed(price=lambda index, _: "cheap" if index % 3 else 7), "mixed types", "price"),
}


@pytest.mark.parametrize(("rows", "code", "column"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
@pytest.mark.parametrize("name", ["table.csv", "table.jsonl"])
def test_a_bad_column_is_reported_with_a_remedy(
    rows: list[Row], code: str, column: str | None, name: str, tmp_path: Path
) -> None:
    import sklearn.naive_bayes  # noqa: F401 - its import is not what is timed

    start = time.process_time()
    found = {(one.code, one.column): one.remedy for one in inspected(written(tmp_path / name, rows)).findings}
    assert time.process_time() - start < SECONDS
    assert found[code, column]


def test_a_table_without_faults_has_no_warnings_but_few_rows(tmp_path: Path) -> None:
    report = inspected(written(tmp_path / "table.csv", reviews()))
    assert {one.code for one in report.findings} <= {"rare classes"}


def test_another_encoding_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("text,label\nviel zu groß,good\nschön,bad\n".encode("latin1"))
    with pytest.raises(DataError, match="iconv -f latin1"):
        inspected(path)


def test_duplicates_and_contradictions_are_counted(tmp_path: Path) -> None:
    rows = reviews()
    copies = [{**row, "label": "good"} for row in rows[:40]]
    report = inspected(written(tmp_path / "table.csv", rows + copies))
    facts = report.facts.texts
    assert facts
    assert facts.equal == 40
    assert facts.contradicting == 2 * sum(row["label"] != "good" for row in rows[:40])
    assert {"duplicates", "contradicting labels"} <= {one.code for one in report.findings}


def test_lengths_are_those_of_the_chats(tmp_path: Path) -> None:
    words = "one two three "
    rows = [{"text": words * (4 if row % 4 else 8) + str(row), "label": "ab"[row % 2]} for row in range(80)]
    lengths = inspected(written(tmp_path / "table.csv", rows)).facts.lengths
    assert lengths
    assert (lengths.reviews, lengths.median, lengths.longest) == (80, 13, 25)
    assert lengths.truncated == 1.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"label": "lable"}, "no column 'lable'. Did you mean 'label'"),
        ({"lable": "label"}, "not a role. Did you mean 'label'"),
    ],
)
def test_a_column_that_is_named_must_exist(given: dict[str, str], message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", reviews())
    with pytest.raises(UsageError, match=message):
        inspected(path, **given)


def test_a_column_that_is_named_has_the_role(tmp_path: Path) -> None:
    assert inspected(written(tmp_path / "table.csv", reviews()), label="price").mapping["label"] == "price"


def test_a_directory_is_one_table(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", reviews()[:50])
    written(tmp_path / "b.jsonl", reviews()[50:])
    report = inspected(tmp_path)
    assert (report.facts.sample.rows, report.facts.sample.exact) == (120, True)
    written(tmp_path / "c.csv", without("label"))
    with pytest.raises(UsageError, match=r"c.csv and a.csv have different columns: label"):
        inspected(tmp_path)


@pytest.mark.parametrize("name", ["table.csv", "table.jsonl", "table.csv.gz", "table.parquet"])
def test_the_sample_of_a_large_table_is_fair(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are rows of the table, long ones and those of several lines as often as others."""
    monkeypatch.setattr(table_sample, "WHOLE_ROWS", 1_000)
    monkeypatch.setattr(table_sample, "SAMPLE_ROWS", 6_000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 11)
    texts = [
        "short, plain",
        'line one, "quoted"\n\nline three, with more',
        "long words, " * 30,
        'とても"良い"\n商品,です' * 9,
    ]
    rows = [{"number": row, "text": texts[row % 4], "label": "xyz"[row % 3]} for row in range(30_000)]
    path = written(tmp_path / name.replace(".gz", "").replace(".parquet", ".csv"), rows)
    if name.endswith(".parquet"):
        path = tmp_path / name
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif name.endswith(".gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress((tmp_path / "table.csv").read_bytes()))
    sample = read_sample(path, SEED)
    columns = sample.columns
    drawn = zip(columns["number"], columns["text"], columns["label"], strict=True)
    assert all(
        rows[int(row)] == {"number": int(row), "text": text, "label": label} for row, text, label in drawn
    )
    assert sample.unreadable == 0
    assert len(set(columns["number"])) == sample.sampled
    assert abs(sample.rows - 30_000) < 1_500
    shares = Counter(columns["text"])
    assert all(abs(shares[text] / sample.sampled - 0.25) < 0.02 for text in texts)


GERMAN = "Die Jacke sitzt gut, nur die Ärmel sind leider etwas zu kurz geraten."
JAPANESE = "とても良い商品でしたが、すぐに壊れてしまって残念です。"


def test_languages_are_counted_and_a_costly_one_is_a_warning(tmp_path: Path) -> None:
    as_bytes = Tokens("bytes", 10_000, lambda _labels: lambda title, text: 100 + len((title + text).encode()))
    english = [row["text"] + " It does not fit me at all." for row in reviews(60)]
    texts = [*english, *[f"{GERMAN} {row}" for row in range(30)], *[f"{JAPANESE} {row}" for row in range(10)]]
    rows = [{"text": text, "label": ("bad", "good")[row % 2]} for row, text in enumerate(texts)]
    report = inspect_table(written(tmp_path / "table.csv", rows), SEED, {}, as_bytes)
    found = {one["language"]: (one["share"], one["tokens"]) for one in report.as_json()["languages"]}
    assert found["en"] == (0.6, pytest.approx(1, abs=0.01))
    assert found["de"] == (0.3, pytest.approx(1, abs=0.05))
    assert found["ja"] == (0.1, pytest.approx(2.8, abs=0.2))  # three bytes a character
    costly = [one for one in report.findings if one.code == "costly language"]
    assert ["'ja'" in one.problem and f"{found['ja'][1]:.1f} times" in one.problem for one in costly] == [
        True
    ]


def test_the_unseen_tables_are_the_last_five() -> None:
    assert (len(TABLES), len(UNSEEN)) == (30, 5)
