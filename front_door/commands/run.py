"""The main command, `python run_pipeline.py`, which runs the pipeline.

The result goes to standard output, everything else to standard error. `main.py` documents the exit codes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psutil

from front_door.commands.options import CONFIG, JSON, OVERRIDES, RERUN, STACK, MainCommand, given_options
from front_door.run.events import EventFile, recorded
from front_door.stack.configs import default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import (
    CollectFromFirstStep,
    quiet,
    redirect_output,
    without_garbage_collection,
)
from pipelines.step_names import gpu_steps, resolve_steps, step_names
from review_sentiment.data.sources.catalogue import with_categories
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from front_door.run.plan import Plan
    from front_door.run.result import RunResult
    from front_door.stack.active import ActiveStack
    from front_door.stack.files import StackFile
    from review_sentiment.config import Settings

EPILOG = """\b
Examples
  python run_pipeline.py
  python run_pipeline.py --set training.epochs=2 --set lora.rank=32
  python run_pipeline.py --set data.categories=Tops,Dresses
  python run_pipeline.py --rerun evaluate
  python run_pipeline.py --only data_report
  python run_pipeline.py --dry-run

All settings and their defaults are in review_sentiment/config.py. Finished
steps are never lost: the next run takes them from the cache.
"""


@dataclass(frozen=True)
class RunOptions:
    """The options of a run, under the names that click passes."""

    stack: str
    config_file: Path | None
    overrides: tuple[str, ...]
    rerun: tuple[str, ...]
    only: str | None
    detach: bool
    dry_run: bool
    as_json: bool
    debug: bool
    event_file: Path | None


@click.group(
    cls=MainCommand,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@STACK
@CONFIG
@OVERRIDES
@RERUN
@click.option("--only", metavar="STEP", help="Run only this step, on the inputs of the latest run.")
@click.option("--detach", is_flag=True, help="Start the run on a cluster and return; `attach` follows it.")
@click.option("--dry-run", is_flag=True, help="Show the settings and which steps would run, without running.")
@JSON
@click.option("--debug", is_flag=True, help="Show tracebacks and the output of libraries.")
@click.option(
    "--events",
    "event_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write steps and progress as JSON lines to FILE. Default: next to the log file.",
)
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """Fine-tune a language model on customer reviews, evaluate it, and register it in MLflow."""
    if context.invoked_subcommand is None:
        run(RunOptions(**options))


def run(options: RunOptions) -> None:
    """Run the pipeline and print its result, or what it would do.

    Raises:
        UsageError: an option or setting is wrong; nothing was run.
        ReviewSentimentError: the run failed.
    """
    if options.only is not None and options.rerun:
        raise UsageError("--only and --rerun cannot be combined: --only always runs its step.")
    from front_door.run.summary import summary
    from front_door.stack.files import read_stack, stack_path

    stack_path(options.stack)
    if options.detach and not read_stack(options.stack).runs_on_cluster:
        raise UsageError(
            f"--detach: the stack {options.stack} runs on this machine and ends with this process. Leave "
            "--detach out, or use a stack whose orchestrator is a cluster, such as --stack gpu."
        )
    settings = load_settings(options.config_file or default_config(options.stack), options.overrides)
    settings = with_categories(settings)
    if options.dry_run:
        plan = _plan(options, settings)
        with quiet(Path(os.devnull)):  # a dry run on a new machine leaves nothing behind, not even a log
            text = json.dumps(plan.as_json()) if options.as_json else plan.as_text()
        click.echo(text)
        return
    with recorded(options.event_file) as events:
        result = replace(_launch(options, settings, events), seconds=_seconds_since_start())
        events.end("detached" if options.detach else "completed", result=asdict(result))
    if options.as_json:
        click.echo(json.dumps(asdict(result)))
    elif options.detach:
        click.echo(f"{result.status}: python run_pipeline.py attach {result.pipeline_run}")
    else:
        click.echo(summary(result))


def _plan(options: RunOptions, settings: Settings) -> Plan:
    from front_door.run.examination import examine
    from front_door.run.forecast import RUNS, Forecast, cache_exists
    from front_door.run.plan import Plan
    from front_door.run.preflight import Preflight
    from front_door.stack.active import active_stack
    from front_door.stack.files import read_stack

    rerun, only = _chosen_steps(options, settings)
    file = read_stack(options.stack)
    ready = Preflight(settings, file)
    if not only:
        ready.probes()["reviews"]()
    if only or not cache_exists():
        found = Forecast(dict.fromkeys([only] if only else step_names(settings), RUNS))
        if found.steps.keys() & gpu_steps(settings):
            with quiet(Path(os.devnull)):
                ready.require(trains="finetune" in found.steps)
    else:
        with redirect_output(new_log_file(), options.debug), active_stack(file):
            data, found = examine(ready.pinned(), rerun)
        ready = replace(ready, inspected=ready.source, data=data)
    return Plan(ready, found.steps)


def _launch(options: RunOptions, settings: Settings, events: EventFile) -> RunResult:
    from front_door.cluster.session import name_unfinished, on_cluster
    from front_door.run import launch
    from front_door.run.examination import check_reviews_once, examine_once
    from front_door.run.preflight import Preflight
    from front_door.run.result import read_result
    from front_door.stack.files import read_stack
    from review_sentiment.tracking.provenance import command_line

    new = launch.new_launch(command_line(given_options(click.get_current_context())))
    rerun, only = _chosen_steps(options, settings)
    file = read_stack(options.stack)
    ready = Preflight(settings, file)
    if settings.model.device == "cuda":
        ready.device()  # before the reviews are read, which may take a while
    source = ready.source
    if not only:
        check_reviews_once(ready)
    log_file = new_log_file()
    events.open(log_file.with_suffix(".jsonl"))
    steps = [only] if only else step_names(settings)
    events.write("run", name=new.name, log=str(log_file), pid=os.getpid(), stack=options.stack, steps=steps)
    click.echo(f"stack {options.stack}, log {log_file}", err=True)
    with (
        redirect_output(log_file, options.debug),
        events.listening(),
        CollectFromFirstStep().listening(),
        without_garbage_collection(),
    ):
        ready = ready.pinned()
        with _prepared(file, settings) as stack:
            if only:
                if only in gpu_steps(settings):
                    ready.require(trains=only == "finetune")
                start = partial(launch.run_only, ready.settings, source, stack, only, new)
            else:
                examine_once(ready, rerun)
                start = partial(launch.run, ready.settings, source, stack, rerun, new)
            if file.runs_on_cluster:
                name_unfinished()
                start = partial(on_cluster, start, new.name, options.detach)
            return read_result(start(), stack.name)


def _seconds_since_start() -> float:
    """Return how long the user has waited: since this process started, imports included."""
    started = float(psutil.Process().create_time())
    if sys.platform == "linux":  # whose time of boot, which `started` counts from, is rounded to a second
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - (started - float(psutil.boot_time()))
    else:
        seconds = time.time() - started
    return round(seconds, 1)


@contextmanager
def _prepared(file: StackFile, settings: Settings) -> Iterator[ActiveStack]:
    """Check the services that the run needs, and activate its stack for the block, which Ctrl-C ends."""
    from front_door.doctor.services import require_services
    from front_door.stack.active import active_stack
    from review_sentiment.tracking import mlflow_store

    if file.image is not None:
        require_services(file, settings)
    mlflow_store.configure(tracking_uri())
    with active_stack(file) as stack:
        yield stack


def _chosen_steps(options: RunOptions, settings: Settings) -> tuple[list[str], str | None]:
    """Return the full names of the steps of --rerun, and of the step of --only."""
    rerun = resolve_steps(options.rerun, settings, "--rerun")
    only = resolve_steps([options.only], settings, "--only") if options.only is not None else []
    if len(only) > 1:
        raise UsageError(f"--only {options.only}: name one of {', '.join(only)}.")
    return rerun, only[0] if only else None
