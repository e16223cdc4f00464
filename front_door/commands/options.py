"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

NAME = click.option("--name", help="Name of the registered model. Default: the setting registry.model_name.")
CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings file. Default: configs/STACK.yaml (gpu.yaml for gpu-local), or configs/local.yaml.",
)
OVERRIDES = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting, such as training.epochs=2. Can be repeated.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
