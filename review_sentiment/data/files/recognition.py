"""What a file is, by its content and not by its name, and what to do about a file that cannot be read."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

from review_sentiment.errors import DataError, UsageError, first_line

Content = Literal["csv", "json lines", "json", "parquet"]
"""`json` is an array of objects, or objects that take several lines each."""

HEAD_BYTES = 1 << 16
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
PARQUET_MAGIC = b"PAR1"
AS_CSV = "Open it and save it as 'CSV UTF-8'."
TO_PARQUET = "Convert it with pandas or pyarrow to parquet."
UNREADABLE = {
    b"\xd0\xcf\x11\xe0": ("an Excel workbook of the old format (.xls)", AS_CSV),
    b"%PDF": ("a PDF document", "Export its table as CSV."),
    b"SQLite format 3": ("an SQLite database", "Export the table as CSV."),
    b"ARROW1": ("an Arrow (Feather) file", TO_PARQUET),
    b"ORC": ("an ORC file", TO_PARQUET),
    b"Obj\x01": ("an Avro file", TO_PARQUET),
    b"\x89HDF": ("an HDF5 file", TO_PARQUET),
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "Fetch it with `git lfs pull`."),
}
_PAGE = re.compile(rb"\s*<(?:!doctype|html|\?xml)", re.IGNORECASE)
_JSON_START = re.compile(r"""\s*(?:\{\s*(?:["}]|$)|\[\s*(?:[\[{\]"]|$))""")
_NEWLINE = re.compile(r"\r\n|\r|\n")
JSON_NAMES = (".jsonl", ".ndjson", ".json")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; a compressed one is unpacked on the way.

    Raises:
        DataError: the compressed data is damaged or truncated.
    """
    try:
        with _open(path) as file:
            yield file
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from error  # gzip, bzip2 and Arrow report damage without a number


def _open(path: Path) -> BinaryIO:
    match packing_of(path):
        case "gzip":
            return cast("BinaryIO", gzip.open(path))
        case "bzip2":
            return cast("BinaryIO", bz2.open(path))
        case "xz":
            return cast("BinaryIO", lzma.open(path))
        case "zstd":
            import pyarrow as pa

            return cast("BinaryIO", io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")))
        case _:
            return path.open("rb")


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path.name} is damaged or truncated ({first_line(error)}). Copy it again.")


def packing_of(path: Path) -> str | None:
    """Return how a file is compressed, or None."""
    with path.open("rb") as file:
        start = file.read(6)
    return next((name for magic, name in PACKED.items() if start.startswith(magic)), None)


def content_of(path: Path) -> Content:
    """Return what a file contains.

    Raises:
        UsageError: the file is missing, empty, or of a kind that cannot be read.
        DataError: it is damaged, or a text in another encoding than UTF-8.
    """
    if not path.is_file():
        raise UsageError(f"{path} is a directory." if path.is_dir() else f"There is no file {path}.")
    packing = packing_of(path)
    with opened(path) as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        raise UsageError(f"{path.name} is empty.")
    if head.startswith(PARQUET_MAGIC) and not packing:
        return "parquet"
    kind, advice = _unreadable(path, head)
    if kind:
        packed = f", compressed with {packing}" if packing else ""
        raise UsageError(f"{path.name} is {kind}{packed}. {advice}")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:2]:
        raise not_utf8(path, "it starts like UTF-16")
    return _text_content(path.name, head.decode("utf-8-sig", "ignore"))


def not_utf8(path: Path, where: str) -> DataError:
    """Return the error for a text in another encoding, with the command that converts it."""
    with opened(path) as file:
        start = file.read(2)
    encoding = "latin1"
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    elif b"\0" in start:
        encoding = "utf-16be" if start.startswith(b"\0") else "utf-16le"
    unpack = "Unpack and convert" if packing_of(path) else "Convert"
    return DataError(
        f"{path.name} is not in UTF-8 ({where}). {unpack} it first: "
        f"iconv -f {encoding} -t utf-8 {path.name} > converted{path.suffix}"
    )


def _unreadable(path: Path, head: bytes) -> tuple[str, str]:
    """Return what a file is that has no reader here, and what to do; two empty strings for any other file."""
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if _PAGE.match(head):
        return "an HTML or XML page", "Was it downloaded from the right address?"
    if head[257:262] == b"ustar":
        return "a tar archive", "Unpack it, and score the files in it."
    nested = dict.fromkeys(
        (PARQUET_MAGIC, *PACKED), ("a compressed file inside a compressed file", "Unpack it.")
    )
    known = [found for magic, found in (UNREADABLE | nested).items() if head.startswith(magic)]
    # UTF-16 and texts with null characters are not binary, and control characters are allowed in UTF-8.
    control = sum(byte < ord(" ") and byte not in b"\t\n\r\f\0" for byte in head)
    if not known and control > len(head) // 20 and "\ufffd" in head.decode("utf-8", "replace"):
        return "a binary file of an unknown kind", "Use CSV, JSON lines or parquet."
    return known[0] if known else ("", "")


def _archive(path: Path) -> tuple[str, str]:
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if any(name.startswith("xl/") or name == "content.xml" for name in names):
        return "a workbook of Excel or LibreOffice", AS_CSV
    return "a ZIP archive", "Unpack it, and score the files in it."


def _text_content(name: str, head: str) -> Content:
    lines = [line for line in _NEWLINE.split(head) if line.strip()]
    if not _JSON_START.match(lines[0]) and Path(name).suffix not in JSON_NAMES:
        return "csv"
    if lines[0].lstrip().startswith("[") and not (len(lines) > 1 and _is_json(lines[0])):
        return "json"
    if any(line.startswith("{") and _is_json(line) for line in lines):
        return "json lines"
    if lines[0].startswith("{") and len(lines) == 1 and len(head) >= HEAD_BYTES // 4:
        return "json lines"  # the first row is longer than what was read
    return "json" if _JSON_START.match(head) else "csv"


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
