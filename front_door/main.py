"""The command line: commands, exit codes, and error messages of one paragraph.

Exit codes: 0 done; 1 the run failed or `doctor` found a problem; 2 wrong usage or settings;
130 interrupted; 143 terminated. Only `--debug` shows a traceback.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from front_door.commands.attach import attach
from front_door.commands.decide import decide
from front_door.commands.distill import distill
from front_door.commands.export import export_command
from front_door.commands.inspect import inspect_command
from front_door.commands.lineage import lineage
from front_door.commands.machine import doctor, estimate_command
from front_door.commands.parity import parity_command
from front_door.commands.run import cli
from front_door.commands.schedule import schedule
from front_door.commands.score import score_command
from front_door.commands.servers import mlflow_ui, serve
from front_door.commands.sweep import sweep
from front_door.commands.versions import compare, models, promote, results, rollback
from front_door.state import prepare_environment
from front_door.terminal.error_text import EXIT_INTERRUPTED, INTERRUPTED, error_text, exit_code_of
from review_sentiment.errors import EXIT_FAILED, EXIT_USAGE

for _command in (
    doctor,
    estimate_command,
    inspect_command,
    sweep,
    models,
    lineage,
    compare,
    promote,
    rollback,
    decide,
    distill,
    export_command,
    parity_command,
    results,
    score_command,
    attach,
    schedule,
    serve,
    mlflow_ui,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of this process, and return the exit code."""
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    try:
        prepare_environment()
        code = cli.main(arguments, prog_name="run_pipeline.py", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo(INTERRUPTED, err=True)
        return EXIT_INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - every error ends as one paragraph
        if debug:
            traceback.print_exc()
        click.echo(f"error: {error_text(error)}", err=True)
        return exit_code_of(error)
    return code if isinstance(code, int) else 0
