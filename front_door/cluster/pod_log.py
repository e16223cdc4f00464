"""The logs of a run's pods: our messages and progress are shown, all else goes to the log file."""

from __future__ import annotations

import logging
import math
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from front_door.cluster.pods import FORBIDDEN, SECONDS_TO_ANSWER, Cluster, is_active
from review_sentiment.progress import LOGGER as PROGRESS
from review_sentiment.progress import RemoteProgress

RECORD = re.compile(r"(?P<level>[A-Z]+) (?P<name>review_sentiment[\w.]*): (?P<text>.*)")
"""A record of ours as ZENML_CONSOLE_LOGGING_FORMAT (stacks/gpu.yaml) writes it."""
OVERLAP_SECONDS = 5
"""Requests for new lines overlap by so much, because they take a while; lines that were shown are dropped."""
CONTAINER = "main"
POD_LOGS = logging.getLogger("pods")
"""What it logs is in the log file only."""
LAST_LINES = 3
"""Lines that an error message quotes."""


@dataclass
class PodLog:
    """How far a pod's log has been shown; `last` are its last lines."""

    step: str
    progress: RemoteProgress = field(default_factory=RemoteProgress)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    shown_until: str = ""
    asked_at: float | None = None
    complete: bool = False

    def show(self, cluster: Cluster, pod: Any) -> None:
        """Log the lines that are new; a pod that has ended is read for the last time.

        A log that cannot be read, because the node is gone or its kubelet does not respond, is left out.
        """
        from kubernetes.client import ApiException

        if self.complete or not _has_started(pod):
            return
        self.complete = not is_active(pod)
        try:
            for line in self._new_lines(cluster, pod.metadata.name):
                self._show(line)
        except ApiException as error:
            if error.status == FORBIDDEN:
                raise
            POD_LOGS.warning("The log of %s cannot be read: %s", pod.metadata.name, error.body)

    def _new_lines(self, cluster: Cluster, pod: str) -> list[str]:
        now, before = time.monotonic(), self.asked_at
        since = {} if before is None else {"since_seconds": math.ceil(now - before) + OVERLAP_SECONDS}
        answer = cluster.core.read_namespaced_pod_log(
            pod,
            cluster.namespace,
            container=CONTAINER,
            timestamps=True,
            _preload_content=False,
            _request_timeout=SECONDS_TO_ANSWER,
            **since,
        )
        self.asked_at = now
        found = []
        for stamped in answer.data.decode(errors="replace").splitlines():
            at, _, line = stamped.partition(" ")
            at = at.removesuffix("Z")  # then times sort as text, with and without a fraction
            if at > self.shown_until:
                found.append(line)
                self.shown_until = at
        return found

    def _show(self, line: str) -> None:
        record = RECORD.match(line)
        if record and record["name"] == PROGRESS.name:
            self.progress.log_again([record["text"]])
            return
        if line.strip():
            self.last.append(line)
        if record:
            level = logging.getLevelNamesMapping().get(record["level"], logging.INFO)
            logging.getLogger(record["name"]).log(level, "%s: %s", self.step, record["text"])
        else:
            POD_LOGS.info("%s: %s", self.step, line)


def _has_started(pod: Any) -> bool:
    states = [container.state for container in pod.status.container_statuses or []]
    return any(state.running or state.terminated for state in states)
