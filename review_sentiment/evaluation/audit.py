"""Does scoring say what the model would? A sample is answered by greedy generation as well, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.models.compute import ComputePlan


EXPECTED_AGREEMENT = 0.99
"""Share of generated labels below which scoring does not stand for generation: readers are warned."""


MAX_ANSWER_TOKENS = 8
"""Tokens after which an answer is cut: more than a label has, so that what follows a label shows."""
ANSWERS_PER_BATCH = 16
"""Answers that are generated together."""


@dataclass(frozen=True)
class Audit:
    """Of `n` generated answers `inside` were a label, `equal` of these the scored one; ids where not."""

    n: int = 0
    inside: int = 0
    equal: int = 0
    different: tuple[str, ...] = ()

    @property
    def agreement(self) -> float | None:
        """Return the share of the generated labels that scoring gives as well; None without any."""
        return self.equal / self.inside if self.inside else None

    def figures(self) -> dict[str, float]:
        """Return the figures by their names."""
        counts = {"audit_n": float(self.n), "audit_inside": float(self.inside)}
        return counts if self.agreement is None else counts | {"audit_agreement": self.agreement}

    def concern(self) -> str | None:
        """Return what a reader must be warned of."""
        if self.agreement is None or self.agreement >= EXPECTED_AGREEMENT:
            return None
        return (
            f"Greedy generation answered {self.inside - self.equal} of {self.inside} reviews with another "
            "label than scoring."
        )

    def sentence(self) -> str:
        """Return the result for a reader."""
        if not self.n:
            return "No answer was generated beside scoring."
        return (
            f"{self.n} reviews were answered by greedy generation as well: {self.inside} answers were a "
            f"label, {self.equal} of them the one of scoring."
        )


def compare(
    review_ids: Sequence[str], generated: Sequence[str], scored: Sequence[str], labels: Sequence[str]
) -> Audit:
    """Compare raw generated answers with what scoring says that the model answers; all are [n].

    An answer is a label where nothing but white space stands beside it.
    """
    answers = [answer.strip() for answer in generated]
    inside = [number for number, answer in enumerate(answers) if answer in labels]
    different = [review_ids[number] for number in inside if answers[number] != scored[number]]
    return Audit(len(answers), len(inside), len(inside) - len(different), tuple(different))


def total(audits: Sequence[Audit]) -> Audit:
    """Return the audit of several shares of the reviews as one."""
    return Audit(
        sum(one.n for one in audits),
        sum(one.inside for one in audits),
        sum(one.equal for one in audits),
        tuple(review for one in audits for review in one.different),
    )


def generate_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    plan: ComputePlan,
) -> list[str]:
    """Return the text that greedy generation answers to each prompt, unaltered, in the prompts' order.

    Prompts of similar length go together, padded on the left.
    """
    import torch

    answers: dict[int, str] = {}
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
                max_new_tokens=MAX_ANSWER_TOKENS,
                do_sample=False,
                use_cache=True,
                pad_token_id=tokenizer.pad_token_id,
            )
            new_tokens = output[:, inputs["input_ids"].shape[1] :]
            answers |= zip(batch, tokenizer.batch_decode(new_tokens, skip_special_tokens=True), strict=True)
    return [answers[row] for row in range(len(prompts))]
