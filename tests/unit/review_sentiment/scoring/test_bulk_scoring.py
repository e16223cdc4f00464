"""Scoring files with a real (tiny) model: columns, rows that fail, and resuming after an interruption."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from review_sentiment.config import LoraSettings
from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.decision.rule import Band, DecisionRule
from review_sentiment.errors import DataError, UsageError
from review_sentiment.fingerprints import file_fingerprint
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters, save_adapter
from review_sentiment.scoring.answered_file import BulkResult, Unsure, answer_file, drift_of
from review_sentiment.scoring.answers import answer_table
from review_sentiment.scoring.bulk_scoring import PLACE, FileScores, ScoringJob, score_file
from review_sentiment.scoring.column_choice import ColumnChoice
from review_sentiment.scoring.output_files import locked
from review_sentiment.scoring.prompted_model import tuned_scorer
from review_sentiment.scoring.scorer import Scorer
from review_sentiment.scoring.scores import Scores
from review_sentiment.scoring.version_files import REFERENCE_FILE, Serving, save_rule
from tests.tiny import prompt_of

PLAN = plan_compute("cpu", "fp32")
LABELS = ("negative", "positive")
RULE = DecisionRule.raw(LABELS, (0.5, 0.5))
ADDED = ["label", "p_negative", "p_positive", "model_version"]
FORMATS = (".csv", ".jsonl", ".parquet")


@pytest.fixture(scope="module")
def adapter(tiny_model: ModelIdentity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("adapter")
    save_adapter(
        add_adapters(load_model(tiny_model, PLAN), LoraSettings(rank=2, alpha=4)), tiny_model, directory
    )
    Serving(tiny_model, prompt_of(LABELS)).save(directory)
    save_rule(RULE, directory)
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


def job(source: Path, output: Path, rows_per_chunk: int = 10) -> ScoringJob:
    return ScoringJob(source, output, "7", RULE, rows_per_chunk=rows_per_chunk)


def score(job: ScoringJob, load_scorer: Any, prior: str = "version") -> BulkResult:
    """Score a file and write the output, as the pipeline does."""
    return answer_file(job, score_file(job, "tiny", load_scorer), prior)


def not_loaded() -> Scorer:
    pytest.fail("the model was loaded")


def rows_of(path: Path) -> list[Mapping[str, Any]]:
    file = open_reviews(path)
    return [file.values_of(row) for row in file.rows()]


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
    result = score(job(source, tmp_path / f"out{ending}"), lambda: scorer)
    rows = rows_of(tmp_path / f"out{ending}")
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


BODY = ReviewColumns("Body", "Headline")


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    ("choice", "columns"),
    [
        (ColumnChoice(trained=BODY), BODY),
        (ColumnChoice(trained=ReviewColumns("Body", None)), ReviewColumns("Body", None)),
        (ColumnChoice(trained=ReviewColumns("Comment", "Head")), ReviewColumns("text", "title")),
        (ColumnChoice(text="Body"), ReviewColumns("Body", "title")),
        (ColumnChoice("Body", "Headline"), BODY),
        (
            ColumnChoice(title="Headline", trained=ReviewColumns("text", None)),
            ReviewColumns(title="Headline"),
        ),
    ],
)
def test_reviews_are_in_the_columns_asked_for_or_in_those_of_the_training(
    scorer: Scorer, tmp_path: Path, ending: str, choice: ColumnChoice, columns: ReviewColumns
) -> None:
    frame = reviews(5).assign(Body=[f"Body {number}" for number in range(5)], Headline="Head")
    source, output = write(frame, tmp_path / f"in{ending}"), tmp_path / f"out{ending}"
    result = score(replace(job(source, output), columns=choice), lambda: scorer)
    titles = frame[columns.title].to_list() if columns.title else [""] * 5
    expected = scorer.answer(titles, frame[columns.text].to_list())
    rows = rows_of(output)
    assert result.columns == columns
    assert [float(row["p_positive"]) for row in rows] == pytest.approx(expected["p_positive"].to_list())
    assert {"id", "Body", "Headline", "text", "title"} <= set(rows[0])


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (ColumnChoice(trained=ReviewColumns("Body")), r"no column 'Body' or 'text'; .* --text-column"),
        (ColumnChoice(text="Coment"), r"--text-column: .* no column 'Coment'\. Did you mean 'Comment'\?"),
        (ColumnChoice("Comment", "Head"), r"--title-column: .* no column 'Head'\. .*It has: 'id', 'Comment'"),
    ],
)
def test_a_file_without_the_column_is_refused_before_the_model_is_loaded(
    tmp_path: Path, ending: str, choice: ColumnChoice, message: str
) -> None:
    source = write(pd.DataFrame({"id": [1], "Comment": ["Fine"]}), tmp_path / f"in{ending}")
    with pytest.raises(UsageError, match=message):
        score(replace(job(source, tmp_path / f"out{ending}"), columns=choice), not_loaded)


@pytest.mark.parametrize("ending", FORMATS)
def test_rows_that_are_not_answered_are_marked_and_listed_least_certain_first(
    scorer: Scorer, tmp_path: Path, ending: str
) -> None:
    frame = reviews(23)
    texts = (frame["title"].to_list(), frame["text"].to_list())
    # Between two reviews: other batches change a probability by rounding.
    middle = float(scorer.answer(*texts)["probability"].nsmallest(12).tail(2).mean())
    cautious = replace(RULE, band=Band(middle, risk=0.1, confidence=0.9))
    source, output = write(frame, tmp_path / f"in{ending}"), tmp_path / f"out{ending}"
    listed = tmp_path / f"out{ending}.unsure.jsonl"
    for _ in range(2):  # again, over what is there
        result = score(replace(job(source, output), rule=cautious), lambda: scorer)
        answers = answer_table(cautious, scorer.log_probs(*texts))
        assert [str(row["unsure"]) for row in rows_of(output)] == [str(one) for one in answers["unsure"]]
        lines = [json.loads(line) for line in listed.read_text().splitlines()]
        confidences = [line["confidence"] for line in lines]
        assert confidences == sorted(confidences)
        expected = answers.loc[[line["number"] - 1 for line in lines]]
        assert expected["unsure"].all()
        assert confidences == pytest.approx(expected["probability"].to_list(), abs=1e-5)
        assert [line["label"] for line in lines] == expected["label"].to_list()
        assert [line["values"]["text"] for line in lines] == frame["text"][expected.index].to_list()
        assert result.unsure == Unsure(11, str(listed), result.unsure and result.unsure.least_certain)
        assert [row.number for row in result.unsure.least_certain] == [line["number"] for line in lines[:5]]
    assert score(job(source, output), lambda: scorer).unsure is None
    assert not listed.exists()


@pytest.mark.parametrize("ending", FORMATS)
def test_with_three_labels_the_possible_ones_are_listed(tmp_path: Path, ending: str) -> None:
    labels, source = ("bad", "fair", "good"), write(reviews(3), tmp_path / f"in{ending}")
    rule = replace(DecisionRule.raw(labels, (0.2, 0.3, 0.5)), band=Band(0.6, 0.1, 0.9, possible_at=0.2))
    p = np.array([[0.1, 0.3, 0.6], [0.34, 0.33, 0.33], [0.9, 0.05, 0.05]])
    recorded = pd.DataFrame(np.log(p / rule.prior), columns=list(labels))
    task = replace(job(source, tmp_path / f"out{ending}"), rule=rule)
    answer_file(task, FileScores(file_fingerprint(source), ReviewColumns(), recorded), "version")
    rows = rows_of(tmp_path / f"out{ending}")
    assert [row["possible"] for row in rows] == ["fair|good", "bad|fair|good", "bad"]
    assert [str(row["unsure"]) for row in rows] == ["False", "True", "False"]


SCORED = np.random.default_rng(3)
"""Log odds of 2,000 reviews, 30 % of them negative."""
LOG_ODDS = SCORED.normal(np.where(np.arange(2_000) % 10 < 3, -2.5, 2.5), 2.0) * 1.25
RECORDED = pd.DataFrame({"negative": -LOG_ODDS / 2, "positive": LOG_ODDS / 2})


def answered(directory: Path, rule: DecisionRule, prior: str) -> tuple[BulkResult, pd.DataFrame]:
    """Answer the 2,000 reviews and an empty one from their scores; return the result and the output."""
    source = write(pd.concat([reviews(2_000), pd.DataFrame({"text": [""]})]), directory / "in.csv")
    failed = pd.DataFrame({PLACE: [len(RECORDED)]})
    scores = FileScores(file_fingerprint(source), ReviewColumns(), RECORDED, failed=failed)
    result = answer_file(replace(job(source, directory / "out.csv", 300), rule=rule), scores, prior)
    return result, pd.read_csv(directory / "out.csv")


@pytest.mark.parametrize(
    ("prior", "used"), [("version", 0.12), ("estimate", None), ("0.05", 0.05), ("positive=0.7", 0.3)]
)
def test_a_file_is_answered_for_the_chosen_class_shares(
    tmp_path: Path, prior: str, used: float | None
) -> None:
    rule = DecisionRule.raw(LABELS, (0.12, 0.88))
    result, output = answered(tmp_path, rule, prior)
    share = result.shares["negative"]
    assert 0.27 < share.low < share.estimate < share.high < 0.33
    assert share.low < 0.3 < share.high
    assert (result.prior, share.version) == (prior, 0.12)
    assert share.used == pytest.approx(share.estimate if used is None else used)
    assert share.is_plausible == (prior in ("estimate", "positive=0.7"))
    expected = answer_table(rule.for_prior((share.used, 1 - share.used)), RECORDED.to_numpy())
    assert output["p_negative"].to_list() == pytest.approx(expected["p_negative"].to_list(), abs=1e-12)
    assert output["label"].to_list() == expected["label"].to_list()


def test_what_a_killed_process_left_is_not_in_the_output(tmp_path: Path) -> None:
    rule = DecisionRule.raw(LABELS, (0.3, 0.7))
    cautious = replace(rule, band=Band(0.9, risk=0.1, confidence=0.9))
    result, output = answered(tmp_path, cautious, "version")
    parts = tmp_path / "out.csv.parts"
    parts.mkdir()
    for name in ("failed", "unsure", "00000000.rows", "00000099.rows", "joined", "00000000.npy"):
        (parts / name).write_text("left over\n")
    again, same = answered(tmp_path, cautious, "version")
    assert again == result
    pd.testing.assert_frame_equal(same, output)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"in.csv", "out.csv", "out.csv.failed.jsonl", "out.csv.unsure.jsonl"}
    assert not [name for name in names if "left over" in (tmp_path / name).read_text()]


@pytest.mark.parametrize("rows", [1_999, 2_000, 2_001])
def test_scores_of_another_file_are_refused(tmp_path: Path, rows: int) -> None:
    source = write(reviews(rows), tmp_path / "in.csv")
    with pytest.raises(DataError, match=r"in\.csv changed while it was scored"):
        answer_file(job(source, tmp_path / "out.csv"), FileScores("another", ReviewColumns(), RECORDED))
    assert not (tmp_path / "out.csv").exists()


def test_every_row_is_in_the_output_or_among_the_failed_rows(scorer: Scorer, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [
        '{"id": 1}',
        '{"text": "good", "id": 2}',
        '{"text": " "}',
        "{",
        '{"text": "' + "long " * 200_000 + '"}',
        '{"text": "[[VIDEOID:abc]]<br />", "title": "Good"}',
        '{"text": "half \\ud83d"}',
        '{"text": null}',
        '{"text": "' + "<br />" * 5_000 + 'read on"}',
    ]
    source.write_text("\n\n".join(lines))
    result = score(job(source, tmp_path / "out.jsonl", 2), lambda: scorer)
    assert (result.rows, result.failed, result.total) == (3, 6, len(lines))
    failed = [json.loads(line) for line in (tmp_path / "out.jsonl.failed.jsonl").read_text().splitlines()]
    assert [row["number"] for row in failed] == [1, 3, 4, 6, 7, 8]
    assert [row["line"] for row in failed] == [1, 5, 7, 11, 13, 15]
    assert [row.get("raw") or json.dumps(row["values"]) for row in failed] == [
        lines[row["number"] - 1] for row in failed
    ]
    assert [row["problem"].split(":")[0] for row in failed] == [
        "`text` is missing",
        "`text` is empty",
        "not valid JSON",
        "`text` is empty after cleaning",
        "half a surrogate pair, which is not a character",
        "`text` is missing",
    ]
    assert [row.get("id") for row in rows_of(tmp_path / "out.jsonl")] == [2, None, None]
    read_on, alone = scorer.answer(["", ""], [rows_of(tmp_path / "out.jsonl")[2]["text"], "read on"])["label"]
    assert read_on == alone


def test_the_failed_rows_of_parquet_are_json_with_all_columns(scorer: Scorer, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["fine", None], "bytes": [b"", b"\xff"], "nan": [1.0, float("nan")]})
    frame["day"] = pd.Timestamp("2020-01-01")
    source = write(frame, tmp_path / "in.parquet")
    score(job(source, tmp_path / "out.parquet"), lambda: scorer)
    [line] = (tmp_path / "out.parquet.failed.jsonl").read_text().splitlines()
    values = json.loads(line, parse_constant=pytest.fail)["values"]
    assert values == {"text": None, "bytes": "b'\\xff'", "nan": None, "day": "2020-01-01 00:00:00"}


def test_an_interrupted_file_resumes(scorer: Scorer, tmp_path: Path) -> None:
    source = write(reviews(50), tmp_path / "in.csv")
    whole = score(job(source, tmp_path / "whole.csv"), lambda: scorer)

    class Interrupted:
        """Scores three chunks."""

        chunks = 0

        def scores(self, titles: Sequence[str], texts: Sequence[str]) -> Scores:
            self.chunks += 1
            if self.chunks > 3:
                raise KeyboardInterrupt
            return scorer.scores(titles, texts)

    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        score(job(source, output), Interrupted)
    assert not output.exists()
    seen: list[int] = []

    class Counting(Interrupted):
        """Notes the sizes of chunks."""

        def scores(self, titles: Sequence[str], texts: Sequence[str]) -> Scores:
            seen.append(len(texts))
            return scorer.scores(titles, texts)

    result = score(job(source, output), Counting)
    assert seen == [10, 10]
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert result.labels == whole.labels
    assert result.sample == whole.sample


def test_a_row_names_the_model_that_answered_it_also_after_an_interruption(tmp_path: Path) -> None:
    frame = reviews(50)
    source, output = write(frame, tmp_path / "in.csv"), tmp_path / "out.csv"
    task = replace(job(source, output), student="student/2")
    asked: list[int] = []

    class EveryThird:
        """A student scores every third review; the second call is interrupted."""

        def scores(self, titles: Sequence[str], texts: Sequence[str]) -> Scores:
            asked.append(len(texts))
            if len(asked) == 2:
                raise KeyboardInterrupt
            numbers = np.array([int(text.split()[-1]) for text in texts])
            return Scores(np.zeros((len(texts), 2)), numbers % 3 == 0)

    with pytest.raises(KeyboardInterrupt):
        score(task, EveryThird)
    result = score(task, EveryThird)
    assert asked == [10] * 6, "the first chunk once"
    assert result.answered_by == {"student/2": 17, "7": 33}
    expected = ["student/2" if number % 3 == 0 else "7" for number in range(50)]
    assert [row["model_version"] for row in rows_of(output)] == expected


@pytest.mark.parametrize(
    "change",
    [
        {"version": "8"},
        {"model": "another"},
        {"rule": DecisionRule.raw(("negative", "neutral", "positive"), (0.2, 0.3, 0.5))},
        {"rows_per_chunk": 9},
    ],
)
def test_chunks_of_another_job_are_not_reused(scorer: Scorer, tmp_path: Path, change: dict[str, Any]) -> None:
    source = write(reviews(20), tmp_path / "in.csv")
    scored: list[int] = []

    class Interrupted:
        """Scores one chunk."""

        def scores(self, titles: Sequence[str], texts: Sequence[str]) -> Scores:
            scored.append(len(texts))
            if len(scored) == 2:
                raise KeyboardInterrupt
            return Scores.of_version(np.zeros((len(texts), len(changed.rule.labels))))

    first = job(source, tmp_path / "out.csv")
    model = change.pop("model", "tiny")
    changed = replace(first, **change)
    with pytest.raises(KeyboardInterrupt):
        score_file(first, "tiny", Interrupted)  # type: ignore[arg-type]
    score_file(changed, model, Interrupted)  # type: ignore[arg-type]
    assert sum(scored[2:]) == 20, "all rows again"


def test_a_file_that_changes_while_it_is_scored_is_an_error(scorer: Scorer, tmp_path: Path) -> None:
    source = write(reviews(5), tmp_path / "in.csv")

    def load() -> Scorer:
        source.write_text(source.read_text().replace("soft", "hard"))
        return scorer

    with pytest.raises(DataError, match=r"in\.csv changed while it was scored"):
        score(job(source, tmp_path / "out.csv"), load)
    assert not (tmp_path / "out.csv").exists()


def test_one_process_at_a_time_writes_an_output(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    with (
        locked(output),
        pytest.raises(UsageError, match=r"Another process is writing out\.csv"),
        locked(output),
    ):
        pass
    with locked(output), locked(tmp_path / "other.csv"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "output", "message"),
    [
        (["text", "label"], "out.csv", "already has a column label"),
        (["text", "p_positive"], "out.csv", "already has a column p_positive"),
        (["text"], "out.parquet", r"has the format of the input. Name it out\.csv"),
        (["text"], "in.csv", "is the input itself"),
        (["text"], "link.csv", "is the input itself"),
        (["text"], "hard.csv", "is the input itself"),
        (["text"], "failures.csv", r"failures\.csv\.failed\.jsonl is the input itself"),
        (["text"], "doubts.csv", r"doubts\.csv\.unsure\.jsonl is the input itself"),
        (["text"], "nowhere/out.csv", "There is no directory"),
        (["text"], "directory.csv", "is a directory"),
        (["review", "Text"], "out.csv", "has no column 'text'; it has: 'review', 'Text'"),
        (["text", "text"], "out.csv", "several columns of the same name: 'text'"),
    ],
)
def test_a_usage_error_leaves_the_files_as_they_were(
    tmp_path: Path, columns: list[str], output: str, message: str
) -> None:
    source = write(pd.DataFrame([["fine"] * len(columns)], columns=columns), tmp_path / "in.csv")
    (tmp_path / "link.csv").symlink_to(source)
    for name in ("hard.csv", "failures.csv.failed.jsonl", "doubts.csv.unsure.jsonl"):
        (tmp_path / name).hardlink_to(source)
    (tmp_path / "directory.csv").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(UsageError, match=message):
        score(job(source, tmp_path / output), not_loaded)
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", "id,text\n", "has no rows"),
        ("in.jsonl", "[]", "has no rows"),
        ("in.jsonl", '{"text": "a"}\n{"text": "b", "label": 1}\n', "already has a column label"),
        ("in.jsonl", '{"id": 1}\n{"review": "b"}\n', "has no column 'text'; it has: 'id', 'review'"),
    ],
)
def test_all_rows_are_judged_before_the_model_is_loaded(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    source = tmp_path / name
    source.write_text(content)
    with pytest.raises(UsageError, match=message):
        score(job(source, tmp_path / f"out{source.suffix}"), not_loaded)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_without_a_row_to_score_is_an_error(tmp_path: Path, ending: str) -> None:
    source = write(pd.DataFrame({"id": [1, 2], "text": ["<br />", " "]}), tmp_path / f"in{ending}")
    output = tmp_path / f"out{ending}"
    with pytest.raises(DataError, match=rf"None of the 2 rows could be scored\. out{ending}\.failed\.jsonl"):
        score(job(source, output), not_loaded)
    failed = pd.read_json(f"{output}.failed.jsonl", lines=True)
    assert failed["problem"].str.contains("empty").all()
    assert [values["id"] for values in failed["values"]] == ([1, 2] if ending != ".csv" else ["1", "2"])
    assert sorted(tmp_path.iterdir()) == [source, Path(f"{output}.failed.jsonl")]


@pytest.mark.parametrize(("encoding", "advice"), [("latin1", "latin1"), ("utf-16", "utf-16")])
def test_a_wrong_encoding_is_reported_before_anything_is_scored(
    tmp_path: Path, encoding: str, advice: str
) -> None:
    """The letter that is not valid UTF-8 is in the last of many rows."""
    source = tmp_path / "in.csv"
    source.write_bytes(("text\n" + "a fine one\n" * 3_000 + "Möbel\n").encode(encoding))
    with pytest.raises(DataError, match=f"not in UTF-8 .*iconv -f {advice} -t utf-8"):
        score(job(source, tmp_path / "out.csv"), not_loaded)
    assert [file.name for file in tmp_path.iterdir()] == ["in.csv"], "nothing was started"


def test_a_million_characters_take_no_more_memory_than_the_part_that_is_read(scorer: Scorer) -> None:
    """The end is cut off before tokenisation; both texts have more tokens than fit."""
    million = "soft and warm " * 71_429
    read = million[: scorer.model.max_characters]

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
    result = score(job(source, tmp_path / "out.csv", 50), lambda: scorer)
    alike = pd.DataFrame(result.sample, columns=["label", "language", "text_words", "title_words"])
    alike.to_parquet(adapter / REFERENCE_FILE)
    assert drift_of(result, adapter).drifted == ()
    alike.assign(text_words=alike["text_words"] * 9 + range(len(alike))).to_parquet(adapter / REFERENCE_FILE)
    assert drift_of(result, adapter).drifted == ("text_words",)
    assert "<html" in drift_of(result, adapter).html.lower()
