"""The process that a step of the local GPU operator runs in.

    python -m operators.step_process MESSAGES ENTRYPOINT_ARGUMENTS...

It runs ZenML's entry point and reports progress through the file MESSAGES. It ends if the process that
started it dies, because nobody would use its result.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl: the signal that a process gets when its parent dies."""


def main() -> None:
    """Run the step that the arguments describe."""
    messages, *arguments = sys.argv[1:]
    _end_with_parent()
    from operators.zenml_store import connect

    connect()
    from zenml.entrypoints import entrypoint

    from review_sentiment.progress import forward_logs

    forward_logs(Path(messages))
    sys.argv[1:] = arguments
    entrypoint.main()


def _end_with_parent() -> None:
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before prctl took effect
        raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
