"""Artifacts are loaded as they were saved, and their hash depends only on their content."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from zenml.artifact_stores.local_artifact_store import LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType

from materializers.adapter import TrainedAdapterMaterializer
from materializers.champion import ChampionMaterializer
from materializers.decisions import RegisteredVersionMaterializer, VerdictMaterializer
from materializers.evaluation import EvaluationMaterializer
from materializers.report import ClassificationReportMaterializer, DataReportMaterializer
from materializers.reviews import ChatDatasetMaterializer, ReviewTableMaterializer
from materializers.robustness import RobustnessMaterializer
from materializers.scored import BulkResultMaterializer
from materializers.student import TrainedStudentMaterializer
from review_sentiment.arms.student import TrainedStudent
from review_sentiment.data.chats import COLUMNS, ChatDataset
from review_sentiment.data.data_report import DataReport
from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.data.review_table import Reviews, ReviewTable, table_of
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.evaluation.classification_report import ClassificationReport
from review_sentiment.evaluation.comparison import Comparison, PairedDifference
from review_sentiment.evaluation.cost import Cost
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.predictions import PREDICTION_COLUMNS
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.evaluation.robustness import Probe, Robustness
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.registry.gate import Champion, GateCheck, Verdict
from review_sentiment.registry.model_card import RegisteredVersion
from review_sentiment.scoring.answered_file import BulkResult, LabelShare, Unsure
from review_sentiment.scoring.row_lists import UnsureRow
from review_sentiment.training.lora_proof import LayerProof, LoraProof
from review_sentiment.training.trained_adapter import TrainedAdapter, TrainingSummary
from tests.tiny import prompt_of


def reviews() -> ReviewTable:
    row = {
        "review_id": "0a",
        "category": "Tops",
        "group": "007",
        "user": None,
        "source_label": "5",
        "language": "fr",
        "verified_purchase": None,
        "label": "positive",
        "title": "",
        "text": "⭐ très <b> bien",
    }
    return table_of(
        "Tops",
        [row, row | {"review_id": "0b", "label": "negative", "user": "U", "verified_purchase": True}],
        {"3 stars": 3},
        {"5": 1, "1": 1, "3": 3},
    )


def chats() -> ChatDataset:
    values = (
        "0a",
        "Tops",
        "5",
        "en",
        True,
        "positive",
        "",
        "fine",
        1.0,
        True,
        "prompt",
        "positive",
        7,
        9,
        False,
    )
    frame = pd.DataFrame([dict(zip(COLUMNS, values, strict=True))]).astype(COLUMNS)
    return ChatDataset(frame, ("negative", "positive"))


def evaluation() -> Evaluation:
    rows = [
        (f"{n}", "Tops", gold, gold, gold, 0.9, 3.0 * n + 1, 0.75 - n / 10, 0.25 + n / 10)
        for n, gold in enumerate(["negative", "positive"])
    ]
    columns = [*PREDICTION_COLUMNS, "p_negative", "p_positive"]
    predictions = pd.DataFrame(rows, columns=columns).astype(PREDICTION_COLUMNS)
    samples = pd.DataFrame({"text": ["fine"], "gold": ["positive"], "probability": [0.5]})
    slices = pd.DataFrame({"dimension": ["category"], "value": ["Tops"], "n": [2], "accuracy": [1.0]})
    metrics = compute_metrics(predictions, ("negative", "positive"))
    plain = Evaluation("tuned", metrics, predictions, samples, slices, stratified=predictions)
    return replace(plain, decision=predictions).under(RULE, RULE.prior)


RULE = DecisionRule.raw(("negative", "positive"), (0.2, 0.8))


def adapter(directory: Path) -> TrainedAdapter:
    directory.mkdir(exist_ok=True)
    (directory / "adapter_config.json").write_text("{}")
    (directory / "adapter_model.safetensors").write_bytes(b"\x00\x01weights")
    return TrainedAdapter(
        directory=directory,
        base=ModelIdentity("embedded", "1", "nf4", "title"),
        run_id="run",
        proof=LoraProof((LayerProof("layer", 1, 0.5, 0.25),), 2.0, 0.1),
        summary=TrainingSummary(8, 2, 100, 1.5, 66.7, 110, 1000, 1.0, 1.1),
        prompt=prompt_of(max_tokens=192),
        compute={"device": "cpu"},
        settings={"seed": "1"},
        checkpoints="s3://bucket/checkpoints/0",
    )


DIFFERENCE = PairedDifference(4, 0.25, (0.0, 0.5), 2, 1, 0.5)
COMPARISON = Comparison("cheapest arm (tfidf)", DIFFERENCE, {"Tops": DIFFERENCE})
VERDICT = Verdict((GateCheck("check", "required", "measured", True),), (COMPARISON,), "3")
VERSION = RegisteredVersion("name", "1", "", "models:/name/1", "run", "child", "sqlite:///x", "e", "# Card")
ROBUSTNESS = Robustness((Probe("typos", "a typo", 0.75, 1.0, DIFFERENCE),))
REPORT = DataReport("<html>page</html>", {"category": 0.2, "label": 0.0})


def round_trip(materializer_type: Any, data: Any, directory: Path) -> Any:
    directory.mkdir(exist_ok=True)
    materializer = materializer_type(uri=str(directory), artifact_store=local_store(directory))
    materializer.save(data)
    materializer.save_visualizations(data)
    assert materializer.extract_metadata(data)
    return materializer.load(type(data))


def local_store(directory: Path) -> LocalArtifactStore:
    now = datetime.now(UTC)
    return LocalArtifactStore(
        name="store",
        id=uuid4(),
        config=LocalArtifactStoreConfig(path=str(directory)),
        flavor="local",
        type=StackComponentType.ARTIFACT_STORE,
        user=None,
        created=now,
        updated=now,
    )


def test_review_tables_keep_types_missing_users_and_counts(tmp_path: Path) -> None:
    loaded = round_trip(ReviewTableMaterializer, reviews(), tmp_path)
    pd.testing.assert_frame_equal(loaded.frame, reviews().frame)
    assert loaded.counts == reviews().counts
    assert (loaded.read, loaded.dropped) == (5, {"3 stars": 3})


def test_a_step_that_asks_for_reviews_reads_some_columns_and_rows(tmp_path: Path) -> None:
    table = ReviewTable(pd.concat([reviews().frame] * 30, ignore_index=True), reviews().counts)
    frame = table.frame.assign(title=[f"title {number}" for number in range(len(table))])
    store = local_store(tmp_path)
    ReviewTableMaterializer(uri=str(tmp_path), artifact_store=store).save(replace(table, frame=frame))
    loaded = ReviewTableMaterializer(uri=str(tmp_path), artifact_store=store).load(Reviews)
    assert not isinstance(loaded, ReviewTable)
    assert (len(loaded), loaded.counts) == (len(frame), table.counts)
    read = pd.concat(loaded.batches(["title", "label"]), ignore_index=True)
    pd.testing.assert_frame_equal(read, frame[["title", "label"]])
    chosen = np.array([1, 7, len(frame) - 1])
    pd.testing.assert_frame_equal(loaded.rows(chosen), frame.iloc[chosen].reset_index(drop=True))


def test_chats_keep_types_and_labels(tmp_path: Path) -> None:
    loaded = round_trip(ChatDatasetMaterializer, chats(), tmp_path)
    pd.testing.assert_frame_equal(loaded.frame, chats().frame)
    assert loaded.labels == ("negative", "positive")


def test_evaluations_keep_metrics_and_tables(tmp_path: Path) -> None:
    loaded = round_trip(EvaluationMaterializer, evaluation(), tmp_path)
    assert loaded.metrics == evaluation().metrics
    pd.testing.assert_frame_equal(loaded.predictions, evaluation().predictions)


def test_a_champion_keeps_its_version_and_evaluation(tmp_path: Path) -> None:
    loaded = round_trip(ChampionMaterializer, Champion("3", evaluation()), tmp_path / "a")
    assert loaded.version == "3"
    assert loaded.evaluation.metrics == evaluation().metrics
    assert round_trip(ChampionMaterializer, Champion(), tmp_path / "b") == Champion()
    hashes = {
        hashed(ChampionMaterializer, champion)
        for champion in (Champion(), Champion("3", evaluation()), Champion("4", evaluation()))
    }
    assert len(hashes) == 3


def test_files_keep_their_folders_and_have_plain_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In S3, files/./name is not the object files/name."""
    directory = tmp_path / "model"
    (directory / "encoder" / "deep").mkdir(parents=True)
    names = ("kind.txt", "encoder/tokenizer.json", "encoder/deep/weights.bin")
    for name in names:
        (directory / name).write_text(name)
    student = TrainedStudent(directory, "tfidf", "reviews/3", "run", None, 1, 2, 1.5, {"seed": "1"}, None)
    opened: list[str] = []
    place = tmp_path / "artifact"
    store = local_store(place)
    usual = store.open

    def recorded(path: Any, mode: str = "r") -> Any:
        opened.append(str(path))
        return usual(path, mode)

    monkeypatch.setattr(store, "open", recorded)
    materializer = TrainedStudentMaterializer(str(place), store)
    materializer.save(student)
    loaded = materializer.load(TrainedStudent)
    assert {name: (loaded.directory / name).read_text() for name in names} == {name: name for name in names}
    assert replace(loaded, directory=directory) == student
    assert all("/./" not in address and "//" not in address for address in opened)


def test_adapters_keep_their_files_and_their_record(tmp_path: Path) -> None:
    saved = adapter(tmp_path / "files")
    loaded = round_trip(TrainedAdapterMaterializer, saved, tmp_path / "artifact")
    assert replace(loaded, directory=saved.directory) == saved
    assert (loaded.directory / "adapter_model.safetensors").read_bytes() == b"\x00\x01weights"


@pytest.mark.parametrize(
    ("materializer", "data"),
    [
        (VerdictMaterializer, VERDICT),
        (RegisteredVersionMaterializer, VERSION),
        (DataReportMaterializer, REPORT),
        (ClassificationReportMaterializer, ClassificationReport("<html>page</html>", {"Accuracy": 0.5})),
        (RobustnessMaterializer, ROBUSTNESS),
        (
            BulkResultMaterializer,
            BulkResult(
                source="in.csv",
                output="out.csv",
                columns=ReviewColumns("Body", None),
                rows=2,
                failed=1,
                labels={"positive": 2},
                answered_by={"3": 1, "student/2": 1},
                failed_file=None,
                model_version="3",
                prior="estimate",
                shares={"positive": LabelShare(0.9, 0.8, 1.0, 0.88, 0.9)},
                unsure=Unsure(1, "out.csv.unsure.jsonl", [UnsureRow(2, "positive", 0.6)]),
                sample=[("positive", "en", 4, 0)],
            ),
        ),
    ],
)
def test_records_are_loaded_as_they_were_saved(materializer: Any, data: Any, tmp_path: Path) -> None:
    assert round_trip(materializer, data, tmp_path) == data


def hashed(materializer_type: Any, data: Any) -> str:
    with tempfile.TemporaryDirectory() as place:
        materializer = materializer_type(uri=place, artifact_store=local_store(Path(place)))
    return str(materializer.compute_content_hash(data))


def test_the_hash_depends_on_the_content_only(tmp_path: Path) -> None:
    table = reviews()
    assert hashed(ReviewTableMaterializer, table) == hashed(ReviewTableMaterializer, reviews())
    for other in (
        replace(table, frame=table.frame.assign(title="x")),
        replace(table, frame=table.frame.iloc[::-1]),
        replace(table, counts=()),
        replace(table, frame=table.frame.rename(columns={"user": "buyer"})),
    ):
        assert hashed(ReviewTableMaterializer, other) != hashed(ReviewTableMaterializer, table)

    trained, moved = adapter(tmp_path / "a"), adapter(tmp_path / "b")
    assert hashed(TrainedAdapterMaterializer, trained) == hashed(TrainedAdapterMaterializer, moved)
    (tmp_path / "b" / "adapter_model.safetensors").write_bytes(b"other")
    assert hashed(TrainedAdapterMaterializer, trained) != hashed(TrainedAdapterMaterializer, moved)
    another_run = replace(trained, run_id="another")
    assert hashed(TrainedAdapterMaterializer, trained) != hashed(TrainedAdapterMaterializer, another_run)


def test_an_evaluation_that_took_longer_has_the_same_hash() -> None:
    found = evaluation()
    timed = replace(found, cost=Cost(15.0, 80.0, 120.0, 545.0, 812.0))
    assert hashed(EvaluationMaterializer, timed) == hashed(EvaluationMaterializer, found)
    assert hashed(EvaluationMaterializer, replace(found, model="other")) != hashed(
        EvaluationMaterializer, found
    )


def test_another_page_with_the_same_figures_has_the_same_hash() -> None:
    same = replace(REPORT, html="<html>other identifiers</html>")
    assert hashed(DataReportMaterializer, same) == hashed(DataReportMaterializer, REPORT)
    other = replace(REPORT, distances={"category": 0.3, "label": 0.0})
    assert hashed(DataReportMaterializer, other) != hashed(DataReportMaterializer, REPORT)
