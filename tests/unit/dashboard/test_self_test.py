"""The self-test finds a version whose tags or runs do not match its evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mlflow

from dashboard.queries.self_test import self_test
from dashboard.queries.versions import Registry
from review_sentiment.tracking import model_versions, run_log
from tests.unit.review_sentiment.registry.test_registration import NAME, registered
from tests.unit.test_materializers import evaluation, reviews

NATURAL = "version 1: figures in production follow from its rule"
TAGS, RUN = "version 1: its tags match its evidence", "version 1: its evaluation run is its own"


def problems() -> dict[str, str]:
    """Return the failed checks of a version's tags and evaluation run, with what they found."""
    registry = Registry(NAME, model_versions.list_versions(NAME))
    return {
        check.name: check.found
        for check in self_test(registry)
        if check.name in {NATURAL, TAGS, RUN} and not check.ok
    }


def test_tags_and_runs_that_do_not_match_the_evidence_are_reported(mlflow_uri: str, tmp_path: Path) -> None:
    client, run = mlflow.MlflowClient(), run_log.open_run("e", "run", {}, {})
    answered = evaluation().predictions.assign(review_id=list(reviews().frame["review_id"]))
    tuned = replace(evaluation(), predictions=answered, stratified=answered)
    version = registered(run, tmp_path / "adapter", tuned=tuned)
    assert problems() == {}
    client.set_model_version_tag(NAME, "1", "natural_accuracy", "0.5")
    assert "natural_accuracy: the tag is 0.5, the evidence has 0.800000" in problems()[TAGS]
    client.set_model_version_tag(NAME, "1", "natural_accuracy", "0.800000")
    client.set_model_version_tag(NAME, "1", "evaluation_reviews", "7")
    client.set_tag(version.evaluation_run, "mlflow.parentRunId", "another")
    found = problems()
    assert "evaluation_reviews: the tag is 7, the evidence has 2" in found[TAGS]
    assert "it belongs to the training another" in found[RUN]
    client.set_model_version_tag(NAME, "1", "evaluation_reviews", "2")
    client.set_model_version_tag(NAME, "1", "gate", "not passed")
    client.delete_run(version.evaluation_run)
    found = problems()
    assert "gate: the tag is not passed, the evidence has passed" in found[TAGS]
    assert "was deleted in MLflow" in found[RUN]
