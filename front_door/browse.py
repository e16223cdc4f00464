"""MLflow's pages on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import click

from front_door.state import tracking_uri
from review_sentiment.errors import UsageError

HOST = "127.0.0.1"


def serve_mlflow(port: int) -> None:
    """Serve MLflow on loopback until Ctrl-C, and say which address to open.

    Raises:
        UsageError: the port is taken.
    """
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        click.echo(f"MLflow is served at {uri}")
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UsageError(f"--port: {port} is taken on this machine. Try --port {port + 1}.") from error
    click.echo(f"MLflow   http://{HOST}:{port}/#/experiments?workflowType=machine_learning", err=True)
    click.echo(f"models   http://{HOST}:{port}/#/models", err=True)
    click.echo("Ctrl-C ends it.", err=True)
    # A SIGTERM must end the server too: as an exception it reaches the `finally` below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Without its job runner MLflow takes 2 processes and 0.55 GB instead of 10 and 2.7 GB.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            uri,
            "--host",
            HOST,
            "--port",
            str(port),
            "--workers",
            "1",
        ],
        env=environment,
    )
    try:
        server.wait()
    finally:
        server.terminate()
        server.wait()
