"""What a version can be made of: what registration needs to know of each kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from review_sentiment.data.files.review_file import ReviewColumns
    from review_sentiment.data.review_table import ReviewTable
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.registry.gate import Evaluations, Verdict
    from review_sentiment.registry.lineage import Lineage
    from review_sentiment.registry.model_card import CardIdentity


class Registrable(Protocol):
    """A trained model with its origin; `run_id` is the MLflow run of its training."""

    @property
    def run_id(self) -> str: ...  # noqa: D102

    @property
    def lineage(self) -> Lineage: ...  # noqa: D102

    @property
    def rule(self) -> DecisionRule: ...  # noqa: D102

    @property
    def columns(self) -> ReviewColumns: ...  # noqa: D102

    @property
    def train(self) -> ReviewTable:
        """Return the reviews with a label that it was trained on."""
        ...

    @property
    def evaluation(self) -> ReviewTable:
        """Return the reviews that it was evaluated on."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """Return the settings of the run that registers it."""
        ...

    def training_settings(self) -> Mapping[str, str]:
        """Return the settings that it was trained with."""
        ...

    def description(self) -> Mapping[str, str]:
        """Return further facts to record beside the settings, such as the device."""
        ...

    def tags(self) -> dict[str, str]:
        """Return the version's tags that depend on the kind of model, such as its base."""
        ...

    def concerns(self, found: Evaluation) -> list[str]:
        """Return what readers of the version must know."""
        ...

    def write_files(self, directory: Path) -> None:
        """Write the model to an empty directory; registration adds the files that all versions have."""
        ...

    def card(self, identity: CardIdentity, verdict: Verdict, evaluations: Evaluations) -> str:
        """Return the card as Markdown."""
        ...
