"""What a registered version needs besides its adapter: small files in the adapter's directory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.data.prompt_format import PromptFormat
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import ModelUnavailableError, UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.lora import has_head

if TYPE_CHECKING:
    from pathlib import Path

SERVING_FILE = "serving.json"
RULE_FILE = "decision.json"
COLUMNS_FILE = "columns.json"
REFERENCE_FILE = "reference.parquet"
"""Labels and lengths of training reviews; drift is measured against them."""


@dataclass(frozen=True)
class Serving:
    """What a language model needs besides its adapter to format reviews as in training."""

    base: ModelIdentity
    prompt: PromptFormat

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the possible labels, in the order of the class index."""
        return self.prompt.labels

    def save(self, directory: Path) -> None:
        """Write to the adapter's directory."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (directory / SERVING_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Serving:
        """Read from the adapter's directory.

        Raises:
            ModelUnavailableError: it is the file of an earlier release.
        """
        try:
            return TypeAdapter(cls).validate_json((directory / SERVING_FILE).read_bytes())
        except ValidationError as error:
            raise ModelUnavailableError(
                f"The version's {SERVING_FILE} has no prompt: it was registered before versions kept their "
                "own instruction. Train it again: python run_pipeline.py --rerun finetune"
            ) from error


def save_columns(columns: ReviewColumns, directory: Path) -> None:
    """Write the columns that had the reviews of a version's training."""
    (directory / COLUMNS_FILE).write_text(json.dumps(asdict(columns), ensure_ascii=False), encoding="utf-8")


def load_columns(directory: Path) -> ReviewColumns:
    """Return the columns in which a file to score is expected to have its reviews."""
    file = directory / COLUMNS_FILE
    return TypeAdapter(ReviewColumns).validate_json(file.read_bytes()) if file.is_file() else ReviewColumns()


def require_label_words(directory: Path) -> None:
    """Check that a version answers with label words, for engines that generate text.

    Raises:
        UsageError: it has a classification head.
    """
    if has_head(directory):
        raise UsageError(
            "This version answers with a classification head (model.head=classification). Engines such as "
            "vLLM and llama.cpp generate tokens from the output layer, which the head replaces: they cannot "
            "serve it. Use `score` or `serve` for this version, or train one with model.head=labels."
        )


def rule_json(rule: DecisionRule) -> str:
    """Return the content of `RULE_FILE`."""
    return json.dumps(asdict(rule), indent=2)


def save_rule(rule: DecisionRule, directory: Path) -> None:
    """Write a decision rule to a directory."""
    (directory / RULE_FILE).write_text(rule_json(rule), encoding="utf-8")


def load_rule(directory: Path) -> DecisionRule:
    """Read the decision rule from a version's files.

    Raises:
        ModelUnavailableError: the version has none.
    """
    file = directory / RULE_FILE
    if not file.is_file():
        raise ModelUnavailableError(
            f"The version has no {RULE_FILE}: it was registered before versions had a decision rule. "
            "Register it again: python run_pipeline.py --rerun register_model"
        )
    return TypeAdapter(DecisionRule).validate_json(file.read_bytes())
