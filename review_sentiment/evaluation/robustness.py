"""Whether small changes turn the tuned model's answers: accuracy before and after, on the same reviews.

    python run_pipeline.py --set robustness.samples=200

The reviews are the first of the evaluation part, a random sample. The changes follow CheckList
(M. T. Ribeiro et al., arXiv 2005.04118): typos and rewordings of the task are invariance tests, the answer
must stay what it was; negation is a directional expectation, the answer must turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.data.labels import BINARY
from review_sentiment.evaluation.comparison import PairedDifference, compare_models
from review_sentiment.hashing import stable_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.models.compute import ComputePlan

    Answering = Callable[[pd.DataFrame, tuple[str, ...], str], pd.DataFrame]
    "Reviews, the labels in the order of the prompt, and the instruction: to a table of predictions."


TYPO_SHARE = 0.05
"""Share of the words of a review that are misspelled."""
PARAPHRASES = (
    "Read the customer's review and say which it is: {labels}.",
    "What does the writer of this text think of the product? Answer with {labels}.",
)
"""Other words for `prompts.INSTRUCTION`, that name the labels in the same order."""
OPPOSITES = (
    ("good", "bad"),
    ("well made", "badly made"),
    ("comfortable", "uncomfortable"),
    ("useful", "useless"),
    ("reliable", "unreliable"),
    ("worth the money", "a waste of money"),
    ("easy to use", "hard to use"),
    ("pleasant", "unpleasant"),
    ("satisfying", "disappointing"),
    ("a good buy", "a bad buy"),
)
"""What is positive to say of any product, and its contrary: words with little between the two."""
POLAR_TEMPLATES = ("It is {}.", "I bought this a month ago and it is {}.")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Probe:
    """One change: strict accuracy before and after it, as fractions, and the paired difference.

    `name` is that of its metric, `changed` says it to people.
    """

    name: str
    changed: str
    before: float
    after: float
    change: PairedDifference


@dataclass(frozen=True)
class Robustness:
    """What each change does to the tuned model."""

    probes: tuple[Probe, ...]

    def metrics(self) -> dict[str, float]:
        """Return the changes in accuracy, by the names that MLflow shows."""
        return {f"robustness/{probe.name}_change": probe.change.gain for probe in self.probes}

    def csv(self) -> str:
        """Return one line for each change."""
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
    base: ModelIdentity,
    adapter: Path,
    max_tokens: int,
    chats: ChatDataset,
    tuned: Evaluation,
    plan: ComputePlan,
    samples: int,
) -> Robustness:
    """Let the tuned model answer `samples` reviews again, changed in each way.

    `tuned` has its answers to the unchanged ones. Negation is left out where the labels are not two.
    """
    from review_sentiment.resources.device import free_memory

    answers = _answering(base, adapter, max_tokens, chats.labels, plan)
    sample = chats.head(samples)
    probes = (*_of_reviews(answers, sample, tuned.predictions), *_of_negation(answers, chats.labels))
    del answers
    free_memory()
    return Robustness(probes)


def _answering(
    base: ModelIdentity,
    adapter: Path,
    max_tokens: int,
    labels: tuple[str, ...],
    plan: ComputePlan,
) -> Answering:
    """Load the tuned model; return how it answers reviews."""
    from review_sentiment.data.prompts import PromptBuilder
    from review_sentiment.evaluation.predictions import prediction_table
    from review_sentiment.models.loading import load_adapted_model, load_tokenizer
    from review_sentiment.scoring.label_scoring import score_labels

    tokenizer = load_tokenizer(base)
    model = load_adapted_model(base, adapter, plan)

    def answers(reviews: pd.DataFrame, named: tuple[str, ...], instruction: str) -> pd.DataFrame:
        builder = PromptBuilder(tokenizer, named, max_tokens, instruction)
        prompts = [
            builder.prompt(title, text) for title, text in zip(reviews["title"], reviews["text"], strict=True)
        ]
        found = score_labels(model, tokenizer, prompts, labels, plan, "auto")
        return prediction_table(reviews, labels, found.probabilities, found.answered, found.label_mass)

    return answers


def _of_reviews(answers: Answering, sample: ChatDataset, before: pd.DataFrame) -> Iterator[Probe]:
    from review_sentiment.data.prompts import INSTRUCTION
    from review_sentiment.evaluation.robustness import PARAPHRASES, TYPO_SHARE, misspelled

    reviews, labels = sample.frame, sample.labels
    reordered = answers(reviews, labels[::-1], INSTRUCTION)
    yield _probe("label_order", "labels in the other order in the prompt", before, reordered)
    for number, words in enumerate(PARAPHRASES, start=1):
        changed = f"prompt in other words: {words.format(labels=' or '.join(labels))}"
        yield _probe(f"paraphrase_{number}", changed, before, answers(reviews, labels, words))
    changed = f"a typo in about {TYPO_SHARE:.0%} of the words"
    yield _probe("typos", changed, before, answers(misspelled(reviews), labels, INSTRUCTION))


def _of_negation(answers: Answering, labels: tuple[str, ...]) -> Iterator[Probe]:
    from review_sentiment.data.labels import BINARY
    from review_sentiment.data.prompts import INSTRUCTION
    from review_sentiment.evaluation.robustness import polar_sentences

    if labels != BINARY.names:
        return
    plain, turned = (answers(polar_sentences(negated), labels, INSTRUCTION) for negated in (False, True))
    yield _probe("negation", 'made sentences with "not": the label turns', plain, turned)


def _probe(name: str, changed: str, before: pd.DataFrame, after: pd.DataFrame) -> Probe:
    """Compare two tables of predictions on the rows of the second; each has its own gold labels."""
    earlier = _hits(before[before["review_id"].isin(after["review_id"])])
    later = _hits(after)
    return Probe(
        name=name,
        changed=changed,
        before=float(earlier["predicted"].mean()),
        after=float(later["predicted"].mean()),
        change=compare_models(later, earlier, name, "predicted").overall,
    )


def _hits(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return whether each answer is right in place of what it is: a change may turn the gold label."""
    return predictions.assign(predicted=predictions["gold"] == predictions["predicted"], gold=True)


def with_typos(text: str, key: str) -> str:
    """Return the text with two neighbouring letters swapped in about a twentieth of its words.

    White space and the number of words stay. The words are those with the smallest hash of key and place:
    the same key gives the same typos everywhere. Any text with a word that can be misspelled gets one.
    """
    places = {match.start(): _swaps(match) for match in _WORD.finditer(text)}
    able = sorted(
        (start for start, swaps in places.items() if swaps),
        key=lambda start: stable_hash(key, "word", str(start)),
    )
    letters = list(text)
    for start in able[: max(1, round(TYPO_SHARE * len(able)))]:
        swaps = places[start]
        at = swaps[stable_hash(key, "letter", str(start)) % len(swaps)]
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _swaps(word: re.Match[str]) -> list[int]:
    """Return where in the text two different letters of the word stand side by side."""
    text = word.string
    return [
        at
        for at in range(word.start(), word.end() - 1)
        if text[at].isalpha() and text[at + 1].isalpha() and text[at] != text[at + 1]
    ]


def misspelled(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the reviews with typos in title and text; a review's typos depend on its `review_id` alone."""
    changed = [
        with_typos(f"{title}\n{text}", key).partition("\n")
        for key, title, text in zip(reviews["review_id"], reviews["title"], reviews["text"], strict=True)
    ]
    return reviews.assign(title=[title for title, _, _ in changed], text=[text for _, _, text in changed])


def polar_sentences(negated: bool) -> pd.DataFrame:
    """Return short reviews in the columns review_id, category, label, title, text; `BINARY` labels.

    Each says one of `OPPOSITES` of a product, or with "not" its contrary, under the same `review_id`.
    "Not good" is negative. "Not bad" is in CheckList "positive or neutral", and of two classes that is
    positive. The `category` is the label of the sentence without "not".
    """
    return pd.DataFrame(
        list(_polar_rows(negated)), columns=["review_id", "category", "label", "title", "text"]
    )


def _polar_rows(negated: bool) -> Iterator[tuple[str, str, str, str, str]]:
    negative, positive = BINARY.names
    for words in OPPOSITES:
        for word, plain, contrary in zip(words, (positive, negative), (negative, positive), strict=True):
            said, label = (f"not {word}", contrary) if negated else (word, plain)
            for number, template in enumerate(POLAR_TEMPLATES):
                yield f"{word} {number}", plain, label, "", template.format(said)
