"""A failed registration changes neither the champion nor the aliases that runs show."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pytest

from front_door.run.summary import notes_on, versions_table
from review_sentiment.data.chats import REVIEW_COLUMNS
from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.data.labels import BINARY
from review_sentiment.errors import TrackingError
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.registry.gate import Evaluations, GateCheck, Verdict
from review_sentiment.registry.judged import Judged, recorded_verdict
from review_sentiment.registry.paper_results import collect
from review_sentiment.registry.registration import register
from review_sentiment.registry.tuned_model import TunedModel
from review_sentiment.registry.version_comparison import compare_versions, different_settings
from review_sentiment.scoring.version_files import load_columns
from review_sentiment.tracking import aliases, downloads, evidence, model_versions, new_version, run_log
from review_sentiment.tracking.evaluation_run import require_evaluation_run
from tests.unit.review_sentiment.registry.test_model_card import LINEAGE
from tests.unit.test_materializers import RULE, adapter, evaluation, reviews

NAME = "reviews"
PASSED = Verdict((GateCheck("check", "required", "measured", True),), (), None)


FAILED = Verdict((GateCheck("calibration error", "at most 10.0%", "12.3%", False),), (), None)


def registered(
    run_id: str,
    directory: Path,
    verdict: Verdict = PASSED,
    balanced: bool = True,
    tuned: Evaluation | None = None,
) -> Any:
    facts = TunedModel(
        adapter=replace(adapter(directory), run_id=run_id),
        settings={"training.balance": "undersample" if balanced else "none"},
        lineage=LINEAGE,
        base_licence="Apache-2.0",
        data_licence="CC0-1.0",
        scheme=BINARY,
        train=reviews(),
        evaluation=reviews(),
        rule=RULE,
        categories=reviews().counts,
        columns=ReviewColumns("Body", None),
    )
    evaluations = Evaluations(tuned or evaluation(), (replace(evaluation(), model="tfidf"),))
    return register(NAME, "e", Judged(verdict, evaluations, facts, {"reports/page.html": "<html>"}))


def collapsed() -> Evaluation:
    """Return an evaluation in which every answer is negative."""
    predictions = evaluation().predictions.assign(predicted="negative", constrained="negative")
    metrics = compute_metrics(predictions, ("negative", "positive"))
    return replace(evaluation(), predictions=predictions, stratified=predictions, metrics=metrics)


def test_two_evaluations_of_the_champions_adapter_keep_their_own_evidence(
    mlflow_uri: str, tmp_path: Path
) -> None:
    """One training, evaluated twice."""
    run = run_log.open_run("e", "run", {}, {})
    registered(run, tmp_path / "adapter")
    registered(run, tmp_path / "adapter", balanced=False, tuned=collapsed())

    two, one = model_versions.list_versions(NAME)
    assert different_settings(one, two) == {"training.balance": ("undersample", "none")}
    assert [evidence.metrics_of(version)["accuracy"] for version in (one, two)] == [1.0, 0.5]
    assert [version.aliases for version in (one, two)] == [(model_versions.CHAMPION,), ()]
    assert [version.tags["gate"] for version in (one, two)] == ["passed", "same adapter"]
    assert [recorded_verdict(version).same_adapter_as for version in (one, two)] == [None, "1"]
    client = mlflow.MlflowClient()
    for version, accuracy in ((one, 1.0), (two, 0.5)):
        child = client.get_run(version.evaluation_run).data
        assert child.tags["mlflow.parentRunId"] == version.run_id == run
        assert child.metrics["tuned/accuracy"] == accuracy
        assert (child.tags["gate"], child.tags["evaluation"]) == (
            version.tags["gate"],
            version.tags["evaluation"],
        )
        assert child.tags["mlflow.note.content"] == evidence.card_of(version)
        assert version.evaluation_run in client.get_run(run).data.tags["mlflow.note.content"]
    assert evidence.predictions_of(one)["predicted"].to_list() == ["negative", "positive"]
    assert evidence.predictions_of(two)["predicted"].to_list() == ["negative", "negative"]
    assert list(evidence.reviews_of(one)) == REVIEW_COLUMNS
    assert one.compared_models == ("tfidf",)
    with tempfile.TemporaryDirectory() as scratch:
        files = downloads.download_files(one, Path(scratch))
        assert load_columns(files) == ReviewColumns("Body", None)
    assert len(evidence.predictions_of(one, "tfidf")) == len(evidence.predictions_of(one))

    assert notes_on(one) == []
    reason, warning = notes_on(two)
    assert reason.startswith("Same adapter as version 1")
    assert "the model collapsed on a class" in warning
    table = versions_table([two, one])
    assert all(f"version 2: {note}" in table for note in notes_on(two))
    for version in (one, two):
        card = evidence.card_of(version)
        assert f'load_model("models:/{NAME}/{version.version}")' in card
        assert card == client.get_model_version(NAME, version.version).description
        picture = (
            f"(get-artifact?path=tuned/decision.png&run_uuid={version.evaluation_run})"  # MLflow's address
        )
        assert picture in card
        assert "tuned/decision.png" in [
            file.path for file in client.list_artifacts(version.evaluation_run, "tuned")
        ]
    assert "champion" not in evidence.card_of(one)  # an alias moves on
    assert reason in evidence.card_of(two)

    (file,) = (tmp_path / "mlflow").rglob(f"{one.model_id}/artifacts/evidence/tuned/predictions.parquet")
    file.unlink()
    with pytest.raises(TrackingError, match=r"version 1 has no evidence/tuned/predictions\.parquet"):
        compare_versions(NAME, "1", "2")


def test_an_evaluation_is_registered_once_and_a_deleted_run_is_written_again(
    mlflow_uri: str, tmp_path: Path
) -> None:
    run, files, client = run_log.open_run("e", "run", {}, {}), tmp_path / "adapter", mlflow.MlflowClient()
    registered(run, files, FAILED)
    judged_again = registered(run, files, tuned=collapsed())  # version 1 is only the challenger
    assert (judged_again.version, judged_again.alias) == ("2", model_versions.CHAMPION)
    two = model_versions.get_version(NAME, "2")
    assert "that of version 1, evaluated again" in two.warnings[-1]

    assert registered(run, files, tuned=collapsed()) == judged_again
    client.delete_run(two.evaluation_run)
    with pytest.raises(TrackingError, match=r"was deleted .* --rerun register_model"):
        require_evaluation_run(two.evaluation_run)
    written = registered(run, files, tuned=collapsed())
    require_evaluation_run(written.evaluation_run)
    assert written == replace(judged_again, evaluation_run=written.evaluation_run)
    assert model_versions.get_version(NAME, "2").evaluation_run == written.evaluation_run
    assert client.get_run(written.evaluation_run).data.tags["mlflow.note.content"] == written.card
    versions = model_versions.list_versions(NAME)
    assert [version.version for version in versions] == ["2", "1"]
    summary = collect(versions[::-1]).tables["summary"]
    assert set(summary["versions"]) == {"2"}  # two evaluations are not two seeds


def test_an_interrupted_recording_is_not_taken_for_the_evaluation(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, files, client = run_log.open_run("e", "run", {}, {}), tmp_path / "adapter", mlflow.MlflowClient()
    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, "log_table", None)
        with pytest.raises(TypeError):
            registered(run, files)
    (half,) = (
        found for found in client.search_runs([client.get_run(run).info.experiment_id], "status = 'FAILED'")
    )
    assert registered(run, files).evaluation_run != half.info.run_id


def test_a_version_of_another_program_or_with_deleted_files_has_no_evidence(mlflow_uri: str) -> None:
    client = mlflow.MlflowClient()
    client.create_registered_model(NAME)
    client.create_model_version(NAME, source="s3://somewhere/else")
    deleted = client.create_logged_model(run_log.experiment_id("e"), name="model").model_id
    client.create_model_version(NAME, source=f"models:/{deleted}", model_id=deleted)
    client.delete_logged_model(deleted)
    for version in model_versions.list_versions(NAME):
        with pytest.raises(TrackingError, match=rf"version {version.version} has no evidence/gate\.json"):
            evidence.gate_of(version)


@pytest.mark.parametrize(
    "failing", ["create_model_version", "update_model_version", "set_registered_model_alias"]
)
def test_nothing_is_half_registered(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def away(*_: object, **__: object) -> None:
        raise mlflow.MlflowException("the registry is away")

    files = tmp_path / "adapter"
    run = run_log.open_run("e", "run", {}, {})
    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, failing, away)
        with pytest.raises(mlflow.MlflowException, match="away"):
            registered(run, files)
    assert model_versions.list_versions(NAME) == []
    again = registered(run, files)
    (version,) = model_versions.list_versions(NAME)
    assert (version.version, version.aliases) == (again.version, (model_versions.CHAMPION,))
    assert version.run_id == run
    assert version.tags["gate"] == "passed"
    client = mlflow.MlflowClient()
    assert client.get_model_version(NAME, again.version).description == again.card
    assert client.get_run(again.evaluation_run).data.tags["mlflow.note.content"] == again.card


def test_a_version_that_cannot_be_deleted_is_reported(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise mlflow.MlflowException("the registry is away")

    run = run_log.open_run("e", "run", {}, {})
    monkeypatch.setattr(new_version, "register_version", lambda *_: "7")
    monkeypatch.setattr(new_version, "describe_version", lambda *_: None)
    for request in ("set_registered_model_alias", "get_registered_model", "delete_model_version"):
        monkeypatch.setattr(mlflow.MlflowClient, request, away)
    with pytest.raises(mlflow.MlflowException, match="away") as raised:
        registered(run, tmp_path / "adapter")
    assert "promote 7" in raised.value.__notes__[0]


@pytest.mark.parametrize(
    ("module", "failing"), [(new_version, "register_version"), (aliases, "make_champion")]
)
def test_a_failed_registration_makes_no_champion(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, failing: str
) -> None:
    def away(*_: object) -> None:
        raise mlflow.MlflowException("the registry is away")

    run = run_log.open_run("e", "run", {}, {})
    monkeypatch.setattr(module, failing, away)
    if failing == "make_champion":  # a version as a registry keeps it, without the minute of packing a model
        monkeypatch.setattr(new_version, "register_version", lambda *_: "1")
        monkeypatch.setattr(new_version, "describe_version", lambda *_: None)
    with pytest.raises(mlflow.MlflowException, match="away"):
        registered(run, tmp_path / "adapter")
    assert model_versions.find_version(NAME, model_versions.CHAMPION) is None
