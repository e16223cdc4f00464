"""The page of the registered versions: aliases, gate decisions, cards, and which one is in use."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import marimo as mo
import yaml

from dashboard.queries.versions import NOTHING_YET, Registry, title_of, version_chooser
from dashboard.widgets.layout import Shown, badge, column, notice, said, table
from front_door.commands.servers import HOST, MLFLOW_PORT
from front_door.run.summary import tag_figure
from front_door.state import tracking_uri, zenml_directory
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion

Changed = Callable[[str], None]
"""Told what was asked for or done: the cells that depend on it look again."""
ROLL_BACK = "roll back"
MOST_ROWS = 200
PROBE_SECONDS = 0.2


def versions_view(registry: Registry) -> mo.Html:
    """Show the versions in a table."""
    if not registry.versions:
        return notice(f"'{registry.model}' is empty", NOTHING_YET, "info")
    rows = [
        (
            version.version,
            ", ".join(version.aliases) or "-",
            f"{version.created.astimezone():%Y-%m-%d %H:%M}",
            f"{tag_figure(version, 'accuracy')} ({version.tags.get('accuracy_interval', '-')})",
            tag_figure(version, "roc_auc"),
            version.tags.get("evaluation_reviews", "-"),
            _gate(version),
            version.tags.get("base_model", "-"),
        )
        for version in registry.versions[:MOST_ROWS]
    ]
    heading = ("version", "alias", "made", "accuracy (95 %)", "ROC AUC", "reviews", "gate", "base model")
    return table(heading, rows)


def change_view(registry: Registry, last: str, changed: Changed) -> Shown:
    """Show how to change the champion; nothing happens before it is confirmed.

    `last` is what was asked for or done last: `promote NUMBER`, `roll back`, or `done TEXT`.
    """
    if not registry.versions:
        return Shown(None)
    asked, _, rest = last.partition(" ")
    if asked == "promote":
        return _confirm(change_text(registry, rest), lambda: promote(registry, rest), changed)
    if last == ROLL_BACK:
        text = "Give the champion's place back to the champion before?"
        return _confirm(text, lambda: roll_back(registry), changed)
    choice = version_chooser(registry, label="version")
    ask = mo.ui.button(label="Promote …", on_click=lambda _: changed(f"promote {choice.value}"))
    back = mo.ui.button(label="Roll back …", on_click=lambda _: changed(ROLL_BACK))
    view = column([mo.hstack([choice, ask, back], justify="start", wrap=True), said(rest) if rest else None])
    return Shown(view, (choice, ask, back))


def version_view(version: ModelVersion) -> mo.Html:
    """Show gate, card and links of a version."""
    return column(
        [
            links_view(version),
            mo.md(f"### Gate of {title_of(version)}"),
            gate_view(version),
            mo.accordion({"Model card": card_view(version)}),
        ]
    )


def _confirm(text: str, action: Callable[[], str], changed: Changed) -> Shown:
    def confirmed(_: object) -> None:
        try:
            outcome = action()
        except ReviewSentimentError as error:
            outcome = str(error)
        changed(f"done {outcome}")

    yes = mo.ui.button(label="Yes, do it", kind="warn", on_click=confirmed)
    no = mo.ui.button(label="No", on_click=lambda _: changed(""))
    view = mo.callout(column([said(text), mo.hstack([yes, no], justify="start")]), kind="warn")
    return Shown(view, (yes, no))


def gate_view(version: ModelVersion) -> mo.Html:
    """Show the gate's rules of a version, each with its figure."""
    verdict = _recorded_gate(version)
    if verdict is None:
        return said("The version's run has no record of its gate.")
    rows = [
        (
            rule["name"],
            rule["asked"],
            rule["found"],
            badge("holds", "good") if rule["passed"] else badge("does not hold", "bad"),
        )
        for rule in verdict["rules"]
    ]
    return table(("rule of the gate", "asked", "found", ""), rows)


def card_view(version: ModelVersion) -> mo.Html:
    """Show the model card; its Markdown is ours, with names of reviews' categories in it."""
    from review_sentiment.tracking import recorded_runs

    card = recorded_runs.recorded_text(version.run_id, "model_card.md")
    return mo.md(card.replace("<", "&lt;")) if card else said("The version's run has no card.")


def links_view(version: ModelVersion) -> mo.Html:
    """Show where MLflow and ZenML have more of a version."""
    from review_sentiment.tracking import mlflow_store

    run = mlflow_store.client().get_run(version.run_id).info
    store = tracking_uri()
    served = store if store.startswith("http") else f"http://{HOST}:{MLFLOW_PORT}"
    lines = [
        f"[Version in MLflow]({served}/#/models/{version.name}/versions/{version.version}) · "
        f"[its run]({served}/#/experiments/{run.experiment_id}/runs/{version.run_id})"
    ]
    if not store.startswith("http") and not _answers(MLFLOW_PORT):
        lines.append("These open when MLflow is served: `python run_pipeline.py mlflow-ui`")
    zenml = zenml_store()
    lines.append(
        f"[ZenML]({zenml}), where the run bears the name `{run.run_name}`"
        if zenml.startswith("http")
        else f"ZenML keeps the run `{run.run_name}` in its local store; `zenml login --local` shows it "
        "where ZenML's server is installed."
    )
    return mo.md("\n\n".join(lines))


def zenml_store() -> str:
    """Return the address of ZenML's store as its own settings have it; ZenML is not imported."""
    file = Path(zenml_directory()) / "config.yaml"
    if not file.is_file():
        return "none yet"
    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return str((content.get("store") or {}).get("url", "none yet"))


def change_text(registry: Registry, number: str) -> str:
    """Return what a promotion would do, for whoever confirms it."""
    chosen, present = registry.find(number), registry.champion
    if chosen is None:
        return f"There is no version {number}."
    gate = "" if chosen.tags.get("gate") == "passed" else f" Its gate: {chosen.tags.get('gate', 'unknown')}."
    instead = f" instead of {title_of(present)}" if present else ""
    return (
        f"Make {title_of(chosen)} the champion{instead}?{gate} Whoever loads @champion gets it from then on."
    )


def promote(registry: Registry, number: str) -> str:
    """Make a version the champion; return what was done.

    Raises:
        UsageError: there is no such version.
        TrackingError: MLflow cannot be reached.
    """
    from review_sentiment.tracking import mlflow_store, model_versions

    with mlflow_store.reaching(tracking_uri()):
        chosen = model_versions.get_version(registry.model, number)
        model_versions.make_champion(chosen.name, chosen.version)
    return f"Version {chosen.version} is the champion."


def roll_back(registry: Registry) -> str:
    """Give the place back to the champion before; return what was done.

    Raises:
        UsageError: there was none.
        TrackingError: MLflow cannot be reached.
    """
    from review_sentiment.tracking import mlflow_store, model_versions

    with mlflow_store.reaching(tracking_uri()):
        number = model_versions.roll_back(registry.model)
    return f"Version {number} is the champion again."


def _recorded_gate(version: ModelVersion) -> Mapping[str, Any] | None:
    from review_sentiment.tracking.recorded_runs import recorded_json

    return recorded_json(version.run_id, "gate.json")


def _answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        return probe.connect_ex((HOST, port)) == 0


def _gate(version: ModelVersion) -> mo.Html | str:
    gate = version.tags.get("gate")
    if gate is None:
        return "-"
    return badge(gate, "good" if gate == "passed" else "bad")
