"""A directory of a web server with one `<Category>.jsonl.gz` for each category.

    --set data.source=ucsd
    --set data.source=https://example.org/reviews

`ucsd` is where the authors of Amazon Reviews 2023 publish its files. A gzip
file cannot be read from the middle: a category is streamed once, as a whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import httpx2
from huggingface_hub import get_session

from review_sentiment.data.sources.lines import CONNECTIONS, in_order, whole_ranges
from review_sentiment.data.sources.retries import TRANSIENT_STATUS, TransientError, asked_wait, persistently
from review_sentiment.data.sources.source import Reading
from review_sentiment.data.sources.web_file import TIMEOUT, Location, WebFile, refusal
from review_sentiment.errors import DataError

UCSD = "ucsd"
UCSD_ADDRESS = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/raw/review_categories"
SUFFIX = ".jsonl.gz"
GZIP_WINDOW = 16 + zlib.MAX_WBITS


CATEGORIES = (
    "All_Beauty",
    "Amazon_Fashion",
    "Appliances",
    "Arts_Crafts_and_Sewing",
    "Automotive",
    "Baby_Products",
    "Beauty_and_Personal_Care",
    "Books",
    "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories",
    "Clothing_Shoes_and_Jewelry",
    "Digital_Music",
    "Electronics",
    "Gift_Cards",
    "Grocery_and_Gourmet_Food",
    "Handmade_Products",
    "Health_and_Household",
    "Health_and_Personal_Care",
    "Home_and_Kitchen",
    "Industrial_and_Scientific",
    "Kindle_Store",
    "Magazine_Subscriptions",
    "Movies_and_TV",
    "Musical_Instruments",
    "Office_Products",
    "Patio_Lawn_and_Garden",
    "Pet_Supplies",
    "Software",
    "Sports_and_Outdoors",
    "Subscription_Boxes",
    "Tools_and_Home_Improvement",
    "Toys_and_Games",
    "Video_Games",
)


class WebDirectory:
    """The 33 categories of Amazon Reviews 2023 on a web server: it cannot be asked for its files."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._address = UCSD_ADDRESS if name == UCSD else name.rstrip("/")

    def categories(self) -> tuple[str, ...]:
        """Return the names of the data set's categories."""
        return CATEGORIES

    def revision(self, category: str) -> str:
        """Return what the server says of the file's state.

        Raises:
            DataError: the file is not there, or the server does not answer.
        """
        headers = self._headers(category)
        state = headers.get("etag") or headers.get("last-modified") or "unknown"
        return f"{state}, {headers['content-length']} bytes"

    def read(self, category: str, seed: int) -> Reading:
        """Begin to stream the category."""
        url = self._url(category)
        size = int(self._headers(category)["content-length"])
        file = WebFile(url, size, lambda: Location(url))
        return Reading(in_order(file.name, _inflated(file)), shuffled=False, size=size)

    def _url(self, category: str) -> str:
        return f"{self._address}/{category}{SUFFIX}"

    def _headers(self, category: str) -> httpx2.Headers:
        url = self._url(category)

        def ask() -> httpx2.Headers:
            response = get_session().head(url, headers={"Accept-Encoding": "identity"}, timeout=TIMEOUT)
            if response.status_code in TRANSIENT_STATUS:
                raise TransientError(
                    f"the server answered {response.status_code}", asked_wait(response.headers)
                )
            if response.status_code != httpx2.codes.OK or "content-length" not in response.headers:
                raise DataError(f"{url} cannot be read: {refusal(response.status_code)}")
            return response.headers

        return persistently(url, ask)


def _inflated(file: WebFile) -> Iterator[tuple[bytes, int]]:
    """Yield the decompressed bytes of each range, and the bytes that were read for them."""
    inflater = zlib.decompressobj(GZIP_WINDOW)
    try:
        for data in whole_ranges(file, CONNECTIONS // 4):
            inflated = inflater.decompress(data)
            while inflater.eof and inflater.unused_data:  # the next member of the file
                following = inflater.unused_data
                inflater = zlib.decompressobj(GZIP_WINDOW)
                inflated += inflater.decompress(following)
            yield inflated, len(data)
    except zlib.error as error:
        raise DataError(f"{file.name} is not gzip or is damaged ({error}).") from error
    if not inflater.eof:
        raise DataError(f"{file.name} is cut short: its gzip stream has no end.")
