"""Models: the registered versions of a model, and of its students."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from dashboard.queries.versions import BEFORE_PARAMETER, VERSIONS_SHOWN, Registry, registry_of
from dashboard.rendering import not_found, render
from front_door.run.summary import tag_figure
from review_sentiment.registry.lineage import EVALUATION_ROWS_TAG
from review_sentiment.tracking.mlflow_store import GATE_REASON_TAG, GATE_TAG, TEACHER_TAG
from review_sentiment.tracking.model_versions import NATURAL_REVIEWS_TAG

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from review_sentiment.tracking.model_versions import ModelVersion

JUDGEMENTS = {"passed": "good", "not passed": "bad"}


@dataclass(frozen=True)
class VersionRow:
    """What the list and a version's page show of its tags; `comparable` means: with the champion."""

    version: ModelVersion
    aliases: tuple[str, ...]
    comparable: bool

    @property
    def natural(self) -> str:
        """Return the accuracy in production with its interval."""
        return self._figure("natural_accuracy", "natural_interval")

    @property
    def balanced(self) -> str:
        """Return the balanced accuracy with its interval."""
        return self._figure("accuracy", "accuracy_interval")

    def figure(self, tag: str) -> str:
        """Return a figure of the tags."""
        return tag_figure(self.version, tag)

    @property
    def evaluation_set(self) -> str:
        """Return how many reviews the set has, and the start of its fingerprint."""
        tags = self.version.tags
        natural = f"{int(tags[NATURAL_REVIEWS_TAG]):,} natural, " if NATURAL_REVIEWS_TAG in tags else ""
        balanced = tags.get("evaluation_reviews", "")
        shown = f"{int(balanced):,}" if balanced.isdecimal() else "?"
        return f"{natural}{shown} balanced ({tags.get(EVALUATION_ROWS_TAG, 'unknown')[:6]})"

    @property
    def gate(self) -> str:
        """Return the gate's outcome."""
        return self.version.tags.get(GATE_TAG, "unknown")

    @property
    def gate_judgement(self) -> str:
        """Return how its badge looks."""
        return JUDGEMENTS.get(self.gate, "neutral")

    @property
    def gate_reason(self) -> str:
        """Return which checks failed."""
        return self.version.tags.get(GATE_REASON_TAG, "")

    @property
    def kind(self) -> str:
        """Return whether it is a language model or a student, and of which kind."""
        kind = self.version.tags.get("student")
        return f"student: {kind.replace('_', ' ')}" if kind else "language model"

    @property
    def teacher(self) -> str:
        """Return a student's teacher."""
        return self.version.tags.get(TEACHER_TAG, "")

    def _figure(self, tag: str, interval: str) -> str:
        ends = self.version.tags.get(interval)
        return self.figure(tag) + (f" [{ends.replace('-', ', ')}]" if ends else "")


def row_of(version: ModelVersion, registry: Registry) -> VersionRow:
    """Return what is shown of a version of a registry."""
    previous = ("previous champion",) if version.version == registry.previous_champion else ()
    return VersionRow(version, version.aliases + previous, comparable(version, registry.champion))


def comparable(version: ModelVersion, other: ModelVersion | None) -> bool:
    """Return whether two versions were evaluated on the same reviews; without another one, they were."""
    if other is None or other.version == version.version:
        return True
    return all(
        version.tags.get(tag) == other.tags.get(tag) for tag in (EVALUATION_ROWS_TAG, "evaluation_reviews")
    )


def models(request: Request) -> HTMLResponse:
    """Show a page of the versions in a table."""
    registry = registry_of(request)
    if registry.models and registry.model not in registry.models:
        text = f"There is no registered model “{registry.model}”. There are: {', '.join(registry.models)}."
        return not_found(request, f"model {registry.model}", "Models", text)
    last = registry.versions[-1].version if len(registry.versions) == VERSIONS_SHOWN else None
    return render(
        request,
        "models.html",
        registry=registry,
        rows=[row_of(version, registry) for version in registry.versions],
        older=registry.parameters(**{BEFORE_PARAMETER: last}) if last and last != "1" else None,
        first_page=BEFORE_PARAMETER not in request.query_params,
    )


routes = [Route("/models", models)]
