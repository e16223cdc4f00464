"""The command line as users run it: as a process, with its own state directories.

A cached run takes 15 seconds on a slow machine, and 12 of them are imports and first queries.
With `Project.kept_open`, one process therefore runs many command lines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CODE = (
    "run_pipeline.py",
    "configs",
    "dashboard",
    "docker",
    "front_door",
    "materializers",
    "operators",
    "pipelines",
    "review_sentiment",
    "stacks",
    "steps",
    # What the image is built from.
    ".dockerignore",
    "constraints.txt",
    "pyproject.toml",
    "requirements-embedded.txt",
)
TIMEOUT_SECONDS = 300
RUN_SCRIPT = """
import runpy, sys
sys.argv[0] = "run_pipeline.py"
runpy.run_path("run_pipeline.py", run_name="__main__")
"""

KEPT_OPEN = """
import gc, json, os, sys
from front_door.main import main

answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    gc.collect()
    gc.freeze()  # a step collects garbage several times, each 0.4 s with what earlier runs have loaded
    request = json.loads(line)
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        stream.flush()
        file = os.open(request["files"][number - 1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    code = main(request["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    print(code, file=answers, flush=True)
"""

Found = TypeVar("Found")


@dataclass(frozen=True)
class OpenProcess:
    """A process that runs one command line after another."""

    process: subprocess.Popen[str]
    directory: Path

    def run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command line and return its result, as a new process would."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        files = [self.directory / name for name in ("out.txt", "err.txt")]
        request = {"arguments": arguments, "files": [str(file) for file in files]}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        code = self.process.stdout.readline()
        out, err = (file.read_text() for file in files)
        assert code, f"the process ended: {err}"
        return subprocess.CompletedProcess(arguments, int(code), out, err)


@dataclass
class Project:
    """A checkout, a configuration, and the state of its runs."""

    root: Path
    state: Path
    settings: dict[str, Any]
    services: Mapping[str, str] = field(default_factory=dict)
    """Environment variables with the addresses of a stack's services."""
    timeout_seconds: int = TIMEOUT_SECONDS
    open_process: OpenProcess | None = None
    """Runs command lines that do not need a new process."""

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "ZENML_CONFIG_PATH": str(self.state / "zenml"),
            "ZENML_LOCAL_STORES_PATH": str(self.state / "stores"),
            "XDG_CACHE_HOME": str(self.state / "cache"),
            "HF_HUB_OFFLINE": "1",
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ZENML_", "MLFLOW_"))}
        return inherited | own | self.services

    @property
    def config(self) -> Path:
        return self.state / "config.yaml"

    @property
    def tracking_uri(self) -> str:
        """Return the address of the MLflow store."""
        return self.services.get(
            "MLFLOW_TRACKING_URI", f"sqlite:///{self.state / 'zenml' / 'mlflow' / 'mlflow.db'}"
        )

    @property
    def users_choice(self) -> tuple[str, str] | None:
        """Return the active stack and project that ZenML has saved; None before the first run."""
        file = self.state / "zenml" / "config.yaml"
        if not file.is_file():
            return None
        saved = yaml.safe_load(file.read_text())
        return saved["active_stack_id"], saved["active_project_id"]

    @property
    def checkpoints(self) -> set[Path]:
        """Return the complete checkpoints of unfinished trainings."""
        return set((self.state / "cache" / "review-sentiment" / "checkpoints").glob("*/step-*/manifest.json"))

    def with_settings(self, **sections: dict[str, Any]) -> Project:
        """Return a project with the same state and these settings changed."""
        changed = {name: self.settings.get(name, {}) | section for name, section in sections.items()}
        return replace(self, settings=self.settings | changed)

    def copied_to(self, root: Path) -> Project:
        """Return a project with the same state and a copy of the code, which tests may edit."""
        root.mkdir()
        for name in CODE:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name)
            else:
                shutil.copy2(ROOT / name, root / name)
        return replace(self, root=root, open_process=None)

    def in_new_processes(self) -> Project:
        """Return a project with the same state that starts a new process for each run."""
        return replace(self, open_process=None)

    @contextmanager
    def kept_open(self, **variables: str) -> Iterator[Project]:
        """Yield a project with the same state whose runs share one process with these variables."""
        process = subprocess.Popen(
            [sys.executable, "-c", KEPT_OPEN],
            cwd=self.root,
            env=self.environment | {"ZENML_CUSTOM_SOURCE_ROOT": str(self.root)} | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield replace(self, open_process=OpenProcess(process, self.state))
        finally:
            try:
                process.communicate(timeout=TIMEOUT_SECONDS)
            finally:
                process.kill()

    def start(self, *arguments: str, before: str = "", **variables: str) -> subprocess.Popen[str]:
        """Start a command, or a run with the project's settings; `before` is Python to run first."""
        script = ["-c", before + RUN_SCRIPT] if before else ["run_pipeline.py"]
        # ZenML uses the directory of the main module's file, which does not exist with `-c`.
        root = {"ZENML_CUSTOM_SOURCE_ROOT": str(self.root)} if before else {}
        return subprocess.Popen(
            [sys.executable, *script, *self._command_line(arguments)],
            cwd=self.root,
            env=self.environment | root | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def write_config(self) -> None:
        """Write the settings to the file that runs read."""
        self.config.write_text(yaml.safe_dump(self.settings))

    def _command_line(self, arguments: tuple[str, ...]) -> list[str]:
        """Write the configuration, and add it to the arguments unless they name a command."""
        self.write_config()
        is_command = bool(arguments) and not arguments[0].startswith("-")
        return [*([] if is_command else ["--config", str(self.config)]), *arguments]

    def run(self, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
        """Run in the open process, or in a new one if options of `start` are given; return the result."""
        if self.open_process is not None and not options:
            return self.open_process.run(self._command_line(arguments))
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout=self.timeout_seconds)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def result(self, *arguments: str) -> dict[str, Any]:
        """Run, require success, and return the JSON result."""
        finished = self.run(*arguments, "--json")
        assert finished.returncode == 0, finished.stderr
        found: dict[str, Any] = json.loads(finished.stdout)
        return found


def wait_for(found: Callable[[], Found], process: subprocess.Popen[str]) -> Found:
    """Wait until `found` returns something and return it; fail if the process ends or takes too long."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (thing := found()):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(process.communicate()[1])
        time.sleep(0.02)
    return thing


def wait_for_line(text: str, process: subprocess.Popen[str]) -> str:
    """Return the line with the text once the process writes it to standard error; fail if it ends first."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return line
    pytest.fail(f"{text!r} is not in the output: {''.join(lines)}")


def steps_that_ran(result: dict[str, Any]) -> set[str]:
    return {name for name, step in result["steps"].items() if step["status"] == "completed"}


def trainings(project: Project) -> list[tuple[str, list[int]]]:
    """Return the status and the logged steps of each training of the experiment, without child runs."""
    client = mlflow.MlflowClient(project.tracking_uri)
    experiment = client.get_experiment_by_name(project.settings["tracking"]["experiment"])
    return [
        (run.info.status, [loss.step for loss in client.get_metric_history(run.info.run_id, "train/loss")])
        for run in client.search_runs([experiment.experiment_id], "tags.`mlflow.parentRunId` IS NULL")
    ]


def trained_steps(project: Project, status: str = "FINISHED") -> list[int]:
    """Return the steps with a loss in the experiment's only run, in order, with repetitions."""
    ((found, steps),) = trainings(project)
    assert found == status
    return sorted(steps)
