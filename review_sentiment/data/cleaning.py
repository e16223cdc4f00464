"""From raw records to clean, labelled reviews; dropped rows are counted by reason."""

from __future__ import annotations

import html
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from review_sentiment.data.labels import NOT_LISTED, LabelScheme, number_text
from review_sentiment.data.languages import UNKNOWN, language_of
from review_sentiment.data.records import BrokenRecord, ReviewRecord
from review_sentiment.data.review_table import ReviewTable, table_of
from review_sentiment.data.sampling import BottomK
from review_sentiment.data.sources.source import Reading
from review_sentiment.data.times import seconds_of
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash
from review_sentiment.names import counted
from review_sentiment.progress import Progress

if TYPE_CHECKING:
    from review_sentiment.config import CleaningSettings

logger = logging.getLogger(__name__)

CleanRow = dict[str, Any]
"""A clean review by the columns of `review_table`."""

EXAMPLES_SHOWN = 3
"""Broken rows that an error message quotes."""
UNREADABLE_TIME = "unreadable time"
MAX_REASONS, OTHER_REASON = 100, "another reason"
"""A column that is no label column gives a reason for each of its values."""
LABELS_SHOWN = 5

_MARKERS = re.compile(r"\[\[(?:VIDEOID|ASIN|IMAGEID):[^\]]*\]\]")
_TAGS = re.compile(
    r"</?(?:br|p|b|i|u|s|em|strong|small|span|div|ul|ol|li|a|h[1-6]|hr|img|font|center)\b[^>]*>",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")
_NOT_WORDS = re.compile(r"[\W_]+")
_STAR_TITLE = re.compile(
    r"""^\W*(?:
        (?:(?:zero|one|two|three|four|five|[0-5](?:\.\d)?)\s*(?:out\s*of\s*(?:five|5)\s*)?[-\s]*stars?)
      | (?:[0-5](?:\.\d)?|one|two|three|four|five)\s*(?:/|out\s*of)\s*(?:5|five)
      | (?<=[★☆⭐*])
    )\W*$""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class CleaningRules:
    """The labels, how many rows of each class to keep, the fraction that may be broken, and the languages.

    If a review `needs_time`, one whose time cannot be read is broken. `max_per_class` limits memory. A
    reading in random order stops when every class has `enough_per_class`.
    """

    scheme: LabelScheme
    max_per_class: int
    enough_per_class: int
    max_broken_share: float
    languages: tuple[str, ...] = ()
    needs_time: bool = False

    @classmethod
    def of(
        cls, scheme: LabelScheme, cleaning: CleaningSettings, needed: int, kept: int, *, needs_time: bool
    ) -> CleaningRules:
        """Keep `needed` rows of the rarest class and `kept` of the others, unless the settings say less."""
        most = cleaning.max_per_class or kept
        return cls(scheme, most, min(most, needed), cleaning.max_broken_share, cleaning.languages, needs_time)


def clean_text(text: str) -> str:
    """Return the text without HTML tags, shop markers and repeated white space."""
    without_tags = _TAGS.sub(" ", html.unescape(text))
    return _SPACE.sub(" ", _MARKERS.sub(" ", without_tags)).strip()


def mask_title(title: str) -> str:
    """Return the title, or an empty string if it only repeats the stars ("Five Stars", "4/5")."""
    return "" if _STAR_TITLE.match(title) else title


def normalised(text: str) -> str:
    """Return the words of a text in lower case: equal for texts that a reader would call the same."""
    return _NOT_WORDS.sub(" ", text.casefold()).strip()


def sample_key(words: str, seed: int) -> int:
    """Return the hash of a normalised text by which reviews are sampled, which is uniform."""
    return stable_hash(str(seed), words)


def require_readable(
    category: str, broken: int, read: int, max_broken_share: float, examples: Sequence[str]
) -> None:
    """Check that no more rows of a category are broken than the settings allow.

    Raises:
        DataError: they are.
    """
    if broken > max_broken_share * read:
        raise DataError(
            f"{category}: {broken} of {read} rows are broken, more than cleaning.max_broken_share = "
            f"{max_broken_share:.1%} ({'; '.join(examples)}). Repair the file, name other columns, or raise "
            "that setting if the loss is acceptable."
        )


def clean_category(category: str, reading: Reading, rules: CleaningRules, seed: int) -> ReviewTable:
    """Clean, label, deduplicate and sample the records of one category.

    A reading in random order stops as soon as there are `enough_per_class` rows of every class. Any other
    reading is read to its end. The sample has at most `max_per_class` rows of every class.

    Raises:
        DataError: the rules allow fewer broken rows.
    """
    sample = _CategorySample(category, rules, seed)
    total = rules.enough_per_class if reading.shuffled else reading.size or 1
    size = 0
    with Progress(f"reading {category}", total) as progress:
        for chunk in reading.chunks:
            for record in chunk.rows:
                sample.add(record)
            size += chunk.size
            rarest = min(sample.rarest_class, rules.enough_per_class)
            done = rarest if reading.shuffled else size
            speed = size / 1e6 / max(progress.seconds, 1e-9)
            detail = f"{sample.read:,} rows, {size / 1e6:,.1f} MB, {speed:.1f} MB/s"
            progress.advance(done - progress.done, detail)
            if reading.shuffled and rarest == rules.enough_per_class:
                break
    table = sample.table(size / reading.size if reading.shuffled and reading.size and size else 1.0)
    kept = ", ".join(counted(table.class_counts().items())) or "none"
    reasons = table.counts[0].reasons()
    logger.info("%s: %s of %s rows kept; dropped: %s", category, kept, f"{table.read:,}", reasons)
    if len(table.class_counts()) <= 1:
        left = f"only {kept} reviews" if len(table) else "no usable review"
        logger.warning("warning: %s has %s", category, left)
    not_listed = {reason: count for reason, count in table.dropped.items() if reason.endswith(NOT_LISTED)}
    if not_listed:
        most = sorted(not_listed.items(), key=lambda item: (-item[1], item[0]))[:LABELS_SHOWN]
        shown = ", ".join(f"{reason.removesuffix(NOT_LISTED).strip()} ({rows:,})" for reason, rows in most)
        logger.warning(
            "warning: %s: %s rows have a label that data.labels does not list: %s%s",
            category,
            f"{sum(not_listed.values()):,}",
            shown,
            " and others" if len(not_listed) > LABELS_SHOWN else "",
        )
    return table


class _CategorySample:
    """The rows kept from a category so far, and what became of the others.

    The sample of a class is that of the rows with the smallest hashes of their text: uniform, in constant
    memory, and the same for every order of the rows. Rows with the same normalised text have the same hash,
    so they meet in the sample, and one of them is kept.
    """

    def __init__(self, category: str, rules: CleaningRules, seed: int) -> None:
        self.read = 0
        self._category = category
        self._rules = rules
        self._seed = seed
        self._samples = {label: BottomK[CleanRow](rules.max_per_class) for label in rules.scheme.names}
        self._dropped: Counter[str] = Counter()
        self._source_labels: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._broken = 0
        self._examples: list[str] = []

    @property
    def rarest_class(self) -> int:
        """Return the number of rows kept from the class with the fewest."""
        return min(map(len, self._samples.values()))

    def add(self, record: ReviewRecord | BrokenRecord) -> None:
        """Keep the record's row, or count the reason for dropping a row."""
        self.read += 1
        moment = None
        if self._rules.needs_time and isinstance(record, ReviewRecord):
            moment = seconds_of(record.time)
            if moment is None:
                record = BrokenRecord(f"row {self.read}", UNREADABLE_TIME)
        if isinstance(record, BrokenRecord):
            self._broken += 1
            if self._broken <= EXAMPLES_SHOWN:
                self._examples.append(f"{record.place}: {record.detail or record.reason}")
            reason: str | None = record.reason
        else:
            self._source_labels[self._rules.scheme.shown(record.label)] += 1
            reason = self._offer(record, moment)
        if reason is not None:
            self._dropped[reason if len(self._dropped) < MAX_REASONS else OTHER_REASON] += 1

    def _offer(self, record: ReviewRecord, moment: float | None) -> str | None:
        """Offer the record's row to the sample of its class; return the reason if a row was dropped."""
        row = _clean_row(self._category, record, self._rules.scheme)
        if isinstance(row, str):
            return row
        if self._rules.languages and _language(row) not in (*self._rules.languages, UNKNOWN):
            return "not in cleaning.languages"
        # Before the cap, which keeps other fractions of each class: production has the shares of the source.
        self._labels[row["label"]] += 1
        key = sample_key(normalised(row["text"]), self._seed)
        row["time"] = moment
        return self._samples[row["label"]].add(key, tie_break=row["review_id"], row=row)

    def table(self, fraction: float) -> ReviewTable:
        """Return the sample; `fraction` of the source was read.

        Raises:
            DataError: the rules allow fewer broken rows.
        """
        limit = self._rules.max_broken_share
        require_readable(self._category, self._broken, self.read, limit, self._examples)
        # Languages of the kept rows only: detecting one takes 0.1 ms, as long as reading a row.
        rows = [{**row, "language": _language(row)} for sample in self._samples.values() for row in sample]
        kept = _one_per_user_and_group(sorted(rows, key=lambda row: str(row["review_id"])))
        dropped = self._dropped + Counter({"same user and group": len(rows) - len(kept)})
        return table_of(self._category, kept, dropped, self._source_labels, self._labels, min(1.0, fraction))


def _one_per_user_and_group(rows: list[CleanRow]) -> list[CleanRow]:
    """Return the first review of each group by each user; all reviews if one of the two is unknown."""
    first: dict[object, CleanRow] = {}
    for row in rows:
        known = row["user"] is not None and row["group"] is not None
        first.setdefault((row["user"], row["group"]) if known else row["review_id"], row)
    return list(first.values())


def _language(row: CleanRow) -> str:
    return language_of(f"{row['title']} {row['text']}")


def _clean_row(category: str, record: ReviewRecord, scheme: LabelScheme) -> CleanRow | str:
    """Return the clean row, or the reason for dropping it."""
    text = clean_text(record.text)
    if not normalised(text):
        return "empty text"
    label = scheme.label(record.label)
    if label is None:
        return scheme.reason(record.label)
    title = mask_title(clean_text(record.title or ""))
    identity = stable_hash(record.user or "", record.group or "", title, text, number_text(record.label))
    return {
        "review_id": f"{identity:016x}",
        "category": category,
        "group": record.group,
        "user": record.user,
        "source_label": record.label,
        "verified_purchase": record.verified_purchase,
        "label": label,
        "title": title,
        "text": text,
    }
