"""The self-test finds a version whose tags or runs do not match its evidence."""

from __future__ import annotations

from pathlib import Path

import mlflow

from dashboard.pages.self_test import self_test
from dashboard.queries.versions import Registry
from review_sentiment.tracking import model_versions, run_log
from tests.unit.review_sentiment.registry.test_registration import NAME, registered

TAGS, RUN = "version 1: its tags match its evidence", "version 1: its evaluation run is its own"


def problems() -> dict[str, str]:
    """Return the failed checks of a version's tags and evaluation run, with what they found."""
    registry = Registry(NAME, model_versions.list_versions(NAME))
    return {
        check.name: check.found for check in self_test(registry) if check.name in {TAGS, RUN} and not check.ok
    }


def test_tags_and_runs_that_do_not_match_the_evidence_are_reported(mlflow_uri: str, tmp_path: Path) -> None:
    client, run = mlflow.MlflowClient(), run_log.open_run("e", "run", {}, {})
    version = registered(run, tmp_path / "adapter")
    assert problems() == {}
    for tag, wrong in (("accuracy", "0.990000"), ("evaluation_reviews", "7"), ("gate", "not passed")):
        right = client.get_model_version(NAME, "1").tags[tag]
        client.set_model_version_tag(NAME, "1", tag, wrong)
        assert f"{tag}: the tag is {wrong}, the evidence has {right}" in problems()[TAGS]
        client.set_model_version_tag(NAME, "1", tag, right)
    client.set_tag(version.evaluation_run, "mlflow.parentRunId", "another")
    assert "it belongs to the training another" in problems()[RUN]
    client.delete_run(version.evaluation_run)
    assert "was deleted in MLflow" in problems()[RUN]
    assert TAGS not in problems()
