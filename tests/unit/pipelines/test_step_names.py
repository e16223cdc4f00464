"""Step names come from the wiring; the pipeline has every step that the wiring calls."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pipelines import step_names
from pipelines.step_names import resolve_steps
from review_sentiment.config import Settings
from review_sentiment.errors import UsageError

PIPELINES = Path(step_names.__file__).parent


def steps_of_the_pipeline() -> set[str]:
    """Return the steps that `pipelines/review_sentiment.py` hands to the wiring, without importing ZenML."""
    tree = ast.parse((PIPELINES / "review_sentiment.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (given,) = (call for call in calls if ast.unparse(call.func) == "SimpleNamespace")
    return {str(keyword.arg) for keyword in given.keywords}


def steps_of_the_wiring() -> set[str]:
    """Return the steps that the wiring calls for any settings."""
    tree = ast.parse((PIPELINES / "wiring.py").read_text(encoding="utf-8"))
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in attributes if ast.unparse(node.value) == "steps"}


def test_the_pipeline_has_every_step_that_the_wiring_calls() -> None:
    assert steps_of_the_wiring() == steps_of_the_pipeline()
    assert step_names.RUN_A_MODEL | set(step_names.OUTPUTS) < steps_of_the_wiring()


def test_names_follow_the_settings() -> None:
    named = Settings.model_validate({"data": {"categories": ["Tops"]}})
    names = step_names.step_names(named)
    assert names[0] == "validate_categories"
    assert names[-1] == "register_model"
    assert len(names) == len(set(names))
    assert "ingest_reviews_Tops" in names
    evaluation = {"evaluation": {"skip_baseline": True, "shards": 2}}
    settings = Settings.model_validate(named.model_dump() | evaluation)
    changed = set(step_names.step_names(settings)) ^ set(names)
    assert changed == {"evaluate_baseline", "evaluate_shard_0", "evaluate_shard_1"}


def test_a_name_stands_for_all_of_its_steps() -> None:
    wanted = ["format_chat", "evaluate"]
    assert resolve_steps(wanted, Settings(), "--rerun") == [
        "format_chat_train",
        "format_chat_validation",
        "format_chat_decision",
        "format_chat_evaluation",
        "evaluate",
    ]


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"'finetun' is not a step\. Did you mean 'finetune'\?"):
        resolve_steps(["finetun"], Settings(), "--only")
