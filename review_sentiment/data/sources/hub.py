"""Data sets on the Hugging Face Hub: one directory with one `<Category>.jsonl` per category.

    --set data.source=hub
    --set data.source=hf://datasets/OWNER/NAME@REVISION/DIRECTORY

`hub` is Amazon Reviews 2023 (https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023). Its loading
script no longer runs (datasets >= 4), so we read the raw files.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from review_sentiment.data.records import RowFormat
from review_sentiment.data.sources.hub_repository import HubFile, HubRepository
from review_sentiment.data.sources.lines import read_lines
from review_sentiment.data.sources.range_cache import RangeCache
from review_sentiment.data.sources.source import HUB, Reading
from review_sentiment.data.sources.web_file import Location, WebFile
from review_sentiment.errors import DataError

AMAZON_REVIEWS = "hf://datasets/McAuley-Lab/Amazon-Reviews-2023@2b6d039/raw/review_categories"
"""The last commit by its authors."""


class HubDataset:
    """A data set at one commit. A commit never changes, so the cached ranges of its files never expire."""

    needs_names = True

    def __init__(self, name: str, rows: RowFormat, endpoint: str | None = None) -> None:
        """Take `hub` or an address; `endpoint` replaces HF_ENDPOINT.

        Raises:
            UsageError: this is not the address of a data set.
        """
        self.name = name
        self._rows = rows
        self._repository = HubRepository(AMAZON_REVIEWS if name == HUB else name, endpoint)

    def categories(self) -> tuple[str, ...]:
        """Return the names of the files without their suffix, sorted."""
        return tuple(sorted(self._repository.listing.files))

    def revision(self, category: str) -> str:
        """Return the hash of the file's content."""
        return self._repository.listing.files[category].content

    def read(self, category: str, seed: int) -> Reading:
        """Start to read the category; a large file is read in random blocks."""
        listed = self._repository.listing.files[category]
        url = hf_hub_url(
            self._repository.name,
            listed.path,
            repo_type="dataset",
            revision=self._repository.listing.commit,
            endpoint=self._repository.endpoint,
        )
        name = f"{self._repository.name}/{listed.path}"
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
        metadata = self._repository.call(
            lambda: get_hf_file_metadata(url, endpoint=self._repository.endpoint)
        )
        if metadata.size is not None and metadata.size != listed.size:
            raise DataError(
                f"{self.name}: {listed.path} has {metadata.size} bytes, but its listing says {listed.size}. "
                "The mirror is out of date; use another one."
            )
        other_host = urlsplit(metadata.location).netloc != urlsplit(url).netloc
        signed = metadata.location != url
        return Location(metadata.location, {} if other_host else build_hf_headers(), expires=signed)
