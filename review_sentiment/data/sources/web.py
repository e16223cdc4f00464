"""A directory on a web server with one `<Category>.jsonl.gz` per category.

    --set data.source=ucsd
    --set data.source=https://example.org/reviews

`ucsd` is where the authors of Amazon Reviews 2023 publish its files. A gzip file cannot be read from the
middle, so a category is streamed from start to end.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence

import httpx2
from huggingface_hub import get_session

from review_sentiment.data.records import RowFormat
from review_sentiment.data.sources.lines import CONNECTIONS, numbered_chunks, read_ranges
from review_sentiment.data.sources.retries import raise_if_transient, with_retries
from review_sentiment.data.sources.source import UCSD, Reading
from review_sentiment.data.sources.web_file import TIMEOUT, Location, WebFile, refusal
from review_sentiment.errors import DataError

UCSD_ADDRESS = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/raw/review_categories"
SUFFIX = ".jsonl.gz"
GZIP_WINDOW = 16 + zlib.MAX_WBITS
"""Tells zlib to expect the header of a gzip file."""
_NAMES = """
All_Beauty Amazon_Fashion Appliances Arts_Crafts_and_Sewing Automotive Baby_Products
Beauty_and_Personal_Care Books CDs_and_Vinyl Cell_Phones_and_Accessories Clothing_Shoes_and_Jewelry
Digital_Music Electronics Gift_Cards Grocery_and_Gourmet_Food Handmade_Products Health_and_Household
Health_and_Personal_Care Home_and_Kitchen Industrial_and_Scientific Kindle_Store
Magazine_Subscriptions Movies_and_TV Musical_Instruments Office_Products Patio_Lawn_and_Garden
Pet_Supplies Software Sports_and_Outdoors Subscription_Boxes Tools_and_Home_Improvement
Toys_and_Games Video_Games
"""
CATEGORIES = tuple(_NAMES.split())


class WebDirectory:
    """The 33 categories of Amazon Reviews 2023 on a web server, which cannot list its files."""

    needs_names = True

    def __init__(self, name: str, rows: RowFormat) -> None:
        self.name = name
        self._rows = rows
        self._address = UCSD_ADDRESS if name == UCSD else name.rstrip("/")

    def categories(self) -> tuple[str, ...]:
        """Return the names of the data set's categories."""
        return CATEGORIES

    def revision(self, category: str) -> str:
        """Return the file's ETag or time of change, and its size.

        A server that tells neither may send other rows at any time, so its files are read in every run.

        Raises:
            DataError: the file does not exist, or the server does not answer.
        """
        headers = self._headers(category)
        state = headers.get("etag") or headers.get("last-modified") or f"unknown state, {time.time_ns()}"
        return f"{state}, {headers['content-length']} bytes"

    def read(self, category: str, seed: int) -> Reading:
        """Start to stream the category."""
        url = self._url(category)
        size = int(self._headers(category)["content-length"])
        file = WebFile(url, size, lambda: Location(url))
        return Reading(numbered_chunks(file.name, _inflated(file), self._rows), shuffled=False, size=size)

    def require_columns(self, roles: Sequence[str] = ()) -> None:
        """Check that the roles have columns. Whether these exist, the reading shows.

        Raises:
            UsageError: a role has none.
        """
        self._rows.columns.require_roles(roles)

    def _url(self, category: str) -> str:
        return f"{self._address}/{category}{SUFFIX}"

    def _headers(self, category: str) -> httpx2.Headers:
        url = self._url(category)

        def ask() -> httpx2.Headers:
            response = get_session().head(url, headers={"Accept-Encoding": "identity"}, timeout=TIMEOUT)
            raise_if_transient("the server", response)
            if response.status_code != httpx2.codes.OK or "content-length" not in response.headers:
                raise DataError(f"{url} cannot be read: {refusal(response.status_code)}")
            return response.headers

        return with_retries(url, ask, first=True)


def _inflated(file: WebFile) -> Iterator[tuple[bytes, int]]:
    """Yield the decompressed bytes of each range, and the number of bytes that were read for them."""
    inflater = zlib.decompressobj(GZIP_WINDOW)
    try:
        for data in read_ranges(file, CONNECTIONS // 4):
            inflated = inflater.decompress(data)
            while inflater.eof and inflater.unused_data:  # a gzip file may have several members
                following = inflater.unused_data
                inflater = zlib.decompressobj(GZIP_WINDOW)
                inflated += inflater.decompress(following)
            yield inflated, len(data)
    except zlib.error as error:
        raise DataError(f"{file.name} is not gzip or is damaged ({error}).") from error
    if not inflater.eof:
        raise DataError(f"{file.name} is truncated: its gzip stream has no end.")
