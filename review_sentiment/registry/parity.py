"""Compare what a server answers to a version's evaluation reviews with what the version answered.

Another engine has its own chat template, tokenizer, precision and model files, and each can change answers
without an error. Every cause leaves other traces:

| cause              | tokens of the prompt | answers to our token ids    | probabilities             |
|--------------------|----------------------|-----------------------------|---------------------------|
| another template   | others               | ours                        | others                    |
| a token added      | one more in each     | ours                        | others                    |
| precision          | ours                 | differ at near ties only    | close                     |
| quantisation       | ours                 | differ                      | still close               |
| adapter missing    | ours                 | those of the untuned model  | those of the untuned model |
| another model      | ours                 | differ                      | others                    |
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from review_sentiment.evaluation.predictions import UNPARSED
from review_sentiment.scoring.label_scoring import NEAR_TIE

REQUIRED_SAME = 0.995
"""Fraction of the answers that must be the same; the others must be near ties."""
CLOSE = 0.1
"""Median difference of a probability up to which it is still the same model, quantised."""
NOISE = 0.02
"""Median difference of a probability that precision alone explains."""
AS_UNTUNED = 0.9
"""Fraction of the reviews on which tuning changed the answer that a server without it answers as before."""
PROBED = 16
"""Reviews that are asked again as token ids, which pass by the server's template and tokenizer."""
DIFFERENCES_SHOWN = 5


@dataclass(frozen=True)
class Answer:
    """A label or `UNPARSED`, the tokens of the prompt, and the labels' probabilities, if they are known."""

    label: str
    prompt_tokens: int | None = None
    probabilities: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Difference:
    """A review with two answers; `margin` is the lead of ours in log-probability, if both are labels."""

    review_id: str
    ours: str
    theirs: str
    margin: float | None

    @property
    def near_tie(self) -> bool:
        """Return whether rounding alone could have decided it."""
        return self.margin is not None and self.margin < NEAR_TIE


@dataclass(frozen=True)
class Cause:
    """A likely cause of differences: its name, what shows it, and what to do."""

    name: str
    evidence: str
    advice: str


@dataclass(frozen=True)
class Parity:
    """How a server's answers to n reviews compare with ours.

    Differences of probabilities are those of the likeliest label, over the `n_probabilities` reviews for
    which the server gave all of them; None without any.
    """

    n: int
    differences: tuple[Difference, ...]
    n_probabilities: int
    max_difference: float | None
    median_difference: float | None
    causes: tuple[Cause, ...]

    @property
    def same(self) -> int:
        """Return how many answers are the same."""
        return self.n - len(self.differences)

    @property
    def passed(self) -> bool:
        """Return whether the server can stand in for the version."""
        enough = self.same >= REQUIRED_SAME * self.n
        return enough and all(one.near_tie for one in self.differences)

    def as_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return asdict(self) | {
            "same": self.same,
            "near_ties": sum(one.near_tie for one in self.differences),
            "passed": self.passed,
            "differences": [asdict(one) | {"near_tie": one.near_tie} for one in self.differences],
        }

    def as_text(self) -> str:
        """Return the result for the terminal."""
        near = sum(one.near_tie for one in self.differences)
        lines = [
            f"answers        {self.same} of {self.n} are the same ({self.same / self.n:.1%}), "
            f"{len(self.differences)} differ, {near} of these at near ties of ours",
            "probabilities  the server gives none"
            if self.max_difference is None
            else f"probabilities  differ by at most {self.max_difference:.2g}, median "
            f"{self.median_difference:.2g} ({self.n_probabilities} reviews)",
        ]
        for one in self.differences[:DIFFERENCES_SHOWN]:
            margin = "" if one.margin is None else f", margin {one.margin:.2f}"
            tie = ", a near tie" if one.near_tie else ""
            lines.append(f"  {one.review_id}  ours {one.ours}, theirs {one.theirs}{margin}{tie}")
        if len(self.differences) > DIFFERENCES_SHOWN:
            lines.append(f"  and {len(self.differences) - DIFFERENCES_SHOWN} more: --json lists all")
        lines += [f"likely cause   {each.name}: {each.evidence}. {each.advice}" for each in self.causes]
        verdict = "passed" if self.passed else "failed"
        lines.append(
            f"{verdict}         required: {REQUIRED_SAME:.1%} the same, and differences only at near ties"
        )
        return "\n".join(lines)


@dataclass(frozen=True)
class Evidence:
    """Everything known about n reviews, in the same order.

    `ours` are the recorded answers of the version, `theirs` those of the server. For some rows, `untuned` has
    those of the base model, and `by_ids` those of the server to our token ids.
    """

    labels: tuple[str, ...]
    review_ids: tuple[str, ...]
    ours: tuple[Answer, ...]
    theirs: tuple[Answer, ...]
    untuned: Mapping[int, Answer]
    by_ids: Mapping[int, Answer]


def label_in(text: str, labels: Iterable[str]) -> str:
    """Return the label that an answer starts with, the longest if several do, or `UNPARSED`."""
    found = [label for label in labels if text.strip().startswith(label)]
    return max(found, key=len, default=UNPARSED)


def normalised(log_probs: Sequence[float | None]) -> tuple[float, ...] | None:
    """Return the labels' probabilities, which sum to 1; None if one of them is not known."""
    known = [value for value in log_probs if value is not None]
    if len(known) < len(log_probs) or not known:
        return None
    weights = [math.exp(value - max(known)) for value in known]
    return tuple(weight / sum(weights) for weight in weights)


def rows_to_probe(ours: Sequence[Answer], theirs: Sequence[Answer]) -> list[int]:
    """Return up to `PROBED` rows that show a cause best: other answers first, then other probabilities."""

    def order(row: int) -> tuple[bool, float]:
        return ours[row].label == theirs[row].label, -(_distance(ours[row], theirs[row]) or 0.0)

    return sorted(range(len(ours)), key=order)[:PROBED]


def compare(evidence: Evidence) -> Parity:
    """Compare the answers, and name the likely causes of differences."""
    differences = tuple(
        Difference(review, ours.label, theirs.label, _margin(evidence.labels, ours, theirs.label))
        for review, ours, theirs in zip(evidence.review_ids, evidence.ours, evidence.theirs, strict=True)
        if ours.label != theirs.label
    )
    moved = _distances(zip(evidence.ours, evidence.theirs, strict=True))
    return Parity(
        n=len(evidence.ours),
        differences=differences,
        n_probabilities=len(moved),
        max_difference=max(moved, default=None),
        median_difference=statistics.median(moved) if moved else None,
        causes=tuple(_causes(evidence, differences, moved)),
    )


def _causes(evidence: Evidence, differences: Sequence[Difference], moved: Sequence[float]) -> list[Cause]:
    prompt = _other_prompt(evidence, bool(differences), moved)
    if prompt:
        return [prompt]
    if not differences:
        return []
    untuned = _adapter_missing(evidence)
    if untuned:
        return [untuned]
    shown = (
        f"the median probability differs by {statistics.median(moved):.3f}" if moved else "no probabilities"
    )
    if all(one.near_tie for one in differences):
        return [
            Cause(
                "rounding",
                f"answers differ only where two labels are within {NEAR_TIE} in log-probability; {shown}",
                "Any two precisions or kernels differ that much.",
            )
        ]
    # Without probabilities, only the answers can tell a coarser model from another one.
    close = statistics.median(moved) <= CLOSE if moved else len(differences) <= CLOSE * len(evidence.ours)
    if close:
        return [
            Cause(
                "quantisation or precision",
                f"answers differ beyond near ties, but the model is the same: {shown}",
                "Serve the exported weights in BF16 or FP32, or as Q8_0 if they must be smaller.",
            )
        ]
    return [
        Cause(
            "another model",
            f"{len(differences)} of {len(evidence.ours)} answers to the same prompts differ; {shown}",
            "Check --model, and that the server loaded the files that `export` wrote for this version.",
        )
    ]


def _other_prompt(evidence: Evidence, differs: bool, moved: Sequence[float]) -> Cause | None:
    """Return the cause if the server reads other tokens than the version did."""
    more = [
        theirs.prompt_tokens - ours.prompt_tokens
        for ours, theirs in zip(evidence.ours, evidence.theirs, strict=True)
        if theirs.prompt_tokens is not None and ours.prompt_tokens is not None
    ]
    if set(more) == {1}:
        return Cause(
            "special token added twice",
            "each of its prompts has one token more than ours, as if it put a beginning-of-sequence token in "
            "front of what the chat template has rendered",
            "Turn that off: `add_bos_token: false` in tokenizer_config.json, `add_special_tokens: false` in "
            "vLLM's requests, `--override-kv tokenizer.ggml.add_bos_token=bool:false` of llama.cpp.",
        )
    found = [f"its prompts have {min(more)} to {max(more)} tokens more than ours"] if any(more) else []
    by_ids = [(evidence.ours[row], answer) for row, answer in evidence.by_ids.items()]
    by_text = [(evidence.ours[row], evidence.theirs[row]) for row in evidence.by_ids]
    if _closer(by_ids, by_text):
        found.append(f"given as our token ids, {_agreement(by_ids)}; as it reads them, {_agreement(by_text)}")
    elif moved and not differs and statistics.median(moved) < NOISE:  # it only counts in another way
        return None
    if not found:
        return None
    return Cause(
        "another chat template",
        "; ".join(found),
        "Let the server use the exported chat_template.jinja (vLLM: --chat-template; llama.cpp: --jinja "
        "--chat-template-file; Ollama: TEMPLATE in the Modelfile), without a default system prompt or date.",
    )


def _closer(first: Sequence[tuple[Answer, Answer]], second: Sequence[tuple[Answer, Answer]]) -> bool:
    """Return whether the answers of the first pairs agree clearly better than those of the second."""
    wrong = [sum(one.label != other.label for one, other in pairs) for pairs in (first, second)]
    moved = [statistics.median(_distances(pairs) or [0.0]) for pairs in (first, second)]
    return 2 * wrong[0] < wrong[1] or (2 * moved[0] < moved[1] and moved[1] > NOISE)


def _agreement(pairs: Sequence[tuple[Answer, Answer]]) -> str:
    same, moved = sum(one.label == other.label for one, other in pairs), _distances(pairs)
    off = f" (probability off by {statistics.median(moved):.3f})" if moved else ""
    return f"{same} of {len(pairs)} reviews get our answer{off}"


def _adapter_missing(evidence: Evidence) -> Cause | None:
    """Return the cause if the server answers as the untuned model where that differs from ours."""
    rows = [row for row, answer in evidence.untuned.items() if answer.label != evidence.ours[row].label]
    pairs = [(evidence.untuned[row], evidence.theirs[row]) for row in rows]
    equal = sum(untuned.label == theirs.label for untuned, theirs in pairs)
    distances = _distances(pairs)
    if not rows or equal < AS_UNTUNED * len(rows) or (distances and statistics.median(distances) > CLOSE):
        return None
    return Cause(
        "adapter missing",
        f"it gives the untuned model's answer in {equal} of {len(rows)} reviews in which tuning changed it",
        "Serve the exported weights, or load the adapter and give its name as --model.",
    )


def _margin(labels: Sequence[str], ours: Answer, theirs: str) -> float | None:
    if ours.probabilities is None or not {ours.label, theirs} <= set(labels):
        return None
    first, second = (ours.probabilities[labels.index(label)] for label in (ours.label, theirs))
    return math.log(first) - math.log(second) if min(first, second) > 0 else None


def _distance(first: Answer, second: Answer) -> float | None:
    """Return the largest difference of a label's probability."""
    if first.probabilities is None or second.probabilities is None:
        return None
    return max(abs(one - other) for one, other in zip(first.probabilities, second.probabilities, strict=True))


def _distances(pairs: Iterable[tuple[Answer, Answer]]) -> list[float]:
    return [found for pair in pairs if (found := _distance(*pair)) is not None]
