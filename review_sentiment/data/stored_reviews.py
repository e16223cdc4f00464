"""Reviews in a parquet file, of which only what is asked for is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from review_sentiment.data.review_table import CategoryCounts, Reviews

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class StoredReviews(Reviews):
    """Reviews that `open` opens the parquet file of, at each reading: it may be on a store like S3."""

    open: Callable[[], AbstractContextManager[IO[bytes]]]
    counts: tuple[CategoryCounts, ...] = ()

    def __len__(self) -> int:
        with self._file() as file:
            return int(file.metadata.num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Read a column chunk of the file at a time."""
        with self._file() as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns), use_threads=False):
                yield pa.Table.from_batches([batch]).to_pandas()

    def rows(self, numbers: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Read the row groups that have any of the rows."""
        with self._file() as file:
            found = [file.schema_arrow.empty_table()]
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                own = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, end)]
                if len(own):
                    found.append(file.read_row_group(group, use_threads=False).take(own - start))
                start = end
            frame: pd.DataFrame = pa.concat_tables(found).to_pandas()
            return frame

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        with self.open() as file:
            # Without pre-buffering, which would read a row group of all columns.
            yield pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
