"""How a step that scores gets the files of its version."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from review_sentiment.arms.scoring_request import ScoringRequest


@contextmanager
def downloaded(request: ScoringRequest, with_student: bool = True) -> Iterator[tuple[Path, Path | None]]:
    """Yield the directories with the files of the version and, if one answers with it, of its student."""
    from review_sentiment.tracking import downloads, model_versions
    from steps.mlflow_connection import connect

    def download(name: str, version: str, place: str) -> Path:
        return downloads.download_files(model_versions.get_version(name, version), Path(scratch) / place)

    connect()
    together = request.combination if with_student else None
    with tempfile.TemporaryDirectory(prefix="review-sentiment-score-") as scratch:
        version = download(request.name, request.version, "version")
        student = download(together.student_name, together.student_version, "student") if together else None
        yield version, student
