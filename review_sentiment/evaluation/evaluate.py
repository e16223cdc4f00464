"""Evaluate a language model on chats, in one step or in shards that are merged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.evaluation import audit
from review_sentiment.evaluation.audit import generate_answers
from review_sentiment.evaluation.cost import Cost, latencies, megabytes_of
from review_sentiment.evaluation.examples import sample_rows, sample_table
from review_sentiment.evaluation.metrics import require_every_label
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import Evaluation, evaluation_of
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan
from review_sentiment.models.label_head import head_of
from review_sentiment.models.loading import load_tokenizer, local_directory
from review_sentiment.resources.device import free_memory
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.scoring.scored_model import load_scored_model

if TYPE_CHECKING:
    from review_sentiment.config import EvaluationSettings
    from review_sentiment.data.chats import ChatDataset


@dataclass(frozen=True)
class HeldOut:
    """The chats that a model answers: those that it is evaluated on, and those that a rule is fitted on."""

    evaluation: ChatDataset
    decision: ChatDataset | None = None

    def shard(self, number: int, of: int) -> HeldOut:
        """Return every `of`-th chat of each label, starting with the `number`-th (0-based)."""
        decision = self.decision.shard(number, of) if self.decision else None
        return HeldOut(self.evaluation.shard(number, of), decision)


def evaluate_model(
    base: ModelIdentity,
    adapter: Path | None,
    chats: HeldOut,
    plan: ComputePlan,
    settings: EvaluationSettings,
    training_seconds: float | None = None,
) -> Evaluation:
    """Evaluate the base model, with the adapter if there is one, and free its memory.

    A model without a classification head also generates answers to the sample predictions and to the first
    `audit_samples` chats. These are a random sample, since the chats are in the order of a hash.

    Raises:
        DataError: there are no chats, a label has none, or a label is unknown.
    """
    # Before a model is loaded, which can take minutes.
    evaluated = chats.evaluation
    core, labels = evaluated.balanced(), evaluated.labels
    require_every_label(core.frame["label"], labels)
    tokenizer = load_tokenizer(base)
    model = load_scored_model(base, adapter, plan)
    # Both sets in one call: its batches are formed from all prompts.
    frame = pd.concat([evaluated.frame, *([chats.decision.frame] if chats.decision else [])])
    answer = partial(
        score_labels, model, tokenizer, labels=labels, plan=plan, tokens_per_batch=settings.tokens_per_batch
    )
    start = time.perf_counter()
    scores = answer(list(frame["prompt"]))
    seconds = time.perf_counter() - start
    table = prediction_table(frame, labels, scores.probabilities, scores.answered, scores.label_mass)
    predictions = table.iloc[: len(evaluated)]
    # The balanced chats come first, so a row of theirs is the same row of all.
    prompts = list(core.frame["prompt"])
    shown = sample_rows(predictions.iloc[: len(core)], settings.sample_predictions)
    # A head has no text to generate: its samples have no raw answer, and nothing is audited.
    generates = head_of(model) is None
    audited = range(min(settings.audit_samples, len(prompts)) if generates else 0)
    rows = list(dict.fromkeys([*audited, *shown])) if generates else []
    generated = generate_answers(model, tokenizer, [prompts[row] for row in rows], labels, plan)
    p50, p95 = latencies(answer, [(prompt,) for prompt in prompts])
    cost = Cost(len(frame) / seconds, p50, p95, megabytes_with_base(base, adapter), training_seconds)
    del model, answer
    free_memory()
    answers = dict(zip(rows, generated, strict=True))
    samples = sample_table(core.frame, predictions, shown, [answers.get(row) for row in shown])
    checked = predictions.iloc[: len(audited)]
    compared = audit.compare(
        list(checked["review_id"]), [answers[row] for row in audited], list(checked["predicted"]), labels
    )
    found = evaluation_of(
        "baseline" if adapter is None else "tuned",
        evaluated,
        predictions,
        samples,
        replace(compared, generates=generates),
    )
    return replace(found, decision=table.iloc[len(evaluated) :].reset_index(drop=True), cost=cost)


def megabytes_with_base(base: ModelIdentity, adapter: Path | None) -> float:
    """Return the size of a base model and of its adapter, if there is one, in units of 1e6 bytes."""
    return sum(megabytes_of(directory) for directory in (local_directory(base), adapter) if directory)


def evaluate_shard(
    base: ModelIdentity,
    adapter: Path | None,
    chats: HeldOut,
    plan: ComputePlan,
    settings: EvaluationSettings,
    shard: int,
    training_seconds: float | None = None,
) -> Evaluation:
    """Evaluate every `settings.shards`-th chat of each label, starting at number `shard` (0-based)."""
    start, end = (settings.audit_samples * number // settings.shards for number in (shard, shard + 1))
    own = settings.model_copy(update={"audit_samples": end - start})
    return evaluate_model(base, adapter, chats.shard(shard, settings.shards), plan, own, training_seconds)


def merge_shards(shards: Sequence[Evaluation], chats: HeldOut, sample_predictions: int) -> Evaluation:
    """Merge the evaluations of the shards into that of all chats, as one step would have computed it."""
    predictions = _in_order([shard.stratified for shard in shards], chats.evaluation)
    samples = pd.concat([shard.samples for shard in shards], ignore_index=True)
    # Only the samples of the shards have generated answers, so the new samples are chosen from those.
    candidates = predictions[predictions["review_id"].isin(samples["review_id"])]
    rows = sample_rows(candidates, sample_predictions)
    shown = samples.set_index("review_id").loc[predictions["review_id"][rows]].reset_index()
    found = evaluation_of(
        shards[0].model,
        chats.evaluation,
        predictions,
        shown,
        audit.total([shard.audit for shard in shards]),
    )
    found = replace(found, cost=shards[0].cost)  # each shard measures the same model
    if chats.decision is None:
        return found
    return replace(found, decision=_in_order([shard.decision for shard in shards], chats.decision))


def _in_order(tables: Sequence[pd.DataFrame], chats: ChatDataset) -> pd.DataFrame:
    """Return the rows of the tables in the order of the chats."""
    return pd.concat(tables).set_index("review_id").loc[chats.frame["review_id"]].reset_index()
