"""A project's champion behind `run_pipeline.py serve`, and questions to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.front_door import Project
from tests.ports import free_ports

SECONDS_TO_START = 180
SECONDS_TO_END = 60


@contextmanager
def serving(project: Project, *options: str) -> Iterator[str]:
    """Serve with these options; yield the address, end with Ctrl-C, and require a quiet console."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads would stop a server that says much
        process = subprocess.Popen(
            [sys.executable, "run_pipeline.py", "serve", "--port", str(port), *options],
            cwd=project.root,
            env=project.environment,
            stdout=said,
            stderr=said,
        )
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            while not _is_up(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise AssertionError(said.read())
                time.sleep(0.2)
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                raise
        said.seek(0)
        loading, ready, *example, stopped = said.read().splitlines()
        assert "is loading" in loading
        assert f"on {address}. Press Ctrl-C to stop. Example:" in ready
        assert len(example) == 2
        assert (stopped, process.returncode) == ("Stopped.", 0)


def ask(address: str, records: Any) -> list[dict[str, Any]]:
    """Return the answers to a request of several reviews.

    Raises:
        HTTPError: the request was refused.
    """
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps({"dataframe_records": records}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())["predictions"]
    return found


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/ping", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
