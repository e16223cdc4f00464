"""Which files an input has, and where their outputs go."""

from __future__ import annotations

from pathlib import Path

import pytest

from review_sentiment.errors import UsageError
from review_sentiment.scoring.file_set import check_inputs
from review_sentiment.scoring.input_files import InputFile, content_key, find_files, local_copy
from review_sentiment.scoring.ray_cluster import require_ray


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    directory = tmp_path / "in"
    for name in ("b.csv", "a.csv", "year/2023.csv", "_SUCCESS", ".hidden.csv", "_temporary/c.csv"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\nfine\n")
    return directory


def names(source: Path | str) -> list[str]:
    return [file.name for file in find_files(str(source))]


def test_an_input_is_a_file_a_directory_or_a_pattern(reviews: Path) -> None:
    assert names(reviews / "a.csv") == ["a.csv"]
    assert names(reviews) == ["a.csv", "b.csv", "year/2023.csv"]
    assert names(reviews / "*.csv") == ["a.csv", "b.csv"]
    assert names(reviews / "**/*.csv") == ["a.csv", "b.csv", "year/2023.csv"]


def test_a_file_of_another_file_system_is_copied_and_known_by_what_that_tells() -> None:
    import fsspec

    with fsspec.open("memory://bucket/reviews/a.csv", "w") as file:
        file.write("text\nfine\n")
    (found,) = find_files("memory://bucket/reviews")
    assert (found.address, found.name) == ("memory:///bucket/reviews/a.csv", "a.csv")
    with local_copy(found.address) as path:
        assert path.read_text() == "text\nfine\n"
    assert not path.exists()
    assert content_key(found.address)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("a.csv", "a.csv"),
        ("x/a.csv.gz", "x/a.csv"),
        ("part.0.parquet", "part.0.parquet"),
        ("a.json.zst", "a.jsonl"),
        ("reviews", "reviews.csv"),
    ],
)
def test_an_output_has_the_name_of_its_input(name: str, output: str) -> None:
    assert InputFile(name, name).output_name(Path(output).suffix) == output


@pytest.mark.parametrize(
    ("files", "source", "output", "message"),
    [
        ({"a.csv": "text\nx\n"}, "nowhere", "out", "There are no files at"),
        ({"_SUCCESS": ""}, "", "out", "There are no files at"),
        ({"a.csv": "text\nx\n"}, "*.jsonl", "out", "There are no files at"),
        ({"a.csv": "text\nx\n", "b.jsonl": '{"text": "x"}\n'}, "", "out", r"formats: a\.csv .*b\.jsonl"),
        ({"a.csv": "text\nx\n", "a.tsv": "text\nx\n"}, "", "out", r"would have the output a\.csv"),
        ({"a.csv": "text\nx\n", "b.csv": ""}, "", "out", r"b\.csv is empty"),
        ({"good.csv": "text\nx\n", "half.parquet": "PAR1 and no end"}, "", "out", r"half\.parquet cannot be"),
        ({"a.csv": "text\nx\n"}, "", "in/out", "is inside the input"),
        ({"a.csv": "text\nx\n"}, "", "in", "is inside the input"),
        ({"a.csv": "text\nx\n"}, "a.csv", "in", "is inside the input"),
        ({"a.csv": "text\nx\n"}, "", "full", "has other files"),
        ({"a.csv": "text\nx\n"}, "", "full/file", "name a new directory"),
        ({"a.csv": "text\nx\n"}, "", "missing/out", "must exist"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_ray_starts(
    tmp_path: Path, files: dict[str, str], source: str, output: str, message: str
) -> None:
    for path, content in {**{f"in/{name}": text for name, text in files.items()}, "full/file": "x"}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    with pytest.raises(UsageError, match=message):
        check_inputs(str(tmp_path / "in" / source), tmp_path / output)


def test_an_output_that_can_be_continued_is_not_refused(reviews: Path, tmp_path: Path) -> None:
    for name in ("out", "out.parts"):
        (tmp_path / name).mkdir()
    (tmp_path / "out/a.csv").write_text("text,label\n")
    assert len(check_inputs(str(reviews), tmp_path / "out")) == 3


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://127.0.0.1:9", "Ray cannot be reached"),
        ("ray://127.0.0.1", "write ray://HOST:PORT"),
        ("http://127.0.0.1:9", "write ray://HOST:PORT"),
        ("ray://127.0.0.1:none", "write ray://HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_refused(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        require_ray(address)


def test_without_ray_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"pip install .*\.\[ray\]"):
        require_ray(None)
