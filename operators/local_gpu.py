"""A step operator for the GPU of this machine. It needs no server, no Docker and no remote store.

A step runs in a process of its own (`operators/step_process.py`), which frees the GPU's memory when it ends,
whatever happened in it. A process that was killed is restarted, and its training resumes from the last
checkpoint. A step that raised an error is not restarted: it would raise again.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zenml.enums import ExecutionStatus
from zenml.step_operators import BaseStepOperator, BaseStepOperatorConfig, BaseStepOperatorFlavor

from operators.step_end import SECONDS_TO_STOP, StepKilledError
from review_sentiment.progress import log_again, read_messages

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse

ROOT = Path(__file__).resolve().parent.parent
ENTRYPOINT = "zenml.entrypoints.entrypoint"

logger = logging.getLogger("review_sentiment.local_gpu")


class LocalGpuStepOperatorConfig(BaseStepOperatorConfig):
    """Settings of the operator."""

    gpu_indices: str = ""
    """Devices that a step sees, as in CUDA_VISIBLE_DEVICES ("0" or "0,1"); all if empty."""
    restarts: int = 2
    """How often a step's process is restarted after it was killed."""


class StepProcess:
    """A step's process, which can be restarted."""

    def __init__(self, step: str, arguments: list[str], environment: dict[str, str], restarts: int) -> None:
        self._step = step
        self._directory = Path(tempfile.mkdtemp(prefix="review-sentiment-step-"))
        self._arguments = arguments
        self._environment = environment
        self._restarts = restarts
        self._start()

    def _start(self) -> None:
        self._messages = self._directory / f"messages-{self._restarts}.jsonl"
        self._messages.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "operators.step_process", str(self._messages), *self._arguments],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            # In a session of its own the child does not get Ctrl-C. This process does, and stops it once.
            start_new_session=True,
        )

    @property
    def status(self) -> ExecutionStatus:
        """Return the status of the process."""
        code = self.process.poll()
        if code is None:
            return ExecutionStatus.RUNNING
        return ExecutionStatus.COMPLETED if code == 0 else ExecutionStatus.FAILED

    def wait(self) -> ExecutionStatus:
        """Show the process's progress until it ends, and restart it if it was killed.

        Raises:
            StepKilledError: it was killed after its last restart.
        """
        while True:
            for message in read_messages(self.process, self._messages):
                log_again(message)
            if self.process.returncode >= 0:
                return self.status
            name = signal.Signals(-self.process.returncode).name
            if not self._restarts:
                raise StepKilledError(self._step, name)
            self._restarts -= 1
            logger.warning("Step %s was killed (%s). Restarting it", self._step, name)
            self._start()

    def stop(self) -> None:
        """Stop the process if it is running; a training saves a checkpoint first."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


class LocalGpuStepOperator(BaseStepOperator):
    """Runs steps as child processes on this machine."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._processes: dict[str, StepProcess] = {}

    @property
    def config(self) -> LocalGpuStepOperatorConfig:
        """Return the operator's configuration."""
        return cast(LocalGpuStepOperatorConfig, self._config)

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Start the step's process."""
        ours = {"ZENML_CUSTOM_SOURCE_ROOT": str(ROOT)}
        if self.config.gpu_indices:
            ours["CUDA_VISIBLE_DEVICES"] = self.config.gpu_indices
        self._processes[str(info.step_run_id)] = StepProcess(
            info.pipeline_step_name,
            entrypoint_command[entrypoint_command.index(ENTRYPOINT) + 1 :],
            {**os.environ, **environment, **ours},
            self.config.restarts,
        )

    def get_status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Return the status of the step's process."""
        return self._processes[str(step_run.id)].status

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the step's process, and restart it if it is killed.

        Raises:
            StepKilledError: it was killed after its last restart.
        """
        return self._processes[str(step_run.id)].wait()

    def cancel(self, step_run: StepRunResponse) -> None:
        """Stop the step's process."""
        self._processes[str(step_run.id)].stop()

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """Stop the step's process if it is still running."""
        self._processes.pop(str(step_run.id)).stop()


class LocalGpuFlavor(BaseStepOperatorFlavor):
    """The flavour `local_gpu`."""

    @property
    def name(self) -> str:
        """Return the flavour's name in a stack file."""
        return "local_gpu"

    @property
    def config_class(self) -> type[LocalGpuStepOperatorConfig]:
        """Return the type of the configuration."""
        return LocalGpuStepOperatorConfig

    @property
    def implementation_class(self) -> type[LocalGpuStepOperator]:
        """Return the type of the operator."""
        return LocalGpuStepOperator
