"""The card of a student: what it loses against its teacher, and what it saves. `student_card.md.jinja`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.evaluation.comparison import RULES
from review_sentiment.evaluation.model_titles import title_of
from review_sentiment.evaluation.tradeoff import HEADING, tradeoff_table, tradeoffs_of
from review_sentiment.registry.category_table import GAP
from review_sentiment.registry.label_table import label_table
from review_sentiment.registry.model_card import card_environment, counts_of, shares_of

if TYPE_CHECKING:
    from review_sentiment.arms.student import TrainedStudent
    from review_sentiment.data.files.review_file import ReviewColumns
    from review_sentiment.data.labels import LabelScheme
    from review_sentiment.data.review_table import ReviewTable
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.registry.gate import Evaluations, Verdict
    from review_sentiment.registry.lineage import Lineage
    from review_sentiment.registry.model_card import CardIdentity

TEMPLATE = Path(__file__).with_name("student_card.md.jinja")


@dataclass(frozen=True)
class StudentFacts:
    """A trained student, the settings of its run, where it comes from, and its reviews."""

    student: TrainedStudent
    settings: Mapping[str, str]
    lineage: Lineage
    data_licence: str
    scheme: LabelScheme
    train: ReviewTable
    evaluation: ReviewTable
    rule: DecisionRule
    columns: ReviewColumns


def write_student_card(
    identity: CardIdentity, verdict: Verdict, evaluations: Evaluations, model: StudentFacts
) -> str:
    """Return the card as Markdown; its first sentence stands alone."""
    costs = tradeoff_table(tradeoffs_of(evaluations.of_models()))
    found = evaluations.tuned
    return (
        card_environment()
        .from_string(TEMPLATE.read_text(encoding="utf-8"))
        .render(
            vars(model),
            identity=identity,
            verdict=verdict,
            metrics=found.metrics,
            natural=found.natural,
            shares=shares_of(model.rule),
            title=title_of(model.student.kind),
            by_label=label_table(found.natural) if found.natural else "",
            gap=GAP,
            comparison_rule=RULES[verdict.share],
            costs=[HEADING, ("---",) * len(HEADING), *((title_of(row[0]), *row[1:]) for row in costs)],
            trained_on=counts_of(model.train),
            evaluated_on=counts_of(model.evaluation),
            label_values=model.scheme.described(),
        )
    )
