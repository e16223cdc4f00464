"""A server of the test bed: its process, from the first answer to the end."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SECONDS_TO_START = 120
SECONDS_TO_END = 15


@dataclass
class Server:
    """A command that serves on loopback. `answers` raises until it does."""

    name: str
    command: list[str]
    directory: Path
    answers: Callable[[], object]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self.user,
                start_new_session=True,
            )
        wait_until(self.answers, f"{self.name} did not answer; its log is {self.log}", self.process)

    def stop(self) -> None:
        if self.process is None:
            return
        family = self._family()
        self.process.terminate()
        _, alive = psutil.wait_procs(family, SECONDS_TO_END)
        for process in alive:
            process.kill()
        self.process.wait()
        self.process = None

    def _family(self) -> list[psutil.Process]:
        assert self.process is not None
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]

    def listens_at(self) -> set[str]:
        """Return the addresses that the server's processes listen at."""
        return {
            connection.laddr.ip
            for process in self._family()
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }


def wait_until(
    answers: Callable[[], object], complaint: str, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Call until nothing is raised."""
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            answers()
        except Exception as error:
            ended = process is not None and process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{complaint}: {error}") from error
            time.sleep(0.2)
        else:
            return


def accepts(port: int) -> None:
    """Raise where nobody listens at the port of loopback."""
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
