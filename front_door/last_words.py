"""How a command line ends: the exit codes, and one paragraph for whoever must act.

0: done; 1: the run failed or `doctor` found a problem; 2: wrong usage or
settings; 130: interrupted; 143: told to end. A traceback is shown with `--debug` only.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from front_door.commands import cli
from front_door.error_text import INTERRUPTED, error_text, exit_code_of
from front_door.state import prepare_environment
from review_sentiment.errors import EXIT_FAILED, EXIT_USAGE

EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    prepare_environment()
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    try:
        code = cli.main(arguments, prog_name="run_pipeline.py", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo(INTERRUPTED, err=True)
        return EXIT_INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the last line before the person: one paragraph, no traceback
        if debug:
            traceback.print_exc()
        click.echo(f"error: {error_text(error)}", err=True)
        return exit_code_of(error)
    return code if isinstance(code, int) else 0
