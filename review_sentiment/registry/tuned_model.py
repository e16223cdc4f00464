"""A fine-tuned language model, as it is registered."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.registry.model_card import CardFacts, concerns, write_card
from review_sentiment.scoring.version_files import Serving

if TYPE_CHECKING:
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.registry.gate import Evaluations, Verdict
    from review_sentiment.registry.model_card import CardIdentity


class TunedModel(CardFacts):
    """What its card reports, and what registration needs."""

    @property
    def run_id(self) -> str:
        """Return the MLflow run of the training."""
        return self.adapter.run_id

    def training_settings(self) -> Mapping[str, str]:
        """Return the settings that the adapter was trained with."""
        return self.adapter.settings

    def description(self) -> Mapping[str, str]:
        """Return how the training was computed."""
        return {f"compute.{key}": value for key, value in self.adapter.compute.items()}

    def tags(self) -> dict[str, str]:
        """Return the base model, its revision and its quantisation."""
        base = self.adapter.base
        return {
            "base_model": base.title,
            "base_revision": base.revision or "newest",
            "quantization": base.quantization,
        }

    def concerns(self, found: Evaluation) -> list[str]:
        """Return warnings: a collapsed class, a loss that hardly fell, answers that differ when generated."""
        return concerns(found, self.adapter.proof)

    def write_files(self, directory: Path) -> None:
        """Write the adapter, and what formats its reviews."""
        adapter = self.adapter
        shutil.copytree(adapter.directory, directory, dirs_exist_ok=True)
        Serving(adapter.base, adapter.prompt).save(directory)

    def card(self, identity: CardIdentity, verdict: Verdict, evaluations: Evaluations) -> str:
        """Return the card as Markdown."""
        return write_card(identity, verdict, evaluations, self)
