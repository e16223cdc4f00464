"""The champion that a candidate must beat, from a real registry."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from review_sentiment.config import EvaluationSettings, LoraSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import DataError, ModelUnavailableError
from review_sentiment.evaluation import evaluate as evaluation_module
from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters, save_adapter
from review_sentiment.registry.champion import evaluate_champion
from review_sentiment.registry.gate import Champion
from review_sentiment.scoring.version_files import Serving, save_rule
from review_sentiment.tracking import aliases, downloads, evidence, model_versions, new_version, run_log
from review_sentiment.tracking.served_model import log_served_model
from tests.tiny import prompt_of

NAME = "reviews"
PLAN = plan_compute("cpu", "fp32")
SETTINGS = EvaluationSettings(sample_predictions=0)

pytestmark = pytest.mark.usefixtures("mlflow_uri")


def register(
    base: ModelIdentity,
    chats: ChatDataset,
    directory: Path,
    labels: tuple[str, ...] = ("negative", "positive"),
) -> str:
    """Register an untrained adapter that was evaluated on the chats as the champion; return its run."""
    save_adapter(add_adapters(load_model(base, PLAN), LoraSettings(rank=2, alpha=4)), base, directory)
    Serving(base, prompt_of(labels)).save(directory)
    save_rule(DecisionRule.raw(labels, (0.5, 0.5)), directory)
    run = run_log.open_run("experiment", "run", {}, {})
    model_id = log_served_model(run, directory)
    found = evaluate_model(base, directory, HeldOut(chats), PLAN, SETTINGS)
    evidence.log_evidence(model_id, {}, [found], chats.frame)
    version = new_version.register_version(NAME, run, model_id, {})
    aliases.set_alias(NAME, version, model_versions.CHAMPION)
    return run


def test_without_a_champion_there_is_none_to_beat(tiny_chats: ChatDataset) -> None:
    assert evaluate_champion(NAME, "run", tiny_chats, PLAN, SETTINGS) == Champion()


def test_a_champion_of_the_same_reviews_is_not_evaluated_again(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = register(tiny_model, tiny_chats, tmp_path / "adapter")
    monkeypatch.setattr(evaluation_module, "evaluate_model", None)
    backwards = ChatDataset(tiny_chats.frame.iloc[::-1].reset_index(drop=True), tiny_chats.labels)
    found = evaluate_champion(NAME, "another run", backwards, PLAN, SETTINGS)
    assert found.version == "1"
    assert found.evaluation is not None
    assert found.evaluation.predictions["review_id"].to_list() == backwards.frame["review_id"].to_list()
    assert evaluate_champion(NAME, run, tiny_chats, PLAN, SETTINGS) == Champion()  # its own version


def test_on_other_reviews_the_champion_is_evaluated_again(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    register(tiny_model, tiny_chats.head(20), tmp_path / "adapter")
    found = evaluate_champion(NAME, "another run", tiny_chats, PLAN, SETTINGS)
    whole = evaluate_model(
        tiny_model, None, HeldOut(tiny_chats), PLAN, SETTINGS
    )  # an untrained adapter changes nothing
    assert found.evaluation is not None
    assert found.evaluation.model == "champion"
    assert found.evaluation.metrics.n == 48
    assert found.evaluation.metrics.roc_auc == pytest.approx(whole.metrics.roc_auc, abs=1e-6)


def test_a_champion_with_other_labels_is_an_error(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    register(tiny_model, tiny_chats.head(20), tmp_path / "adapter", ("bad", "good"))
    with pytest.raises(DataError, match=r"version 1, answers bad, good, but .* registry\.model_name"):
        evaluate_champion(NAME, "another run", tiny_chats, PLAN, SETTINGS)


def test_a_champion_whose_base_model_is_gone_is_an_error(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    register(tiny_model, tiny_chats.head(20), tmp_path / "adapter")
    version = model_versions.get_version(NAME, "1")
    serving, adapter = downloads.download_adapter(version, tmp_path / "copy")
    moved = ModelIdentity(str(tmp_path / "gone"), None, "nf4", "gone")
    Serving(moved, serving.prompt).save(adapter)
    save_rule(DecisionRule.raw(serving.labels, (0.5, 0.5)), adapter)
    run = run_log.open_run("experiment", "gone", {}, {})
    model_id = log_served_model(run, adapter)
    evaluated = evaluate_model(tiny_model, None, HeldOut(tiny_chats.head(20)), PLAN, SETTINGS)
    evidence.log_evidence(model_id, {}, [replace(evaluated, model="tuned")], tiny_chats.frame)
    moved_version = new_version.register_version(NAME, run, model_id, {})
    aliases.set_alias(NAME, moved_version, model_versions.CHAMPION)
    with pytest.raises(
        ModelUnavailableError, match=r"version 2, cannot be evaluated.*gone.*promote VERSION"
    ) as e:
        evaluate_champion(NAME, "another run", tiny_chats, PLAN, SETTINGS)
    assert "rollback" in str(e.value)
    aliases.set_alias(NAME, "1", model_versions.CHAMPION)  # one of the ways out in the message
    assert evaluate_champion(NAME, "another run", tiny_chats, PLAN, SETTINGS).version == "1"


def test_a_champion_whose_files_are_gone_is_an_error(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    register(tiny_model, tiny_chats.head(20), tmp_path / "adapter")
    stored = mlflow.get_registry_uri().removeprefix("sqlite:///")
    (files,) = {found.parents[1] for found in Path(stored).parent.rglob("**/models/*/artifacts/MLmodel")}
    shutil.rmtree(files)
    with pytest.raises(
        ModelUnavailableError, match=r"version 1, cannot be evaluated: 'reviews' version 1 has no"
    ) as error:
        evaluate_champion(NAME, "another run", tiny_chats, PLAN, SETTINGS)
    assert "promote VERSION" in str(error.value)
