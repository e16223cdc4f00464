"""Errors for the person who has to act: what went wrong, where, and what to do next.

The command line prints their message as it is and exits with their code. Any other exception is a bug; its
traceback is shown on request.
"""

import errno
import re
from collections.abc import Iterable

EXIT_FAILED = 1
EXIT_USAGE = 2
MIN_SIMILARITY = 60.0
"""Below this percentage of rapidfuzz's ratio (Indel distance) a suggestion misleads more than it helps."""

MEMORY_RAN_OUT = re.compile(
    "out of memory|can(not|'t) allocate memory|not enough memory|bad_alloc"
    "|alloc(ation)?_failed"  # cuBLAS and cuDNN 8; cuDNN 9
    "|not_initialized when calling `cublas(lt)?create"  # the handle of cuBLAS did not fit
    "|failed to (cuda )?(host )?[mc]?alloc"  # NCCL
    "|could not create a (primitive(?! descriptor)|memory object)",  # oneDNN; a descriptor has other reasons
    re.IGNORECASE,
)
"""What PyTorch, CUDA, HIP, cuBLAS, cuDNN, NCCL, oneDNN, C++ and the operating system report for it."""


class ReviewSentimentError(Exception):
    """The run cannot continue; the message says what to do about it."""

    exit_code = EXIT_FAILED


class UsageError(ReviewSentimentError):
    """A setting, name or option is wrong; nothing was run."""

    exit_code = EXIT_USAGE


class DataError(ReviewSentimentError):
    """The reviews cannot be used as they are."""


class ModelUnavailableError(ReviewSentimentError):
    """The base model, or the package that contains it, is not available."""


class TrainingError(ReviewSentimentError):
    """Training failed or had no effect."""


class TrackingError(ReviewSentimentError):
    """MLflow cannot be reached, or does not have the requested object."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the machine or its GPU ran out of memory: every library reports it differently."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which is not imported for this
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError | OSError) and MEMORY_RAN_OUT.search(str(error)) is not None)
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or None if none is close."""
    from rapidfuzz import fuzz, process, utils

    match = process.extractOne(
        name, list(known), scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=MIN_SIMILARITY
    )
    return match[0] if match else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or an empty string if no known name is close."""
    suggestion = nearest(name, known)
    return f" Did you mean '{suggestion}'?" if suggestion else ""
