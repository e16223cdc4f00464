"""`schedule`: runs that a cluster repeats, without this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from front_door.commands.options import CONFIG, JSON, OVERRIDES, RERUN, STACK, given_options
from front_door.stack.configs import default_config
from front_door.state import new_log_file
from front_door.terminal.console import redirect_output
from front_door.terminal.text_table import columns
from pipelines.step_names import resolve_steps
from review_sentiment.data.sources.catalogue import with_categories
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from front_door.cluster.schedules import PlannedRuns
    from front_door.doctor.cluster.connection import StackCluster
    from front_door.stack.files import StackFile
    from review_sentiment.config import Settings

ARGUMENTS = {"add": 2, "list": 0, "remove": 1}
"""How many follow each action: NAME and CRON, none, NAME."""


@click.command()
@click.argument("action", type=click.Choice(list(ARGUMENTS)))
@click.argument("arguments", nargs=-1, metavar="[NAME] [CRON]")
@STACK
@CONFIG
@OVERRIDES
@RERUN
@JSON
def schedule(
    action: str,
    arguments: tuple[str, ...],
    stack: str,
    config_file: Path | None,
    overrides: tuple[str, ...],
    rerun: tuple[str, ...],
    as_json: bool,
) -> None:
    """Repeat a run on a cluster: `add NAME CRON`, `list`, `remove NAME`.

    CRON has five fields, such as '30 2 * * 1-5', in the cluster's time. Each run repeats today's code,
    settings and data revisions; steps come from the cache unless --rerun names them. `remove` also ends a
    run that the schedule has started.
    """
    from front_door.doctor.cluster.connection import cluster_of_stack
    from front_door.stack.files import read_stack

    if len(arguments) != ARGUMENTS[action]:
        raise UsageError("`schedule` takes `add NAME CRON` (CRON in quotes), `list` or `remove NAME`.")
    file = read_stack(stack)
    cluster = cluster_of_stack(file)
    if cluster is None:
        raise UsageError(
            f"schedule: the stack {stack} runs on this machine, so no cluster can repeat its runs. Add "
            "--stack gpu, or start them here with cron."
        )
    with redirect_output(new_log_file()):
        from front_door.cluster.schedules import PlannedRuns, planned_runs, remove_schedule

        if action == "add":
            settings = with_categories(load_settings(config_file or default_config(stack), overrides))
            _add(PlannedRuns(*arguments), file, cluster, settings, resolve_steps(rerun, settings, "--rerun"))
        elif action == "remove":
            remove_schedule(file.zenml_name, arguments[0], cluster)
        known = planned_runs(file.zenml_name, cluster)
    click.echo(json.dumps([asdict(each) for each in known]) if as_json else as_text(known))


def _add(
    new: PlannedRuns, file: StackFile, cluster: StackCluster, settings: Settings, rerun: list[str]
) -> None:
    """Check all that a run of it needs, and add it.

    Raises:
        UsageError: the name, the expression or a setting is wrong, or the cluster cannot repeat runs.
        ReviewSentimentError: a service is unavailable.
    """
    from zenml.config.schedule import Schedule

    from front_door.cluster.schedules import planned_runs, require_name, require_schedulable
    from front_door.doctor.services import require_services
    from front_door.run import launch
    from front_door.run.preflight import Preflight
    from front_door.stack.active import active_stack
    from review_sentiment.tracking.provenance import command_line

    require_services(file, settings)
    require_name(new.name, planned_runs(file.zenml_name, cluster))
    require_schedulable(cluster, new.name, new.cron)
    command = command_line(given_options(click.get_current_context()))
    ready = Preflight(settings, file).pinned()
    ready.require()
    with active_stack(file) as stack:
        launch.repeat(
            ready.settings,
            ready.source,
            stack,
            rerun,
            launch.Launch(f"{new.name}-{{date}}-{{time}}", command),
            Schedule(name=new.name, cron_expression=new.cron),
        )


def as_text(known: list[PlannedRuns]) -> str:
    """Return the schedules as a table."""
    if not known:
        return "There are no schedules."
    rows = [(each.name, each.cron, each.last) for each in known]
    return columns([("schedule", "cron", "last run (UTC)"), *rows])
