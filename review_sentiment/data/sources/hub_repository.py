"""A data set's repository on the Hugging Face Hub: its files at one commit, and what its errors mean.

The usual environment variables apply: HF_TOKEN, HF_ENDPOINT for a mirror, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, RepoFile
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from pydantic import BaseModel

from review_sentiment.cache import cache_directory, write_whole
from review_sentiment.data.sources.retries import UnreachableError, raise_if_transient, with_retries
from review_sentiment.errors import DataError, UsageError
from review_sentiment.hashing import stable_hash

T = TypeVar("T")

SUFFIX = ".jsonl"
ADDRESS = re.compile(
    r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<directory>.+?))?/?"
)
_COMMIT = re.compile(r"[0-9a-f]{7,40}")

logger = logging.getLogger(__name__)


class HubFile(BaseModel):
    """A file of the data set: its path, its size in bytes, and a hash of its content."""

    path: str
    size: int
    content: str


class Listing(BaseModel):
    """The files of the data set by category, at one commit."""

    commit: str
    files: dict[str, HubFile]


class HubRepository:
    """A data set at one commit, or one directory of it; `endpoint` replaces HF_ENDPOINT."""

    def __init__(self, address: str, endpoint: str | None = None) -> None:
        """Take an address.

        Raises:
            UsageError: this is not the address of a data set.
        """
        found = ADDRESS.fullmatch(address)
        if found is None:
            raise UsageError(
                f"data.source: '{address}' is not the address of a data set. "
                "Write hf://datasets/OWNER/NAME[@REVISION][/DIRECTORY]."
            )
        self.address = address
        self.name = found["repository"]
        self.directory = found["directory"]
        self.endpoint = endpoint
        self._revision = found["revision"]

    @cached_property
    def listing(self) -> Listing:
        """Return the files. The listing of a commit is cached; a branch is listed again.

        Without a network, a branch has the files of its last listing.
        """
        known = self._listing_file()
        if known.is_file() and _COMMIT.fullmatch(self._revision or ""):
            return Listing.model_validate_json(known.read_text(encoding="utf-8"))
        try:
            listing = with_retries(self.address, self._list, first=True)
        except UnreachableError:
            if not known.is_file():
                raise
            logger.warning("%s cannot be reached; using what was downloaded before", self.address)
            return Listing.model_validate_json(known.read_text(encoding="utf-8"))
        write_whole(known, listing.model_dump_json())
        return listing

    def _list(self) -> Listing:
        api = HfApi(endpoint=self.endpoint)
        commit = self.call(lambda: api.dataset_info(self.name, revision=self._revision, timeout=30).sha)
        entries = self.call(
            lambda: list(
                api.list_repo_tree(
                    self.name, path_in_repo=self.directory, revision=commit, repo_type="dataset"
                )
            )
        )
        files = {
            Path(entry.path).name.removesuffix(SUFFIX): HubFile(
                path=entry.path, size=entry.size, content=entry.lfs.sha256 if entry.lfs else entry.blob_id
            )
            for entry in entries
            if isinstance(entry, RepoFile) and entry.path.endswith(SUFFIX)
        }
        return Listing(commit=str(commit), files=files)

    def call(self, request: Callable[[], T]) -> T:
        """Return the result of a request to the Hub; its errors become ours, with what to do about them."""
        page = f"{self.endpoint or 'https://huggingface.co'}/datasets/{self.name}"
        try:
            return request()
        except GatedRepoError as error:
            raise DataError(
                f"{self.address} is gated. Accept its terms on {page}, then sign in with `hf auth login` or "
                "set HF_TOKEN to a token that may read it."
            ) from error
        except RevisionNotFoundError as error:
            raise DataError(
                f"{self.address}: the revision '{self._revision}' does not exist. See {page}/commits/main."
            ) from error
        except RemoteEntryNotFoundError as error:
            raise DataError(
                f"{self.address}: the directory '{self.directory}' does not exist. See {page}/tree/main."
            ) from error
        except RepositoryNotFoundError as error:
            raise DataError(
                f"{self.address} does not exist, or is private. Check the name; for a private data set sign "
                "in with `hf auth login` or set HF_TOKEN."
            ) from error
        except HFValidationError as error:
            raise UsageError(f"data.source: {error}") from error
        except HfHubHTTPError as error:
            raise_if_transient("the Hub", error.response)
            status = error.response.status_code
            if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
                raise DataError(
                    f"{self.address}: the Hub refuses access ({status}). Sign in with `hf auth login` or set "
                    "HF_TOKEN to a token that may read it."
                ) from error
            raise DataError(f"{self.address}: the Hub answered {status}.") from error

    def _listing_file(self) -> Path:
        address = (self.endpoint, self.name, self._revision, self.directory)
        return cache_directory() / "listings" / f"{stable_hash(*map(str, address)):016x}.json"
