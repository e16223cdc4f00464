"""What a run needs: `estimate` computes it, `doctor` checks whether it is there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from front_door.stack.configs import DEFAULT_STACK, default_config
from front_door.state import new_log_file
from front_door.terminal.console import output_to
from review_sentiment.errors import EXIT_FAILED
from review_sentiment.settings_files import load_settings


@click.command("estimate")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="As for a run."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="As for a run.")
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
def estimate_command(config_file: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what training would take: memory and hours, here and on common GPUs."""
    from front_door.run.estimate import estimate_training

    settings = load_settings(config_file or default_config(DEFAULT_STACK), overrides)
    with output_to(new_log_file(), debug=False):
        found = estimate_training(settings)
    click.echo(json.dumps(found.as_json()) if as_json else found.as_text())


@click.command()
@click.option("--stack", default=DEFAULT_STACK, show_default=True, metavar="NAME", help="As for a run.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="As for a run."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="As for a run.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def doctor(stack: str, config_file: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check what a run needs, here and on a stack, and say what to do where something is missing."""
    from front_door.doctor.checks import report
    from front_door.doctor.machine import check_machine
    from front_door.doctor.services import check_stack
    from front_door.stack.files import read_stack

    file = read_stack(stack)
    settings = load_settings(config_file or default_config(stack), overrides)
    machine = check_machine()
    with output_to(new_log_file(), debug=False):
        checks = [*machine, *check_stack(file, settings)]
    click.echo(json.dumps([asdict(check) for check in checks]) if as_json else report(checks))
    if not all(check.ok for check in checks):
        raise SystemExit(EXIT_FAILED)
