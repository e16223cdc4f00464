"""Does scoring say what the model would? A sample is answered by greedy generation as well, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXPECTED_AGREEMENT = 0.99
"""Share of generated labels below which scoring does not stand for generation: readers are warned."""


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
