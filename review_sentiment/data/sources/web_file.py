"""A file on a web server, read in ranges, with retries, a check for changes, and a cache on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2
from huggingface_hub import get_session

from review_sentiment.data.sources.range_cache import RangeCache
from review_sentiment.data.sources.retries import TransientError, raise_if_transient, with_retries
from review_sentiment.errors import DataError

TIMEOUT = httpx2.Timeout(30.0)


@dataclass(frozen=True)
class Location:
    """The current address of a file; `expires` if it is signed for a limited time."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    expires: bool = False


class WebFile:
    """A file of known size; `locate` returns its address, and is called again when that has expired.

    The HTTP client is huggingface_hub's. It takes proxies and certificates from the usual environment
    variables, and refuses every request if HF_HUB_OFFLINE is set.
    """

    def __init__(
        self, name: str, size: int, locate: Callable[[], Location], cache: RangeCache | None = None
    ) -> None:
        self.name = name
        self.size = size
        self._locate = locate
        self._cache = cache
        self._lock = threading.Lock()
        self._location: Location | None = None
        self._etag: str | None = None

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`.

        Raises:
            DataError: the range cannot be downloaded, or the file has changed.
        """
        cached = self._cache.get(start, stop) if self._cache else None
        if cached is not None:
            return cached
        body = with_retries(f"{self.name} bytes {start}-{stop - 1}", lambda: self._fetch(start, stop))
        if self._cache:
            self._cache.put(start, stop, body)
        return body

    def _fetch(self, start: int, stop: int) -> bytes:
        location = self._current_location()
        response = get_session().get(
            location.url,
            headers={**location.headers, "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"},
            timeout=TIMEOUT,
        )
        status = response.status_code
        raise_if_transient("the server", response)
        if status == httpx2.codes.FORBIDDEN and location.expires:
            self._forget(location)
            raise TransientError("the signed address has expired")
        if status != httpx2.codes.PARTIAL_CONTENT:
            raise DataError(f"{self.name} cannot be read: {refusal(status)}")
        self._require_unchanged(response)
        body = response.content
        if len(body) != stop - start:
            raise TransientError(f"the answer has {len(body)} of {stop - start} bytes")
        return body

    def _require_unchanged(self, response: httpx2.Response) -> None:
        etag = response.headers.get("etag")
        total = response.headers.get("content-range", "").rpartition("/")[2]
        with self._lock:
            self._etag = self._etag or etag
            unchanged = etag == self._etag and total in (str(self.size), "*", "")
        if not unchanged:
            raise DataError(
                f"{self.name} changed on the server while it was read. Run again to read the new version."
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
    """Return what an HTTP status means and what to do about it."""
    if status == httpx2.codes.OK:
        return "the server ignores the requested range and sends the whole file. Use another mirror."
    if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        return f"the server refuses access ({status}). Sign in with `hf auth login` or set HF_TOKEN."
    if status == httpx2.codes.NOT_FOUND:
        return "it does not exist (404). Check data.source and its revision."
    return f"the server answered {status}."
