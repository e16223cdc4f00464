"""What a table of reviews contains, and the settings that train on it. The functions take seconds.

An uploaded file stays in the cache directory: a run needs a path.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, BinaryIO

from dashboard.settings_form import DEFAULT_CONFIG, as_text, base_settings
from front_door.commands.inspect import inspect_source
from front_door.commands.table_configuration import configuration_of
from review_sentiment.cache import cache_directory
from review_sentiment.config import Settings
from review_sentiment.data.label_counts import label_counts
from review_sentiment.data.labels import scheme_of
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import flat, load_settings

DIGITS = 16
CHUNK = 1 << 20
WRITTEN_FILE = "reviews.yaml"
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class InspectedTable:
    """A table as `inspect --json` reports it, and the settings that train on it.

    `configuration` is a file for `--config`; `parameters` are the settings that differ from the default
    configuration, as the address of a new run has them. If the table cannot be used, `problem` says why.
    """

    report: Mapping[str, Any]
    configuration: str = ""
    parameters: Mapping[str, str] | None = None
    problem: str = ""


@dataclass(frozen=True)
class SourceReviews:
    """The default settings' source, and its reviews by category and label, if counting is cheap."""

    source: str
    labels: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]] | None


def inspect_reviews(source: str, columns: Mapping[str, str]) -> InspectedTable:
    """Inspect a file, directory or address; `columns` names the columns of some roles.

    Raises:
        UsageError: the table or a column does not exist.
        DataError: a file is damaged.
        ModelUnavailableError: the default settings' model, whose tokens are counted, is not available.
    """
    base = base_settings(DEFAULT_CONFIG)
    table = load_settings(None, [f"data.source={source}"]).data
    report = inspect_source(table, dict(columns), base)
    try:
        configuration = configuration_of(report, None, Path(WRITTEN_FILE))
    except UsageError as error:
        return InspectedTable(
            report.as_json(), problem=str(error).removeprefix("No configuration was written: ")
        )
    return InspectedTable(report.as_json(), configuration, parameters_of(configuration, base))


def parameters_of(configuration: str, base: Settings) -> dict[str, str]:
    """Return the settings of a configuration's text that differ from `base`, as a user would type them."""
    with TemporaryDirectory(prefix="review-sentiment-table-") as directory:
        file = Path(directory) / WRITTEN_FILE
        file.write_text(configuration, encoding="utf-8")
        settings, before = flat(load_settings(file)), flat(base)
    return {key: as_text(value) for key, value in settings.items() if value != before[key]}


def keep_upload(file: BinaryIO, name: str) -> Path:
    """Save an uploaded file under its content's hash, so that its name stays and nothing is overwritten."""
    directory = cache_directory() / "uploads"
    directory.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with NamedTemporaryFile(dir=directory, delete=False) as scratch:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            scratch.write(chunk)
    kept = (
        directory
        / digest.hexdigest()[:DIGITS]
        / (_NOT_IN_NAMES.sub("-", Path(name).name).strip("-.") or "table")
    )
    kept.parent.mkdir(exist_ok=True)
    shutil.move(scratch.name, kept)
    return kept


def default_reviews() -> SourceReviews:
    """Count the reviews of the default settings.

    Raises:
        DataError: the embedded reviews are not installed.
    """
    data = base_settings(DEFAULT_CONFIG).data
    scheme = scheme_of(data.labels)
    source = open_source(data)
    found = label_counts(source, data.categories or source.categories(), scheme)
    counts = {name: dict(of) for name, of in found.by_category.items()} if found else None
    return SourceReviews(data.source, scheme.names, counts)
