"""The base of our materializers: a dataclass as one JSON file and one parquet file per data frame."""

import hashlib
import json
import os
from dataclasses import fields
from typing import Any, ClassVar, get_type_hints

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter
from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer

RECORD_FILE = "record.json"
HASHED_ROWS = 10_000
GROUP_ROWS = 20_000
"""A reader of some columns or rows has one row group in memory: of reviews, these are 10 MB."""
PREVIEW_ROWS = 20


class RecordMaterializer(BaseMaterializer):
    """A dataclass. Fields that are data frames become parquet files; the others are in one JSON file."""

    SKIP_REGISTRATION: ClassVar[bool] = True
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def load(self, data_type: type[Any]) -> Any:
        """Read the record."""
        kind = self.ASSOCIATED_TYPES[0]
        tables: dict[str, pd.DataFrame] = {}
        for name, annotation in _annotations(kind).items():
            if annotation is pd.DataFrame:
                with self.artifact_store.open(self.table_path(name), "rb") as file:
                    tables[name] = pq.read_table(pa.BufferReader(file.read())).to_pandas()
        return kind(**tables, **self.without_tables())

    def without_tables(self) -> dict[str, Any]:
        """Read the fields that are not data frames."""
        with self.artifact_store.open(self.path(RECORD_FILE), "r") as file:
            saved = json.load(file)
        return {
            name: TypeAdapter(annotation).validate_python(saved[name])
            for name, annotation in _annotations(self.ASSOCIATED_TYPES[0]).items()
            if annotation is not pd.DataFrame
        }

    def save(self, data: Any) -> None:
        """Write the record."""
        for name, table in _tables(data).items():
            with self.artifact_store.open(self.table_path(name), "wb") as file:
                pq.write_table(table, file, row_group_size=GROUP_ROWS)
        self.write_text(RECORD_FILE, _json(data))

    def compute_content_hash(self, data: Any) -> str:
        """Hash the JSON, and the rows, column names and types of the tables."""
        digest = hashlib.blake2b(_json(data).encode(), digest_size=16)
        for table in _tables(data).values():
            plain = table.replace_schema_metadata(None).combine_chunks()
            digest.update(plain.schema.serialize())
            # In batches: a copy of a whole table would double its memory.
            for batch in plain.to_batches(HASHED_ROWS):
                digest.update(batch.serialize())
        return digest.hexdigest()

    def path(self, name: str) -> str:
        """Return the path of one of the artifact's files."""
        return os.path.join(self.uri, name)

    def table_path(self, name: str) -> str:
        """Return the path of a data frame's parquet file."""
        return self.path(f"{name}.parquet")

    def page(self, name: str, text: str) -> dict[str, VisualizationType]:
        """Write an HTML or Markdown page, and return it as a visualization."""
        kind = VisualizationType.HTML if name.endswith(".html") else VisualizationType.MARKDOWN
        return {self.write_text(name, text): kind}

    def preview(self, frame: pd.DataFrame, title: str) -> dict[str, VisualizationType]:
        """Show the first rows of a table."""
        rows = frame.head(PREVIEW_ROWS).to_html(index=False, border=0)
        style = "font-family: sans-serif; font-size: 13px"
        page = f"<html><body style='{style}'><h3>{title}</h3>{rows}</body></html>"
        return self.page("preview.html", page)

    def write_text(self, name: str, text: str) -> str:
        """Write a text file and return its path."""
        path = self.path(name)
        with self.artifact_store.open(path, "w") as file:
            file.write(text)
        return path


def _annotations(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _tables(data: Any) -> dict[str, pa.Table]:
    return {
        name: pa.Table.from_pandas(getattr(data, name), preserve_index=False)
        for name, annotation in _annotations(type(data)).items()
        if annotation is pd.DataFrame
    }


def _json(data: Any) -> str:
    values = {
        name: TypeAdapter(annotation).dump_python(getattr(data, name), mode="json")
        for name, annotation in _annotations(type(data)).items()
        if annotation is not pd.DataFrame
    }
    return json.dumps(values, indent=2)
