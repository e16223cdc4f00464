"""A version as plain weights: the adapter merged into its base model, for engines without LoRA support.

    python run_pipeline.py export VERSION -o DIRECTORY

The adapter was trained on 4-bit weights, so it is merged into those, dequantised. Merging into the original
weights, or quantising again after the merge, gives a different model. The export measures how many answers
the merge changed. `serving_files.py` has the commands that serve the directory, and `parity` checks a server.
Beside the weights are two files of the version: `serving.json` has the instruction of its training, which a
client sends as the system turn. `decision.json` is the rule that turns the model's own probabilities, which
an engine returns, into calibrated ones and an answer (`decision/rule.py`).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.data.chats import format_chats
from review_sentiment.models.compute import ComputePlan
from review_sentiment.models.loading import load_adapted_model, load_tokenizer
from review_sentiment.models.merging import answer_as_merged, write_merged
from review_sentiment.registry.serving_files import save_tokenizer
from review_sentiment.scoring.label_scoring import Scores, score_labels
from review_sentiment.scoring.version_files import RULE_FILE, require_label_words

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.scoring.version_files import Serving

TOKENS_PER_BATCH = 4_096


@dataclass(frozen=True)
class ExportReport:
    """Where the model is, and how its answers to n prompts differ from those before the merge."""

    directory: Path
    n: int
    changed_fraction: float
    largest_difference: float


def export(
    serving: Serving, adapter: Path, plan: ComputePlan, reviews: pd.DataFrame, directory: Path
) -> ExportReport:
    """Write merged weights as safetensors, with tokenizer and chat template; compare the answers to reviews.

    Raises:
        UsageError: the version has a classification head.
        ModelUnavailableError: the base model is not available.
    """
    require_label_words(adapter)
    base = serving.base
    tokenizer = load_tokenizer(base)
    chats = format_chats(reviews, tokenizer, serving.prompt)
    prompts = list(chats.frame["prompt"])

    def scores() -> Scores:
        return score_labels(model, tokenizer, prompts, chats.labels, plan, TOKENS_PER_BATCH)

    # The base model stays as training had it, in 4 bits, and no more than a file of merged weights is held
    # beside it: an 8B needs 8 GB, not the 16 GB of its merged weights.
    model: Any = load_adapted_model(base, adapter, plan)
    adapted = scores()
    write_merged(model, plan.dtype, directory)
    save_tokenizer(serving, directory)
    shutil.copy(adapter / RULE_FILE, directory)
    serving.save(directory)
    answer_as_merged(model, plan.dtype)
    exported = scores()
    return ExportReport(
        directory=directory,
        n=len(prompts),
        changed_fraction=float(np.mean(adapted.constrained != exported.constrained)),
        largest_difference=float(np.abs(adapted.probabilities - exported.probabilities).max()),
    )
