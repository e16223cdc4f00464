"""What a child process says to the process that started it: messages as lines of JSON in a file.

A file outlives both and needs nobody to read it, where a pipe that is not read stops its writer.
"""

from __future__ import annotations

import json
import logging
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from review_sentiment.progress import ATTRIBUTE, Snapshot, show

OURS = logging.getLogger("review_sentiment")
SECONDS_BETWEEN_LOOKS = 0.3


class Speaker(logging.Handler):
    """Writes messages, one whole line at a time; as a handler it passes progress and log records on."""

    def __init__(self, file: Path) -> None:
        super().__init__(logging.INFO)
        self._file = file.open("a", encoding="utf-8", buffering=1)

    def say(self, kind: str, **message: Any) -> None:
        """Write a message of a kind."""
        self._file.write(json.dumps({"kind": kind} | message, default=str) + "\n")

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        snapshot = getattr(record, ATTRIBUTE, None)
        if isinstance(snapshot, Snapshot):
            self.say("progress", snapshot=vars(snapshot))
        else:
            self.say("log", name=record.name, level=record.levelno, text=record.getMessage())


def speak_for_this_process(file: Path) -> Speaker:
    """Return a speaker that also passes on what our own code logs."""
    speaker = Speaker(file)
    OURS.addHandler(speaker)
    OURS.setLevel(logging.INFO)
    return speaker


def follow(process: subprocess.Popen[bytes], said: Path) -> Iterator[Mapping[str, Any]]:
    """Yield what is said until the process has ended and all of it is read."""
    rest = ""
    with said.open(encoding="utf-8") as lines:
        while True:
            # Looked at before reading: what was said before the end is still read.
            ended = process.poll() is not None
            *whole, rest = (rest + lines.read()).split("\n")
            yield from map(json.loads, whole)
            if ended:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)


def pass_on(message: Mapping[str, Any]) -> None:
    """Log here what the child logged there: progress and records; other messages are the caller's."""
    match message["kind"]:
        case "progress":
            show(Snapshot(**message["snapshot"]))
        case "log":
            logging.getLogger(message["name"]).log(message["level"], "%s", message["text"])
