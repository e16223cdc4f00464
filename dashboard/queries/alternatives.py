"""What accuracy costs: a version, the models beside it, and its students."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from review_sentiment.errors import TrackingError
from review_sentiment.evaluation.model_titles import title_of as model_title
from review_sentiment.registry.lineage import EVALUATION_ROWS_TAG
from review_sentiment.tracking.mlflow_store import TUNED

if TYPE_CHECKING:
    from review_sentiment.evaluation.tradeoff import Tradeoff
    from review_sentiment.tracking.model_versions import ModelVersion


@dataclass(frozen=True)
class Alternatives:
    """Trade-offs with names for people, the fastest first; `students` by name, and those that were left out.

    A student that was evaluated on other reviews has no place among the figures.
    """

    tradeoffs: list[Tradeoff]
    students: dict[str, ModelVersion]
    left_out: list[str]


def alternatives_of(version: ModelVersion) -> Alternatives:
    """Read the trade-offs of a version, of the models beside it, and of its students.

    Raises:
        TrackingError: the evidence of the version is gone.
    """
    from review_sentiment.evaluation.tradeoff import in_order
    from review_sentiment.tracking import evidence, model_versions

    found = [replace(one, model=_title(one.model, version)) for one in evidence.tradeoffs_of(version)]
    students, left_out = {}, []
    for student in model_versions.students_of(version):
        try:
            own = [one for one in evidence.tradeoffs_of(student) if one.model == TUNED]
        except TrackingError:
            own = []
        same = student.tags.get(EVALUATION_ROWS_TAG) == version.tags.get(EVALUATION_ROWS_TAG)
        if own and same:
            title = f"student {student.title} ({student.tags.get('student', '').replace('_', ' ')})"
            students[title] = student
            found.append(replace(own[0], model=title))
        else:
            left_out.append(student.title)
    return Alternatives(in_order(found), students, left_out)


def _title(model: str, version: ModelVersion) -> str:
    return f"version {version.version}" if model == TUNED else model_title(model)
