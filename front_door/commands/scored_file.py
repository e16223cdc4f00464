"""The result of `score`, for the terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.decision.prior_choice import ESTIMATE, VERSION
from review_sentiment.names import counted, in_sentence

if TYPE_CHECKING:
    from review_sentiment.data.data_report import DataReport
    from review_sentiment.registry.student_choice import Combined
    from review_sentiment.scoring.answered_file import BulkResult

MAX_SHARES = 6
"""Labels whose shares are shown, the most frequent ones."""


@dataclass(frozen=True)
class ScoredFile:
    """The result for a file, its drift report, and whether the scores came from the cache.

    `combined` says how a student answered with the version, if one did.
    """

    result: BulkResult
    drift: DataReport
    drift_page: Path
    cached: bool
    combined: Combined | None

    def as_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        result = asdict(self.result)
        del result["sample"]
        return result | {
            "total": self.result.total,
            "cached": self.cached,
            "student": self.combined.as_json() if self.combined else None,
            "distances": dict(self.drift.distances),
            "drifted": list(self.drift.drifted),
            "drift_page": str(self.drift_page),
        }

    def as_text(self) -> str:
        """Return the result for the terminal."""
        found = self.result
        labels = ", ".join(counted(sorted(found.labels.items())))
        models = " and ".join(dict.fromkeys([found.model_version, *found.answered_by]))
        source = ", scores from the cache" if self.cached else ""
        columns = f"texts from column '{found.columns.text}', "
        columns += f"titles from '{found.columns.title}'" if found.columns.title else "no titles"
        lines = [
            f"{found.output}: {found.rows:,} rows by version {models} ({labels}){source}",
            columns,
            f"{found.rows:,} scored + {found.failed:,} failed = {found.total:,} rows of {found.source}",
        ]
        if self.combined:
            lines += [*_model_lines(found, self.combined), self.combined.in_words()]
        if found.failed:
            lines.append(f"{found.failed_file} has each failed row with the reason")
        lines += [*_unsure_lines(found), *share_lines(found)]
        distances = ", ".join(f"{column} {distance:.2f}" for column, distance in self.drift.distances.items())
        drifted = f"drifted: {', '.join(self.drift.drifted)}" if self.drift.drifted else "no drift"
        lines.append(f"distance from the training reviews: {distances}; {drifted} ({self.drift_page})")
        return "\n".join(lines)


def _model_lines(found: BulkResult, combined: Combined) -> list[str]:
    """Return how many rows the version and its student answered, if they share them."""
    student = combined.combination.student
    if combined.combination.threshold is None:
        return []
    of_student = found.answered_by.get(student, 0)
    rows = {combined.teacher: found.rows - of_student, student: of_student}
    parts = (f"{count:,} rows ({count / found.rows:.1%}) by {model}" for model, count in rows.items())
    return [f"answered: {', '.join(parts)}"]


def _unsure_lines(found: BulkResult) -> list[str]:
    """Return how many rows are not answered, and which of them are the least certain."""
    if found.unsure is None:
        return []
    count = f"{found.unsure.rows:,} of {found.rows:,} rows ({found.unsure.rows / found.rows:.1%}) are unsure"
    if not found.unsure.file:
        return [count]
    first = ", ".join(
        f"{row.number} ({in_sentence(row.label)} {row.confidence:.3f})" for row in found.unsure.least_certain
    )
    return [f"{count}: {found.unsure.file} has them, least certain first", f"least certain rows: {first}"]


def share_lines(found: BulkResult) -> list[str]:
    """Return the estimated class shares beside those of the version, and whether they agree."""
    every = found.shares.items()
    shares = (
        sorted(every, key=lambda item: -item[1].estimate)[:MAX_SHARES] if len(every) > MAX_SHARES else every
    )
    estimates = ", ".join(
        f"{in_sentence(label)} {share.estimate:.1%} ({share.low:.1%} to {share.high:.1%})"
        for label, share in shares
    )
    if more := len(every) - len(shares):
        estimates += f" and {more} more labels (--json has all)"
    version = ", ".join(f"{in_sentence(label)} {share.version:.1%}" for label, share in shares)
    used = ", ".join(f"{in_sentence(label)} {share.used:.1%}" for label, share in shares)
    answered = "" if found.prior == VERSION else f"; answered for {used}"
    lines = [f"estimated class shares, with 95% intervals: {estimates}; the version's: {version}{answered}"]
    if outside := [in_sentence(label) for label, share in every if not share.is_plausible]:
        whose = "version's" if found.prior == VERSION else "given"
        lines.append(
            f"The {whose} shares lie outside these intervals ({', '.join(outside)}). Run the same command "
            f"with --prior {ESTIMATE} to answer for the estimated shares; the file is not scored again."
        )
    return lines
