"""A step operator for a GPU host that is reached by ssh: ZenML's own, with what a long training needs.

- A container that was killed is restarted, and its training resumes from the last checkpoint. A container
  whose step raised an error is not: it would raise again. Clients retry on their own if a service is
  unavailable for a short time.
- The step's progress is shown on this machine.
- Ctrl-C stops the step, and a training saves a checkpoint first. If the client is killed, its containers
  are stopped when this machine starts the next one.
- A container is removed with its step, because Docker keeps its environment, which has the secrets.
"""

from __future__ import annotations

import logging
import os
import shlex
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import paramiko
import psutil
from zenml.enums import ExecutionStatus
from zenml.integrations.ssh.flavors.ssh_step_operator_flavor import (
    SSHStepOperatorConfig,
    SSHStepOperatorFlavor,
    SSHStepOperatorSettings,
)
from zenml.integrations.ssh.ssh_client import SSHClient
from zenml.integrations.ssh.step_operators import SSHStepOperator

from operators.step_end import SECONDS_TO_STOP, StepKilledError
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.progress import RemoteProgress

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse

SECONDS_BETWEEN_POLLS = 3.0
SECONDS_WITHOUT_HOST = 600.0
"""Time after which we give up on a host that does not respond; its container keeps running."""
KILLED = 137
"""Exit code of a container whose process got SIGKILL, from a person or because memory ran out."""
SAME_PROCESS_SECONDS = 2.0
"""Linux counts the start of a process from the time of boot, which is rounded and may move by a second."""
CLIENT_LABEL = "review-sentiment.client"
CONNECTION_ERRORS = (OSError, EOFError, paramiko.SSHException, RuntimeError)
"""The errors of paramiko, and the one that ZenML turns them into."""

logger = logging.getLogger("review_sentiment.ssh_host")


class HostError(ReviewSentimentError):
    """The GPU host cannot be reached, or could not start a container."""


@dataclass(frozen=True)
class ContainerState:
    """A container's state and its new log lines at a time of the host's clock.

    `exit_code` is None while it runs.
    """

    exit_code: int | None
    at: str
    lines: tuple[str, ...]


@dataclass
class ContainerLog:
    """How far a container's log has been shown, and when its host last responded; survives reconnecting."""

    progress: RemoteProgress
    since: str
    responded: float


class SshHostStepOperatorConfig(SSHStepOperatorConfig):
    """ZenML's settings of an ssh host, and our own."""

    restarts: int = 2
    """How often a step's container is restarted after it was killed."""


class SshHostStepOperator(SSHStepOperator):
    """Runs steps in containers on a host that is reached by ssh."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._submitted: dict[str, tuple[StepRunInfo, list[str], dict[str, str]]] = {}

    @property
    def config(self) -> SshHostStepOperatorConfig:
        """Return the operator's configuration."""
        return cast(SshHostStepOperatorConfig, self._config)

    def get_settings(self, container: Any) -> SSHStepOperatorSettings:
        """Return ZenML's settings, with the options that each of our containers needs.

        A label names the process that starts the container. The init process passes SIGTERM on: as process 1,
        Python would ignore it.
        """
        settings = super().get_settings(container)
        ours = ["--init", f"--label={CLIENT_LABEL}={_this_client()}"]
        return settings.model_copy(update={"docker_run_args": [*settings.docker_run_args, *ours]})

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Start the step's container.

        Raises:
            HostError: the host cannot be reached, or could not pull the image or start the container.
        """
        self._submitted[str(info.step_run_id)] = (info, entrypoint_command, environment)
        try:
            self._remove_orphans()
            super().submit(info, entrypoint_command, {**environment, "ZENML_LOGGING_COLORS_DISABLED": "true"})
        except CONNECTION_ERRORS as error:
            raise HostError(
                f"The container could not be started on the GPU host {self.config.hostname}: {error}. Check "
                "the free disk space and `docker login` there, and run `doctor` here."
            ) from error

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Show the step's progress until its container ends, and restart it if it was killed.

        Raises:
            StepKilledError: it was killed after its last restart.
            HostError: the host has not responded for ten minutes.
        """
        info, command, environment = self._submitted[str(step_run.id)]
        for restarts_left in reversed(range(self.config.restarts + 1)):
            code = self._follow(_container(step_run))
            if code != KILLED:
                return ExecutionStatus.COMPLETED if code == 0 else ExecutionStatus.FAILED
            if restarts_left:
                logger.warning("Step %s was killed (SIGKILL). Restarting it", info.pipeline_step_name)
                self._remove(_container(step_run))
                self.submit(info, command, environment)
        raise StepKilledError(info.pipeline_step_name, "SIGKILL")

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """Stop the container if it is running, and remove it."""
        self._submitted.pop(str(step_run.id), None)
        self._remove(_container(step_run))

    def _follow(self, container: str) -> int:
        """Show the container's progress until it ends; return its exit code."""
        log = ContainerLog(RemoteProgress(), since="0", responded=time.monotonic())
        while True:
            try:
                return self._follow_connected(container, log)
            except CONNECTION_ERRORS as error:
                if time.monotonic() - log.responded > SECONDS_WITHOUT_HOST:
                    raise HostError(
                        f"The GPU host {self.config.hostname} has not responded for "
                        f"{SECONDS_WITHOUT_HOST / 60:.0f} minutes ({error}). The step keeps running there "
                        "until the next run starts on that host, which resumes from the checkpoint."
                    ) from error
                time.sleep(SECONDS_BETWEEN_POLLS)

    def _follow_connected(self, container: str, log: ContainerLog) -> int:
        """Follow the container over one ssh connection, until it ends or the connection breaks."""
        with SSHClient(self.config) as host:
            while True:
                state = self._poll(host, container, log.since)
                log.progress.log_again(state.lines)
                if state.exit_code is not None:
                    return state.exit_code
                log.responded, log.since = time.monotonic(), state.at
                time.sleep(SECONDS_BETWEEN_POLLS)

    def _poll(self, host: SSHClient, container: str, since: str) -> ContainerState:
        docker, name = shlex.quote(self.config.docker_binary), shlex.quote(container)
        state = "'{{.State.Running}} {{.State.ExitCode}}'"
        found = host.exec(
            f"{docker} inspect --format {state} {name} && date +%s.%N && "
            f"{docker} logs --since {since} {name} 2>&1"
        )
        if found.exit_code != 0:
            raise HostError(
                f"The container {name} is gone from {self.config.hostname}: {found.stderr.strip()}. "
                "The next run resumes from the checkpoint."
            )
        state_line, at, *lines = found.stdout.splitlines()
        running, code = state_line.split()
        return ContainerState(None if running == "true" else int(code), at, tuple(lines))

    def _remove(self, container: str) -> None:
        docker, name = shlex.quote(self.config.docker_binary), shlex.quote(container)
        with SSHClient(self.config) as host:
            host.exec(f"{docker} stop -t {SECONDS_TO_STOP} {name}; {docker} rm --force {name}")

    def _remove_orphans(self) -> None:
        """Remove the containers of processes of this machine that no longer run."""
        docker = shlex.quote(self.config.docker_binary)
        shown = f'{{{{.Names}}}} {{{{.Label "{CLIENT_LABEL}"}}}}'
        with SSHClient(self.config) as host:
            listed = host.exec(f"{docker} ps --all --filter label={CLIENT_LABEL} --format '{shown}'")
        for name, client in map(str.split, listed.stdout.splitlines()):
            if _is_gone(client):
                logger.info("Removing %s: the process that started it no longer runs", name)
                self._remove(name)


class SshHostFlavor(SSHStepOperatorFlavor):
    """The flavour `ssh_host`."""

    @property
    def name(self) -> str:
        """Return the flavour's name in a stack file."""
        return "ssh_host"

    @property
    def config_class(self) -> type[SshHostStepOperatorConfig]:
        """Return the type of the configuration."""
        return SshHostStepOperatorConfig

    @property
    def implementation_class(self) -> type[SshHostStepOperator]:
        """Return the type of the operator."""
        return SshHostStepOperator


def _container(step_run: StepRunResponse) -> str:
    from zenml.integrations.ssh.step_operators.ssh_step_operator import SSH_CONTAINER_NAME_METADATA_KEY

    return str(step_run.run_metadata[SSH_CONTAINER_NAME_METADATA_KEY])


def _this_client() -> str:
    """Return a unique name of this process: machine, process id and start time."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def _is_gone(client: str) -> bool:
    """Return whether a client was a process of this machine that no longer runs."""
    machine, process_id, created = client.rsplit(":", 2)
    if machine != socket.gethostname():
        return False
    try:
        difference = float(psutil.Process(int(process_id)).create_time()) - float(created)
    except psutil.NoSuchProcess:
        return True
    return abs(difference) > SAME_PROCESS_SECONDS
