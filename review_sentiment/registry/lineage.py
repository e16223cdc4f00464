"""Where a version comes from, and the reverse: which versions came from a run, a commit or a set of reviews.

Everything is in the version's tags, so MLflow's own search finds it too:
`MlflowClient().search_model_versions("tags.commit = '...'")`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.errors import UsageError
from review_sentiment.tracking.mlflow_store import EVALUATION_RUN_TAG, TEACHER_TAG

if TYPE_CHECKING:
    from review_sentiment.data.review_table import ReviewTable
    from review_sentiment.tracking.model_versions import ModelVersion

EVALUATION_ROWS_TAG = "evaluation_rows"
UNKNOWN = "unknown"
SHORTEST_PREFIX = 6
"""Minimum number of characters of an abbreviated identifier, as with git."""
TITLES = {
    "zenml_run": "ZenML run",
    "zenml_run_id": "ZenML run's id",
    "training_run": "trained in",
    "training_run_id": "that run's id",
    "commit": "commit",
    "registering_commit": "registered at",
    TEACHER_TAG: "teacher",
    "student": "kind of student",
    "base_model": "base model",
    "base_revision": "its revision",
    "command": "command",
    "stack": "stack",
    "data_source": "reviews from",
    "data_revision": "their revision",
    "training_rows": "training rows",
    EVALUATION_ROWS_TAG: "evaluation rows",
    EVALUATION_RUN_TAG: "evaluation run",
}
"""Tags of a version with its lineage, and their display names."""
OF_TWO_RUNS = ("training_run", "training_run_id", "registering_commit")
"""Tags that only a version has that was trained in one run and registered in another."""
IDENTIFIERS = (
    "zenml_run",
    "zenml_run_id",
    "training_run",
    "training_run_id",
    "commit",
    "registering_commit",
    "training_rows",
    EVALUATION_ROWS_TAG,
    EVALUATION_RUN_TAG,
    TEACHER_TAG,
)
"""Tags that `lineage` can look up."""


@dataclass(frozen=True)
class PipelineRun:
    """A ZenML run, and how it was started.

    `commit` ends with `+changes` if files differed from it, and says so if the code has none.
    """

    name: str
    run_id: str
    commit: str
    command: str
    stack: str


UNKNOWN_RUN = PipelineRun(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)


@dataclass(frozen=True)
class Lineage:
    """What a version was made from.

    `training` is the run that trained the adapter, `registering` the run that registered it, which is another
    one if training came from the cache. `revisions` maps categories to the revisions of their data.
    `training_rows` and `evaluation_rows` are the fingerprints of the reviews.
    """

    training: PipelineRun
    registering: PipelineRun
    source: str
    revisions: Mapping[str, str]
    training_rows: str
    evaluation_rows: str

    def revision(self) -> str:
        """Return the data's revision: a single one if all categories have the same."""
        different = set(self.revisions.values())
        if len(different) == 1:
            return different.pop()
        return "; ".join(f"{name}: {revision}" for name, revision in self.revisions.items()) or UNKNOWN

    def tags(self) -> dict[str, str]:
        """Return everything as tags of a version, without `OF_TWO_RUNS` if one run did everything."""
        tags = {
            "zenml_run": self.registering.name,
            "zenml_run_id": self.registering.run_id,
            "training_run": self.training.name,
            "training_run_id": self.training.run_id,
            "commit": self.training.commit,
            "registering_commit": self.registering.commit,
            "command": self.training.command,
            "stack": self.training.stack,
            "data_source": self.source,
            "data_revision": self.revision(),
            "training_rows": self.training_rows,
            EVALUATION_ROWS_TAG: self.evaluation_rows,
        }
        if self.training == self.registering:
            return {tag: value for tag, value in tags.items() if tag not in OF_TWO_RUNS}
        return tags


def require_evaluated_on(version: ModelVersion, reviews: ReviewTable) -> None:
    """Check that a version was evaluated on these reviews.

    Raises:
        UsageError: it was evaluated on others.
    """
    if version.tags.get(EVALUATION_ROWS_TAG) != reviews.fingerprint():
        raise UsageError(
            f"Version {version.version} of '{version.name}' was evaluated on other reviews than these "
            "settings give. A student needs the same, or it may learn from them: give the configuration of "
            f"the version's run (--config, --set). `python run_pipeline.py lineage {version.version}` shows "
            "its command."
        )


def versions_from(versions: Iterable[ModelVersion], start: str) -> list[ModelVersion]:
    """Return the versions with a number or an alias, or that came from an identifier.

    Identifiers are MLflow's run, ZenML's run (name or id), a commit, and the fingerprint of the training or
    evaluation reviews. The first characters are enough.
    """
    found = list(versions)
    named = [version for version in found if start == version.version or start in version.aliases]
    if named or len(start) < SHORTEST_PREFIX:
        return named
    return [
        version
        for version in found
        if any(
            known.startswith(start)
            for known in (version.run_id, *(version.tags.get(tag, "") for tag in IDENTIFIERS))
        )
    ]
