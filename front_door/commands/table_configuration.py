"""The configuration that `inspect --write` makes of a report: a file for `run_pipeline.py --config`."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.config import DROP, MAX_LABEL, MIN_LABELS
from review_sentiment.data.inspection.column_profile import shortened
from review_sentiment.data.inspection.values import is_missing
from review_sentiment.data.labels import BINARY, RATINGS, scheme_of, value_text
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.data.inspection.inspection import TableReport

FEWEST_OF_A_CLASS = 30
"""Rows below which a class is left out: a fifth of them is held out, and a decision rule needs five."""
SHARES = ((250, None), (80, (0.25, 0.15)), (0, (0.3, 0.2)))
"""From so many rows of the rarest class: the shares of evaluation and validation; None for the defaults."""
MANY_GROUPS = 50
"""With fewer groups, a split can be left without any."""
MAX_CATEGORIES = 20
FEWEST_IN_A_CATEGORY = 30
"""Rows of each class that each category needs to be balanced on its own."""
TRAINED, EVALUATED = 3_000, 600
"""Reviews of about the default run."""
LEAST_STARS = 4
"""Different ratings from 1 to 5 from which a column has stars: a priority from 1 to 3 has not."""
STARS = {str(rating): BINARY.label(rating) or DROP for rating in RATINGS}
GAPS = 0.01
TRUNCATED, MAX_PROMPT, STEP = 0.05, 512, 32
REASON_WIDTH = 70
_NOT_IN_NAMES = re.compile(r"[^\w-]+")


def configuration_of(report: TableReport, query: str | None, file: Path) -> str:
    """Return the YAML for training on an inspected table; it will be written to `file`.

    If the table is the result of a query, this is the `query`.

    Raises:
        UsageError: the table cannot be used; the message has the problems and their remedies.
    """
    stops = [f"{one.problem}. {one.remedy}" for one in report.findings if one.severity == "stop"]
    if stops:
        raise UsageError(f"No configuration was written: {' '.join(stops)}")
    text = "\n".join(_Table(report, query).lines(file))
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory) / file.name
        written.write_text(text, encoding="utf-8")
        try:
            scheme_of(load_settings(written).data.labels)
        except UsageError as error:
            problem = str(error).removeprefix(f"Settings from {written}: ")
            raise UsageError(f"No configuration was written: {problem} Rename it in the table.") from error
    return text


@dataclass(frozen=True)
class _Table:
    report: TableReport
    query: str | None

    @property
    def source(self) -> str:
        return self.report.facts.sample.source

    def lines(self, file: Path) -> Iterator[str]:
        yield f"# Trains on {_in_a_comment(self.source)}."
        yield f"#   python run_pipeline.py --config {_in_a_comment(str(file))}"
        yield "# review_sentiment/config.py documents all keys and their defaults."
        yield "\ndata:"
        yield f"  source: {_quoted(self.source)}"
        if self.query is not None:
            yield f"  query: {_quoted(self.query)}"
        yield "  columns:"
        yield from self._columns()
        yield from self._labels()
        yield from self._split()
        yield from self._prompt()
        yield "\ntraining:"
        yield "  validations: 2              # halfway and at the end"
        yield "  validation_samples: 100"
        yield "\nevaluation:"
        yield "  baseline_samples: 200       # reviews for the untuned model"
        yield "  sample_predictions: 4       # generated token by token, about one second each"
        name = _NOT_IN_NAMES.sub("-", Path(self.source).name.split(".")[0]).strip("-") or "table"
        yield "\ntracking:"
        yield f"  experiment: {_quoted(name)}"
        yield "\nregistry:"
        yield f"  model_name: {_quoted(name)}   # its versions are compared with each other"
        yield ""

    def _columns(self) -> Iterator[str]:
        for role, found in self.report.facts.roles.items():
            problem = "" if found.given else self._against(role, found.column)
            reason = _in_a_comment(problem or found.reason)
            yield f"    {'# ' if problem else ''}{role}: {_quoted(found.column)}   # {reason}"

    def _against(self, role: str, column: str) -> str:
        """Return why a column that could have a role is not used; empty if it is."""
        profile = next(one for one in self.report.facts.profiles if one.name == column)
        if role == "group" and 1 - profile.present > GAPS:
            return f"not used: {1 - profile.present:.0%} of the rows have none"
        if role == "group" and profile.classes < MANY_GROUPS:
            return f"not used: with {profile.classes} values, a split can be left without any"
        if role == "category":
            return self._against_category(column)
        return ""

    def _against_category(self, column: str) -> str:
        sample, label = self.report.facts.sample, self.report.facts.roles["label"].column
        rows: dict[str, Counter[str]] = {}
        for category, value in zip(sample.columns[column], sample.columns[label], strict=True):
            if not is_missing(category):
                rows.setdefault(value_text(category), Counter())[value_text(value)] += 1
        few = [name for name, counts in rows.items() if self._fewest(counts) < FEWEST_IN_A_CATEGORY]
        if len(rows) > MAX_CATEGORIES:
            return f"not used: it has {len(rows)} values"
        if few:
            return (
                f"not used: {len(few)} of {len(rows)} values have few rows of a label; all are one category"
            )
        return ""

    def _fewest(self, counts: Mapping[str, int]) -> float:
        return self._per_sampled * min(counts[value] for value in self._used)

    @cached_property
    def _per_sampled(self) -> float:
        """Return how many rows of the table a row of the sample stands for."""
        return self.report.facts.sample.rows / self.report.facts.sample.sampled

    @cached_property
    def _classes(self) -> dict[str, float]:
        """Return about how many rows of the table have each value of the label column."""
        counts: Counter[str] = Counter()
        for value, rows in self.report.facts.classes.items():
            counts[value_text(value)] += rows
        numbers = all(map(_is_number, counts))
        ordered = sorted(counts, key=float) if numbers else [value for value, _ in counts.most_common()]
        return {value: self._per_sampled * counts[value] for value in ordered}

    @cached_property
    def _used(self) -> tuple[str, ...]:
        """Return the values that become labels."""
        enough = [
            value
            for value, rows in self._classes.items()
            if rows >= FEWEST_OF_A_CLASS and len(value) <= MAX_LABEL
        ]
        if len(enough) < MIN_LABELS:
            raise UsageError(
                f"No configuration was written: fewer than two classes have {FEWEST_OF_A_CLASS} rows or "
                "more. Add rows, or name another column with --column label=NAME."
            )
        return tuple(enough)

    @property
    def _has_stars(self) -> bool:
        return set(self._classes) <= set(STARS) and len(self._classes) >= LEAST_STARS

    def _labels(self) -> Iterator[str]:
        if self._has_stars:
            pairs = ", ".join(f"{stars}: {name}" for stars, name in STARS.items())
            yield f"  labels: {{{pairs}}}   # or `stars`: the five ratings"
            return
        left_out = [value for value in self._classes if value not in self._used]
        if DROP in self._used or not left_out:
            yield "  labels:"
            yield from (
                f"    - {_quoted(value)}   # about {self._classes[value]:,.0f} rows" for value in self._used
            )
            return
        yield f"  labels:   # {DROP}: left out"
        for value, rows in self._classes.items():
            if len(value) <= MAX_LABEL:
                name = _quoted(value) if value in self._used else DROP
                yield f"    {_quoted(value)}: {name}   # about {rows:,.0f} rows"

    def _split(self) -> Iterator[str]:
        by_label: Counter[str] = Counter()
        for value in self._used:
            by_label[STARS[value] if self._has_stars else value] += round(self._classes[value])
        del by_label[DROP]
        rarest, rows = min(by_label.values()), by_label.total()
        shares = next(shares for least, shares in SHARES if rarest >= least)
        categories = self._categories()
        lines = []
        if shares:
            lines += [
                f"  evaluation_share: {shares[0]}      # much, because the rarest label has {rarest:,} rows",
                f"  validation_share: {shares[1]}",
            ]
        if rows > TRAINED:
            lines += [
                f"  train_per_category: {TRAINED // categories}    # about as long as the default run",
                f"  evaluation_per_category: {EVALUATED // categories}",
            ]
        if "time" in self.report.facts.roles:
            lines.append("  # by: time                  # train on the past, evaluate on the latest reviews")
        yield from ["\nsplit:", *lines] if lines else []

    def _categories(self) -> int:
        """Return how many categories the table will have: values of a column, or files."""
        role = self.report.facts.roles.get("category")
        if role and not self._against("category", role.column):
            return len({value_text(value) for value in self.report.facts.sample.columns[role.column]} - {""})
        return len(self.report.facts.sample.files)

    def _prompt(self) -> Iterator[str]:
        found = self.report.facts.lengths
        if found and found.truncated > TRUNCATED:
            tokens = min(MAX_PROMPT, -(-found.p95 // STEP) * STEP)
            yield "\nprompt:"
            yield f"  max_tokens: {tokens}             # 95 % of the texts take up to {found.p95}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def _quoted(text: str) -> str:
    """Return a text as YAML; every JSON string is one, so any heading can be written."""
    return json.dumps(text, ensure_ascii=False)


def _in_a_comment(text: str) -> str:
    return shortened(text, REASON_WIDTH)
