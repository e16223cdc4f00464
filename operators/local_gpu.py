"""A step operator for the GPU of this machine: no server, no Docker, the local store will do.

A step runs in a process of its own (`operators/step_process.py`), whose end gives the GPU's
memory back whatever happened in it. A process that was killed is started again: its training
goes on from the last checkpoint. A step that raised is not: it would raise again.
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

from operators.step_end import SECONDS_TO_END, StepKilledError
from review_sentiment.progress import log_again, read_messages

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse

ROOT = Path(__file__).resolve().parent.parent
ENTRYPOINT = "zenml.entrypoints.entrypoint"

logger = logging.getLogger("review_sentiment.local_gpu")


class LocalGpuStepOperatorConfig(BaseStepOperatorConfig):
    """How steps are run on this machine."""

    gpu_indices: str = ""
    """Devices that a step sees, as CUDA_VISIBLE_DEVICES has them ("0" or "0,1"); all when empty."""
    restarts: int = 2
    """Times that a step's process is started again after it was killed."""


class StepProcess:
    """A step's process, which can be started again."""

    def __init__(self, step: str, arguments: list[str], environment: dict[str, str], restarts: int) -> None:
        self._step = step
        self._directory = Path(tempfile.mkdtemp(prefix="review-sentiment-step-"))
        self._arguments = arguments
        self._environment = environment
        self._restarts = restarts
        self._start()

    def _start(self) -> None:
        self._said = self._directory / f"said-{self._restarts}.jsonl"
        self._said.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "operators.step_process", str(self._said), *self._arguments],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches this process only, which then tells the step to end, once.
            start_new_session=True,
        )

    @property
    def status(self) -> ExecutionStatus:
        """Return how it is with the process."""
        code = self.process.poll()
        if code is None:
            return ExecutionStatus.RUNNING
        return ExecutionStatus.COMPLETED if code == 0 else ExecutionStatus.FAILED

    def wait(self) -> ExecutionStatus:
        """Pass on what the process says until it has ended, and start it again where it was killed.

        Raises:
            StepKilledError: it was killed once more than it may be started again.
        """
        while True:
            for message in read_messages(self.process, self._said):
                log_again(message)
            if self.process.returncode >= 0:
                return self.status
            name = signal.Signals(-self.process.returncode).name
            if not self._restarts:
                raise StepKilledError(self._step, name)
            self._restarts -= 1
            logger.warning("Step %s was killed (%s) and is started again", self._step, name)
            self._start()

    def end(self) -> None:
        """Let the process end, if it has not: a training keeps a checkpoint first."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(SECONDS_TO_END)
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
        own = {"ZENML_CUSTOM_SOURCE_ROOT": str(ROOT)}
        if self.config.gpu_indices:
            own["CUDA_VISIBLE_DEVICES"] = self.config.gpu_indices
        self._processes[str(info.step_run_id)] = StepProcess(
            info.pipeline_step_name,
            entrypoint_command[entrypoint_command.index(ENTRYPOINT) + 1 :],
            {**os.environ, **environment, **own},
            self.config.restarts,
        )

    def get_status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Return how it is with the step's process."""
        return self._processes[str(step_run.id)].status

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the step's process, which may be started again.

        Raises:
            StepKilledError: it was killed once more than it may be started again.
        """
        return self._processes[str(step_run.id)].wait()

    def cancel(self, step_run: StepRunResponse) -> None:
        """Let the step's process end."""
        self._processes[str(step_run.id)].end()

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """Leave no process behind, whatever happened."""
        self._processes.pop(str(step_run.id)).end()


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
