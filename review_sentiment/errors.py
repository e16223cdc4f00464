"""Errors addressed to the person who must act: what, where, what to do next.

The front door prints their message as it is and takes the exit code from here;
any other exception is a bug and shows a traceback on request.
"""

from collections.abc import Iterable

EXIT_FAILED = 1
EXIT_USAGE = 2
MIN_SIMILARITY = 60.0
"""Percent of rapidfuzz's ratio (Indel distance) under which a suggestion misleads more than it helps."""


class ReviewSentimentError(Exception):
    """A run could not go on; the message says what to do about it."""

    exit_code = EXIT_FAILED


class UsageError(ReviewSentimentError):
    """A wrong setting, name or option: nothing was run."""

    exit_code = EXIT_USAGE


class DataError(ReviewSentimentError):
    """The reviews cannot be used as they are."""


class ModelUnavailableError(ReviewSentimentError):
    """The base model or the package that carries it is not there."""


class TrainingError(ReviewSentimentError):
    """Training did not do what it is for."""


class TrackingError(ReviewSentimentError):
    """MLflow cannot be reached or does not know what it is asked for."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or None when nothing is close."""
    from rapidfuzz import fuzz, process, utils

    match = process.extractOne(
        name,
        list(known),
        scorer=fuzz.ratio,
        processor=utils.default_process,
        score_cutoff=MIN_SIMILARITY,
    )
    return match[0] if match else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or an empty string when nothing is close."""
    suggestion = nearest(name, known)
    return f" Did you mean '{suggestion}'?" if suggestion else ""
