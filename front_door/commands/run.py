"""`python run_pipeline.py` without a command: run the pipeline.

Results go to standard output, everything else to standard error. The exit codes and the wording of
errors are in `main.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from front_door.stack.configs import DEFAULT_STACK, default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import output_to, without_collecting
from front_door.terminal.error_text import INTERRUPTED, error_text, exit_code_of
from pipelines.step_names import step_names
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from front_door.run.events import EventFile
    from front_door.run.launch import RunResult
    from front_door.run.plan import Plan
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

Settings, their meaning and defaults: review_sentiment/config.py. Nothing that
was finished is lost: the next run goes on from the cache.
"""


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.option(
    "--stack",
    default=DEFAULT_STACK,
    show_default=True,
    metavar="NAME",
    help="Where to run: stacks/NAME.yaml. Your active ZenML stack stays as it is.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What to run. Default: configs/STACK.yaml (gpu.yaml for gpu-local), else configs/local.yaml.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting, such as training.epochs=2. Can be repeated.",
)
@click.option(
    "--rerun",
    multiple=True,
    metavar="STEP",
    help="Ignore this step's cache and use the rest. Can be repeated.",
)
@click.option("--only", metavar="STEP", help="Run this step alone, on the inputs of the latest run.")
@click.option("--dry-run", is_flag=True, help="Show the settings, and which steps would run; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("--debug", is_flag=True, help="Show tracebacks and the libraries' own output.")
@click.option(
    "--events",
    "event_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write steps and progress as JSON lines to FILE. Default: beside the log file.",
)
@click.pass_context
def cli(
    context: click.Context,
    stack: str,
    config_file: Path | None,
    overrides: tuple[str, ...],
    rerun: tuple[str, ...],
    only: str | None,
    dry_run: bool,
    as_json: bool,
    debug: bool,
    event_file: Path | None,
) -> None:
    """Fine-tune a language model on customer reviews, evaluate it, and register it in MLflow."""
    if context.invoked_subcommand is not None:
        return
    if only and rerun:
        raise UsageError("--only and --rerun exclude each other: --only always runs its step.")
    from front_door.stack.files import stack_path

    stack_path(stack)
    settings = load_settings(config_file or default_config(stack), overrides)
    if dry_run:
        plan = _plan(settings, stack, rerun, only, debug)
        click.echo(plan.as_json()) if as_json else plan.show()
        return
    with _recorded(event_file) as events:
        result = _launch(settings, stack, _chosen_steps(settings, rerun, only), events, debug)
        events.end("completed", result=asdict(result))
    _print_result(result, as_json)


def _plan(settings: Settings, stack: str, rerun: Sequence[str], only: str | None, debug: bool) -> Plan:
    from front_door.run import forecast, launch
    from front_door.run.estimate import estimate_here
    from front_door.run.plan import Plan

    again, lone = _chosen_steps(settings, rerun, only)
    source = launch.look_at_source(settings)
    if lone or not forecast.there_is_a_cache():
        fates = dict.fromkeys([lone] if lone else step_names(settings), forecast.RUNS)
    else:
        with output_to(new_log_file(), debug):
            fates = forecast.forecast(settings, source, stack, again)
    return Plan(stack, settings, fates, source.revisions, estimate_here(settings))


@contextmanager
def _recorded(file: Path | None) -> Iterator[EventFile]:
    """Yield a file of events; what ends the run within the block is its last one."""
    from front_door.run.events import EventFile

    try:
        events = EventFile(file)
    except OSError as error:
        raise UsageError(f"--events: {file} cannot be written: {error.strerror}.") from error
    with closing(events):
        try:
            yield events
        except KeyboardInterrupt:
            events.end("interrupted", INTERRUPTED)
            raise
        except SystemExit:
            events.end("interrupted", "Told to end (SIGTERM). What was finished is kept.")
            raise
        except Exception as error:
            events.end("failed", error_text(error), exit_code=exit_code_of(error))
            raise


def _launch(
    settings: Settings,
    stack: str,
    steps: tuple[list[str], str | None],
    events: EventFile,
    debug: bool,
) -> RunResult:
    from front_door.run import launch
    from review_sentiment.tracking.provenance import command_line

    command = command_line(_given_options(click.get_current_context()))
    again, lone = steps
    file = _stack_that_can_be_used(stack, settings)
    source = launch.look_at_source(settings)
    log_file = new_log_file()
    events.begin(log_file.with_suffix(".jsonl"))
    names = [lone] if lone else step_names(settings)
    events.write("run", log=str(log_file), pid=os.getpid(), stack=stack, steps=names)
    click.echo(f"stack {stack}, log {log_file}", err=True)
    with output_to(log_file, debug), events.listening():
        with without_collecting():
            from zenml.exceptions import RunInterruptedException

            from front_door.doctor.services import require_services
            from front_door.stack.used import use_stack
            from review_sentiment.models.access import require_model
            from review_sentiment.models.base_model import identify
            from review_sentiment.tracking import mlflow_store

            require_model(identify(settings.model))
            if file.image is not None:
                require_services(file)
            mlflow_store.configure(tracking_uri())
            used = use_stack(file)
        try:
            if lone:
                return launch.run_only(settings, used, lone, command)
            return launch.run(settings, source, used, again, command)
        except RunInterruptedException as error:  # what ZenML makes of Ctrl-C within a step
            raise KeyboardInterrupt from error


def _given_options(context: click.Context) -> list[str]:
    """Return the options with a value that the command line has, in the order of the help."""
    words = []
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
        of_the_run = isinstance(option, click.Option) and not option.is_flag and option.name != "event_file"
        if given and of_the_run:
            value = context.params[str(option.name)]
            values = value if option.multiple else [value]
            words += [word for one in values for word in (option.opts[0], str(one))]
    return words


def _stack_that_can_be_used(stack: str, settings: Settings) -> StackFile:
    """Read a stack; what it lacks is found out before the reviews are looked at, which may take a while.

    Raises:
        UsageError: variables are not set, or there is no GPU where one is asked for.
    """
    from front_door.stack.files import read_stack

    file = read_stack(stack)
    if file.image is None and settings.model.device == "cuda":
        from review_sentiment.models.compute import plan_compute

        plan_compute(settings.model.device, settings.model.precision)
    return file


def _chosen_steps(settings: Settings, rerun: Sequence[str], only: str | None) -> tuple[list[str], str | None]:
    """Return the full names of the steps to run again, and of the one to run alone."""
    from pipelines.step_names import resolve_steps

    again = resolve_steps(rerun, settings, "--rerun")
    lone = resolve_steps([only], settings, "--only") if only else []
    if len(lone) > 1:
        raise UsageError(f"--only {only}: name one of {', '.join(lone)}.")
    return again, lone[0] if lone else None


def _print_result(result: RunResult, as_json: bool) -> None:
    from front_door.run.summary import summary

    click.echo(json.dumps(asdict(result)) if as_json else summary(result))
