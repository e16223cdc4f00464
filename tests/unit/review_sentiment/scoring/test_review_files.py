"""Files of reviews: every row comes back, and a broken one says why."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.errors import DataError, UsageError
from review_sentiment.scoring.review_files import (
    FORMATS,
    columns_of,
    join_files,
    read_chunks,
    read_rows,
    scored_schema,
    write_rows,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    str.strip
)


@hypothesis_settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=7), rows=st.integers(1, 4), ending=st.sampled_from(FORMATS))
def test_what_is_written_in_parts_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], rows: int, ending: str
) -> None:
    directory = tmp_path_factory.mktemp("files")
    source = directory / f"in{ending}"
    frame = pd.DataFrame({"id": [str(number) for number in range(len(texts))], "text": texts})
    if ending == ".parquet":
        frame.to_parquet(source)
    else:
        write_rows(source, frame.to_dict("records"), list(frame), None)
    parts = []
    for number, chunk in enumerate(read_chunks(source, rows)):
        assert len(chunk) <= rows
        parts.append(directory / f"part{number}{ending}")
        labelled = [{**row.values, "label": "x", "p_x": 0.5} for row in chunk]
        write_rows(
            parts[-1], labelled, ["id", "text", "label", "p_x"], scored_schema(source, ["p_x"], ["label"])
        )
    join_files(parts, directory / f"out{ending}")
    again = [row.values for row in read_rows(directory / f"out{ending}")]
    assert [row["text"] for row in again] == texts
    assert [row["id"] for row in again] == frame["id"].to_list()
    assert {row["label"] for row in again} == {"x"}


def problems(path: Path) -> dict[int, str]:
    return {row.number: row.problem for row in read_rows(path) if row.problem}


@hypothesis_settings(max_examples=25, deadline=None)
@given(name=TEXTS.filter(lambda name: name not in ("text", "p")))
def test_parts_are_joined_whatever_their_columns_are_called(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    directory = tmp_path_factory.mktemp("files")
    parts = [directory / f"{number}.csv" for number in range(3)]
    for number, part in enumerate(parts):
        write_rows(part, [{"text": f"t{number}", name: "a\nb", "p": 0.5}], ["text", name, "p"], None)
    join_files(parts, directory / "out.csv")
    rows = [row.values for row in read_rows(directory / "out.csv")]
    assert rows == [{"text": f"t{number}", name: "a\nb", "p": "0.5"} for number in range(3)]


def test_broken_csv_rows_say_why_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,text\n1,fine\n2\n3,"  "\n\n4,"with, comma\nand line"\n5,a,b\n', encoding="utf-8-sig")
    assert columns_of(path) == ["id", "text"]
    assert problems(path) == {
        2: "expected 2 fields, got 1",
        3: "`text` is empty",
        5: "expected 2 fields, got 3",
    }
    good = [row.values["text"] for row in read_rows(path) if not row.problem]
    assert good == ["fine", "with, comma\nand line"]


def test_broken_json_lines_say_why_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = ['{"text": "fine"}', "{", "[1]", '{"text": null}', '{"text": 5}', '{"text": "x", "title": 1}', ""]
    path.write_text("\n".join(lines))
    found = problems(path)
    assert sorted(found) == [2, 3, 4, 5, 6]
    assert found[2].startswith("not valid JSON: Expecting")
    assert [found[number] for number in (3, 4, 5, 6)] == [
        "not a JSON object",
        "`text` is missing",
        "`text` must be a string, got int",
        "`title` must be a string, got int",
    ]


def test_a_field_of_a_million_characters_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text\n" + "long " * 200_000 + "\nshort\n")
    assert [len(row.values["text"]) for row in read_rows(path)] == [1_000_000, 5]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("in.csv", b"review,stars\nx,1\n", UsageError, "no column 'text'; it has: review, stars"),
        ("in.csv", b"", UsageError, "it has: nothing"),
        ("in.csv", "text\nMöbel\n".encode("latin1"), DataError, r"not in UTF-8 .*iconv -f latin1"),
        ("in.csv", "text\nfine\n".encode("utf-16"), DataError, r"not in UTF-8 .*iconv -f utf-16 "),
        ("in.csv", "text\nfine\n".encode("utf-16-le"), DataError, r"not in UTF-8 .*iconv -f utf-16le"),
        ("in.jsonl", '{"text": "fine"}'.encode("utf-16"), DataError, r"not in UTF-8 .*iconv -f utf-16 "),
        ("in.txt", b"text\n", UsageError, r"in\.txt: unsupported format\. Use \.csv, \.jsonl, \.parquet"),
        ("in.parquet", b"PAR1 no", DataError, r"cannot be read as parquet"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(
    tmp_path: Path, name: str, content: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        columns_of(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        columns_of(tmp_path / "in.csv")


def test_json_lines_keep_the_keys_of_each_row(tmp_path: Path) -> None:
    rows = [{"text": "a", "more": {"x": [1]}}, {"text": "b", "other": None}]
    write_rows(tmp_path / "in.jsonl", rows, ["text"], None)
    assert [row.values for row in read_rows(tmp_path / "in.jsonl")] == rows
    assert json.loads((tmp_path / "in.jsonl").read_text().splitlines()[0]) == rows[0]
