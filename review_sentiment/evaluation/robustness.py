"""Test the tuned model on perturbed inputs: accuracy before and after, on the same reviews.

    python run_pipeline.py --set robustness.samples=200

The reviews are the first of the evaluation set, a random sample. In CheckList's terms (`perturbations.py`),
typos and other prompts are invariance tests: the answer must stay the same. Negation is a directional
expectation test: the answer must flip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.data.labels import BINARY
from review_sentiment.data.prompt_format import PLACEHOLDER, asks_for_sentiment, listed
from review_sentiment.evaluation.comparison import PairedDifference, compare_models
from review_sentiment.evaluation.perturbations import (
    OTHER_PARAPHRASES,
    SENTIMENT_PARAPHRASES,
    TYPO_FRACTION,
    misspelled,
    polar_sentences,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.data.prompt_format import PromptFormat
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.models.compute import ComputePlan
    from review_sentiment.scoring.version_files import Serving

    Answering = Callable[[pd.DataFrame, str], pd.DataFrame]
    "From reviews and the instruction to a table of predictions."


@dataclass(frozen=True)
class Probe:
    """One perturbation: strict accuracy before and after it, as fractions, and the paired difference.

    `name` is part of the metric's name, `changed` a description.
    """

    name: str
    changed: str
    before: float
    after: float
    change: PairedDifference


@dataclass(frozen=True)
class Robustness:
    """The effect of each perturbation on the tuned model."""

    probes: tuple[Probe, ...]

    def metrics(self) -> dict[str, float]:
        """Return the changes in accuracy by their MLflow names."""
        return {f"robustness/{probe.name}_change": probe.change.gain for probe in self.probes}

    def csv(self) -> str:
        """Return one line per perturbation."""
        rows = [
            {
                "name": probe.name,
                "changed": probe.changed,
                "n": probe.change.n,
                "accuracy_before": probe.before,
                "accuracy_after": probe.after,
                "change": probe.change.gain,
                "low": probe.change.interval[0],
                "high": probe.change.interval[1],
                "won": probe.change.only_candidate,
                "lost": probe.change.only_other,
                "p_value": probe.change.p_value,
            }
            for probe in self.probes
        ]
        return pd.DataFrame(rows).to_csv(index=False)

    def table(self) -> str:
        """Return the changes as a Markdown table."""
        rows = [
            f"| {probe.changed} | {probe.before:.3f} | {probe.after:.3f} | {probe.change.gain:+.3f} "
            f"[{probe.change.interval[0]:+.3f}, {probe.change.interval[1]:+.3f}] | {probe.change.n} |"
            for probe in self.probes
        ]
        head = ["| changed | accuracy before | after | change | n |", "|---|---|---|---|---|"]
        return "\n".join([*head, *rows])


def probe_robustness(
    serving: Serving,
    adapter: Path,
    chats: ChatDataset,
    tuned: Evaluation,
    plan: ComputePlan,
    samples: int,
) -> Robustness:
    """Let the tuned model answer `samples` reviews again, with each perturbation.

    `tuned` has its answers to the original reviews. Negation needs the labels positive and negative.
    """
    from review_sentiment.resources.device import free_memory

    answers = _answering(serving, adapter, plan)
    sample = chats.balanced().head(samples)
    probes = (
        *_of_reviews(answers, sample.frame, tuned.predictions, serving.prompt),
        *_of_negation(answers, serving.prompt),
    )
    del answers
    free_memory()
    return Robustness(probes)


def _answering(serving: Serving, adapter: Path, plan: ComputePlan) -> Answering:
    """Load the tuned model and return a function that lets it answer reviews."""
    from review_sentiment.data.prompts import PromptBuilder
    from review_sentiment.evaluation.predictions import prediction_table
    from review_sentiment.models.loading import load_tokenizer
    from review_sentiment.scoring.label_scoring import score_labels
    from review_sentiment.scoring.scored_model import load_scored_model

    tokenizer = load_tokenizer(serving.base)
    model = load_scored_model(serving.base, adapter, plan)
    labels = serving.labels

    def answers(reviews: pd.DataFrame, instruction: str) -> pd.DataFrame:
        builder = PromptBuilder(tokenizer, replace(serving.prompt, instruction=instruction))
        prompts = [
            builder.prompt(title, text) for title, text in zip(reviews["title"], reviews["text"], strict=True)
        ]
        found = score_labels(model, tokenizer, prompts, labels, plan, "auto")
        return prediction_table(reviews, labels, found.probabilities, found.answered, found.label_mass)

    return answers


def _of_reviews(
    answers: Answering, reviews: pd.DataFrame, before: pd.DataFrame, prompt: PromptFormat
) -> Iterator[Probe]:
    own, named = prompt.instruction, listed(prompt.labels)
    if named in own:  # a task in the user's words may name no labels
        reordered = answers(reviews, own.replace(named, listed(prompt.labels[::-1])))
        yield _probe("label_order", "labels in the opposite order in the prompt", before, reordered)
    _, *descriptions = own.split("\n")
    sentiment = asks_for_sentiment(prompt.labels)
    for number, words in enumerate(SENTIMENT_PARAPHRASES if sentiment else OTHER_PARAPHRASES, start=1):
        other = words.replace(PLACEHOLDER, named)
        answered = answers(reviews, "\n".join([other, *descriptions]))
        shown = other if sentiment else words.replace(PLACEHOLDER, "...")  # there may be 50 labels
        yield _probe(f"paraphrase_{number}", f"another prompt: {shown}", before, answered)
    changed = f"a typo in about {TYPO_FRACTION:.0%} of the words"
    yield _probe("typos", changed, before, answers(misspelled(reviews), own))


def _of_negation(answers: Answering, prompt: PromptFormat) -> Iterator[Probe]:
    if prompt.labels != BINARY.names:
        return
    plain, turned = (answers(polar_sentences(negated), prompt.instruction) for negated in (False, True))
    yield _probe("negation", 'synthetic sentences with "not": the label flips', plain, turned)


def _probe(name: str, changed: str, before: pd.DataFrame, after: pd.DataFrame) -> Probe:
    """Compare two tables of predictions on the rows of the second; each with its own gold labels."""
    earlier = _hits(before[before["review_id"].isin(after["review_id"])])
    later = _hits(after)
    return Probe(
        name=name,
        changed=changed,
        before=float(earlier["predicted"].mean()),
        after=float(later["predicted"].mean()),
        change=compare_models(later, earlier, name, answers="predicted").overall,
    )


def _hits(predictions: pd.DataFrame) -> pd.DataFrame:
    """Replace answers by whether they are correct, since a perturbation may flip the gold label."""
    return predictions.assign(predicted=predictions["gold"] == predictions["predicted"], gold=True)
