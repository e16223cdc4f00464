"""The files of an input: one file, a directory, a pattern, or a prefix of any file system of fsspec's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from review_sentiment.errors import DataError, ReviewSentimentError, UsageError, first_line
from review_sentiment.fingerprints import file_fingerprint

PACKED = {".gz", ".zst", ".bz2", ".xz"}
FORMATS = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet"}


@dataclass(frozen=True)
class InputFile:
    """A file: its path or address, and its path below the input's directory, which names its output."""

    address: str
    name: str

    def output_name(self, ending: str) -> str:
        """Return the path of the output below its directory: `a/b.csv.gz` is `a/b.csv`."""
        path = PurePosixPath(self.name)
        if path.suffix.lower() in PACKED:
            path = path.with_suffix("")
        return str(path.with_suffix(ending) if path.suffix.lower() in FORMATS else f"{path}{ending}")


def find_files(source: str) -> list[InputFile]:
    """Return the files of an input, sorted. Names that start with a dot or `_` mark no data: `_SUCCESS`.

    Raises:
        UsageError: there is no file, or the package of the file system is not installed.
        DataError: the file system cannot be reached.
    """
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    try:
        files, path = url_to_fs(source, use_listings_cache=False)
        if files.isfile(path):
            root, found = str(PurePosixPath(path).parent), [path]
        elif any(character in path for character in "*?["):
            found = [one for one in files.glob(path) if files.isfile(one)]
            root = _before_pattern(path)
        else:
            root, found = path, files.find(path)
    except Exception as error:  # the client of each file system has errors of its own
        raise _unreachable(source, error) from error
    below = {one: str(PurePosixPath(one).relative_to(root)) for one in sorted(found)}
    data = {one: name for one, name in below.items() if not any(map(_is_hidden, PurePosixPath(name).parts))}
    if not data:
        raise UsageError(
            f"There are no files at {source}. Name a file, a directory, a quoted pattern such as "
            "'reviews/*.parquet', or a prefix such as s3://bucket/reviews."
        )
    is_local = "file" in (files.protocol if isinstance(files.protocol, tuple) else (files.protocol,))
    return [InputFile(one if is_local else files.unstrip_protocol(one), name) for one, name in data.items()]


def refuse_output_inside(source: str, output: Path) -> None:
    """Check that the outputs do not become inputs of the next run.

    Raises:
        UsageError: the output is the directory of the input or, if that is read with all below it, in it.
    """
    root, output = Path(_before_pattern(source)).resolve(), output.resolve()
    is_deep = "**" in source or root == Path(source).resolve()
    if root.is_file():
        root, is_deep = root.parent, False
    if "://" not in source and (output == root or (is_deep and root in output.parents)):
        raise UsageError(
            f"The output {output} is inside the input {root}: the next run would score it again. Name a "
            "directory beside the input."
        )


@contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """Yield the path of a file; one of another file system is downloaded for the time of the block.

    Raises:
        DataError: it cannot be downloaded.
    """
    if "://" not in address:
        yield Path(address)
        return
    from fsspec.core import url_to_fs

    with tempfile.TemporaryDirectory(prefix="review-sentiment-input-") as scratch:
        copy = Path(scratch) / PurePosixPath(address).name
        try:
            files, path = url_to_fs(address)
            files.get_file(path, str(copy))
        except Exception as error:
            raise _unreachable(address, error) from error
        yield copy


def content_key(address: str) -> str:
    """Return what changes with a file's content: its hash, or what its file system has for it (the ETag).

    Raises:
        DataError: it cannot be read.
    """
    if "://" not in address:
        return file_fingerprint(Path(address))
    from fsspec.core import url_to_fs

    try:
        files, path = url_to_fs(address, use_listings_cache=False)
        return str(files.checksum(path))
    except Exception as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ReviewSentimentError:
    if isinstance(error, ImportError):
        return UsageError(f"{address} needs a package that is not installed: {first_line(error)}.")
    return DataError(
        f"{address} cannot be read: {first_line(error)}. Check the address and the credentials, which the "
        "client takes from its usual variables and files."
    )


def _before_pattern(path: str) -> str:
    """Return the directory above the first part of a path with a pattern; a path without one as it is."""
    parts = PurePosixPath(path).parts
    plain = next((n for n, part in enumerate(parts) if any(one in part for one in "*?[")), len(parts))
    return str(PurePosixPath(*parts[:plain]))


def _is_hidden(part: str) -> bool:
    return part.startswith(("_", "."))
