"""Scores files on Ray with a stub: a process of its own, to be killed.

Run as a script, its stub travels to the workers by value, as nothing of tests/ is installed there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from review_sentiment.decision.rule import DecisionRule
from review_sentiment.scoring.answered_file import BulkResult, answer_file
from review_sentiment.scoring.bulk_scoring import ScoringJob, score_file
from review_sentiment.scoring.file_set import RayCluster, answer_files, check_inputs, score_files
from review_sentiment.scoring.scores import Scores

LABELS = ("negative", "positive")
RULE = DecisionRule.raw(LABELS, (0.5, 0.5))


@dataclass(frozen=True)
class Stub:
    """Scores a review by its length, after some seconds for each chunk."""

    seconds: float

    def scores(self, titles: Sequence[str], texts: Sequence[str]) -> Scores:
        """Return scores that tell rows apart."""
        time.sleep(self.seconds)
        positive = np.array([(len(text) % 97 + 0.5) / 97.5 for text in texts])
        return Scores.of_version(np.log(np.stack([1 - positive, positive], axis=1)))


def job_of(source: Path, output: Path, rows_per_chunk: int) -> ScoringJob:
    """Return the job of the stub."""
    return ScoringJob(source, output, "7", RULE, rows_per_chunk=rows_per_chunk)


def score_on_ray(source: str, job: ScoringJob, address: str | None, seconds: float = 0.0) -> BulkResult:
    """Score a directory or a prefix with the stub."""
    inputs = check_inputs(source, job.output)
    cluster = RayCluster(address, "cpu")
    scored = score_files(job, inputs, "stub", lambda _device: Stub(seconds), cluster)  # type: ignore[arg-type, return-value]
    return answer_files(job, source, scored)


def score_here(job: ScoringJob) -> BulkResult:
    """Score one file with the stub and the local engine."""
    return answer_file(job, score_file(job, "stub", lambda: Stub(0)))  # type: ignore[arg-type, return-value]


if __name__ == "__main__":
    source, output, address, rows_per_chunk, seconds = sys.argv[1:]
    job = job_of(Path(source), Path(output), int(rows_per_chunk))
    scored = score_on_ray(source, job, address or None, float(seconds))
    print(f"{scored.rows} rows of {scored.source}")
