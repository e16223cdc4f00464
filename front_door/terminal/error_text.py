"""The one paragraph that an error becomes: what failed, where, and what to do next."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from front_door.state import zenml_directory
from review_sentiment.cache import cache_directory
from review_sentiment.errors import EXIT_FAILED, ReviewSentimentError, first_line, is_out_of_memory
from review_sentiment.resources.memory_limit import tightest_limit

EXIT_INTERRUPTED = 130
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
    if any(map(_is_disk_full, _causes(error))):
        return (
            f"There is no room left to write to ({zenml_directory()}, {cache_directory()}, "
            f"training.checkpoint_dir, or the machine that ran the step). Free some space. {advice}"
        )
    if any(map(is_out_of_memory, _causes(error))):
        limit = tightest_limit()
        return (
            f"Memory ran out ({first_line(error)[:200].rstrip('.')}): {limit.free / 1e9:.1f} GB of the "
            f"{limit.total / 1e9:.1f} GB of {limit.name} are free now. Close other programs, lower "
            "training.tokens_per_pass and evaluation.tokens_per_batch, which do not change the result, or "
            f"choose a smaller model.name. {advice}"
        )
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}. Check the path and its permissions. {advice}"
    message = first_line(error).rstrip(".") if str(error).strip() else "it has no message"
    return f"An unexpected error ({type(error).__name__}): {message}. {advice}"


def _is_disk_full(error: BaseException) -> bool:
    return (
        getattr(error, "errno", None) in DISK_FULL
        or any(os.strerror(code) in str(error) for code in DISK_FULL)  # raised in another process
        or "database or disk is full" in str(error)  # SQLite, through SQLAlchemy
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
