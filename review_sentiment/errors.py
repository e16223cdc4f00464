"""Errors addressed to the person who must act: what, where, what to do next.

The front door prints their message as it is and takes the exit code from here;
any other exception is a bug and shows a traceback on request.
"""

EXIT_FAILED = 1
EXIT_USAGE = 2


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
