"""A file on a web server, read in ranges: retried, held to one state, kept on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2
from huggingface_hub import get_session

from review_sentiment.data.sources.kept_ranges import KeptRanges
from review_sentiment.data.sources.retries import TRANSIENT_STATUS, TransientError, asked_wait, persistently
from review_sentiment.errors import DataError

TIMEOUT = httpx2.Timeout(30.0)


@dataclass(frozen=True)
class Location:
    """Where a file can be fetched now; `expires` where the address is signed for a while."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    expires: bool = False


class WebFile:
    """A file of known size; `locate` finds its address, again when that has expired.

    The client is huggingface_hub's, which takes proxies and certificates from
    the usual variables and refuses every request where HF_HUB_OFFLINE is set.
    """

    def __init__(
        self, name: str, size: int, locate: Callable[[], Location], kept: KeptRanges | None = None
    ) -> None:
        self.name = name
        self.size = size
        self._locate = locate
        self._kept = kept
        self._lock = threading.Lock()
        self._location: Location | None = None
        self._etag: str | None = None

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`.

        Raises:
            DataError: the range cannot be had, or the file has changed meanwhile.
        """
        kept = self._kept.get(start, stop) if self._kept else None
        if kept is not None:
            return kept
        body = persistently(f"{self.name} bytes {start}-{stop - 1}", lambda: self._fetch(start, stop))
        if self._kept:
            self._kept.put(start, stop, body)
        return body

    def _fetch(self, start: int, stop: int) -> bytes:
        location = self._current_location()
        response = get_session().get(
            location.url,
            headers={**location.headers, "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"},
            timeout=TIMEOUT,
        )
        status = response.status_code
        if status in TRANSIENT_STATUS:
            raise TransientError(f"the server answered {status}", asked_wait(response.headers))
        if status == httpx2.codes.FORBIDDEN and location.expires:
            self._forget(location)
            raise TransientError("the signed address has expired")
        if status != httpx2.codes.PARTIAL_CONTENT:
            raise DataError(f"{self.name} cannot be read: {refusal(status)}")
        self._require_one_state(response)
        body = response.content
        if len(body) != stop - start:
            raise TransientError(f"the answer has {len(body)} of {stop - start} bytes")
        return body

    def _require_one_state(self, response: httpx2.Response) -> None:
        etag = response.headers.get("etag")
        total = response.headers.get("content-range", "").rpartition("/")[2]
        with self._lock:
            self._etag = self._etag or etag
            unchanged = etag == self._etag and total in (str(self.size), "*", "")
        if not unchanged:
            raise DataError(
                f"{self.name} was changed on the server while it was read. Run again to read its new state."
            )

    def _current_location(self) -> Location:
        with self._lock:
            self._location = self._location or self._locate()
            return self._location

    def _forget(self, location: Location) -> None:
        with self._lock:
            if self._location == location:
                self._location = None


def refusal(status: int) -> str:
    """Return what a status means and what to do about it."""
    if status == httpx2.codes.OK:
        return "the server ignores the range that is asked for and sends the whole file. Use another mirror."
    if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        return f"the server refuses access ({status}). Sign in with `hf auth login` or set HF_TOKEN."
    if status == httpx2.codes.NOT_FOUND:
        return "it is not there (404). Check data.source and its revision."
    return f"the server answered {status}."
