"""Files of reviews: every row comes back with its values, or with the reason why not."""

from __future__ import annotations

import bz2
import csv
import datetime
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from decimal import Decimal
from itertools import compress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.csv_file import MAX_LINES
from review_sentiment.data.files.review_file import ReviewRow, Survey
from review_sentiment.errors import DataError, ReviewSentimentError, UsageError


def rows_of(path: Path) -> list[ReviewRow]:
    """Read a file and check that every row is accounted for, in the order of the file."""
    file = open_reviews(path)
    rows = list(file.rows(("text", "title")))
    in_rows = dict.fromkeys(name for row in rows if not row.problem for name in row.values)
    assert file.survey() == Survey(len(rows), file.count(), file.columns or tuple(in_rows))
    assert sum(row.units for row in rows) == file.count()
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    return rows


def texts_of(path: Path) -> list[Any]:
    return [row.values["text"] for row in rows_of(path) if not row.problem]


def problems_of(path: Path) -> dict[int, str]:
    return {row.line or row.number: row.problem for row in rows_of(path) if row.problem}


def scored(path: Path, output: Path, rows_per_part: int = 2) -> Path:
    """Write the good rows of a file in parts, with an added column, and join the parts.

    They are read once to know them and once, without their values, to write them.
    """
    file = open_reviews(path)
    read = list(file.rows())
    is_good = [not row.problem for row in read]
    good = list(compress(file.rows(good=is_good), is_good))
    values = [repr(file.values_of(row)) for row in compress(read, is_good)]  # NaN is equal to NaN
    assert [repr(file.values_of(row)) for row in good] == values
    parts = []
    for start in range(0, len(good), rows_per_part):
        chunk = good[start : start + rows_per_part]
        parts.append(output.with_name(f"{start}.part"))
        file.write(parts[-1], chunk, {"p_x": [row.number / 8 for row in chunk]})
    file.join(parts, output, ["p_x"])
    return output


WRITABLE = st.characters(exclude_categories=["Cs"])
CELLS = st.text(WRITABLE | st.sampled_from('",;\n\r\t\\ é\0'), max_size=12)
NAMES = st.text(WRITABLE | st.sampled_from('",;\n\r\t '), min_size=1, max_size=6).filter(
    lambda name: name not in ("text", "p_x") and "\0" not in name and not name.startswith("\ufeff")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | CELLS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(CELLS, inner, max_size=2),
    max_leaves=4,
)
PACKERS: list[Callable[[bytes], bytes]] = [
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
    lambda data: bytes(pa.compress(data, "zstd", asbytes=True)),
]
"""No compression, and each that is recognised."""


@hypothesis_settings(max_examples=60)
@given(data=st.data())
def test_csv_keeps_every_value_of_every_column(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("files")
    columns = ["text", *data.draw(st.lists(NAMES, unique=True, max_size=3))]
    table = data.draw(
        st.lists(st.lists(CELLS, min_size=len(columns), max_size=len(columns)), min_size=1, max_size=7)
    )
    written = io.StringIO(newline="")
    writer = csv.writer(
        written,
        delimiter=data.draw(st.sampled_from(",;\t|")),
        quoting=csv.QUOTE_ALL,
        lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])),
    )
    writer.writerows([columns, *table])
    source = directory / "reviews.data"
    encoded = written.getvalue().encode(data.draw(st.sampled_from(["utf-8", "utf-8-sig"])))
    source.write_bytes(data.draw(st.sampled_from(PACKERS))(encoded))
    assert [list(row.values.values()) for row in rows_of(source)] == table
    again = rows_of(scored(source, directory / "out.csv"))
    assert [list(row.values.values())[:-1] for row in again] == table
    assert [row.values["p_x"] for row in again] == [str((number + 1) / 8) for number in range(len(table))]


@hypothesis_settings(max_examples=60)
@given(
    table=st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=7),
    shape=st.sampled_from(["lines", "array", "pretty array", "pretty objects", "ascii lines"]),
    pack=st.sampled_from(PACKERS),
)
def test_json_keeps_every_value_of_every_row(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[dict[str, Any]],
    shape: str,
    pack: Callable[[bytes], bytes],
) -> None:
    directory = tmp_path_factory.mktemp("files")
    objects = [{"text": "fine", **row} for row in table]
    texts = {
        "array": lambda: json.dumps(objects, ensure_ascii=False),
        "pretty array": lambda: json.dumps(objects, indent=2),
        "pretty objects": lambda: "\n".join(json.dumps(one, indent=1, ensure_ascii=False) for one in objects),
        "lines": lambda: "\n".join(json.dumps(one, ensure_ascii=False) for one in objects),
        "ascii lines": lambda: "\r\n\r\n".join(map(json.dumps, objects)),
    }
    source = directory / "reviews.data"
    source.write_bytes(pack(texts[shape]().encode()))
    assert [row.values for row in rows_of(source)] == objects
    again = [row.values for row in rows_of(scored(source, directory / "out.jsonl"))]
    assert again == [{**one, "p_x": (number + 1) / 8} for number, one in enumerate(objects)]


@hypothesis_settings(max_examples=60)
@given(
    damage=st.lists(
        st.sampled_from(['2,"open', '2,"a"b', "2", "2,a,b", "2,\xff", '2,"ok ""so"""']), max_size=4
    ),
    good=st.integers(0, 6),
    order=st.randoms(use_true_random=False),
)
def test_a_damaged_csv_row_costs_only_itself(
    tmp_path_factory: pytest.TempPathFactory, damage: list[str], good: int, order: Any
) -> None:
    lines = [*damage, *(f"{number},fine {number}" for number in range(3, 3 + good))]
    order.shuffle(lines)
    source = tmp_path_factory.mktemp("files") / "in.csv"
    # More lines are right in UTF-8 (é) than wrong (\xff): it is the encoding of the file.
    source.write_bytes(
        "\n".join(["id,text", "1,né", *lines, *["8,é"] * 3]).encode().replace("ÿ".encode(), b"\xff")
    )
    expected = [line for line in lines if "fine" in line]
    found = [f"{row.values['id']},{row.values['text']}" for row in rows_of(source) if not row.problem]
    assert [row for row in found if "fine" in row] == expected


TYPES = {
    "decimal": pa.array([Decimal("1.10"), None], pa.decimal128(38, 10)),
    "wide decimal": pa.array([Decimal("1" * 50), None], pa.decimal256(60, 0)),
    "uint64": pa.array([2**64 - 1, 0], pa.uint64()),
    "nanoseconds": pa.array([1, None], pa.timestamp("ns", "UTC")),
    "duration": pa.array([1, 2], pa.duration("ns")),
    "date": pa.array([datetime.date(1, 1, 1), None]),
    "time": pa.array([datetime.time(1, 2, 3, 4), None]),
    "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"a": [1]}, None]),
    "dictionary": pa.array(["x", "y"]).dictionary_encode(),
    "binary": pa.array([b"\xff", None]),
    "fixed binary": pa.array([b"ab", b"cd"], pa.binary(2)),
    "half": pa.array([1.5, None], pa.float16()),
    "large string": pa.array(["x", "y"], pa.large_string()),
    "nothing": pa.nulls(2),
    "boolean": pa.array([True, None]),
}


@pytest.mark.parametrize("kind", TYPES)
def test_parquet_keeps_every_type(tmp_path: Path, kind: str) -> None:
    table = pa.table({"text": ["a", "b"], "other": TYPES[kind]})
    pq.write_table(table, tmp_path / "in.data")
    again = pq.read_table(scored(tmp_path / "in.data", tmp_path / "out.parquet", rows_per_part=1))
    before = pq.read_table(tmp_path / "in.data")
    assert again.schema.field("other").type == before.schema.field("other").type
    assert again["other"].combine_chunks().equals(before["other"].combine_chunks()) or kind == "dictionary"
    assert again["other"].to_pylist() == before["other"].to_pylist()
    assert again["p_x"].to_pylist() == [1 / 8, 2 / 8]


def test_a_text_of_parquet_that_is_not_utf8_costs_only_its_row(tmp_path: Path) -> None:
    text = pa.array([b"fine", b"\xff", b"good"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"id": [1, 2, 3], "text": text}), tmp_path / "in.parquet")
    assert [row.values["text"] for row in rows_of(tmp_path / "in.parquet")] == ["fine", None, "good"]
    assert list(problems_of(tmp_path / "in.parquet")) == [2]


def test_broken_csv_rows_say_why_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,text\n1,fine\n2\n\n4,"with, comma\nand line"\n5,a,b\n', encoding="utf-8-sig")
    assert open_reviews(path).columns == ("id", "text")
    assert problems_of(path) == {3: "expected 2 fields, got 1", 7: "expected 2 fields, got 3"}
    assert texts_of(path) == ["fine", "with, comma\nand line"]


@pytest.mark.parametrize(
    ("header", "opened", "closing"),
    [
        ("id,text", '2,"open', None),  # open until the end
        ("id,text", '2,"open', '900,"closed, quote"'),
        ("id,text,stars", '2,"open,5', '900,size 5",5'),  # valid CSV: one row of 898 lines
        ("text,stars", '"open,5', 'size 5",5'),
        ("text", '"open', None),
    ],
)
def test_an_unclosed_quote_costs_one_row_and_the_others_are_read(
    tmp_path: Path, header: str, opened: str, closing: str | None
) -> None:
    width = header.count(",") + 1
    row = {
        "id,text": "{0},good",
        "id,text,stars": "{0},good,4",
        "text,stars": "good {0},4",
        "text": "good {0}",
    }
    lines = [row[header].format(number) for number in range(1, 1_001)]
    lines[1] = opened
    if closing:
        lines[899] = closing
    path = tmp_path / "in.csv"
    path.write_text("\n".join([header, *lines]))
    assert list(problems_of(path)) == [3]
    assert problems_of(path)[3].startswith("a quote is not closed; what it spans, line")
    assert rows_of(path)[1].raw == opened
    good = [",".join(found.values.values()) for found in rows_of(path) if not found.problem]
    assert len(good) == 999
    assert good[-1] == lines[-1]
    assert width == len(rows_of(path)[0].values)


@pytest.mark.parametrize(
    "text",
    [
        "Great,\nbut late",
        "one, two\nthree, four\nfive, six",
        "1. soft\n2. warm",
        "a\n\nb",
        'say ""hi"", ok\nbye',
    ],
)
def test_a_text_of_several_lines_is_one_row(tmp_path: Path, text: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f'id,text\n1,"{text}"\n2,fine\n')
    assert texts_of(path) == [text.replace('""', '"'), "fine"]


def test_a_quote_that_is_open_for_too_long_is_found_without_reading_on(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,text\n1,"open\n' + "no rows here\n" * MAX_LINES + "2,fine\n")
    assert problems_of(path)[2].startswith(f"lines 2 to {MAX_LINES + 1}: a quote is not closed")
    assert texts_of(path) == ["fine"]


def test_broken_json_lines_say_why_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = {
        '{"text": "fine"}': "",
        "{": "not valid JSON: Expecting property name",
        "[1]": "not a JSON object",
        '{"text": "x", "other": "\\ud83d"}': "half a surrogate pair",
        '{"text": "x", "\\udc00": [1]}': "half a surrogate pair",
        '{"text": "x", "id": ' + "9" * 5_000 + "}": "not valid JSON: Exceeds the limit (4300 digits)",
        '{"text": "x", "id": ' + "[" * 200_000 + "]" * 200_000 + "}": "nested too deeply",
        '{"text": "x", "text": "y"}': "the same key twice",
        '{"text": "né"}': "",
        '{"text": "\xff"}': "not valid UTF-8",
        '{"text": "\\ud83d\\ude00", "id": 123456789012345678901234567890, "x": 1.10}': "",
    }
    path.write_bytes("\n".join(lines).encode().replace("ÿ".encode(), b"\xff"))
    rows = rows_of(path)
    for row, (line, problem) in zip(rows, lines.items(), strict=True):
        assert row.problem.find(problem) >= 0 if problem else not row.problem
        assert row.raw == (line.replace("ÿ", "\\xff") if problem else "")
    out = scored(path, tmp_path / "out.jsonl").read_text().splitlines()
    assert out[-1].startswith('{"text": "\\ud83d\\ude00", "id": 123456789012345678901234567890, "x": 1.10, ')


def test_a_broken_object_of_an_array_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(
        '[\n {"text": "a"},\n {"text": "open\n },\n {"text": "b", "x": [1, {"y": 2}},\n 5,\n'
        '{"text": "c]{\\""}, {"text": "\\ud83d"},\n{"text": "d"}\n]\n'
    )
    assert texts_of(path) == ["a", 'c]{"', "d"]
    assert list(problems_of(path)) == [3, 5, 6, 7]
    assert problems_of(path)[3].startswith("lines 3 to 4: not valid JSON")


def test_columns_are_those_of_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": 1}\n{"text": "b", "label": "mine"}\n')
    assert [row.values for row in rows_of(path)] == [{"id": 1}, {"text": "b", "label": "mine"}]


def xlsx() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    return file.getvalue()


def table(write: Callable[[pa.Table, Any], None]) -> bytes:
    file = io.BytesIO()
    write(pa.table({"text": ["a"]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("in.csv", b"", UsageError, "is empty"),
        ("in.jsonl", b"\n \n", UsageError, "is empty"),
        ("in.csv.gz", gzip.compress(b""), UsageError, "is empty"),
        ("in.csv", xlsx(), UsageError, "a workbook of Excel .* save it as 'CSV UTF-8'"),
        ("in.csv", gzip.compress(xlsx()), UsageError, "a ZIP archive, compressed with gzip"),
        ("in.csv", gzip.compress(gzip.compress(b"text\nfine\n")), UsageError, "compressed file inside"),
        ("in.parquet", table(pyarrow.feather.write_feather), UsageError, r"an Arrow \(Feather\) file"),
        ("in.csv", b"%PDF-1.7 ...", UsageError, "a PDF document"),
        ("in.csv", b"\n<!DOCTYPE html><p>404", UsageError, "an HTML or XML page"),
        ("in.csv", b"version https://git-lfs.github.com/spec/v1\n", UsageError, "git lfs pull"),
        ("in.csv", b"\x80\x04\x95\x01\x02\x03\x10\x11", UsageError, "a binary file"),
        ("in.csv", gzip.compress(b"text\n" + b"fine\n" * 9_999)[:-20], DataError, "damaged or truncated"),
        ("in.parquet", b"PAR1 no", DataError, "cannot be read as parquet"),
        ("in.csv", b"id,note,text,note\n1,a,b,c\n", UsageError, "several columns of the same name: 'note'"),
        ("in.csv", b"text,text\na,b\n", UsageError, "several columns of the same name: 'text'"),
        (
            "in.csv",
            "text\nMöbel\n".encode("latin1"),
            DataError,
            r"not in UTF-8 \(see line 2\).*iconv -f latin1",
        ),
        ("in.csv", "text,Größe\na,b\n".encode("latin1"), DataError, r"not in UTF-8 .*iconv -f latin1"),
        ("in.csv", "text\nfine\n".encode("utf-16"), DataError, r"not in UTF-8 .*iconv -f utf-16 "),
        ("in.csv", "text\nfine\n".encode("utf-16-le"), DataError, r"not in UTF-8 .*iconv -f utf-16le"),
        ("in.jsonl", '{"text": "fine"}'.encode("utf-16"), DataError, r"not in UTF-8 .*iconv -f utf-16 "),
        ("in.csv", b'"id,text\n1,a\n', DataError, "header of the CSV file .* cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_says_what_it_is(
    tmp_path: Path, name: str, content: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        rows_of(path)


def test_parquet_with_equal_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, names=["text", "text"]), path)
    with pytest.raises(UsageError, match="several columns of the same name: 'text'"):
        open_reviews(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("reviews.jsonl", b"id,text\n1,fine\n"),
        ("reviews.parquet", b"id;text\n1;fine\n"),
        ("reviews.txt", b"\n\nid\ttext\r\n1\tfine"),
        ("reviews.csv", b'{"id": 1, "text": "fine"}'),
        ("reviews.csv", b' [ {"id": 1, "text": "fine"}]'),
        ("reviews", b'{\n  "id": 1,\n  "text": "fine"\n}'),
        ("reviews.csv", b"id,text\r1,fine\r"),
        ("reviews.csv", table(lambda one, file: pq.write_table(one.set_column(0, "text", [["fine"]]), file))),
    ],
)
def test_the_content_counts_and_not_the_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert texts_of(tmp_path / name) == ["fine"]


@pytest.mark.parametrize(
    "text",
    [
        "\u200fשלום עולם",
        "a\0b",
        "x" * 2_000_000,
        "a line of a long text\n" * 90_000,
        "line\u2028separator\x85",
        "carriage\rreturn",
        "NA",
        "null",
    ],
)
def test_unusual_texts_come_back(tmp_path: Path, text: str) -> None:
    with (tmp_path / "in.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "text"], [1, text], [2, "fine"]])
    (tmp_path / "in.jsonl").write_text(
        "\n".join(json.dumps({"text": one}, ensure_ascii=False) for one in (text, "fine")), encoding="utf-8"
    )
    pq.write_table(pa.table({"text": [text, "fine"]}), tmp_path / "in.parquet")
    for name in ("in.csv", "in.jsonl", "in.parquet"):
        assert texts_of(tmp_path / name) == [text, "fine"]


def test_missing_files_and_directories_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ReviewSentimentError, match="There is no file"):
        open_reviews(tmp_path / "in.csv")
    with pytest.raises(ReviewSentimentError, match="is a directory"):
        open_reviews(tmp_path)


def test_a_survey_finds_a_late_column_but_none_of_a_row_with_a_problem(tmp_path: Path) -> None:
    lines = ['{"text": "x"}', '{"text": "x", "bad": 1, "bad": 2}', "[1]", "", '{"late": null, "text": "y"}']
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(lines))
    assert open_reviews(path).survey() == Survey(4, 4, ("text", "late"))
