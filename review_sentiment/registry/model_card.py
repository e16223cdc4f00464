"""The model card: what a reader must know about a version. `model_card.md.jinja` is its text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from review_sentiment.data.prompt_format import listed
from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.evaluation.comparison import RULES
from review_sentiment.evaluation.model_titles import title_of
from review_sentiment.evaluation.natural import ON_SCALE
from review_sentiment.evaluation.tradeoff import HEADING, QUALITY, tradeoff_table, tradeoffs_of
from review_sentiment.models.base_model import EMBEDDED
from review_sentiment.models.lora import HEAD_FILE
from review_sentiment.names import counted, in_markdown, in_sentence
from review_sentiment.registry.category_table import GAP, MAX_CATEGORIES, category_table
from review_sentiment.registry.label_table import MAX_LABELS_NAMED, few, label_table

if TYPE_CHECKING:
    from jinja2 import Environment

    from review_sentiment.data.files.review_file import ReviewColumns
    from review_sentiment.data.labels import LabelScheme
    from review_sentiment.data.review_table import CategoryCounts, ReviewTable
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.registry.gate import Evaluations, Verdict
    from review_sentiment.registry.lineage import Lineage
    from review_sentiment.training.lora_proof import LoraProof
    from review_sentiment.training.trained_adapter import TrainedAdapter


TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
SMALL_FALL = 0.1
"""A training whose loss falls by a smaller fraction has learned little."""
INSTRUCTION_WIDTH = 160
"""Characters of the instruction; the version's files have all of it."""
REVISION_WIDTH = 160
"""Characters of the data's revision, which may list every category; the version's tag is complete."""
SETTINGS_SHOWN = (
    "model.head",
    "lora.rank",
    "lora.alpha",
    "training.epochs",
    "training.learning_rate",
    "training.batch_size",
    "seed",
)


@dataclass(frozen=True)
class CardFacts:
    """What the card reports besides evaluations: adapter, settings of the run, origin and reviews."""

    adapter: TrainedAdapter
    settings: Mapping[str, str]
    lineage: Lineage
    base_licence: str
    data_licence: str
    scheme: LabelScheme
    train: ReviewTable
    evaluation: ReviewTable
    rule: DecisionRule
    categories: tuple[CategoryCounts, ...]
    columns: ReviewColumns


@dataclass(frozen=True)
class CardIdentity:
    """The version that a card is about, the MLflow run of its evaluation, its warnings, and its software.

    `software` maps names to versions.
    """

    name: str
    version: str
    evaluation_run: str
    warnings: tuple[str, ...]
    software: Mapping[str, str]


@dataclass(frozen=True)
class RegisteredVersion:
    """A version as it was registered: where it is, its alias, its runs, and its card.

    `alias` is empty for none. `run_id` is the MLflow run of the training, `evaluation_run` a child of it.
    """

    name: str
    version: str
    alias: str
    uri: str
    run_id: str
    evaluation_run: str
    tracking_uri: str
    experiment: str
    card: str


def write_card(identity: CardIdentity, verdict: Verdict, evaluations: Evaluations, facts: CardFacts) -> str:
    """Return the card as Markdown; its first sentence stands alone.

    It says nothing that changes later, such as the version's alias.
    """
    environment = card_environment()
    adapter, lineage, tuned = facts.adapter, facts.lineage, evaluations.tuned
    models = {f"**{title_of(tuned.model)}**": tuned, title_of("baseline"): evaluations.baseline}
    models |= {title_of(found.model): found for found in evaluations.arms}
    named = len(tuned.metrics.labels) <= MAX_LABELS_NAMED
    settings = (f"`{key}={adapter.settings[key]}`" for key in SETTINGS_SHOWN if key in adapter.settings)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        vars(facts),
        name=identity.name,
        version=identity.version,
        evaluation_run=identity.evaluation_run,
        verdict=verdict,
        metrics=tuned.metrics,
        tuned=tuned,
        labels=listed(tuned.metrics.labels) if named else few(tuned.metrics.labels),
        label_values=facts.scheme.described() if named else few(tuned.metrics.labels),
        instruction=shorten(adapter.prompt.instruction, INSTRUCTION_WIDTH, placeholder=" ..."),
        audit=tuned.audit.sentence(),
        warnings=identity.warnings,
        many=len(tuned.metrics.labels) > TWO_CLASSES,
        on_scale=tuned.metrics.quadratic_kappa is not None,
        rarest=facts.rule.rarest,
        figures=[_figures(title, found) for title, found in models.items()],
        natural=[_natural_figures(title, found, facts.rule.rarest) for title, found in models.items()],
        by_label="" if named else label_table(tuned.natural),
        by_category=category_table(tuned.natural, facts.rule) if tuned.natural else "",
        shares=shares_of(facts.rule),
        gap=GAP,
        comparison_rule=RULES[verdict.share],
        robustness=evaluations.robustness,
        load_base=_load_base(adapter.base),
        head_file=HEAD_FILE if adapter.has_head else "",
        revision=shorten(lineage.revision(), REVISION_WIDTH),
        reason=verdict.reason(),
        trained_on=counts_of(facts.train),
        evaluated_on=counts_of(facts.evaluation),
        rows_by_category=[
            (in_markdown(found.category), f"{found.read:,}", f"{found.kept:,}", found.reasons())
            for found in _summarised(facts.categories)
        ],
        software=", ".join(
            f"{package} {identity.software[package]}" for package in sorted(identity.software, key=str.lower)
        ),
        summary=adapter.summary,
        settings=", ".join(settings),
        costs=_costs(evaluations),
        by_time=facts.settings.get("split.by") == "time",
    )


def card_environment() -> Environment:
    """Return what renders the cards' templates; the filter `plain` escapes Markdown."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["plain"] = in_markdown
    return environment


def concerns(tuned: Evaluation, proof: LoraProof) -> list[str]:
    """Return warnings: a collapsed class, a loss that hardly fell, answers that differ when generated."""
    found = collapse(tuned)
    fall = 1 - proof.last_loss / proof.first_loss
    if fall < SMALL_FALL:
        found.append(f"The training loss fell by only {fall:.0%}: the model has learned little.")
    disagreement = tuned.audit.concern()
    return [*found, disagreement] if disagreement else found


def collapse(found: Evaluation) -> list[str]:
    """Return a warning if a class is recognised less often than by guessing."""
    metrics = found.metrics
    recalls = {
        label: counts[index] / max(1, sum(counts))
        for index, (label, counts) in enumerate(zip(metrics.labels, metrics.confusion, strict=True))
    }
    # On balanced reviews, guessing reaches a recall of 1 in c.
    collapsed = [
        f"{recall:.0%} of the {in_sentence(label)} reviews"
        for label, recall in sorted(recalls.items(), key=lambda item: item[1])
        if recall < 1 / len(recalls)
    ]
    on = "a class" if len(collapsed) == 1 else f"{len(collapsed)} classes"
    return [f"Only {few(collapsed)} are recognised: the model collapsed on {on}."] if collapsed else []


def _figures(title: str, evaluation: Evaluation | None) -> list[str]:
    """Return a row of the table of models."""
    if evaluation is None:
        return [title, "skipped"]
    metrics = evaluation.metrics
    f1 = ("f1",) if len(metrics.labels) > TWO_CLASSES else ()
    scale = () if metrics.quadratic_kappa is None else ON_SCALE
    return [title, *map(metrics.shown, ("accuracy", *f1, "roc_auc", *scale))]


def _natural_figures(title: str, evaluation: Evaluation | None, rarest: str) -> list[str]:
    """Return a row of the table of models at the natural share."""
    if evaluation is None or evaluation.natural is None:
        return [title, "skipped"]
    natural = evaluation.natural
    f1 = ("macro_f1",) if len(natural.share) > TWO_CLASSES else ()
    scale = () if natural.quadratic_kappa is None else ON_SCALE
    return [
        title,
        *map(natural.shown, ("accuracy", *f1)),
        natural.shown("precision", rarest),
        natural.shown("recall", rarest),
        *map(natural.shown, ("calibration_error", *scale)),
    ]


def _costs(evaluations: Evaluations) -> list[tuple[str, ...]]:
    """Return the table of costs; other tables have the quality."""
    found = tradeoff_table(tradeoffs_of(evaluations.of_models()))
    rows = [HEADING, ("---",) * len(HEADING), *((title_of(row[0]), *row[1:]) for row in found)]
    return [(row[0], *row[len(QUALITY) + 1 :]) for row in rows]


def shares_of(rule: DecisionRule) -> str:
    """Return the labels' class shares as a text."""
    shares = list(zip(rule.labels, rule.prior, strict=True))
    if len(shares) > MAX_LABELS_NAMED:
        shares.sort(key=lambda item: -item[1])
    return few([f"{share:.1%} {in_sentence(label)}" for label, share in shares])


def counts_of(reviews: ReviewTable) -> str:
    """Return the numbers of reviews as a text."""
    return f"{len(reviews)} reviews ({few(counted(reviews.class_counts().items()))})"


def _summarised(categories: tuple[CategoryCounts, ...]) -> tuple[CategoryCounts, ...]:
    """Return the categories; if there are many, the last row sums up the rest."""
    if len(categories) <= MAX_CATEGORIES:
        return categories
    shown, rest = categories[: MAX_CATEGORIES - 1], categories[MAX_CATEGORIES - 1 :]
    dropped: Counter[str] = Counter()
    for found in rest:
        dropped.update(found.dropped)
    total = replace(
        rest[0],
        category=f"{len(rest)} more",
        read=sum(found.read for found in rest),
        kept=sum(found.kept for found in rest),
        dropped=dropped,
    )
    return (*shown, total)


def _load_base(base: ModelIdentity) -> str:
    """Return the Python code that loads the base model."""
    if base.name == EMBEDDED:
        return (
            "from review_sentiment.models.embedded_model import model_directory\n"
            "base = AutoModelForCausalLM.from_pretrained(model_directory())"
        )
    revision = f', revision="{base.revision}"' if base.revision else ""
    return f'base = AutoModelForCausalLM.from_pretrained("{base.name}"{revision})'
