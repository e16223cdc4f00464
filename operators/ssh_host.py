"""A step operator for a GPU host that is reached by ssh: ZenML's own, and what a long training asks of it.

- A container that was killed is started again, and its training goes on from the last checkpoint.
  One whose step raised is not: it would raise again. A service that is away for a minute is
  the business of its client, which tries again by itself.
- What the step says of its progress is shown here.
- Ctrl-C tells the step to end: a training keeps a checkpoint first. So does a client that was
  killed, later: its containers are stopped when this machine starts the next one.
- A container is removed with its step: as long as it exists, Docker keeps its environment,
  in which the secrets are.
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

from operators.step_end import SECONDS_TO_END, StepKilledError
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.progress import RemoteProgress

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse

SECONDS_BETWEEN_LOOKS = 3.0
SECONDS_WITHOUT_HOST = 600.0
"""Time after which a host that does not answer is given up; its container goes on meanwhile."""
KILLED = 137
"""Exit code of a container whose process got SIGKILL: from a person, or because memory ran out."""
CLIENT_LABEL = "review-sentiment.client"
CONNECTION_ERRORS = (OSError, EOFError, paramiko.SSHException, RuntimeError)
"""What paramiko raises, and what ZenML makes of it."""

logger = logging.getLogger("review_sentiment.ssh_host")


class HostError(ReviewSentimentError):
    """The GPU host cannot be reached, or does not start a container."""


@dataclass(frozen=True)
class Seen:
    """A container at a moment of its host's clock; `exit_code` is None while it runs."""

    exit_code: int | None
    at: str
    lines: tuple[str, ...]


class SshHostStepOperatorConfig(SSHStepOperatorConfig):
    """ZenML's settings of an ssh host, and ours."""

    restarts: int = 2
    """Times that a step's container is started again after it was killed."""


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
        """Return ZenML's settings, and those of ours that every container gets.

        It is labelled with the process that starts it, and has an init process, without which
        Python would not be ended by SIGTERM.
        """
        settings = super().get_settings(container)
        ours = ["--init", f"--label={CLIENT_LABEL}={_this_client()}"]
        return settings.model_copy(update={"docker_run_args": [*settings.docker_run_args, *ours]})

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Start the step's container.

        Raises:
            HostError: the host cannot be reached, or does not pull or start it.
        """
        self._submitted[str(info.step_run_id)] = (info, entrypoint_command, environment)
        try:
            self._end_orphans()
            super().submit(info, entrypoint_command, {**environment, "ZENML_LOGGING_COLORS_DISABLED": "true"})
        except CONNECTION_ERRORS as error:
            raise HostError(
                f"The GPU host {self.config.hostname}: {error}. Look at its free disk there and at "
                "`docker login`, and at `doctor` here."
            ) from error

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Show the step's progress until its container has ended, and start it again where it was killed.

        Raises:
            StepKilledError: it was killed once more than it may be started again.
            HostError: the host has not answered for ten minutes.
        """
        info, command, environment = self._submitted[str(step_run.id)]
        for restarts_left in reversed(range(self.config.restarts + 1)):
            code = self._followed(step_run)
            if code != KILLED:
                return ExecutionStatus.COMPLETED if code == 0 else ExecutionStatus.FAILED
            if restarts_left:
                logger.warning("Step %s was killed (SIGKILL) and is started again", info.pipeline_step_name)
                self._remove(_container(step_run))
                self.submit(info, command, environment)
        raise StepKilledError(info.pipeline_step_name, "SIGKILL")

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """Let the container end, if it has not, and remove it."""
        self._submitted.pop(str(step_run.id), None)
        self._remove(_container(step_run))

    def _followed(self, step_run: StepRunResponse) -> int:
        """Show the container's progress until it has ended; return its exit code."""
        progress = RemoteProgress()
        answered = time.monotonic()
        since = "0"
        while True:
            try:
                with SSHClient(self.config) as host:
                    while True:
                        seen = self._look(host, _container(step_run), since)
                        progress.log_again(seen.lines)
                        if seen.exit_code is not None:
                            return seen.exit_code
                        answered, since = time.monotonic(), seen.at
                        time.sleep(SECONDS_BETWEEN_LOOKS)
            except CONNECTION_ERRORS as error:
                if time.monotonic() - answered > SECONDS_WITHOUT_HOST:
                    raise HostError(
                        f"The GPU host {self.config.hostname} has not answered for "
                        f"{SECONDS_WITHOUT_HOST / 60:.0f} minutes ({error}). Its step goes on until the next "
                        "run starts there, which goes on from the checkpoint."
                    ) from error
                time.sleep(SECONDS_BETWEEN_LOOKS)

    def _look(self, host: SSHClient, container: str, since: str) -> Seen:
        docker, name = shlex.quote(self.config.docker_binary), shlex.quote(container)
        state = "'{{.State.Running}} {{.State.ExitCode}}'"
        found = host.exec(
            f"{docker} inspect --format {state} {name} && date +%s.%N && "
            f"{docker} logs --since {since} {name} 2>&1"
        )
        if found.exit_code != 0:
            raise HostError(
                f"The container {name} is gone from {self.config.hostname}: {found.stderr.strip()}. "
                "The next run goes on from the checkpoint."
            )
        state_line, at, *lines = found.stdout.splitlines()
        running, code = state_line.split()
        return Seen(None if running == "true" else int(code), at, tuple(lines))

    def _remove(self, container: str) -> None:
        docker, name = shlex.quote(self.config.docker_binary), shlex.quote(container)
        with SSHClient(self.config) as host:
            host.exec(f"{docker} stop -t {SECONDS_TO_END} {name}; {docker} rm --force {name}")

    def _end_orphans(self) -> None:
        """Remove the containers of processes of this machine that are no more."""
        docker = shlex.quote(self.config.docker_binary)
        shown = f'{{{{.Names}}}} {{{{.Label "{CLIENT_LABEL}"}}}}'
        with SSHClient(self.config) as host:
            listed = host.exec(f"{docker} ps --all --filter label={CLIENT_LABEL} --format '{shown}'")
        found = [line.split() for line in listed.stdout.splitlines()]
        for name, client in found:
            if _is_gone(client):
                logger.info("Removing %s: the process that started it is gone", name)
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
    """Name this process so that no other has the name: machine, process id, and when it started."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def _is_gone(client: str) -> bool:
    """Tell whether a client was a process of this machine that runs no more."""
    machine, process_id, created = client.rsplit(":", 2)
    if machine != socket.gethostname():
        return False
    try:
        return f"{psutil.Process(int(process_id)).create_time():.2f}" != created
    except psutil.NoSuchProcess:
        return True
