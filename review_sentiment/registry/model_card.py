"""The model card: what a stranger must know of a version, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import TYPE_CHECKING

from review_sentiment.data.labels import LABEL_SCHEMES
from review_sentiment.models.base_model import EMBEDDED

if TYPE_CHECKING:
    from review_sentiment.data.review_table import Ingested
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.evaluation.robustness import Robustness
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.registry.gate import Verdict
    from review_sentiment.registry.lineage import Lineage
    from review_sentiment.training.lora_proof import LoraProof
    from review_sentiment.training.trained_adapter import TrainingSummary


COLLAPSED_RECALL = 0.5
"""Recall of a class below which a model is called collapsed: guessing reaches it on balanced reviews."""
LITTLE_FALL = 0.1
"""Relative fall of the loss below which a training has learned little."""


MOST_CATEGORIES = 8
"""Rows of the table of categories; MLflow keeps 5,000 characters of a version's description."""
GAP = "&ensp;"
"""Between the columns of a table: MLflow's pages (3.17) set them side by side without any."""
REVISION_WIDTH = 160
"""Characters of the data's revision, which has a part for each category; the version's tag has it all."""
SETTINGS_SHOWN = (
    "lora.rank",
    "lora.alpha",
    "training.epochs",
    "training.learning_rate",
    "training.batch_size",
    "seed",
)


@dataclass(frozen=True)
class CardFacts:
    """Everything that the card tells; the counts are of reviews by label."""

    base: ModelIdentity
    base_licence: str
    run_id: str
    lineage: Lineage
    data_licence: str
    train_counts: Mapping[str, int]
    evaluation_counts: Mapping[str, int]
    ingested: tuple[Ingested, ...]
    summary: TrainingSummary
    proof: LoraProof
    settings: Mapping[str, str]
    max_tokens: int


@dataclass(frozen=True)
class RegisteredVersion:
    """A version as it was registered: where it is, under which alias, and its card."""

    name: str
    version: str
    alias: str
    uri: str
    run_id: str
    tracking_uri: str
    experiment: str
    card: str


def write_card(
    model_name: str,
    alias: str,
    verdict: Verdict,
    tuned: Evaluation,
    baseline: Evaluation | None,
    classical: Evaluation,
    facts: CardFacts,
    software: Mapping[str, str],
    robustness: Robustness | None = None,
) -> str:
    """Write the card; its first sentence stands alone. `software` are versions by name."""
    metrics, lineage = tuned.metrics, facts.lineage
    categories = "\n".join(
        f"| {found.category} | {found.read:,} | {found.kept:,} | {found.reasons()} |"
        for found in _few(facts.ingested)
    )
    figures = "\n".join(
        _row(title, evaluation)
        for title, evaluation in (
            ("**tuned (this model)**", tuned),
            ("untuned base model", baseline),
            ("TF-IDF + logistic regression", classical),
        )
    )
    settings = ", ".join(f"`{key}={facts.settings[key]}`" for key in SETTINGS_SHOWN if key in facts.settings)
    return f"""\
This model says whether a customer review is {" or ".join(metrics.labels)}; it was right on \
{metrics.accuracy:.1%} of {metrics.n} held-out reviews of products that it was not trained on.

**{alias}**: {verdict.reason()}
{_warnings(tuned, facts.proof)}
An unparsed answer is none of the labels and counts as wrong; "constrained" takes the likeliest label. \
In brackets the 95 % bootstrap interval over the evaluation reviews; p is of McNemar's exact test. \
{tuned.audit.sentence()}

| on the evaluation reviews | accuracy | constrained | F1 | ROC AUC | calibration error | unparsed | n |
|---|---|---|---|---|---|---:|---:|
{_apart(figures)}

**Gate**

{_apart(verdict.table())}

**Use**

```python
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/{model_name}@{alias}")
model.predict(pandas.DataFrame({{"text": ["Runs small and fell apart."]}}))

# The adapter alone, on the plain base model:
from peft import PeftModel
from transformers import AutoModelForCausalLM
files = mlflow.artifacts.download_artifacts("models:/{model_name}@{alias}")
{_base_in_python(facts.base)}
PeftModel.from_pretrained(base, files + "/artifacts/adapter")
```

**Limits**

Star ratings stand in for sentiment: {_scheme(metrics.labels)}. \
Reviews lose their end beyond {facts.max_tokens} tokens with the prompt. \
Texts of other domains and languages were not evaluated.
{_robustness(robustness)}
**Data**

{lineage.source} (licence {facts.data_licence}), revision {_revision(lineage)}. \
Trained on {_counts(facts.train_counts)}, fingerprint `{lineage.training_rows}`; \
evaluated on {_counts(facts.evaluation_counts)}, `{lineage.evaluation_rows}`; \
the two share no product, no user and no text.

| category | read | kept | dropped |
|---|---:|---:|---|
{_apart(categories)}

**Base model**

{facts.base.title} (licence {facts.base_licence}), \
revision {facts.base.revision or "newest"}, quantisation {facts.base.quantization}.

**Made by**

`{lineage.training.command}` on the stack {lineage.training.stack}, commit \
`{lineage.training.commit}`{_registered_later(lineage)}; {_listed(software)}. \
ZenML run `{lineage.training.name}`, MLflow run `{facts.run_id}`, which has \
all settings, curves, reports and sample predictions.

**Training**

{facts.summary.steps} steps over {facts.summary.reviews} reviews in \
{facts.summary.seconds / 60:.1f} minutes, {facts.summary.trainable_parameters:,} trainable parameters; \
{settings}. \
LoRA proof: {len(facts.proof.layers)} layers called, with gradient and moved; \
loss {facts.proof.first_loss:.3f} to {facts.proof.last_loss:.3f}.
"""


def concerns(tuned: Evaluation, proof: LoraProof) -> list[str]:
    """Return what a reader must be warned of: unrecognised classes, a loss that hardly fell, the audit."""
    metrics = tuned.metrics
    found = []
    for label, counts in zip(metrics.labels, metrics.confusion, strict=True):
        recall = counts[metrics.labels.index(label)] / max(1, sum(counts))
        if recall < COLLAPSED_RECALL:
            found.append(
                f"Only {recall:.0%} of the {label} reviews are recognised: it has collapsed on a class."
            )
    fall = 1 - proof.last_loss / proof.first_loss
    if fall < LITTLE_FALL:
        found.append(f"The training loss fell by only {fall:.0%}: the model has learned little.")
    disagreement = tuned.audit.concern()
    return [*found, disagreement] if disagreement else found


def _scheme(labels: tuple[str, ...]) -> str:
    return next(scheme.described() for scheme in LABEL_SCHEMES.values() if scheme.names == labels)


def _warnings(tuned: Evaluation, proof: LoraProof) -> str:
    return "".join(f"\n**Warning** {concern}\n" for concern in concerns(tuned, proof))


def _robustness(found: Robustness | None) -> str:
    if found is None:
        return ""
    return f"""
**Robustness**

Strict accuracy of this model before and after a change, on the same rows; in brackets the \
95 % paired bootstrap interval.

{found.table()}
"""


def _row(title: str, evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return f"| {title} | skipped | | | | | | |"
    found = evaluation.metrics
    figures = ("accuracy", "constrained_accuracy", "f1", "roc_auc", "calibration_error")
    shown = " | ".join(found.shown(name) for name in figures)
    return f"| {title} | {shown} | {found.unparsed_rate:.1%} | {found.n} |"


def _apart(rows: str) -> str:
    """Return the rows of a table with a gap between their columns."""
    return rows.replace(" | ", f"{GAP} | ")


def _counts(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values())} reviews ({', '.join(f'{n} {name}' for name, n in counts.items())})"


def _few(categories: tuple[Ingested, ...]) -> Iterator[Ingested]:
    """Yield the categories; where they are many, the last row stands for those that are left out."""
    if len(categories) <= MOST_CATEGORIES:
        yield from categories
        return
    shown, rest = categories[: MOST_CATEGORIES - 1], categories[MOST_CATEGORIES - 1 :]
    yield from shown
    dropped: Counter[str] = Counter()
    for found in rest:
        dropped.update(found.dropped)
    yield replace(
        rest[0],
        category=f"{len(rest)} more",
        read=sum(found.read for found in rest),
        kept=sum(found.kept for found in rest),
        dropped=dropped,
    )


def _base_in_python(base: ModelIdentity) -> str:
    if base.name == EMBEDDED:
        return (
            "from review_sentiment.models.embedded_model import model_directory\n"
            "base = AutoModelForCausalLM.from_pretrained(model_directory())"
        )
    revision = f', revision="{base.revision}"' if base.revision else ""
    return f'base = AutoModelForCausalLM.from_pretrained("{base.name}"{revision})'


def _revision(lineage: Lineage) -> str:
    return shorten(lineage.revision(), REVISION_WIDTH)


def _registered_later(lineage: Lineage) -> str:
    """Say so where another run made a version of what was trained."""
    if lineage.registering.run_id == lineage.training.run_id:
        return ""
    return (
        f" (evaluated and registered by ZenML run `{lineage.registering.name}`, "
        f"commit `{lineage.registering.commit}`)"
    )


def _listed(software: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {software[name]}" for name in sorted(software, key=str.lower))
