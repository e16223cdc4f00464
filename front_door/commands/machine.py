"""`estimate` computes what training needs; `doctor` checks whether everything that a run needs is there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from front_door.commands.options import CONFIG, JSON, OVERRIDES, STACK
from front_door.stack.configs import default_config
from front_door.state import new_log_file
from front_door.terminal.console import quiet, redirect_output, without_garbage_collection
from review_sentiment.errors import EXIT_FAILED
from review_sentiment.settings_files import load_settings


@click.command("estimate")
@STACK
@CONFIG
@OVERRIDES
@JSON
def estimate_command(stack: str, config_file: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Estimate the memory and time that training needs.

    For this machine and for common GPUs.
    """
    from front_door.run.estimate import estimate_training
    from front_door.run.examination import training_data
    from front_door.stack.files import stack_path

    stack_path(stack)
    settings = load_settings(config_file or default_config(stack), overrides)
    with redirect_output(new_log_file()), without_garbage_collection():
        found = estimate_training(settings, training_data(settings))
    click.echo(json.dumps(found.as_json()) if as_json else found.as_text())


@click.command()
@STACK
@CONFIG
@OVERRIDES
@JSON
def doctor(stack: str, config_file: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check everything that a run needs.

    For each check that fails, it shows what to do. The exit code is 1 if any check fails.
    """
    from front_door.doctor.checks import report
    from front_door.doctor.machine import check_machine
    from front_door.doctor.services import check_stack
    from front_door.stack.files import read_stack

    file = read_stack(stack)
    settings = load_settings(config_file or default_config(stack), overrides)
    log_file = new_log_file()
    with quiet(log_file), without_garbage_collection():
        checks = check_machine()
    with redirect_output(log_file), without_garbage_collection():
        checks += check_stack(file, settings)
    click.echo(json.dumps([asdict(check) for check in checks]) if as_json else report(checks))
    if not all(check.ok for check in checks):
        raise SystemExit(EXIT_FAILED)
