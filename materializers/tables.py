"""Data frames as parquet, and their content hash."""

import hashlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from zenml.artifact_stores import BaseArtifactStore

PREVIEW_ROWS = 20


def write_table(store: BaseArtifactStore, uri: str, frame: pd.DataFrame) -> None:
    """Write a frame to one parquet file."""
    with store.open(uri, "wb") as file:
        pq.write_table(_arrow(frame), file)


def read_table(store: BaseArtifactStore, uri: str) -> pd.DataFrame:
    """Read a frame from one parquet file, with the types it was written with."""
    with store.open(uri, "rb") as file:
        frame: pd.DataFrame = pq.read_table(pa.BufferReader(file.read())).to_pandas()
    return frame


def content_hash(frame: pd.DataFrame, *texts: str) -> str:
    """Return a hash of rows, column names and types, and of the texts beside them."""
    digest = hashlib.blake2b(digest_size=16)
    table = _arrow(frame).replace_schema_metadata(None).combine_chunks()
    with pa.ipc.new_stream(_HashedSink(digest), table.schema) as stream:
        stream.write_table(table)
    for text in texts:
        digest.update(text.encode())
    return digest.hexdigest()


def preview(frame: pd.DataFrame, title: str) -> str:
    """Return the first rows as an HTML page."""
    return (
        f"<html><body style='font-family: sans-serif; font-size: 13px'><h3>{title}</h3>"
        f"{frame.head(PREVIEW_ROWS).to_html(index=False, border=0)}</body></html>"
    )


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


class _HashedSink:
    """A file that forgets what is written to it, but for the hash."""

    closed = False

    def __init__(self, digest: "hashlib.blake2b") -> None:
        self._digest = digest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""
