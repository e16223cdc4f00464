"""Check label scoring against greedy generation on a sample of the reviews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.models.compute import ComputePlan

EXPECTED_AGREEMENT = 0.99
"""Fraction of generated labels that scoring must reproduce; below it, reports show a warning."""
TOKENS_BEYOND = 4
"""Tokens to generate beyond the longest label: an answer that continues after a label is recognised."""
ANSWERS_PER_BATCH = 16


@dataclass(frozen=True)
class Audit:
    """Of `n` generated answers, `inside` are labels, `equal` of them the scored ones; ids of the rest.

    `generates` is whether the model writes text at all: one with a classification head does not.
    """

    n: int = 0
    inside: int = 0
    equal: int = 0
    different: tuple[str, ...] = ()
    generates: bool = True

    @property
    def agreement(self) -> float | None:
        """Return the fraction of the generated labels that scoring reproduces; None if there are none."""
        return self.equal / self.inside if self.inside else None

    def figures(self) -> dict[str, float]:
        """Return the figures by their MLflow names."""
        counts = {"audit_n": float(self.n), "audit_inside": float(self.inside)}
        return counts if self.agreement is None else counts | {"audit_agreement": self.agreement}

    def concern(self) -> str | None:
        """Return a warning if the agreement is too low."""
        if self.agreement is None or self.agreement >= EXPECTED_AGREEMENT:
            return None
        return (
            f"Greedy generation and scoring disagree on the label of {self.inside - self.equal} of "
            f"{self.inside} reviews."
        )

    def sentence(self) -> str:
        """Return the result in a sentence."""
        if not self.generates:
            return "Its classification head generates no text that scoring could be checked against."
        if not self.n:
            return "No answers were generated to check the scoring."
        return (
            f"{self.n} reviews were also answered by greedy generation: {self.inside} answers were a label, "
            f"{self.equal} of them the scored one."
        )


def compare(
    review_ids: Sequence[str], generated: Sequence[str], scored: Sequence[str], labels: Sequence[str]
) -> Audit:
    """Compare raw generated answers with the scored ones; all sequences have length n.

    An answer counts as a label if there is nothing else but white space.
    """
    answers = [answer.strip() for answer in generated]
    inside = [number for number, answer in enumerate(answers) if answer in labels]
    different = [review_ids[number] for number in inside if answers[number] != scored[number]]
    return Audit(len(answers), len(inside), len(inside) - len(different), tuple(different))


def total(audits: Sequence[Audit]) -> Audit:
    """Add up the audits of several shards."""
    return Audit(
        sum(one.n for one in audits),
        sum(one.inside for one in audits),
        sum(one.equal for one in audits),
        tuple(review for one in audits for review in one.different),
        all(one.generates for one in audits),
    )


def generate_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    labels: Sequence[str],
    plan: ComputePlan,
) -> list[str]:
    """Return the raw text that greedy generation gives for each prompt, in the order of the prompts.

    It stops a few tokens beyond the longest of the labels.
    """
    import torch

    longest = max((len(tokenizer.encode(label, add_special_tokens=False)) for label in labels), default=0)
    answers: dict[int, str] = {}
    # Prompts of similar length share a batch. Padding is on the left, so that generation continues each
    # prompt.
    by_length = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    with torch.inference_mode(), plan.autocast():
        for start in range(0, len(prompts), ANSWERS_PER_BATCH):
            batch = by_length[start : start + ANSWERS_PER_BATCH]
            inputs = tokenizer(
                [prompts[row] for row in batch],
                add_special_tokens=False,
                padding=True,
                padding_side="left",
                return_tensors="pt",
            )
            output = model.generate(
                **inputs.to(model.device),
                max_new_tokens=longest + TOKENS_BEYOND,
                do_sample=False,
                use_cache=True,
                pad_token_id=tokenizer.pad_token_id,
            )
            new_tokens = output[:, inputs["input_ids"].shape[1] :]
            answers |= zip(batch, tokenizer.batch_decode(new_tokens, skip_special_tokens=True), strict=True)
    return [answers[row] for row in range(len(prompts))]
