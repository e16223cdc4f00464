"""Evaluate a language model on chats, in one step or in shards that are merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.evaluation import audit
from review_sentiment.evaluation.audit import generate_answers
from review_sentiment.evaluation.examples import sample_rows, sample_table
from review_sentiment.evaluation.metrics import require_every_label
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import Evaluation, evaluation_of
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan
from review_sentiment.models.loading import load_tokenizer
from review_sentiment.resources.device import free_memory
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.scoring.scored_model import load_scored_model

if TYPE_CHECKING:
    from review_sentiment.config import EvaluationSettings
    from review_sentiment.data.chats import ChatDataset


def evaluate_model(
    base: ModelIdentity,
    adapter: Path | None,
    chats: ChatDataset,
    plan: ComputePlan,
    settings: EvaluationSettings,
) -> Evaluation:
    """Evaluate the base model, with the adapter if there is one, and free its memory.

    The model also generates answers to the sample predictions and to the first `audit_samples` chats. These
    are a random sample, since the chats are in the order of a hash.

    Raises:
        DataError: there are no chats, a label has none, or a label is unknown.
    """
    # Before a model is loaded, which can take minutes.
    require_every_label(chats.frame["label"], chats.labels)
    tokenizer = load_tokenizer(base)
    model = load_scored_model(base, adapter, plan)
    prompts, labels = list(chats.frame["prompt"]), chats.labels
    scores = score_labels(model, tokenizer, prompts, labels, plan, settings.tokens_per_batch)
    predictions = prediction_table(
        chats.frame, labels, scores.probabilities, scores.answered, scores.label_mass
    )
    shown = sample_rows(predictions, settings.sample_predictions)
    audited = range(min(settings.audit_samples, len(prompts)))
    rows = list(dict.fromkeys([*audited, *shown]))
    generated = generate_answers(model, tokenizer, [prompts[row] for row in rows], plan)
    del model
    free_memory()
    answers = dict(zip(rows, generated, strict=True))
    samples = sample_table(chats.frame, predictions, shown, [answers[row] for row in shown])
    checked = predictions.iloc[: len(audited)]
    return evaluation_of(
        "baseline" if adapter is None else "tuned",
        chats,
        predictions,
        samples,
        audit.compare(
            list(checked["review_id"]),
            [answers[row] for row in audited],
            list(checked["predicted"]),
            labels,
        ),
    )


def evaluate_shard(
    base: ModelIdentity,
    adapter: Path | None,
    chats: ChatDataset,
    plan: ComputePlan,
    settings: EvaluationSettings,
    shard: int,
) -> Evaluation:
    """Evaluate every `settings.shards`-th chat of each label, starting at number `shard` (0-based)."""
    start, end = (settings.audit_samples * number // settings.shards for number in (shard, shard + 1))
    own = settings.model_copy(update={"audit_samples": end - start})
    return evaluate_model(base, adapter, chats.shard(shard, settings.shards), plan, own)


def merge_shards(shards: Sequence[Evaluation], chats: ChatDataset, sample_predictions: int) -> Evaluation:
    """Merge the evaluations of the shards into that of all chats, as one step would have computed it."""
    found = pd.concat([shard.predictions for shard in shards]).set_index("review_id")
    predictions = found.loc[chats.frame["review_id"]].reset_index()
    samples = pd.concat([shard.samples for shard in shards], ignore_index=True)
    # Only the samples of the shards have generated answers, so the new samples are chosen from those.
    candidates = predictions[predictions["review_id"].isin(samples["review_id"])]
    rows = sample_rows(candidates, sample_predictions)
    shown = samples.set_index("review_id").loc[predictions["review_id"][rows]].reset_index()
    return evaluation_of(
        shards[0].model, chats, predictions, shown, audit.total([shard.audit for shard in shards])
    )
