"""Any data set on the Hugging Face Hub, by its name.

    --set data.source=hf://datasets/OWNER/NAME[@REVISION][/DIRECTORY]
    --set data.source='hf://datasets/OWNER/NAME?config=NAME&split=NAME'

`datasets` reads its files row by row, whatever their format, and runs no code of the repository. The split is
`train` if none is named: ours are made of its rows. A label that is a number with a name becomes the name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from review_sentiment.data.sources.copies import write_rows
from review_sentiment.data.sources.hub_repository import HubRepository
from review_sentiment.data.sources.retries import with_retries
from review_sentiment.errors import DataError, ReviewSentimentError, UsageError, did_you_mean, first_line

TRAIN = "train"
OPTIONS = ("config", "split")
MEDIA = ("Audio", "Image", "Nifti", "Pdf", "Video")
"""Types of columns that are left out."""

logger = logging.getLogger(__name__)


def hub_table(address: str, endpoint: str | None = None) -> HubTable | None:
    """Return the table of an address, or None if its directory has one `<Category>.jsonl` per category.

    Raises:
        UsageError: the address is wrong.
        DataError: the data set does not exist, or may not be read.
    """
    plain, separator, text = address.partition("?")
    options = dict(parse_qsl(text))
    wrong = next((key for key in options if key not in OPTIONS), None)
    if wrong or (separator and not options):
        raise UsageError(
            f"data.source: after '{plain}?' write config=NAME, split=NAME, or both with & between them."
            f"{did_you_mean(wrong or '', OPTIONS)}"
        )
    repository = HubRepository(plain, endpoint)
    if not options and repository.listing.files:
        return None
    return HubTable(address, repository, options.get("config"), options.get("split"))


class HubTable:
    """One split of one configuration of a data set, at one commit."""

    def __init__(self, name: str, repository: HubRepository, config: str | None, split: str | None) -> None:
        self.name = name
        self.key: tuple[str, ...] = ("hub", str(repository.endpoint), name)
        self._repository = repository
        self._config = config
        self._split = split

    def state(self) -> str:
        """Return the commit.

        Raises:
            UnreachableError: there is no network.
            DataError: the data set does not exist, or may not be read.
        """
        return self._repository.listing.commit

    def write(self, directory: Path) -> None:
        """Write the rows, as they are downloaded.

        Raises:
            UsageError: the configuration or the split does not exist.
            DataError: the data set cannot be read.
        """
        name = self._repository.name.rpartition("/")[2]
        try:
            rows = with_retries(self.name, lambda: self._repository.call(self._rows), first=True)
            write_rows(directory, name, rows, self.name)
        except ReviewSentimentError:
            raise
        except Exception as error:  # the reader of each format has errors of its own
            raise DataError(f"{self.name} cannot be read: {first_line(error)}") from error

    def _rows(self) -> Iterable[Mapping[str, Any]]:
        """Open the split; its rows come with the names of labels instead of their numbers."""
        import datasets

        options = {"data_dir": self._repository.directory, "revision": self._repository.listing.commit}
        try:
            splits = datasets.load_dataset(self._repository.name, self._config, streaming=True, **options)
        except ValueError as error:  # also of a configuration that does not exist, or is not named
            found = datasets.get_dataset_config_names(self._repository.name, **options)
            self._require("config", self._config, found, error)
            raise
        names = tuple(splits)
        chosen = self._split or (TRAIN if TRAIN in names else names[0] if len(names) == 1 else None)
        self._require("split", chosen, names, None)
        split = splits[chosen]
        types = {name: type(feature).__name__ for name, feature in (split.features or {}).items()}
        media = [name for name, kind in types.items() if kind in MEDIA]
        if media:
            logger.info("%s: %s are not texts and are left out", self.name, ", ".join(media))
            split = split.remove_columns(media)
        labels = {name: split.features[name].names for name, kind in types.items() if kind == "ClassLabel"}
        return _named(split, labels) if labels else split

    def _require(
        self, option: str, chosen: str | None, known: Sequence[str], error: Exception | None
    ) -> None:
        if chosen in known:
            return
        what = {"config": "configuration", "split": "split"}[option]
        if chosen is None:
            problem = f"the data set has several {what}s: name one with ?{option}=NAME."
        else:
            problem = f"there is no {what} '{chosen}'.{did_you_mean(chosen, known)}"
        raise UsageError(f"data.source: {self.name}: {problem} It has: {', '.join(known)}.") from error


def _named(
    rows: Iterable[Mapping[str, Any]], labels: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the rows with the names of labels; a number below 0 is none."""
    for row in rows:
        numbers = {name: row[name] for name in labels}
        named = {
            name: labels[name][number] if number is not None and number >= 0 else None
            for name, number in numbers.items()
        }
        yield {**row, **named}
