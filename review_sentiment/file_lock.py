"""Lock files: one process at a time, and files that are created completely or once more.

The operating system releases a lock when its process ends, however it ends. The lock file says who holds it
and what it is creating. If that is still there when another process gets the lock, its creator was killed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from review_sentiment.errors import ReviewSentimentError

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_TRIES = 0.1
SECONDS_UNTIL_MESSAGE = 3.0
SECONDS_TO_WAIT = 120.0
"""Creating the databases of ZenML and MLflow takes 6 s on two free cores, and 30 s for five at once."""
NO_LOCKS_HERE = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
"""A file system without locks, such as some network file systems."""
ANOTHER = "Another process"
SQLITE_SUFFIXES = ("", "-journal", "-wal", "-shm")
"""Of a database and the files that SQLite keeps beside it: a new database must not find an old journal."""


class LockedError(ReviewSentimentError):
    """A lock file cannot be written, or another process has held it for too long."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, and the names of the files that it is creating."""

    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    command: str = field(default_factory=lambda: " ".join(sys.argv[:3]))
    creates: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"Process {self.pid} of {self.host} ({self.command})"


@contextmanager
def exclusive(file: Path, seconds: float = SECONDS_TO_WAIT) -> Iterator[IO[str] | None]:
    """Hold a lock file, and yield it; wait for another process, and say so after a few seconds.

    On a file system without locks, nothing is held and None is yielded.

    Raises:
        LockedError: another process holds the lock for longer than `seconds`, or the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("a+", encoding="utf-8")
    except OSError as error:
        raise LockedError(
            f"{file.parent} cannot be written to: {error.strerror}. Free some space, or set "
            "ZENML_CONFIG_PATH (state of ZenML and MLflow) and XDG_CACHE_HOME to writable directories."
        ) from error
    with lock:
        # Closing the file releases the lock.
        yield lock if _locked(lock, file, seconds) else None


def _locked(lock: IO[str], file: Path, seconds: float) -> bool:
    started, said = time.monotonic(), False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            waited = time.monotonic() - started
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                raise
            logger.warning("%s has no file locks: start one command at a time", file.parent)
            return False
        if waited > seconds:
            raise LockedError(
                f"{_holder_of(lock) or ANOTHER} has held {file} for more than {seconds:.0f} s. Wait until it "
                "ends, or end it, and try again."
            )
        if waited > SECONDS_UNTIL_MESSAGE and not said:
            logger.info("%s holds %s: waiting", _holder_of(lock) or ANOTHER, file)
            said = True
        time.sleep(SECONDS_BETWEEN_TRIES)


@contextmanager
def created_once(file: Path, creates: Sequence[Path]) -> Iterator[None]:
    """Hold a lock file while files beside or below it are opened, and created if they do not exist.

    Files whose creator was killed or failed are moved aside, so that they are created again.

    Raises:
        LockedError: another process holds the lock for too long, or the directory must be written to and
            cannot.
    """
    missing = [path for path in creates if not path.exists()]
    if not missing and not os.access(file.parent, os.W_OK):
        yield  # complete, on a disk that is read-only
        return
    with exclusive(file) as lock:
        if lock is None:
            yield
            return
        if half := _holder_of(lock):
            for name in half.creates:
                _move_aside(Path(name))
        missing = [path for path in creates if not path.exists()]
        _write(lock, json.dumps(asdict(Holder(creates=tuple(map(str, missing))))))
        yield
        _write(lock, "")


def _write(lock: IO[str], content: str) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(content)
    lock.flush()


def _holder_of(lock: IO[str]) -> Holder | None:
    lock.seek(0)
    with suppress(ValueError, TypeError):  # empty, or cut off: then nothing was created yet
        return Holder(**json.load(lock))
    return None


def _move_aside(file: Path) -> None:
    for suffix in SQLITE_SUFFIXES:
        with suppress(FileNotFoundError):
            Path(f"{file}{suffix}").replace(f"{file}{suffix}.incomplete")
