"""Scoring files with a real (tiny) model: columns, rows that fail, and resuming after an interruption."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from review_sentiment.config import LoraSettings
from review_sentiment.errors import DataError, UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters, save_adapter
from review_sentiment.scoring.bulk_scoring import drift_of, score_file
from review_sentiment.scoring.review_files import FORMATS, read_rows
from review_sentiment.scoring.scorer import (
    CHARACTERS_PER_TOKEN,
    REFERENCE_FILE,
    Scorer,
    Serving,
    tuned_scorer,
)

PLAN = plan_compute("cpu", "fp32")
LABELS = ("negative", "positive")
ADDED = ["label", "p_negative", "p_positive", "model_version"]


@pytest.fixture(scope="module")
def adapter(tiny_model: ModelIdentity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("adapter")
    save_adapter(
        add_adapters(load_model(tiny_model, PLAN), LoraSettings(rank=2, alpha=4)), tiny_model, directory
    )
    Serving(tiny_model, LABELS, 160).save(directory)
    return directory


@pytest.fixture(scope="module")
def scorer(adapter: Path) -> Scorer:
    return tuned_scorer(adapter, PLAN)


def reviews(count: int) -> pd.DataFrame:
    words = ("soft", "thin", "warm", "itchy", "bright")
    texts = [f"{words[number % 5]} {words[number % 3]} fabric number {number}" for number in range(count)]
    return pd.DataFrame(
        {"id": range(count), "title": ["", "Good"] * (count // 2) + [""] * (count % 2), "text": texts}
    )


def write(frame: pd.DataFrame, path: Path) -> Path:
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        case _:
            frame.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_has_its_columns_and_the_answers_of_its_own_rows(
    scorer: Scorer, tmp_path: Path, ending: str
) -> None:
    frame = reviews(23)
    source = write(frame, tmp_path / f"in{ending}")
    result = score_file(lambda: scorer, "7", source, tmp_path / f"out{ending}", rows_per_chunk=10)
    rows = [row.values for row in read_rows(tmp_path / f"out{ending}")]
    assert list(rows[0]) == ["id", "title", "text", *ADDED] or ending == ".parquet"
    assert set(rows[0]) == {"id", "title", "text", *ADDED}
    expected = scorer.answer(frame["title"].to_list(), frame["text"].to_list())
    assert [int(row["id"]) for row in rows] == list(range(23))
    assert [row["label"] for row in rows] == expected["label"].to_list()
    assert [float(row["p_positive"]) for row in rows] == pytest.approx(
        expected["p_positive"].to_list(), abs=1e-5
    )
    assert {row["model_version"] for row in rows} == {"7"}
    assert (result.rows, result.failed, sum(result.labels.values())) == (23, 0, 23)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"in{ending}", f"out{ending}"]


def test_failed_rows_go_to_a_file_of_their_own(scorer: Scorer, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "good"}\n{"text": " "}\n{\n{"text": "' + "long " * 200_000 + '"}\n')
    result = score_file(lambda: scorer, "7", source, tmp_path / "out.jsonl")
    assert (result.rows, result.failed) == (2, 2)
    failed = pd.read_json(tmp_path / "out.jsonl.failed.jsonl", lines=True)
    assert failed["number"].to_list() == [2, 3]
    assert failed["problem"][0] == "`text` is empty"


def test_an_interrupted_file_resumes(scorer: Scorer, tmp_path: Path) -> None:
    source = write(reviews(50), tmp_path / "in.csv")
    whole = score_file(lambda: scorer, "7", source, tmp_path / "whole.csv", rows_per_chunk=10)

    class Interrupted:
        """Answers three chunks."""

        columns = scorer.columns
        chunks = 0

        def answer(self, titles: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
            self.chunks += 1
            if self.chunks > 3:
                raise KeyboardInterrupt
            return scorer.answer(titles, texts)

    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        score_file(Interrupted, "7", source, output, rows_per_chunk=10)  # type: ignore[arg-type]
    assert not output.exists()
    seen: list[int] = []

    class Counting(Interrupted):
        """Notes the sizes of chunks."""

        def answer(self, titles: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
            seen.append(len(texts))
            return scorer.answer(titles, texts)

    result = score_file(Counting, "7", source, output, rows_per_chunk=10)  # type: ignore[arg-type]
    assert seen == [10, 10]
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert result.labels == whole.labels
    assert result.sample == whole.sample


def test_chunks_of_another_version_or_file_are_not_reused(scorer: Scorer, tmp_path: Path) -> None:
    source = write(reviews(20), tmp_path / "in.csv")
    parts = tmp_path / "out.csv.parts"
    parts.mkdir()
    (parts / "identity.json").write_text('{"version": "6"}')
    (parts / "00000000.json").write_text("{}")
    assert score_file(lambda: scorer, "7", source, tmp_path / "out.csv", rows_per_chunk=10).rows == 20


@pytest.mark.parametrize(
    ("columns", "output", "message"),
    [
        (["text", "label"], "out.csv", "already has a column label"),
        (["text"], "out.parquet", "the output must have the format of the input"),
        (["text"], "in.csv", "is the input itself"),
        (["text"], "nowhere/out.csv", "There is no directory"),
    ],
)
def test_nothing_is_overwritten(
    scorer: Scorer, tmp_path: Path, columns: list[str], output: str, message: str
) -> None:
    source = write(pd.DataFrame({name: ["fine"] for name in columns}), tmp_path / "in.csv")
    with pytest.raises(UsageError, match=message):
        score_file(lambda: scorer, "7", source, tmp_path / output)


def test_a_file_without_a_row_to_score_is_an_error(scorer: Scorer, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("id,text\n1,\n2,\n")
    with pytest.raises(DataError, match=r"No row could be scored\. out\.csv\.failed\.jsonl has the reasons"):
        score_file(lambda: scorer, "7", source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv.failed.jsonl").is_file()


@pytest.mark.parametrize(("encoding", "advice"), [("latin1", "latin1"), ("utf-16", "utf-16")])
def test_a_wrong_encoding_is_reported_before_anything_is_scored(
    tmp_path: Path, encoding: str, advice: str
) -> None:
    """The letter that is not valid UTF-8 is in the last of many rows."""
    source = tmp_path / "in.csv"
    source.write_bytes(("text\n" + "a fine one\n" * 3_000 + "Möbel\n").encode(encoding))
    with pytest.raises(DataError, match=f"not in UTF-8 .*iconv -f {advice} -t utf-8"):
        score_file(lambda: pytest.fail("the model was loaded"), "7", source, tmp_path / "out.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["in.csv"], "nothing was started"


def test_a_million_characters_take_no_more_memory_than_the_part_that_is_read(scorer: Scorer) -> None:
    """The end is cut off before tokenisation; both texts have more tokens than fit."""
    million = "soft and warm " * 71_429
    read = million[: CHARACTERS_PER_TOKEN * scorer.serving.max_tokens]

    def peak_bytes(text: str) -> int:
        tracemalloc.start()
        try:
            scorer.answer([text], [text])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(read)  # the first call also loads modules
    assert peak_bytes(million) < peak_bytes(read) + 100_000


def test_drift_is_measured_on_a_sample(scorer: Scorer, adapter: Path, tmp_path: Path) -> None:
    source = write(reviews(200), tmp_path / "in.csv")
    result = score_file(lambda: scorer, "7", source, tmp_path / "out.csv", rows_per_chunk=50)
    alike = pd.DataFrame(result.sample, columns=["label", "text_words", "title_words"])
    alike.to_parquet(adapter / REFERENCE_FILE)
    assert drift_of(result, adapter).drifted == ()
    alike.assign(text_words=alike["text_words"] * 9 + range(len(alike))).to_parquet(adapter / REFERENCE_FILE)
    assert drift_of(result, adapter).drifted == ("text_words",)
    assert "<html" in drift_of(result, adapter).html.lower()
