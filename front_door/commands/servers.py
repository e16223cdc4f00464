"""Servers for this machine only: MLflow's user interface, and a REST API for a version."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from front_door.commands.options import NAME
from front_door.commands.registry_access import model_name
from front_door.state import tracking_uri
from review_sentiment.errors import UsageError

HOST = "127.0.0.1"
MLFLOW_PORT = 5000
"""Default port of MLflow's user interface."""


@click.command("mlflow-ui")
@click.option("--port", default=MLFLOW_PORT, show_default=True, help="Port on this machine.")
def mlflow_ui(port: int) -> None:
    """Start MLflow's user interface, for this machine only. Press Ctrl-C to stop."""
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        click.echo(f"MLflow is running at {uri}")
        return
    _require_free(port)
    click.echo(
        f"MLflow   http://{HOST}:{port}/#/experiments?workflowType=machine_learning\n"
        f"models   http://{HOST}:{port}/#/models\nPress Ctrl-C to stop.",
        err=True,
    )
    # Without its job runner, MLflow takes 2 processes and 0.55 GB instead of 10 and 2.7 GB.
    variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    _run(["server", "--backend-store-uri", uri], port, variables)


@click.command()
@click.option("--version", default="champion", show_default=True, help="Version number or alias.")
@click.option("--port", default=5001, show_default=True, help="Port on this machine.")
@NAME
def serve(version: str, port: int, name: str | None) -> None:
    """Serve a version over HTTP, for this machine only. Press Ctrl-C to stop.

    Restart it to serve a new champion.
    """
    from review_sentiment.tracking import mlflow_store, model_versions, served_model

    mlflow_store.configure(tracking_uri())
    found = model_versions.get_version(model_name(name), version)
    _require_free(port)
    click.echo(
        f"{found.name} version {found.version} on http://{HOST}:{port}. Press Ctrl-C to stop. Example:\n"
        f"  curl http://{HOST}:{port}/invocations -H 'Content-Type: application/json' \\\n"
        """    -d '{"dataframe_records": [{"title": "Lovely", "text": "Fits well and is soft."}]}'""",
        err=True,
    )
    variables = {served_model.VERSION_VARIABLE: found.version, "MLFLOW_TRACKING_URI": tracking_uri()}
    _run(["models", "serve", "--model-uri", found.uri, "--env-manager", "local"], port, variables)


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UsageError(f"--port: {port} is already in use. Try --port {port + 1}.") from error


def _run(command: Sequence[str], port: int, variables: Mapping[str, str]) -> None:
    """Run an MLflow server on loopback until it exits; if this process ends, it ends with its children."""
    # Turn SIGTERM into an exception, so that the `finally` below stops the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # MLflow (3.17) runs `uvicorn` by name, so the environment must be on the PATH even if not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *command, "--host", HOST, "--port", str(port), "--workers", "1"],
        env={**os.environ, "PATH": path, **variables},
        start_new_session=True,
    )
    try:
        server.wait()
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()
