"""`export`: a version as weights that other engines serve, and the commands for them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from front_door.commands.options import CONFIG, JSON, NAME, OVERRIDES, new_directory
from front_door.commands.registry_access import model_name
from front_door.stack.configs import default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import quiet
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.config import Settings
    from review_sentiment.registry.export import ExportReport

COMPARED_REVIEWS = 200
"""Evaluation reviews of a version on which an export compares the merged model with the adapter."""


@dataclass(frozen=True)
class Exported:
    """What was written, the commands that serve it by engine, and the one that checks the server."""

    directory: Path
    report: ExportReport | None
    serve: dict[str, list[str]]
    check: str

    def as_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        report = asdict(self.report) if self.report else {}
        return report | {"directory": str(self.directory), "serve": self.serve, "check": self.check}

    def as_text(self) -> str:
        """Return the result for the terminal."""
        lines = [f"{self.directory}: base model and adapter, with tokenizer and chat template"]
        if self.report:
            lines = [
                f"{self.directory}: merged weights (safetensors), tokenizer and chat template",
                f"On {self.report.n} of the version's evaluation reviews, "
                f"{self.report.changed_fraction:.2%} of the answers changed, "
                f"and label probabilities by at most {self.report.largest_difference:.3f}",
            ]
        for engine, commands in self.serve.items():
            lines += [f"{engine if number == 0 else '':10} {one}" for number, one in enumerate(commands)]
        return "\n".join([*lines, f"{'check':10} {self.check}"])


@click.command("export")
@click.argument("version")
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path),
    callback=new_directory,
    required=True,
    help="A new or empty directory.",
)
@click.option("--adapter", is_flag=True, help="Write base model and adapter apart, for engines with LoRA.")
@NAME
@CONFIG
@OVERRIDES
@JSON
def export_command(version: str, adapter: bool, as_json: bool, **options: Any) -> None:
    """Export VERSION (a number or an alias) as merged weights.

    They can be used without this project: the output has the commands that serve them. The settings choose
    the device and precision of the merge; the reviews on which it is checked are those that the version was
    evaluated on.
    """
    settings = load_settings(options["config_file"] or default_config(), options["overrides"])
    log_file = new_log_file()
    click.echo(f"log {log_file}", err=True)
    with quiet(log_file):
        name = options["name"] or settings.registry.model_name
        exported = _export(name, version, settings, options["directory"], adapter)
    click.echo(json.dumps(exported.as_json()) if as_json else exported.as_text())


def _export(name: str, version: str, settings: Settings, directory: Path, apart: bool) -> Exported:
    """Download a version's adapter, and write it to the directory, merged into its base model or beside it.

    Raises:
        UsageError: the version does not exist.
        TrackingError: MLflow cannot be reached.
    """
    import tempfile

    from review_sentiment.models.compute import plan_compute
    from review_sentiment.registry import serving_files
    from review_sentiment.registry.export import export
    from review_sentiment.tracking import downloads, evidence, mlflow_store, model_versions

    mlflow_store.configure(tracking_uri())
    found = model_versions.get_version(name, version)
    downloads.require_usable(found)
    plan = plan_compute(settings.model.device, settings.model.precision)
    title = f"{name}-{found.version}"
    report, commands = None, serving_files.adapter_commands if apart else serving_files.merged_commands
    with tempfile.TemporaryDirectory(prefix="review-sentiment-export-") as scratch:
        serving, adapter = downloads.download_adapter(found, Path(scratch))
        if apart:
            serving_files.export_adapter(serving, adapter, plan, directory)
        else:
            reviews = evidence.reviews_of(found).head(COMPARED_REVIEWS)
            report = export(serving, adapter, plan, reviews, directory)
    serve = commands(directory, title, plan.precision)
    check = serving_files.check_command(found.version, title)
    if name != model_name(None):
        check = f"{check} --name {name}"
    return Exported(directory, report, serve, check)
