"""Small typed values as JSON files."""

import hashlib
from typing import TypeVar

from pydantic import TypeAdapter
from zenml.artifact_stores import BaseArtifactStore

T = TypeVar("T")


def to_json(value: object) -> str:
    """Return a dataclass or a container of plain values as JSON with a fixed order of fields."""
    return TypeAdapter(type(value)).dump_json(value, indent=2).decode()


def write_json(store: BaseArtifactStore, uri: str, value: object) -> None:
    """Write a value to a JSON file."""
    with store.open(uri, "w") as file:
        file.write(to_json(value))


def read_json(store: BaseArtifactStore, uri: str, kind: type[T]) -> T:
    """Read a value of the given type from a JSON file."""
    with store.open(uri, "r") as file:
        return TypeAdapter(kind).validate_json(file.read())


def json_hash(value: object) -> str:
    """Return a hash of a value's JSON."""
    return hashlib.blake2b(to_json(value).encode(), digest_size=16).hexdigest()
