"""Tables at an address: a file on a web server, and files of any file system that fsspec has a client for.

    --set data.source=https://example.org/reviews.csv
    --set data.source=s3://bucket/reviews

They are downloaded whole, once for each state of the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx2
from huggingface_hub import get_session

from review_sentiment.data.sources.copies import file_name
from review_sentiment.data.sources.local import is_table
from review_sentiment.data.sources.retries import UnreachableError, raise_if_transient, with_retries
from review_sentiment.data.sources.web_file import TIMEOUT
from review_sentiment.errors import DataError, ReviewSentimentError, UsageError, first_line
from review_sentiment.hashing import stable_hash

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

PLAIN = {"Accept-Encoding": "identity"}
NO_HEAD = (httpx2.codes.METHOD_NOT_ALLOWED, httpx2.codes.NOT_IMPLEMENTED)


def is_file_on_the_web(address: str) -> bool:
    """Return whether the address of something on a web server is that of one table."""
    return is_table(urlsplit(address).path)


class WebTable:
    """A table on a web server."""

    def __init__(self, address: str) -> None:
        self.name = address
        self.key: tuple[str, ...] = ("web", address)

    def state(self) -> str | None:
        """Return the file's ETag or time of change, and its size; None if the server does not tell.

        Raises:
            UnreachableError: there is no network, or the server does not answer.
            DataError: the file does not exist, or may not be read.
        """
        return with_retries(self.name, self._ask, first=True)

    def write(self, directory: Path) -> None:
        """Download the file.

        Raises:
            UnreachableError: the last attempt failed.
            DataError: the file does not exist, or may not be read.
        """
        name = PurePosixPath(unquote(urlsplit(self.name).path)).name
        with_retries(self.name, lambda: self._download(directory / file_name(name)))

    def _ask(self) -> str | None:
        response = get_session().head(self.name, headers=PLAIN, timeout=TIMEOUT)
        if response.status_code in NO_HEAD:
            return None
        self._require_success(response)
        state = response.headers.get("etag") or response.headers.get("last-modified")
        return f"{state}, {response.headers.get('content-length')} bytes" if state else None

    def _download(self, path: Path) -> None:
        with get_session().stream("GET", self.name, headers=PLAIN, timeout=TIMEOUT) as response:
            self._require_success(response)
            with path.open("wb") as file:
                file.writelines(response.iter_bytes())

    def _require_success(self, response: httpx2.Response) -> None:
        raise_if_transient("the server", response)
        status = response.status_code
        if status != httpx2.codes.OK:
            raise DataError(
                f"{self.name} cannot be read: the server answered {status}. Check the address in "
                "data.source. If the file needs a sign-in, download it and set data.source to the copy."
            )


class FileSystemTables:
    """A file, the tables of a directory, or the files that match a pattern, in a file system of fsspec's.

    The client takes credentials from its usual variables and files.
    """

    def __init__(self, address: str) -> None:
        self.name = address
        self.key: tuple[str, ...] = ("files", address)

    def state(self) -> str:
        """Return a hash of the paths and what the file system says about their content.

        Raises:
            UsageError: there is no table, or the package of the file system is not installed.
            DataError: the file system cannot be reached.
        """
        with self._opened() as (files, paths):
            states = [part for path in paths for part in (path, str(files.checksum(path)))]
        return f"{stable_hash(*states):016x}"

    def write(self, directory: Path) -> None:
        """Download the files.

        Raises:
            UsageError: there is no table, or the package of the file system is not installed.
            DataError: the file system cannot be reached.
        """
        with self._opened() as (files, paths):
            for path in paths:
                files.get_file(path, str(directory / file_name(PurePosixPath(path).name)))

    @contextmanager
    def _opened(self) -> Iterator[tuple[AbstractFileSystem, list[str]]]:
        """Yield the file system, which remembers no listing, and the paths of the tables."""
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]

        try:
            files, path = url_to_fs(self.name, skip_instance_cache=True, use_listings_cache=False)
            paths = _tables(files, path)
            if not paths:
                raise UsageError(
                    f"data.source: there is no table at {self.name}. Name a file, a pattern, or a directory "
                    "of CSV, JSON or Parquet files."
                )
            yield files, paths
        except ReviewSentimentError:
            raise
        except ImportError as error:
            raise UsageError(
                f"data.source: {self.name} needs a package that is not installed: {first_line(error)}."
            ) from error
        except Exception as error:  # the client of each file system has errors of its own
            connects = isinstance(error, ConnectionError | TimeoutError) or "Connect" in type(error).__name__
            kind = UnreachableError if connects else DataError
            raise kind(
                f"{self.name} cannot be read: {first_line(error)}. Check the address and the credentials, "
                "which the client takes from its usual variables and files."
            ) from error


def is_file_system(address: str) -> bool:
    """Return whether fsspec knows the file system of an address; its package may be missing."""
    from fsspec.registry import known_implementations  # type: ignore[import-untyped]

    return address.partition("://")[0] in known_implementations


def _tables(files: AbstractFileSystem, path: str) -> list[str]:
    if "*" in path:
        return sorted(found for found in files.glob(path) if files.isfile(found))
    if files.isfile(path):
        return [path]
    return (
        sorted(found for found in files.ls(path, detail=False) if is_table(found))
        if files.isdir(path)
        else []
    )
