"""How a command line ends: the exit codes, and one paragraph for whoever must act.

0: done; 1: the run failed or `doctor` found a problem; 2: wrong usage or
settings; 130: interrupted; 143: told to end. A traceback is shown with `--debug` only.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence

import click

from front_door.commands import cli
from front_door.state import prepare_environment, zenml_directory
from review_sentiment.embedded_model import cache_directory
from review_sentiment.errors import EXIT_FAILED, EXIT_USAGE, ReviewSentimentError

EXIT_INTERRUPTED = 130
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A full disk, a full quota, a file larger than the user may write."""


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
        click.echo("Interrupted. What was finished is kept: the next run goes on from the cache.", err=True)
        return EXIT_INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_FAILED
    except ReviewSentimentError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last line before the person: one paragraph, no traceback
        if debug:
            traceback.print_exc()
        click.echo(f"error: {_unexpected(error)}", err=True)
        return EXIT_FAILED
    return code if isinstance(code, int) else 0


def _unexpected(error: Exception) -> str:
    advice = "Run again with --debug for the traceback; what was finished is kept in the cache."
    if _is_full_disk(error):
        places = f"under {zenml_directory()} or {cache_directory()}, or where a step ran"
        return f"There is no room left to write to ({places}). Free some. {advice}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror} ({error.filename}). Give access to it. {advice}"
    first_line = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first_line} {advice}"


def _is_full_disk(error: BaseException) -> bool:
    """Tell whether the error, or what it was raised from, is a full disk or a quota."""
    cause = error.__cause__ or error.__context__
    return (
        getattr(error, "errno", None) in NO_ROOM
        or any(os.strerror(code) in str(error) for code in NO_ROOM)  # raised in another process
        or "database or disk is full" in str(error)  # SQLite, through SQLAlchemy
        or (cause is not None and _is_full_disk(cause))
    )
