"""Data sets of the Hugging Face Hub: one `<Category>.jsonl` for each category, in one directory.

    --set data.source=hub
    --set data.source=hf://datasets/OWNER/NAME@REVISION/DIRECTORY

`hub` is Amazon Reviews 2023 (https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023),
whose loading script no longer runs (datasets >= 4): the raw files are read. The
usual variables hold: HF_TOKEN, HF_ENDPOINT for a mirror, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Callable
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

from review_sentiment.cache import cache_directory
from review_sentiment.data.sources.kept_ranges import KeptRanges
from review_sentiment.data.sources.lines import read_lines
from review_sentiment.data.sources.retries import (
    TRANSIENT_STATUS,
    TransientError,
    UnreachableError,
    asked_wait,
    persistently,
)
from review_sentiment.data.sources.source import Reading
from review_sentiment.data.sources.web_file import Location, WebFile
from review_sentiment.errors import DataError, UsageError

T = TypeVar("T")

HUB = "hub"
AMAZON_REVIEWS = "hf://datasets/McAuley-Lab/Amazon-Reviews-2023@2b6d039/raw/review_categories"
"""The last commit of its authors."""
SUFFIX = ".jsonl"
ADDRESS = re.compile(
    r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<directory>.+?))?/?"
)
_COMMIT = re.compile(r"[0-9a-f]{7,40}")

logger = logging.getLogger(__name__)


class HubFile(BaseModel):
    """A file of the data set: its path, its bytes, and a hash of its content."""

    path: str
    size: int
    content: str


class Listing(BaseModel):
    """The files of the data set by category, at one commit."""

    commit: str
    files: dict[str, HubFile]


class HubDataset:
    """A data set at one commit, which never changes: what was read of it is kept for good."""

    def __init__(self, name: str, endpoint: str | None = None) -> None:
        """Take `hub` or an address; `endpoint` replaces HF_ENDPOINT.

        Raises:
            UsageError: this is no address of a data set.
        """
        found = ADDRESS.fullmatch(AMAZON_REVIEWS if name == HUB else name)
        if found is None:
            raise UsageError(
                f"data.source: '{name}' is no address of a data set. "
                "Write hf://datasets/OWNER/NAME[@REVISION][/DIRECTORY]."
            )
        self.name = name
        self._repository = found["repository"]
        self._revision = found["revision"]
        self._directory = found["directory"]
        self._endpoint = endpoint

    def categories(self) -> tuple[str, ...]:
        """Return the names of the files without their ending, sorted."""
        return tuple(sorted(self._listing.files))

    def revision(self, category: str) -> str:
        """Return the hash of the file's content."""
        return self._listing.files[category].content

    def read(self, category: str, seed: int) -> Reading:
        """Begin to read the category: a large one in random blocks."""
        listed = self._listing.files[category]
        url = hf_hub_url(
            self._repository,
            listed.path,
            repo_type="dataset",
            revision=self._listing.commit,
            endpoint=self._endpoint,
        )
        name = f"{self._repository}/{listed.path}"
        kept = KeptRanges(name, listed.content)
        return read_lines(WebFile(name, listed.size, lambda: self._locate(url, listed), kept), seed)

    def _locate(self, url: str, listed: HubFile) -> Location:
        """Ask the Hub where the file is: usually at a signed address elsewhere, which wants no token."""
        metadata = self._asked(lambda: get_hf_file_metadata(url, endpoint=self._endpoint))
        if metadata.size is not None and metadata.size != listed.size:
            raise DataError(
                f"{self.name}: {listed.path} has {metadata.size} bytes, its listing says {listed.size}. "
                "The mirror is not up to date; use another one."
            )
        elsewhere = urlsplit(metadata.location).netloc != urlsplit(url).netloc
        signed = metadata.location != url
        return Location(metadata.location, {} if elsewhere else build_hf_headers(), expires=signed)

    @cached_property
    def _listing(self) -> Listing:
        """Return the files: those of a commit never change, those of a branch are listed again.

        Without a network a branch has the files that it had last time.
        """
        known = self._listing_file()
        if known.is_file() and _COMMIT.fullmatch(self._revision or ""):
            return Listing.model_validate_json(known.read_text(encoding="utf-8"))
        try:
            listing = persistently(self.name, self._list)
        except UnreachableError:
            if not known.is_file():
                raise
            logger.warning("%s cannot be reached: what was read of it before is used", self.name)
            return Listing.model_validate_json(known.read_text(encoding="utf-8"))
        known.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=known.parent, delete=False, encoding="utf-8") as file:
            file.write(listing.model_dump_json())
        Path(file.name).replace(known)  # whole or not at all
        return listing

    def _list(self) -> Listing:
        api = HfApi(endpoint=self._endpoint)
        commit = self._asked(
            lambda: api.dataset_info(self._repository, revision=self._revision, timeout=30).sha
        )
        entries = self._asked(
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
                f"{self.name}: there is no {SUFFIX} file in the directory '{self._directory or '/'}'. "
                "Name the directory: hf://datasets/OWNER/NAME/DIRECTORY."
            )
        return Listing(commit=str(commit), files=files)

    def _asked(self, question: Callable[[], T]) -> T:
        """Ask the Hub; its errors in words of ours."""
        page = f"{self._endpoint or 'https://huggingface.co'}/datasets/{self._repository}"
        try:
            return question()
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
                f"{self.name}: '{self._directory}' does not exist there. See {page}/tree/main."
            ) from error
        except RepositoryNotFoundError as error:
            raise DataError(
                f"{self.name} does not exist, or is private. Check the name; for a private data set sign "
                "in with `hf auth login` or set HF_TOKEN."
            ) from error
        except HFValidationError as error:
            raise UsageError(f"data.source: {error}") from error
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in TRANSIENT_STATUS:
                raise TransientError(
                    f"the Hub answered {status}", asked_wait(error.response.headers)
                ) from error
            if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
                raise DataError(
                    f"{self.name}: the Hub refuses access ({status}). Sign in with `hf auth login` or set "
                    "HF_TOKEN to a token that may read it."
                ) from error
            raise DataError(f"{self.name}: the Hub answered {status}.") from error

    def _listing_file(self) -> Path:
        address = f"{self._endpoint}\0{self._repository}\0{self._revision}\0{self._directory}"
        key = hashlib.blake2b(address.encode(), digest_size=16).hexdigest()
        return cache_directory() / "listings" / f"{key}.json"
