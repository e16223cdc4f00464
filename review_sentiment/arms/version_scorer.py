"""The scorer of a version, whatever kind of model it is, or of a version and its student."""

from __future__ import annotations

import io
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.arms.catalogue import KIND_FILE, load_arm
from review_sentiment.scoring.scorer import Scorer
from review_sentiment.scoring.version_files import load_rule

if TYPE_CHECKING:
    from review_sentiment.arms.combination import Combination
    from review_sentiment.models.compute import ComputePlan


def version_scorer(files: Path, plan: ComputePlan) -> Scorer:
    """Load a version's model and rule from the directory of its files.

    Raises:
        ModelUnavailableError: the base model of a language model cannot be loaded, or there is no rule.
        DataError: the version has a kind of model that is not known.
    """
    if (files / KIND_FILE).is_file():
        return Scorer(load_arm(files, plan.device), load_rule(files))
    from review_sentiment.scoring.prompted_model import tuned_scorer

    return tuned_scorer(files, plan)


def combined_scorer(teacher: Path, student: Path, combination: Combination, plan: ComputePlan) -> Scorer:
    """Load a version and its student from the directories of their files, to answer together.

    Raises:
        ModelUnavailableError: as for `version_scorer`.
        DataError: as for `version_scorer`.
    """
    return combination.scorer(version_scorer(teacher, plan), version_scorer(student, plan))


@dataclass(frozen=True)
class PackedVersion:
    """The files of a version, and of its student if both answer together, to load on another machine."""

    teacher: bytes
    student: bytes | None
    combination: Combination | None
    precision: str

    @classmethod
    def of(
        cls, teacher: Path, student: Path | None, combination: Combination | None, precision: str
    ) -> PackedVersion:
        """Read the directories of the files."""
        return cls(_packed(teacher), _packed(student) if student else None, combination, precision)

    def load(self, device: str) -> Scorer:
        """Load the model, or both.

        Raises:
            UsageError: this machine lacks the device.
            ModelUnavailableError: as for `version_scorer`.
        """
        from review_sentiment.models.compute import plan_compute

        plan = plan_compute(device, self.precision)
        with tempfile.TemporaryDirectory(prefix="review-sentiment-version-") as scratch:
            teacher = _unpacked(self.teacher, Path(scratch) / "teacher")
            if self.student is None or self.combination is None:
                return version_scorer(teacher, plan)
            student = _unpacked(self.student, Path(scratch) / "student")
            return combined_scorer(teacher, student, self.combination, plan)


def _packed(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(directory, ".")
    return buffer.getvalue()


def _unpacked(archive: bytes, directory: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    return directory
