"""The one paragraph that an error becomes: what failed, where, and what to do next."""

from __future__ import annotations

import errno
import os

from front_door.state import zenml_directory
from review_sentiment.cache import cache_directory
from review_sentiment.errors import EXIT_FAILED, ReviewSentimentError, first_line

INTERRUPTED = "Interrupted. Finished steps are kept: the next run resumes from the cache."
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The disk is full, the quota is used up, or the file is larger than the user may write."""


def error_text(error: Exception) -> str:
    """Return the paragraph: our own errors contain it, others are explained."""
    return str(error) if isinstance(error, ReviewSentimentError) else _unexpected(error)


def exit_code_of(error: Exception) -> int:
    """Return the exit code for an error."""
    return error.exit_code if isinstance(error, ReviewSentimentError) else EXIT_FAILED


def _unexpected(error: Exception) -> str:
    advice = "Run again with --debug for the traceback; finished steps are kept in the cache."
    if _is_disk_full(error):
        return (
            f"There is no room left to write to ({zenml_directory()}, {cache_directory()}, "
            f"training.checkpoint_dir, or the machine that ran the step). Free some space. {advice}"
        )
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}. Check the path and its permissions. {advice}"
    message = first_line(error).rstrip(".") if str(error).strip() else "it has no message"
    return f"An unexpected error ({type(error).__name__}): {message}. {advice}"


def _is_disk_full(error: BaseException) -> bool:
    """Return whether the error, or one that it was raised from, means a full disk or quota."""
    cause = error.__cause__ or error.__context__
    return (
        getattr(error, "errno", None) in DISK_FULL
        or any(os.strerror(code) in str(error) for code in DISK_FULL)  # raised in another process
        or "database or disk is full" in str(error)  # SQLite, through SQLAlchemy
        or (cause is not None and _is_disk_full(cause))
    )
