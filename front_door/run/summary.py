"""The summary of a run, and the tables of metrics and versions."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from front_door.terminal.text_table import columns
from review_sentiment.names import in_sentence

if TYPE_CHECKING:
    from front_door.run.result import RunResult
    from review_sentiment.tracking.model_versions import ModelVersion


JUDGED = ("passed", "not passed")
"""Outcomes that the list of failed checks explains; any other has a reason of its own."""
RAREST_WIDTH = 15
FRACTION = re.compile(r"-?\d+\.\d+")


def summary(result: RunResult) -> str:
    """Return the metrics, the registered model, and how to use and inspect it."""
    cached = sum(step.status == "cached" for step in result.steps.values())
    lines = [f"{result.status} in {result.seconds:.0f} s: {len(result.steps)} steps, {cached} from the cache"]
    if result.metrics:
        lines += ["", figures_table(result.metrics), "", natural_table(result.metrics)]
        lines += ["", cost_table(result.metrics)]
        tuned = result.metrics.get("tuned", {})
        if "audit_agreement" in tuned:
            lines.append(
                f"audit: {tuned['audit_inside']:.0f} of {tuned['audit_n']:.0f} generated answers are labels; "
                f"{tuned['audit_agreement']:.1%} of these match the scored answers"
            )
    if result.model:
        aliases = ", ".join(result.model["aliases"]) or "no alias"
        lines += [
            "",
            f"model        {result.model['name']} version {result.model['version']} ({aliases})",
            f"gate         {result.model['gate']}",
            *([] if result.model["gate"] in JUDGED else [f"             {result.model['gate_reason']}"]),
            *(
                f"             {check['name']} is {check['measured']}, required: {check['required']}"
                for check in result.model["failed_checks"]
            ),
            *(f"warning      {warning}" for warning in result.model["warnings"]),
            f'load it      mlflow.pyfunc.load_model("{result.model["uri"]}")',
            f"MLflow run   {result.mlflow['run_id']} (training) in {result.mlflow['tracking_uri']}",
            f"             {result.mlflow['evaluation_run_id']} (evaluation, its child run)",
            "dashboard    python run_pipeline.py ui",
        ]
    lines += [f"{name:12} {place}" for name, place in result.outputs.items()]
    return "\n".join(lines)


def natural_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one line per model: what production will see, at the natural share of the labels."""
    from review_sentiment.evaluation.natural import NaturalMetrics

    found = {
        name: NaturalMetrics.from_json(figures["natural"])
        for name, figures in metrics.items()
        if "natural" in figures
    }
    if not found:
        return ""
    first = next(iter(found.values()))
    rarest = first.rarest
    shown = textwrap.shorten(in_sentence(rarest), RAREST_WIDTH, placeholder="…")
    abstains = any(one.coverage < 1 for one in found.values())
    on_scale = first.quadratic_kappa is not None
    lines = [
        f"at the natural share ({first.share[rarest]:.1%} {in_sentence(rarest)}), under the decision rule",
        f"{'':15}{'accuracy':>10}{'95 % interval':>16}{'F1':>8}{'precision of':>16}{'recall of':>16}"
        f"{'calibration':>13}"
        + (f"{'quadratic':>11}{'mean abs.':>11}" if on_scale else "")
        + (f"{'reviews':>10}{'of these':>10}" if abstains else ""),
        f"{'':15}{'':10}{'':16}{'':8}{shown:>16}{shown:>16}{'error':>13}"
        + (f"{'kappa':>11}{'error':>11}" if on_scale else "")
        + (f"{'answered':>10}{'wrong':>10}" if abstains else ""),
    ]
    for name, one in found.items():
        interval = f"{one.low['accuracy']:.3f}-{one.high['accuracy']:.3f}"
        lines.append(
            f"{name:15}{one.accuracy:10.3f}{interval:>16}{one.macro_f1:8.3f}"
            f"{one.precision[rarest]:16.3f}{one.recall[rarest]:16.3f}{one.calibration_error:13.3f}"
            + (f"{one.quadratic_kappa:11.3f}{one.mean_absolute_error:11.3f}" if on_scale else "")
            + (f"{one.coverage:10.1%}{one.risk:10.1%}" if abstains else "")
        )
    return "\n".join(lines)


def cost_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one line per model: what its accuracy costs, the fastest first."""
    from review_sentiment.evaluation.cost import Cost
    from review_sentiment.evaluation.tradeoff import HEADING, Tradeoff, in_order, tradeoff_table

    found = [
        Tradeoff(
            name,
            figures["natural"]["accuracy"],
            figures["roc_auc"],
            figures["natural"]["calibration_error"],
            Cost(**{"training_seconds": None} | figures["cost"]),
        )
        for name, figures in metrics.items()
        if "cost" in figures and "natural" in figures
    ]
    return columns([HEADING, *tradeoff_table(in_order(found))]) if found else ""


def figures_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one line per model, on the balanced evaluation reviews."""
    heading = (
        f"{'balanced':15}{'accuracy':>10}{'95 % interval':>16}{'F1':>8}{'ROC AUC':>9}"
        f"{'constrained':>13}{'unparsed':>10}{'reviews':>9}"
    )
    lines = [heading]
    for name, found in metrics.items():
        interval = f"{found['accuracy_low']:.3f}-{found['accuracy_high']:.3f}"
        lines.append(
            f"{name:15}{found['accuracy']:10.3f}{interval:>16}{found['f1']:8.3f}{found['roc_auc']:9.3f}"
            f"{found['constrained_accuracy']:13.3f}{found['unparsed_rate']:10.1%}{found['n']:9.0f}"
        )
    return "\n".join(lines)


def versions_table(versions: Sequence[ModelVersion]) -> str:
    """Return one line per version, and below the table why a gate was not passed, and warnings."""
    rows = [
        (
            "version",
            "alias",
            "created",
            "accuracy",
            "interval",
            "natural",
            "F1",
            "ROC AUC",
            "reviews",
            "gate",
            "base model",
        )
    ]
    rows += [
        (
            found.version,
            ", ".join(found.aliases) or "-",
            f"{found.created.astimezone():%Y-%m-%d %H:%M}",
            tag_figure(found, "accuracy"),
            tag_figure(found, "accuracy_interval"),
            tag_figure(found, "natural_accuracy"),
            tag_figure(found, "f1"),
            tag_figure(found, "roc_auc"),
            tag_figure(found, "evaluation_reviews"),
            tag_figure(found, "gate"),
            tag_figure(found, "base_model"),
        )
        for found in versions
    ]
    notes = [f"version {found.version}: {note}" for found in versions for note in notes_on(found)]
    return "\n".join([columns(rows), *([""] if notes else []), *notes])


def notes_on(version: ModelVersion) -> list[str]:
    """Return why a version did not pass its gate, and what its readers must know."""
    reason = [] if version.tags.get("gate") == "passed" else [version.tags.get("gate.reason", "")]
    return [note for note in (*reason, *version.warnings) if note]


def tag_figure(found: ModelVersion, tag: str) -> str:
    """Return a tag of a version, fractions with three decimals, or a dash if it does not have the tag."""
    value = found.tags.get(tag, "-")
    return f"{float(value):.3f}" if FRACTION.fullmatch(value) else value
