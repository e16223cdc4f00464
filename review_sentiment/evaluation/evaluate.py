"""Score a language model on chats and turn its answers into an evaluation."""

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
from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
from review_sentiment.resources.device import free_memory
from review_sentiment.scoring.label_scoring import score_labels

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
    """Evaluate the base model, with the adapter where one is given; its memory is given back.

    The first `audit_samples` chats, a random sample since the chats are in the order of a hash, and the
    sample predictions are answered by generation as well.

    Raises:
        DataError: the chats are none, or of one class, or of an unknown one: before a model is loaded.
    """
    require_every_label(chats.frame["label"], chats.labels)
    tokenizer = load_tokenizer(base)
    model = load_model(base, plan).eval() if adapter is None else load_adapted_model(base, adapter, plan)
    prompts, labels = list(chats.frame["prompt"]), chats.labels
    scores = score_labels(model, tokenizer, prompts, labels, plan, settings.tokens_per_batch)
    predictions = prediction_table(
        chats.frame, labels, scores.probabilities, scores.answered, scores.label_mass
    )
    shown = sample_rows(predictions, labels, settings.sample_predictions)
    audited = range(min(settings.audit_samples, len(prompts)))
    rows = list(dict.fromkeys([*audited, *shown]))
    generated = generate_answers(model, tokenizer, [prompts[row] for row in rows], plan)
    del model
    free_memory()
    answers = dict(zip(rows, generated, strict=True))
    samples = sample_table(chats.frame, predictions, labels, shown, [answers[row] for row in shown])
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
    """Evaluate every `settings.shards`-th chat of each label, from number `shard` on (0-based)."""
    begin, end = (settings.audit_samples * number // settings.shards for number in (shard, shard + 1))
    share = settings.model_copy(update={"audit_samples": end - begin})
    return evaluate_model(base, adapter, chats.shard(shard, settings.shards), plan, share)


def merge_shards(shards: Sequence[Evaluation], chats: ChatDataset, sample_predictions: int) -> Evaluation:
    """Return the evaluation of all chats from those of their shards: what one step would have found."""
    found = pd.concat([shard.predictions for shard in shards]).set_index("review_id")
    predictions = found.loc[chats.frame["review_id"]].reset_index()
    samples = pd.concat([shard.samples for shard in shards], ignore_index=True)
    read = predictions[predictions["review_id"].isin(samples["review_id"])]
    rows = sample_rows(read, chats.labels, sample_predictions)
    shown = samples.set_index("review_id").loc[predictions["review_id"][rows]].reset_index()
    return evaluation_of(
        shards[0].model, chats, predictions, shown, audit.total([shard.audit for shard in shards])
    )
