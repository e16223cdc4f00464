"""The scorer of a version, whatever kind of model it is, or of a version and its student."""

from __future__ import annotations

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
