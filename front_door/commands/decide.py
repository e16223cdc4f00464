"""The command for a new decision rule of a registered version."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from front_door.commands.options import JSON, NAME
from front_door.commands.registry_access import mlflow_ready, model_name
from review_sentiment.settings_files import load_settings


@click.command()
@click.argument("version")
@click.option(
    "--objective", type=click.Choice(["accuracy", "macro_f1"]), help="What answers should maximise."
)
@click.option("--cost", multiple=True, metavar="false_LABEL=COST", help="Cost of answering LABEL wrongly.")
@click.option("--precision", multiple=True, metavar="LABEL=VALUE", help="Precision that a label must reach.")
@click.option("--recall", multiple=True, metavar="LABEL=VALUE", help="Recall that a label must reach.")
@click.option(
    "--abstain",
    multiple=True,
    metavar="risk=VALUE",
    help="Maximum fraction of wrong answers among those given; also confidence=VALUE and reviews=N.",
)
@NAME
@JSON
def decide(
    version: str,
    objective: str | None,
    cost: tuple[str, ...],
    precision: tuple[str, ...],
    recall: tuple[str, ...],
    abstain: tuple[str, ...],
    name: str | None,
    as_json: bool,
) -> None:
    """Register VERSION (a number or an alias) again with a new decision rule, in seconds.

    The rule is fitted on the validation answers kept with the version. The options are the settings of the
    section decision.
    """
    given = {"cost": cost, "precision": precision, "recall": recall, "abstain": abstain}
    overrides = [f"decision.{key}.{value}" for key, values in given.items() for value in values]
    overrides += [f"decision.objective={objective}"] if objective else []
    settings = load_settings(None, overrides).decision
    with mlflow_ready():
        from review_sentiment.registry.redecision import decide as decide_version

        chosen = model_name(name)
        found = decide_version(chosen, version, settings)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "name": chosen,
                    "version": found.version,
                    "is_new": found.is_new,
                    "rule": asdict(found.rule),
                    "natural": found.natural.as_json(),
                }
            )
        )
        return
    done = "registered" if found.is_new else "already has this rule"
    click.echo(f"{chosen} version {found.version} {done}: {found.rule.described}.")
    click.echo("On the evaluation reviews, at the natural share:")
    click.echo(f"  accuracy {found.natural.shown('accuracy')}")
    for label in found.rule.labels:
        figures = ", ".join(f"{one} {found.natural.shown(one, label)}" for one in ("precision", "recall"))
        click.echo(f"  {label}: {figures}")
    if found.rule.band:
        click.echo(
            f"  answers {found.natural.shown('coverage')} of the reviews; of these answers, "
            f"{found.natural.shown('risk')} are wrong"
        )
    click.echo(f"Use it: python run_pipeline.py promote {found.version}")
