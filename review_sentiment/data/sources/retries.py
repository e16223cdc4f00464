"""Retries of requests that the network may have lost: exponential back-off with jitter, up to a limit."""

from __future__ import annotations

import email.utils
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx2
import tenacity
from huggingface_hub.errors import OfflineModeIsEnabled

from review_sentiment.errors import DataError

T = TypeVar("T")

ATTEMPTS = 8
ATTEMPTS_TO_CONNECT = 2
"""Attempts of a first request that finds no server: offline, it should fail in a second, not in 26."""
FIRST_WAIT_SECONDS = 0.2
MAX_WAIT_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 300.0
"""Limit of the wait that a Retry-After header asks for. The Hub's rate limits are per five minutes."""
NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout)
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})

logger = logging.getLogger(__name__)


class UnreachableError(DataError):
    """The network or the server is not available, at least for now."""


class TransientError(Exception):
    """A failure that the next attempt may not have; the server asks for `wait` seconds."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def with_retries(name: str, action: Callable[[], T], first: bool = False) -> T:
    """Return the result of the action; try again after a TransientError or a lost connection.

    `first` marks the first request to a server: if it does not connect, there may be no network. Later
    requests wait for a network that comes back.

    Raises:
        UnreachableError: the last attempt failed too, or HF_HUB_OFFLINE is set.
    """
    back_off = tenacity.wait_exponential_jitter(
        multiplier=FIRST_WAIT_SECONDS, max=MAX_WAIT_SECONDS, jitter=FIRST_WAIT_SECONDS
    )

    def wait(state: tenacity.RetryCallState) -> float:
        return max(back_off(state), getattr(_failure(state), "wait", 0.0))

    def log(state: tenacity.RetryCallState) -> None:
        logger.debug("%s: %s (attempt %d of %d)", name, _failure(state), state.attempt_number, ATTEMPTS)

    def stop(state: tenacity.RetryCallState) -> bool:
        offline = first and isinstance(_failure(state), NOT_CONNECTED)
        return state.attempt_number >= (ATTEMPTS_TO_CONNECT if offline else ATTEMPTS)

    retrying = tenacity.Retrying(
        stop=stop,
        wait=wait,
        retry=tenacity.retry_if_exception_type((TransientError, httpx2.TransportError)),
        before_sleep=log,
        reraise=True,
    )
    try:
        return retrying(action)
    except NOT_CONNECTED as error:
        raise UnreachableError(
            f"{name} cannot be reached: {_reason(error)}. Is this machine online, and behind a proxy "
            "(HTTPS_PROXY)? Run again with a network, where what was already downloaded is kept, or use "
            "reviews on this machine: data.source=embedded, or a directory."
        ) from error
    except (TransientError, httpx2.TransportError) as error:
        raise UnreachableError(
            f"{name} cannot be read: {str(error) or type(error).__name__} (attempt {ATTEMPTS} of "
            f"{ATTEMPTS}). Check the network and run again; what was already downloaded is kept."
        ) from error
    except OfflineModeIsEnabled as error:
        raise UnreachableError(
            f"{name} is not on this machine, and HF_HUB_OFFLINE is set. Unset it, or choose another "
            "data.source."
        ) from error


def raise_if_transient(server: str, response: httpx2.Response) -> None:
    """Raise a TransientError if the status of the response may be another one at the next attempt."""
    if response.status_code in TRANSIENT_STATUS:
        raise TransientError(f"{server} answered {response.status_code}", retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds to wait according to a Retry-After header, a number or a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return min(max(0.0, moment.timestamp() - time.time()), MAX_RETRY_AFTER_SECONDS)


def _reason(error: BaseException) -> str:
    """Return why the connection failed; the C library's text for an unknown host explains nothing."""
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "the name of its server could not be resolved"
    return str(error) or type(error).__name__


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
