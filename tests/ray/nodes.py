"""A real Ray cluster of node processes, each with an address of its own on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Self

from tests.ports import free_ports

START_SECONDS = 240
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": str(START_SECONDS),
    "RAY_worker_niceness": "0",  # Ray's 15 gets almost no time beside other tests
}
RAY = Path(sys.executable).with_name("ray")


class RayNodes:
    """A head without CPUs and workers with one CPU each; all end with the block."""

    def __init__(self, directory: Path, workers: int = 2) -> None:
        self._directory = directory
        self._sockets = TemporaryDirectory(prefix="ray-")  # a socket's path has at most 107 characters
        self._gcs, self._client = free_ports(2)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers = workers
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(16)}
        """Environment of whoever connects."""

    @property
    def address(self) -> str:
        """Return the address for Ray's client."""
        return f"ray://127.0.0.2:{self._client}"

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start_all(self) -> None:
        head = ("--head", f"--port={self._gcs}", f"--ray-client-server-port={self._client}")
        self._start(2, *head, "--include-dashboard=false", "--num-cpus=0")
        self._wait()
        for number in range(self._workers):
            self.add_worker(number)
            self._wait()  # two that start together take the same names of sockets

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            self._kill(process)
        self._sockets.cleanup()

    def add_worker(self, number: int) -> None:
        """Start a worker node."""
        self._start(3 + number, f"--address=127.0.0.2:{self._gcs}", "--num-cpus=1")

    def kill_worker(self, number: int) -> None:
        """Kill a worker's node with all its processes, as a machine that fails does."""
        self._kill(self._processes[1 + number])

    def _start(self, host: int, *options: str) -> None:
        environment = os.environ | SETTINGS | self.token
        log = self._log(len(self._processes)).open("wb")
        self._processes.append(
            subprocess.Popen(
                [
                    *(RAY, "start", "--block", f"--node-ip-address=127.0.0.{host}", *options),
                    *("--object-store-memory=100000000", f"--temp-dir={self._sockets.name}"),
                ],
                stdout=log,
                stderr=log,
                env=environment,
                process_group=0,
            )
        )

    def _wait(self) -> None:
        """Wait until all nodes have started."""
        started = monotonic()
        for number, process in enumerate(self._processes):
            while "Ray runtime started" not in self._log(number).read_text():
                assert process.poll() is None, self._log(number).read_text()
                assert monotonic() - started < START_SECONDS, "the Ray cluster did not start"
                sleep(0.5)

    def _log(self, number: int) -> Path:
        return self._directory / f"node-{number}.log"

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
