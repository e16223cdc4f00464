"""Data sets on the Hugging Face Hub: one directory with one `<Category>.jsonl` per category.

    --set data.source=hub
    --set data.source=hf://datasets/OWNER/NAME@REVISION/DIRECTORY

`hub` is Amazon Reviews 2023 (https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023). Its loading
script no longer runs (datasets >= 4), so we read the raw files. The usual environment variables apply:
HF_TOKEN, HF_ENDPOINT for a mirror, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, RepoFile, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from pydantic import BaseModel

from review_sentiment.cache import cache_directory, write_whole
from review_sentiment.data.records import RowFormat
from review_sentiment.data.sources.lines import read_lines
from review_sentiment.data.sources.range_cache import RangeCache
from review_sentiment.data.sources.retries import (
    UnreachableError,
    raise_if_transient,
    with_retries,
)
from review_sentiment.data.sources.source import HUB, Reading
from review_sentiment.data.sources.web_file import Location, WebFile
from review_sentiment.errors import DataError, UsageError
from review_sentiment.hashing import stable_hash

T = TypeVar("T")

AMAZON_REVIEWS = "hf://datasets/McAuley-Lab/Amazon-Reviews-2023@2b6d039/raw/review_categories"
"""The last commit by its authors."""
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


class HubDataset:
    """A data set at one commit. A commit never changes, so the cached ranges of its files never expire."""

    def __init__(self, name: str, rows: RowFormat, endpoint: str | None = None) -> None:
        """Take `hub` or an address; `endpoint` replaces HF_ENDPOINT.

        Raises:
            UsageError: this is not the address of a data set.
        """
        found = ADDRESS.fullmatch(AMAZON_REVIEWS if name == HUB else name)
        if found is None:
            raise UsageError(
                f"data.source: '{name}' is not the address of a data set. "
                "Write hf://datasets/OWNER/NAME[@REVISION][/DIRECTORY]."
            )
        self.name = name
        self._rows = rows
        self._repository = found["repository"]
        self._revision = found["revision"]
        self._directory = found["directory"]
        self._endpoint = endpoint

    def categories(self) -> tuple[str, ...]:
        """Return the names of the files without their suffix, sorted."""
        return tuple(sorted(self._listing.files))

    def revision(self, category: str) -> str:
        """Return the hash of the file's content."""
        return self._listing.files[category].content

    def read(self, category: str, seed: int) -> Reading:
        """Start to read the category; a large file is read in random blocks."""
        listed = self._listing.files[category]
        url = hf_hub_url(
            self._repository,
            listed.path,
            repo_type="dataset",
            revision=self._listing.commit,
            endpoint=self._endpoint,
        )
        name = f"{self._repository}/{listed.path}"
        cache = RangeCache(name, listed.content)
        return read_lines(
            WebFile(name, listed.size, lambda: self._locate(url, listed), cache), self._rows, seed
        )

    def require_columns(self, roles: Sequence[str] = ()) -> None:
        """Check that the roles have columns. Whether these exist, the reading shows.

        Raises:
            UsageError: a role has none.
        """
        self._rows.columns.require_roles(roles)

    def _locate(self, url: str, listed: HubFile) -> Location:
        """Ask the Hub where the file is: usually a signed address on another host, without a token."""
        metadata = self._call(lambda: get_hf_file_metadata(url, endpoint=self._endpoint))
        if metadata.size is not None and metadata.size != listed.size:
            raise DataError(
                f"{self.name}: {listed.path} has {metadata.size} bytes, but its listing says {listed.size}. "
                "The mirror is out of date; use another one."
            )
        other_host = urlsplit(metadata.location).netloc != urlsplit(url).netloc
        signed = metadata.location != url
        return Location(metadata.location, {} if other_host else build_hf_headers(), expires=signed)

    @cached_property
    def _listing(self) -> Listing:
        """Return the files. The listing of a commit is cached; a branch is listed again.

        Without a network, a branch has the files of its last listing.
        """
        known = self._listing_file()
        if known.is_file() and _COMMIT.fullmatch(self._revision or ""):
            return Listing.model_validate_json(known.read_text(encoding="utf-8"))
        try:
            listing = with_retries(self.name, self._list, first=True)
        except UnreachableError:
            if not known.is_file():
                raise
            logger.warning("%s cannot be reached; using what was downloaded before", self.name)
            return Listing.model_validate_json(known.read_text(encoding="utf-8"))
        write_whole(known, listing.model_dump_json())
        return listing

    def _list(self) -> Listing:
        api = HfApi(endpoint=self._endpoint)
        commit = self._call(
            lambda: api.dataset_info(self._repository, revision=self._revision, timeout=30).sha
        )
        entries = self._call(
            lambda: list(
                api.list_repo_tree(
                    self._repository, path_in_repo=self._directory, revision=commit, repo_type="dataset"
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
        if not files:
            raise DataError(
                f"{self.name}: no {SUFFIX} file in the directory '{self._directory or '/'}'. "
                "Name the directory: hf://datasets/OWNER/NAME/DIRECTORY."
            )
        return Listing(commit=str(commit), files=files)

    def _call(self, request: Callable[[], T]) -> T:
        """Return the result of a request to the Hub; its errors become ours, with what to do about them."""
        page = f"{self._endpoint or 'https://huggingface.co'}/datasets/{self._repository}"
        try:
            return request()
        except GatedRepoError as error:
            raise DataError(
                f"{self.name} is gated. Accept its terms on {page}, then sign in with `hf auth login` or "
                "set HF_TOKEN to a token that may read it."
            ) from error
        except RevisionNotFoundError as error:
            raise DataError(
                f"{self.name}: the revision '{self._revision}' does not exist. See {page}/commits/main."
            ) from error
        except RemoteEntryNotFoundError as error:
            raise DataError(
                f"{self.name}: the directory '{self._directory}' does not exist. See {page}/tree/main."
            ) from error
        except RepositoryNotFoundError as error:
            raise DataError(
                f"{self.name} does not exist, or is private. Check the name; for a private data set sign "
                "in with `hf auth login` or set HF_TOKEN."
            ) from error
        except HFValidationError as error:
            raise UsageError(f"data.source: {error}") from error
        except HfHubHTTPError as error:
            raise_if_transient("the Hub", error.response)
            status = error.response.status_code
            if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
                raise DataError(
                    f"{self.name}: the Hub refuses access ({status}). Sign in with `hf auth login` or set "
                    "HF_TOKEN to a token that may read it."
                ) from error
            raise DataError(f"{self.name}: the Hub answered {status}.") from error

    def _listing_file(self) -> Path:
        address = (self._endpoint, self._repository, self._revision, self._directory)
        return cache_directory() / "listings" / f"{stable_hash(*map(str, address)):016x}.json"
