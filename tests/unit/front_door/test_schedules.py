"""`schedule` says what is wrong in one paragraph, with exit code 2, before a cluster gets a CronJob."""

from __future__ import annotations

import pytest

from front_door.cluster.schedules import PlannedRuns, require_name, require_schedulable
from front_door.commands.schedule import as_text
from front_door.main import main
from review_sentiment.errors import UsageError
from tests.unit.front_door.test_cluster_checks import ApiServer, cluster, server

__all__ = ["server"]
CREATED = "POST /apis/batch/v1/namespaces/zenml/cronjobs?dryRun=All"
WRONG = (
    'CronJob.batch "nightly" is invalid: spec.schedule: Invalid value: "61 2 * * *": End of range (61) above '
    "maximum (59): 61"
)
"""What Kubernetes answers."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list"], "the stack local runs on this machine"),
        (
            ["add", "nightly", "30 2 * * *", "--stack", "gpu-local"],
            "the stack gpu-local runs on this machine",
        ),
        (["add", "nightly", "30", "2", "*", "*", "*"], "`add NAME CRON` (CRON in quotes)"),
        (["remove"], "`remove NAME`"),
        (["start", "nightly"], "'start' is not one of 'add', 'list', 'remove'"),
    ],
)
def test_a_wrong_command_is_wrong_usage(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    assert main(["schedule", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "Nightly", "-x", "a_b", "x" * 33])
def test_a_name_that_a_cluster_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a schedule"):
        require_name(name, [])


def test_a_name_is_taken_once() -> None:
    require_name("nightly", [PlannedRuns("weekly", "0 0 * * 0")])
    with pytest.raises(
        UsageError, match=r"schedule 'nightly' already\..*schedule remove nightly --stack gpu"
    ):
        require_name("nightly", [PlannedRuns("nightly", "0 0 * * 0")])


def test_the_api_server_judges_the_cron_expression(server: type[ApiServer]) -> None:
    server.objects[CREATED] = (201, {"metadata": {"name": "nightly"}})
    require_schedulable(cluster(), "nightly", "30 2 * * 1-5")

    server.objects[CREATED] = (422, {"message": WRONG})
    with pytest.raises(
        UsageError, match=r"'61 2 .*' is not a cron expression\. .*above maximum.*02:30"
    ) as wrong:
        require_schedulable(cluster(), "nightly", "61 2 * * *")
    assert "\n" not in str(wrong.value)


def test_a_cluster_without_cron_jobs_of_the_version_that_zenml_makes_is_refused(
    server: type[ApiServer],
) -> None:
    with pytest.raises(UsageError, match=r"has no CronJob in batch/v1.*1\.21 or newer"):
        require_schedulable(cluster(), "nightly", "30 2 * * 1-5")


def test_a_person_who_may_not_create_cron_jobs_is_told(server: type[ApiServer]) -> None:
    server.denied.add("you create cronjobs")
    with pytest.raises(UsageError, match=r"may not create cronjobs\.batch"):
        require_schedulable(cluster(), "nightly", "30 2 * * 1-5")


def test_schedules_are_a_table() -> None:
    assert as_text([]) == "There are no schedules."
    known = [
        PlannedRuns("nightly", "30 2 * * *", "a-b", "2026-11-29 02:30"),
        PlannedRuns("weekly", "0 0 * * 0"),
    ]
    assert as_text(known).splitlines() == [
        "schedule  cron        last run (UTC)",
        "nightly   30 2 * * *  2026-11-29 02:30",
        "weekly    0 0 * * 0",
    ]
