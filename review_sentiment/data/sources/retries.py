"""Try again what a network may have lost: exponential back-off with jitter, and an end to it."""

from __future__ import annotations

import email.utils
import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx2
import tenacity
from huggingface_hub.errors import OfflineModeIsEnabled

from review_sentiment.errors import DataError

T = TypeVar("T")

ATTEMPTS = 8
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0
LONGEST_ASKED_WAIT_SECONDS = 300.0
"""A server's Retry-After is heeded up to here: the Hub's limits are counted over five minutes."""
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})

logger = logging.getLogger(__name__)


class UnreachableError(DataError):
    """The network or the server is not there, at least not now."""


class TransientError(Exception):
    """Something that may work at the next attempt; `wait` are the seconds that the server asks for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def persistently(name: str, action: Callable[[], T]) -> T:
    """Return what the action returns, trying again after a TransientError or a fault of the connection.

    Raises:
        UnreachableError: the last attempt failed too (names the file and the
            attempt), or HF_HUB_OFFLINE is set.
    """
    back_off = tenacity.wait_exponential_jitter(
        multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS, jitter=FIRST_WAIT_SECONDS
    )

    def wait(state: tenacity.RetryCallState) -> float:
        return max(back_off(state), getattr(_failure(state), "wait", 0.0))

    def say(state: tenacity.RetryCallState) -> None:
        logger.debug("%s: %s (attempt %d of %d)", name, _failure(state), state.attempt_number, ATTEMPTS)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=wait,
        retry=tenacity.retry_if_exception_type((TransientError, httpx2.TransportError)),
        before_sleep=say,
        reraise=True,
    )
    try:
        return retrying(action)
    except (TransientError, httpx2.TransportError) as error:
        raise UnreachableError(
            f"{name} cannot be read: {_described(error)} (attempt {ATTEMPTS} of {ATTEMPTS}). Check the "
            "network and run again; what was already read is kept and is not fetched again."
        ) from error
    except OfflineModeIsEnabled as error:
        raise UnreachableError(
            f"{name} is not on this machine, and HF_HUB_OFFLINE is set. Unset it, or choose another "
            "data.source."
        ) from error


def asked_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds that a Retry-After header asks for, as a number or a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return min(float(value), LONGEST_ASKED_WAIT_SECONDS)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return min(max(0.0, moment.timestamp() - time.time()), LONGEST_ASKED_WAIT_SECONDS)


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _described(error: Exception) -> str:
    return str(error) or type(error).__name__
