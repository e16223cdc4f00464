"""Score a language model on chats and turn its answers into an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.metrics import Evaluation, evaluation_of
from review_sentiment.models import (
    BaseModel,
    ComputePlan,
    free_memory,
    load_adapted_model,
    load_model,
    load_tokenizer,
)
from review_sentiment.predictions import prediction_table, sample_rows, sample_table
from review_sentiment.scoring import generate_answers, score_labels

if TYPE_CHECKING:
    from review_sentiment.chats import ChatDataset
    from review_sentiment.config import EvaluationSettings


def evaluate_model(
    base: BaseModel,
    adapter: Path | None,
    chats: ChatDataset,
    plan: ComputePlan,
    settings: EvaluationSettings,
) -> Evaluation:
    """Evaluate the base model, with the adapter where one is given; its memory is given back."""
    tokenizer = load_tokenizer(base)
    model = load_model(base, plan).eval() if adapter is None else load_adapted_model(base, adapter, plan)
    prompts, labels = list(chats.frame["prompt"]), chats.labels
    scores = score_labels(model, tokenizer, prompts, labels, plan, settings.tokens_per_batch)
    predictions = prediction_table(
        chats.frame, labels, scores.probabilities, scores.answered, scores.label_mass
    )
    rows = sample_rows(predictions, labels, settings.sample_predictions)
    answers = generate_answers(model, tokenizer, [prompts[row] for row in rows], plan)
    del model
    free_memory()
    samples = sample_table(chats.frame, predictions, labels, rows, answers)
    return evaluation_of("baseline" if adapter is None else "tuned", chats, predictions, samples)


def merge_shards(shards: Sequence[Evaluation], chats: ChatDataset, sample_predictions: int) -> Evaluation:
    """Return the evaluation of all chats from those of their shards: what one step would have found."""
    found = pd.concat([shard.predictions for shard in shards]).set_index("review_id")
    predictions = found.loc[chats.frame["review_id"]].reset_index()
    samples = pd.concat([shard.samples for shard in shards], ignore_index=True)
    read = predictions[predictions["review_id"].isin(samples["review_id"])]
    rows = sample_rows(read, chats.labels, sample_predictions)
    shown = samples.set_index("review_id").loc[predictions["review_id"][rows]].reset_index()
    return evaluation_of(shards[0].model, chats, predictions, shown)
