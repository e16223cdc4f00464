"""The base of our materializers: JSON, tables and pages as files of the artifact."""

import os
from typing import Any, ClassVar, TypeVar

import pandas as pd
from zenml.materializers.base_materializer import BaseMaterializer

from materializers.json_files import json_hash, read_json, write_json
from materializers.tables import read_table, write_table

T = TypeVar("T")


class FilesMaterializer(BaseMaterializer):
    """Reads and writes the artifact's files by their names."""

    SKIP_REGISTRATION: ClassVar[bool] = True

    def path(self, name: str) -> str:
        """Return where the artifact's file of that name is."""
        return os.path.join(self.uri, name)

    def read_json(self, name: str, kind: type[T]) -> T:
        """Read a value of the given type."""
        return read_json(self.artifact_store, self.path(name), kind)

    def write_json(self, name: str, value: object) -> None:
        """Write a dataclass or a container of plain values."""
        write_json(self.artifact_store, self.path(name), value)

    def read_table(self, name: str) -> pd.DataFrame:
        """Read a frame with the types it was written with."""
        return read_table(self.artifact_store, self.path(name))

    def write_table(self, name: str, frame: pd.DataFrame) -> None:
        """Write a frame as parquet."""
        write_table(self.artifact_store, self.path(name), frame)

    def write_text(self, name: str, text: str) -> str:
        """Write a page and return where it is."""
        path = self.path(name)
        with self.artifact_store.open(path, "w") as file:
            file.write(text)
        return path


class RecordMaterializer(FilesMaterializer):
    """One value of the associated type as one JSON file."""

    SKIP_REGISTRATION: ClassVar[bool] = True
    FILE: ClassVar[str] = "record.json"

    def load(self, data_type: type[Any]) -> Any:
        """Read the record."""
        return self.read_json(self.FILE, self.ASSOCIATED_TYPES[0])

    def save(self, data: Any) -> None:
        """Write the record."""
        self.write_json(self.FILE, data)

    def compute_content_hash(self, data: Any) -> str | None:
        """Hash the record's JSON."""
        return json_hash(data)
