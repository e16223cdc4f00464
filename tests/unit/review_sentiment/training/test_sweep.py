"""A sweep tries settings on validation reviews, and its finished trials survive."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from front_door.commands.sweep import search, trials_table
from review_sentiment.config import Settings
from review_sentiment.errors import UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.training.sweep import Dimension, TrialResult, parse_dimensions, sweep
from tests.tiny import write_category

RANKS = Dimension("lora.rank", ("2", "4", "8"))


@pytest.fixture
def settings(tiny_model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for category in ("Tops", "Shoes"):
        write_category(tmp_path / "reviews", category, 90)
    return Settings.model_validate(
        {
            "data": {"source": str(tmp_path / "reviews"), "categories": ["Tops", "Shoes"]},
            "split": {"evaluation_share": 0.2, "validation_share": 0.3},
            "prompt": {"max_tokens": 160},
            "model": {"name": tiny_model.name, "device": "cpu", "precision": "fp32"},
            "training": {"learning_rate": 0.01, "batch_size": 4, "max_steps": 20},
        }
    )


def test_what_can_be_searched() -> None:
    texts = ["lora.rank=8,16,32", "training.learning_rate=1e-4..1e-3", "training.batch_size=4..16"]
    texts.append("lora.targets=all-linear,[q_proj,v_proj]")
    assert parse_dimensions(texts, Settings()) == [
        Dimension("lora.rank", ("8", "16", "32")),
        Dimension("training.learning_rate", low=1e-4, high=1e-3),
        Dimension("training.batch_size", low=4, high=16, whole=True),
        Dimension("lora.targets", ("all-linear", "[q_proj,v_proj]")),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lora.rank", "KEY=A,B,C"),
        ("lora.rank=", "KEY=A,B,C"),
        ("=8,16", "is not a training setting"),
        ("lora.rnak=8,16", r"Did you mean 'lora\.rank'"),
        ("split.evaluation_share=0.1,0.2", "is not a training setting"),
        ("lora.rank=8", "at least two"),
        ("lora.rank=8,,16", "none of them empty"),
        ("lora.rank=,", "none of them empty"),
        ("lora.rank=8,16,8", "8 is the same value"),
        ("lora.rank=8,8.0", "8.0 is the same value"),
        ("lora.rank=8,16.5", "lora.rank: input should be a valid integer"),
        ("lora.rank=8,-1", "lora.rank: input should be greater"),
        ("lora.rank=4..8..2", "a range is two numbers"),
        ("lora.rank=..8", "a range is two numbers"),
        ("lora.rank=4..", "a range is two numbers"),
        ("lora.dora=0..1", "a range is two numbers"),
        ("lora.rank=a..b", "lora.rank: input should be a valid integer, not 'a'"),
        ("lora.rank=1.5..8", "lora.rank: input should be a valid integer"),
        ("training.learning_rate=nan..0.1", "finite"),
        ("lora.alpha=9..3", "must be increasing"),
        ("lora.alpha=9..9", "must be increasing"),
        ("lora.alpha=16,20000", "overwrites the model"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_tried(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_dimensions([text], Settings())


def test_values_that_are_refused_together_are_found_before_anything_is_tried() -> None:
    with pytest.raises(UsageError, match="overwrites the model"):
        parse_dimensions(["lora.rank=1..16", "lora.alpha=900..2000"], Settings())
    with pytest.raises(UsageError, match=r"lora\.rank is searched twice"):
        parse_dimensions(["lora.rank=1,2", "lora.rank=4,8"], Settings())


def test_a_range_of_whole_numbers_is_tried_at_whole_numbers() -> None:
    import optuna

    (ranks,) = parse_dimensions(["lora.rank=2..64"], Settings())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    tried = [ranks.propose(study.ask()) for _ in range(20)]
    assert all(2 <= int(value) <= 64 for value in tried)


def test_the_command_repeats_the_options_of_the_sweep() -> None:
    trial = TrialResult(0, {"lora.rank": "4"}, 0.9, {"roc_auc": 0.9, "seconds": 1.0})
    given = ["--config", "my configs/run.yaml", "--set", "data.categories=Tops, Men's"]
    command = trials_table([trial], given).splitlines()[-1]
    assert shlex.split(command) == ["python", "run_pipeline.py", *given, "--set", "lora.rank=4"]


def test_finished_trials_survive_and_the_best_comes_first(settings: Settings) -> None:
    seen: list[int] = []

    def killed_at_the_second(_sweep: str, result: TrialResult) -> None:
        seen.append(result.number)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(settings, [RANKS], 3, killed_at_the_second)
    again: list[int] = []
    found = sweep(settings, [RANKS], 3, lambda _sweep, result: again.append(result.number))

    assert len(again) == 2  # the interrupted one is tried again, the first is not
    assert len(found) == 3
    assert [one.macro_f1 for one in found] == sorted((one.macro_f1 for one in found), reverse=True)
    assert {one.values["lora.rank"] for one in found} == {"2", "4", "8"}  # each once, the interrupted one too
    assert sweep(settings, [RANKS], 9, lambda *_: pytest.fail("nothing is left to try")) == found


def test_a_training_that_fails_is_a_trial_without_a_result(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from review_sentiment.errors import TrainingError
    from review_sentiment.training import sweep as module

    def failing(*_: Any) -> dict[str, float]:
        raise TrainingError("loss is nan")

    monkeypatch.setattr(module, "_try", failing)
    assert sweep(settings, [RANKS], 2, lambda *_: None) == []


def test_trials_are_child_runs_and_a_table(settings: Settings, mlflow_uri: str) -> None:
    import mlflow

    found = search(settings, ["lora.rank=2,4"], 2, mlflow_uri)
    runs = mlflow.MlflowClient().search_runs(
        [mlflow.get_experiment_by_name("review-sentiment").experiment_id]
    )
    parents = [run for run in runs if "sweep" in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(parents) == 1
    assert {run.data.params["lora/rank"] for run in children} == {one.values["lora.rank"] for one in found}
    assert {run.data.metrics["validation/macro_f1"] for run in children} == {one.macro_f1 for one in found}
    table = trials_table(found)
    assert f"--set lora.rank={found[0].values['lora.rank']}" in table.splitlines()[-1]
