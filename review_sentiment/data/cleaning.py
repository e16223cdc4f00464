"""From raw records to clean, labelled reviews; every dropped row is counted by its reason."""

import html
import logging
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from review_sentiment.data.labels import LabelScheme
from review_sentiment.data.records import BrokenRecord, ReviewRecord
from review_sentiment.data.review_table import ReviewTable, ingested, table_of
from review_sentiment.data.sampling import BottomK, Row
from review_sentiment.data.sources.source import Reading
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash
from review_sentiment.progress import Progress

logger = logging.getLogger(__name__)

EXAMPLES_SHOWN = 3
"""Broken rows that an error message quotes."""

_MARKERS = re.compile(r"\[\[(?:VIDEOID|ASIN|IMAGEID):[^\]]*\]\]")
_TAGS = re.compile(r"<(?:br|/?p|/?b|/?i|/?em|/?strong|/?span|/?div|/?ul|/?li|/?a)\b[^>]*>", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_LATIN = re.compile(r"[A-Za-z\u00AA\u00BA\u00C0-\u024F\u1E00-\u1EFF]")
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
    """What is kept: the labels, the most rows of a class, and how many broken rows are borne.

    `max_broken_share` is a fraction of the rows read; `max_per_class` bounds memory.
    """

    scheme: LabelScheme
    max_per_class: int
    max_broken_share: float


def clean_text(text: str) -> str:
    """Return the text without HTML, shop markers and repeated white space."""
    without_tags = _TAGS.sub(" ", html.unescape(text))
    return _SPACE.sub(" ", _MARKERS.sub(" ", without_tags)).strip()


def mask_title(title: str) -> str:
    """Return the title, or nothing where it only repeats the stars ("Five Stars", "4/5")."""
    return "" if _STAR_TITLE.match(title) else title


def normalised(text: str) -> str:
    """Return the words of a text in lower case: equal for texts that a reader calls the same."""
    return _NOT_WORDS.sub(" ", text.casefold()).strip()


def in_latin_script(text: str) -> bool:
    """Tell whether most letters are Latin: the models are evaluated on no other script."""
    if text.isascii():
        return True
    letters = sum(character.isalpha() for character in text)
    return 2 * len(_LATIN.findall(text)) >= letters


def clean_category(category: str, reading: Reading, rules: CleaningRules, seed: int) -> ReviewTable:
    """Clean, label, deduplicate and sample the records of one category.

    A reading in random order ends when there are `max_per_class` rows of every
    class, any other one at its end.

    Of every class the `max_per_class` rows with the smallest hash of their text
    are kept: a uniform sample that does not depend on the order of the rows and
    takes constant memory. Rows with the same normalised text have the same
    hash, so they meet in the sample and the first by content is kept.

    Raises:
        DataError: the category has no usable row, or more rows are broken than
            the rules bear.
    """
    dropped: Counter[str] = Counter()
    broken: list[BrokenRecord] = []
    samples = {label: BottomK(rules.max_per_class) for label in rules.scheme.names}
    stars: Counter[int] = Counter()
    read = broken_count = 0
    with ReadingProgress(category, reading, rules.max_per_class) as progress:
        for chunk in reading.chunks:
            read += len(chunk.rows)
            for record in chunk.rows:
                if isinstance(record, BrokenRecord):
                    broken_count += 1
                    if len(broken) < EXAMPLES_SHOWN:
                        broken.append(record)
                    dropped[record.reason] += 1
                    continue
                stars[int(record.rating)] += 1
                row, reason = _clean_record(category, record, rules.scheme)
                if row is None:
                    dropped[reason] += 1
                    continue
                key = stable_hash(str(seed), normalised(row["text"]))
                outcome = samples[row["label"]].add(key, tie_break=row["review_id"], row=row)
                if outcome is not None:
                    dropped[outcome] += 1
            scarcest = min(len(sample) for sample in samples.values())
            progress.follow(read, chunk.size, scarcest)
            if reading.shuffled and scarcest == rules.max_per_class:
                break

    if read and broken_count / read > rules.max_broken_share:
        examples = "; ".join(f"{item.place}: {item.reason}" for item in broken)
        raise DataError(
            f"{category}: {broken_count} of {read} rows are broken, more than "
            f"cleaning.max_broken_share = {rules.max_broken_share:.1%} ({examples}). "
            "Repair the file, or raise that setting if the loss is acceptable."
        )
    rows = _once_a_product(
        sorted(
            (row for sample in samples.values() for row in sample.rows()),
            key=lambda row: str(row["review_id"]),
        ),
        dropped,
    )
    if not rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise DataError(
            f"{category}: no usable review in {read} rows ({reasons or 'the category is empty'}). "
            "Take it out of data.categories or check its file."
        )
    table = table_of(rows, read, dropped, stars)
    kept = ", ".join(f"{count:,} {label}" for label, count in table.class_counts().items())
    logger.info("%s: %s of %s rows kept; dropped: %s", category, kept, f"{read:,}", ingested(table).reasons())
    return table


def _once_a_product(rows: list[Row], dropped: Counter[str]) -> list[Row]:
    """Keep the first of several reviews of one product by one user."""
    kept: dict[object, Row] = {}
    for row in rows:
        known = row["user"] is not None
        kept.setdefault((row["user"], row["product"]) if known else row["review_id"], row)
    if len(rows) > len(kept):
        dropped["same user and product"] += len(rows) - len(kept)
    return list(kept.values())


def _clean_record(
    category: str, record: ReviewRecord, scheme: LabelScheme
) -> tuple[dict[str, Any] | None, str]:
    """Return the clean row, or None and the reason for dropping it."""
    text = clean_text(record.text)
    if not normalised(text):
        return None, "empty text"
    if not in_latin_script(text):
        return None, "not in Latin script"
    label = scheme.label(record.rating)
    if label is None:
        return None, f"{record.rating:g} stars"
    title = mask_title(clean_text(record.title or ""))
    identity = stable_hash(record.user_id or "", record.parent_asin, title, text, str(record.rating))
    row = {
        "review_id": f"{identity:016x}",
        "category": category,
        "product": record.parent_asin,
        "user": record.user_id,
        "stars": int(record.rating),
        "verified_purchase": record.verified_purchase,
        "label": label,
        "title": title,
        "text": text,
    }
    return row, ""


class ReadingProgress(Progress):
    """Counts rows of the scarcest class where reading can stop early, else bytes."""

    def __init__(self, category: str, reading: Reading, wanted: int) -> None:
        """Follow a reading that ends with `wanted` rows of every class, or with its last byte."""
        super().__init__(f"reading {category}", wanted if reading.shuffled else reading.size or 1)
        self._shuffled = reading.shuffled
        self._bytes = 0

    def follow(self, rows: int, size: int, scarcest: int) -> None:
        """Tell the rows so far, the bytes of the last chunk, and the rows of the scarcest class so far."""
        self._bytes += size
        seconds = max(time.monotonic() - self._started, 1e-9)
        done = scarcest if self._shuffled else self._bytes
        megabytes = self._bytes / 1e6
        self.advance(done - self._done, f"{rows:,} rows, {megabytes:,.1f} MB, {megabytes / seconds:.1f} MB/s")
