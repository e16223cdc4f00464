"""The command `ui`, which `run_pipeline.py` adds: the front door does not import the dashboard."""

from __future__ import annotations

import os

import click

from front_door.commands.servers import HOST, listening, port_option, until_stopped
from front_door.state import new_log_file
from front_door.terminal.console import quiet
from review_sentiment.errors import UsageError

DASHBOARD_PORT = 8080


@click.command()
@port_option(DASHBOARD_PORT)
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    help="Address to bind to. Requests from other machines need a token.",
)
@click.option("--name", "names", multiple=True, help="Additional host name to accept. Can be repeated.")
def ui(port: int, host: str, names: tuple[str, ...]) -> None:
    """Serve the dashboard: runs, models, comparisons, settings. Ctrl-C stops it."""
    try:
        import plotly  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The dashboard needs the package {error.name}: pip install '.[dashboard]', or make install."
        ) from error
    from dashboard.serving.server import serve as serve_dashboard

    with listening(host, port) as door, until_stopped():
        log_file = new_log_file()
        click.echo(f"The dashboard is starting (a few seconds), log {log_file}", err=True)
        with quiet(log_file, messages=False) as console:
            serve_dashboard(host, door, names, console.print_line)
    # Threads may still read from a slow store, and Python would wait for them.
    os._exit(0)
