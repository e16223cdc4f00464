"""The schedules of a stack: ZenML stores them, and a CronJob in the cluster starts their runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from front_door.cluster.pods import Cluster
from front_door.doctor.cluster.connection import InvalidObjectError
from front_door.doctor.cluster.rights import OF_SCHEDULER, check_submitter
from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from zenml.models import ScheduleResponse

    from front_door.doctor.cluster.connection import StackCluster

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
CRON_JOB = "cron_job_name"
"""Where ZenML (0.98) stores the name of a schedule's CronJob."""
NO_CRON_JOB = "no CronJob in the cluster"


@dataclass(frozen=True)
class PlannedRuns:
    """A schedule: its name, cron expression and CronJob, and when that last started a run, in UTC."""

    name: str
    cron: str
    cron_job: str = ""
    last: str = ""


def require_name(name: str, known: Sequence[PlannedRuns]) -> None:
    """Check the name of a new schedule.

    Raises:
        UsageError: it is taken, or it cannot be a part of names in the cluster.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot name a schedule. Use up to 32 lower-case letters, digits and hyphens, such as "
            "nightly."
        )
    if name in [each.name for each in known]:
        raise UsageError(
            f"There is a schedule '{name}' already. Choose another name, or remove it first: "
            f"python run_pipeline.py schedule remove {name} --stack gpu."
        )


def require_schedulable(cluster: StackCluster, name: str, cron: str) -> None:
    """Let the API server check a CronJob without creating it: the expression, and that it has such objects.

    Raises:
        UsageError: the expression is wrong, the cluster is older than Kubernetes 1.21, or rights are missing.
    """
    from kubernetes import client

    pod = {"containers": [{"name": "main", "image": "any"}], "restartPolicy": "Never"}
    spec = {"schedule": cron, "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    check_submitter(cluster, OF_SCHEDULER)
    try:
        checked = cluster.ask(
            client.BatchV1Api(cluster.api).create_namespaced_cron_job,
            cluster.namespace,
            {"metadata": {"name": name}, "spec": spec},
            dry_run="All",
        )
    except InvalidObjectError as error:
        raise UsageError(
            f"'{cron}' is not a cron expression. {error}. Give minute, hour, day of the month, month and day "
            "of the week in quotes, such as '30 2 * * 1-5' for 02:30 on working days."
        ) from error
    if checked is None:  # ZenML (0.98) makes CronJobs of batch/v1 only
        version = cluster.ask(client.VersionApi(cluster.api).get_code).git_version
        raise UsageError(
            f"Kubernetes {version} of KUBERNETES_CONTEXT={cluster.context} has no CronJob in batch/v1, which "
            "schedules need. Update it to 1.21 or newer, or start runs from another scheduler with --detach."
        )


def planned_runs(stack: str, cluster: StackCluster) -> list[PlannedRuns]:
    """Return the schedules of a stack by its name in ZenML, the oldest first."""
    from kubernetes import client

    read = client.BatchV1Api(cluster.api).read_namespaced_cron_job
    found = []
    for each in _schedules(stack):
        job_name = str(each.run_metadata.get(CRON_JOB, ""))
        job = cluster.ask(read, job_name, cluster.namespace) if job_name else None
        last = job.status.last_schedule_time if job else None
        shown = f"{last:%Y-%m-%d %H:%M}" if last else ("" if job else NO_CRON_JOB)
        found.append(PlannedRuns(each.name, str(each.cron_expression), job_name, shown))
    return found


def remove_schedule(stack: str, name: str, cluster: StackCluster) -> None:
    """Remove a schedule with its CronJob, the run that this has started, and its token.

    Raises:
        UsageError: there is no schedule of this name.
    """
    from zenml.client import Client

    found = {each.name: each for each in _schedules(stack)}
    if name not in found:
        raise UsageError(
            f"There is no schedule '{name}'.{did_you_mean(name, found)} Schedules: "
            f"{', '.join(found) or 'none'}."
        )
    client = Client()
    snapshots = client.list_snapshots(schedule_id=found[name].id, named_only=False).items
    client.delete_schedule(found[name].id)
    for snapshot in snapshots:  # ZenML (0.98) leaves the secret there
        Cluster(cluster.context, cluster.namespace).delete_token(snapshot.id)


def _schedules(stack: str) -> Sequence[ScheduleResponse]:
    """Return ZenML's schedules whose orchestrator is that of the stack."""
    from zenml.enums import StackComponentType

    from operators.zenml_store import connect

    client = connect()
    stacks = client.list_stacks(name=stack).items
    if not stacks:
        return []
    orchestrator = stacks[0].components[StackComponentType.ORCHESTRATOR][0]
    found: Sequence[ScheduleResponse] = client.list_schedules(
        orchestrator_id=orchestrator.id, size=1000
    ).items
    return found
