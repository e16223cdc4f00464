"""The command `ui`. The front door does not know the dashboard: `run_pipeline.py` adds the command."""

from __future__ import annotations

import click

from front_door.commands.servers import HOST
from review_sentiment.errors import UsageError

DASHBOARD_PORT = 8080


@click.command()
@click.option("--port", default=DASHBOARD_PORT, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--host", default=HOST, show_default=True, help="Address to bind to; elsewhere a token is asked."
)
@click.option(
    "--name", "names", multiple=True, help="A further name that others may ask for it by. Can be repeated."
)
def ui(port: int, host: str, names: tuple[str, ...]) -> None:
    """Open the dashboard: machine, settings, runs, comparisons, models. Ctrl-C ends it."""
    try:
        import marimo  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The dashboard needs the package {error.name}: pip install '.[dashboard]', or make install."
        ) from error
    from dashboard.serving.server import serve as serve_dashboard

    serve_dashboard(host, port, names)
