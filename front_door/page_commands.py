"""The commands that open pages in a browser: the dashboard, and MLflow's own."""

from __future__ import annotations

import click

from front_door.browse import HOST, MLFLOW_PORT
from review_sentiment.errors import UsageError

DASHBOARD_PORT = 8080


@click.command("mlflow-ui")
@click.option("--port", default=MLFLOW_PORT, show_default=True, help="Port on this machine.")
def mlflow_ui(port: int) -> None:
    """Open MLflow on the candidate runs, on this machine only. Ctrl-C ends it."""
    from front_door.browse import serve_mlflow

    serve_mlflow(port)


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
    from dashboard.server import serve as serve_dashboard

    serve_dashboard(host, port, names)


PAGE_COMMANDS = (ui, mlflow_ui)
