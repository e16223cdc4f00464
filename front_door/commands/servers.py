"""Servers for this machine only: MLflow's user interface, and a REST API for a version."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

from front_door.commands.options import NAME
from front_door.commands.registry_access import mlflow_ready, model_name
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import quiet
from review_sentiment.errors import ReviewSentimentError, UsageError

FC = TypeVar("FC", bound=Callable[..., Any] | click.Command)
HOST = "127.0.0.1"
MLFLOW_PORT = 5000
"""Default port of MLflow's user interface."""
SECONDS_TO_START = 120
GRACE_SECONDS = 2
"""Time for open requests and pages to end when a server stops."""


def port_option(default: int) -> Callable[[FC], FC]:
    """Return the option --port with this default."""
    ports = click.IntRange(0, 65_535)
    return click.option(
        "--port", type=ports, default=default, show_default=True, help="Port; 0 chooses a free one."
    )


@click.command("mlflow-ui")
@port_option(MLFLOW_PORT)
def mlflow_ui(port: int) -> None:
    """Start MLflow's user interface, for this machine only. Press Ctrl-C to stop."""
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        click.echo(f"MLflow is running at {uri}")
        return
    with listening(HOST, port) as free:  # MLflow cannot take over the socket
        port = free.getsockname()[1]
    log_file = new_log_file()
    click.echo(f"MLflow is starting (a few seconds), log {log_file}", err=True)
    with until_stopped(), _mlflow_server(uri, port, log_file) as server:
        _wait_until_ready(server, f"http://{HOST}:{port}/health", log_file)
        click.echo(
            f"MLflow   http://{HOST}:{port}/#/experiments?workflowType=machine_learning\n"
            f"models   http://{HOST}:{port}/#/models\nPress Ctrl-C to stop.",
            err=True,
        )
        server.wait()


@click.command()
@click.option("--version", default="champion", show_default=True, help="Version number or alias.")
@port_option(5001)
@NAME
def serve(version: str, port: int, name: str | None) -> None:
    """Serve a version over HTTP, for this machine only. Press Ctrl-C to stop.

    Restart it to serve a new champion.
    """
    with listening(HOST, port) as door, until_stopped():
        with mlflow_ready() as log_file:
            from review_sentiment.tracking import downloads, model_versions

            found = model_versions.get_version(model_name(name), version)
        click.echo(f"{found.name} version {found.version} is loading, log {log_file}", err=True)
        with (
            quiet(log_file, messages=False) as console,
            tempfile.TemporaryDirectory(prefix="review-sentiment-serve-") as files,
        ):
            import uvicorn

            from review_sentiment.arms.version_scorer import version_scorer
            from review_sentiment.models.compute import plan_compute
            from review_sentiment.scoring.service import EXAMPLE, build_app

            place = downloads.download_files(found, Path(files))
            app = build_app(version_scorer(place, plan_compute()), found.name, found.version)
            address = f"http://{HOST}:{door.getsockname()[1]}"
            console.print_line(
                f"{found.name} version {found.version} on {address}. Press Ctrl-C to stop. Example:\n"
                f"  curl {address}/invocations -H 'Content-Type: application/json' \\\n"
                f"    -d '{EXAMPLE}'"
            )
            config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=GRACE_SECONDS)
            uvicorn.Server(config).run(sockets=[door])


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that listens: nothing else can take its port, and clients wait until it is served.

    Raises:
        UsageError: the port is taken, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
            door.listen()
        except OSError as error:
            raise UsageError(
                f"--port: {port} cannot be used on {host}: {error.strerror}. --port 0 chooses a free one."
            ) from error
        yield door


@contextmanager
def until_stopped() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block, which runs a server: that is how servers stop."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _mlflow_server(uri: str, port: int, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run MLflow's server on loopback; at the end of the block it is stopped, with its children."""
    # MLflow (3.17) runs `uvicorn` by name, so the environment must be on the PATH even if not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    place = ["--backend-store-uri", uri, "--host", HOST, "--port", str(port), "--workers", "1"]
    with log_file.open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *place],
            # Without its job runner, MLflow takes 2 processes and 0.55 GB instead of 10 and 2.7 GB.
            env={**os.environ, "PATH": path, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield server
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], address: str, log_file: Path) -> None:
    """Wait until the address answers.

    Raises:
        ReviewSentimentError: the server ended, or does not answer.
    """
    import urllib.request

    deadline = time.monotonic() + SECONDS_TO_START
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise ReviewSentimentError(f"MLflow's server did not start. The reason is at the end of {log_file}.")
