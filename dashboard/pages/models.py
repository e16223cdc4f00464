"""Models: the registered versions with their aliases, gate checks and cards; promotion and rollback."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import marimo as mo
import yaml

from dashboard.queries.versions import NOTHING_YET, Registry, title_of, version_chooser
from dashboard.widgets.actions import Report, action_button, outcome_view
from dashboard.widgets.layout import (
    Judgement,
    Panel,
    badge,
    column,
    notice,
    paragraph,
    passed_badge,
    row,
    table,
)
from front_door.commands.servers import HOST, MLFLOW_PORT
from front_door.run.summary import notes_on, tag_figure
from front_door.state import tracking_uri, zenml_directory
from review_sentiment.errors import TrackingError
from review_sentiment.evaluation.comparison import RULES
from review_sentiment.evaluation.model_titles import title_of as title_of_model
from review_sentiment.evaluation.tradeoff import HEADING, tradeoff_table

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion

ROLL_BACK = "roll back"
FRONT_RULE = (
    "Accuracy and calibration error are those in production, the ROC AUC that on balanced reviews. On the "
    "Pareto front: no other model is at least as accurate and faster. Speed is that of the machine that "
    "evaluated them."
)
GATE_JUDGEMENT: dict[str, Judgement] = {"passed": "good", "not passed": "bad"}
MAX_ROWS = 200
PROBE_SECONDS = 0.2
PICTURE = re.compile(r"^!\[.*\]\(get-artifact.*\)$", re.MULTILINE)
ESCAPED = re.compile(r"\\([^\w\s])")


def versions_view(registry: Registry) -> mo.Html:
    """Show the versions in a table."""
    if not registry.versions:
        return notice(f"'{registry.model}' is empty", NOTHING_YET, "info")
    rows = [
        (
            version.version,
            ", ".join(version.aliases) or "-",
            f"{version.created.astimezone():%Y-%m-%d %H:%M}",
            f"{tag_figure(version, 'natural_accuracy')} ({version.tags.get('natural_interval', '-')})",
            f"{tag_figure(version, 'accuracy')} ({version.tags.get('accuracy_interval', '-')})",
            tag_figure(version, "roc_auc"),
            version.tags.get("evaluation_reviews", "-"),
            _gate_badge(version),
            " ".join(notes_on(version)) or "-",
            version.tags.get("base_model", "-"),
        )
        for version in registry.versions[:MAX_ROWS]
    ]
    heading = (
        "Version",
        "Alias",
        "Created",
        "Accuracy in production (95 %)",
        "Balanced accuracy (95 %)",
        "ROC AUC",
        "Reviews",
        "Gate",
        "Notes",
        "Base model",
    )
    return table(heading, rows)


def change_view(registry: Registry, last: str, report: Report) -> Panel:
    """Show how to change the champion; nothing happens before the user confirms it.

    `last` is what was pressed last: `promote NUMBER` and `roll back` have to be confirmed; anything else is
    the outcome of a confirmed change.
    """
    if not registry.versions:
        return Panel(None)
    action, _, number = last.partition(" ")
    if action == "promote":
        return _confirm(change_text(registry, number), partial(promote, registry, number), report)
    if last == ROLL_BACK:
        return _confirm(
            "Make the previous champion the champion again?", partial(roll_back, registry), report
        )
    choice = version_chooser(registry, label="Version")
    ask = mo.ui.button(label="Promote …", on_click=lambda _: report(f"promote {choice.value}"))
    back = mo.ui.button(label="Roll back …", on_click=lambda _: report(ROLL_BACK))
    return Panel(column([row([choice, ask, back]), outcome_view(last)]), (choice, ask, back))


def _confirm(question: str, action: Callable[[], str], report: Report) -> Panel:
    yes = action_button("Yes, do it", action, report, "warn")
    no = mo.ui.button(label="No", on_click=lambda _: report(""))
    return Panel(mo.callout(column([paragraph(question), row([yes, no])]), kind="warn"), (yes, no))


def version_view(version: ModelVersion) -> mo.Html:
    """Show the links, the gate checks and the model card of a version."""
    return column(
        [
            links_view(version),
            mo.md(f"### Gate of {title_of(version)}"),
            paragraph(version.tags.get("gate.reason", "")),
            gate_view(version),
            mo.md("### What accuracy costs"),
            costs_view(version),
            *(notice("Warning", warning, "warn") for warning in version.warnings),
            mo.accordion({"Model card": card_view(version)}),
        ]
    )


def gate_view(version: ModelVersion) -> mo.Html:
    """Show a version's gate checks with their figures."""
    from review_sentiment.tracking.evidence import gate_of

    try:
        verdict = gate_of(version)
    except TrackingError as error:
        return paragraph(str(error))
    rows = [
        (check["name"], check["required"], check["measured"], passed_badge(check["passed"]))
        for check in verdict["checks"]
    ]
    checks = table(("Gate check", "Required", "Measured", "Passed"), rows)
    return column([checks, paragraph(RULES[verdict["share"]], small=True)])


def costs_view(version: ModelVersion) -> mo.Html:
    """Show accuracy, speed and size of a version and of the models that were evaluated beside it."""
    from review_sentiment.tracking.evidence import tradeoffs_of

    try:
        found = tradeoffs_of(version)
    except TrackingError as error:
        return paragraph(str(error))
    rows = [
        (title_of_model(row[0]), *row[1:-1], badge("yes", "good") if row[-1] == "yes" else row[-1])
        for row in tradeoff_table(found)
    ]
    return column([table(HEADING, rows), paragraph(FRONT_RULE, small=True)])


def card_view(version: ModelVersion) -> mo.Html:
    """Show the model card. It is our own Markdown, but contains category names from the reviews.

    Its pictures are addresses of MLflow's pages; this page shows their curves itself. A bracket after a
    backslash is a bracket in Markdown, but starts a formula in marimo's.
    """
    from review_sentiment.tracking.evidence import card_of

    try:
        card = PICTURE.sub("", card_of(version)).replace("<", "&lt;")
        return mo.md(ESCAPED.sub(lambda found: f"&#{ord(found[1])};", card))
    except TrackingError as error:
        return paragraph(str(error))


def links_view(version: ModelVersion) -> mo.Html:
    """Show links to the version, its training and its evaluation in MLflow, and its run in ZenML."""
    from review_sentiment.tracking.recorded_runs import experiment_of

    experiment = experiment_of(version.run_id)
    run = version.tags.get("zenml_run", "unknown")
    store = tracking_uri()
    served = store if store.startswith("http") else f"http://{HOST}:{MLFLOW_PORT}"
    runs = f"{served}/#/experiments/{experiment}/runs"
    lines = [
        f"[Version in MLflow]({served}/#/models/{version.name}/versions/{version.version}) · "
        f"[Training in MLflow]({runs}/{version.run_id}) · "
        f"[Evaluation in MLflow]({runs}/{version.evaluation_run})"
    ]
    if not store.startswith("http") and not _is_listening(MLFLOW_PORT):
        lines.append("To open these links, start MLflow's pages: `python run_pipeline.py mlflow-ui`")
    zenml = zenml_store()
    lines.append(
        f"[ZenML]({zenml}): run `{run}`"
        if zenml.startswith("http")
        else f"ZenML run `{run}` is in the local store. To see it, install ZenML's server and run "
        "`zenml login --local`."
    )
    return mo.md("\n\n".join(lines))


def zenml_store() -> str:
    """Return the address of ZenML's store from its configuration file, without importing ZenML."""
    file = Path(zenml_directory()) / "config.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    return str(((content or {}).get("store") or {}).get("url", "none yet"))


def change_text(registry: Registry, number: str) -> str:
    """Return what a promotion would do, for the user to confirm."""
    chosen, present = registry.find(number), registry.champion
    if chosen is None:
        return f"There is no version {number}."
    gate = "" if chosen.tags.get("gate") == "passed" else f" Its gate: {chosen.tags.get('gate', 'unknown')}."
    instead = f" instead of {title_of(present)}" if present else ""
    return f"Make {title_of(chosen)} the champion{instead}?{gate} Everyone who loads @champion will get it."


def promote(registry: Registry, number: str) -> str:
    """Make a version the champion, and return what was done.

    Raises:
        UsageError: the version does not exist.
        TrackingError: MLflow cannot be reached.
    """
    from review_sentiment.tracking import mlflow_store, model_versions

    with mlflow_store.reaching(tracking_uri()):
        chosen = model_versions.get_version(registry.model, number)
        model_versions.make_champion(chosen.name, chosen.version)
    return f"Version {chosen.version} is the champion."


def roll_back(registry: Registry) -> str:
    """Make the previous champion the champion again, and return what was done.

    Raises:
        UsageError: there was no previous champion.
        TrackingError: MLflow cannot be reached.
    """
    from review_sentiment.tracking import mlflow_store, model_versions

    with mlflow_store.reaching(tracking_uri()):
        number = model_versions.roll_back(registry.model)
    return f"Version {number} is the champion again."


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(PROBE_SECONDS)
        return probe.connect_ex((HOST, port)) == 0


def _gate_badge(version: ModelVersion) -> mo.Html | str:
    gate = version.tags.get("gate")
    return "-" if gate is None else badge(gate, GATE_JUDGEMENT.get(gate, "warn"))
