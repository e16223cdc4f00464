"""What notebooks/finetune_colab.ipynb needs: persistent state, model access, settings for its GPU, and a run.

The run is `run_pipeline.py` in a process of its own: when it ends, the GPU is free, and an interrupted
cell lets it write a checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from getpass import getpass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from front_door.run.launch import STARTED_FROM
from front_door.stack.configs import CONFIGS, default_config
from front_door.state import prepare_environment
from review_sentiment.cache import cache_directory
from review_sentiment.errors import ModelUnavailableError, ReviewSentimentError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.config import Settings

ROOT = CONFIGS.parent
DRIVE = Path("/content/drive")
ON_DRIVE = DRIVE / "MyDrive" / "review-sentiment"


@dataclass(frozen=True)
class Choice:
    """The stack and settings to run, and the reason for them."""

    stack: str
    config: Path
    overrides: tuple[str, ...]
    reason: str

    @property
    def settings(self) -> Settings:
        """Return the resolved settings."""
        return load_settings(self.config, self.overrides)

    @property
    def arguments(self) -> list[str]:
        """Return the equivalent command-line arguments."""
        sets = [part for override in self.overrides for part in ("--set", override)]
        return ["--stack", self.stack, "--config", str(self.config), *sets]


def keep_state() -> str:
    """On Colab, keep cached steps, versions and checkpoints on the mounted drive; return what was done.

    Call it first: ZenML reads these locations once.
    """
    done = "Cached steps, versions and checkpoints stay on this machine, where the command line keeps them."
    if _on_colab():
        done = _keep_on_drive()
    prepare_environment()
    return done


def _keep_on_drive() -> str:
    from google.colab import drive

    try:
        drive.mount(str(DRIVE))
    except (OSError, ValueError) as error:  # refused, or timed out
        return (
            f"NO DRIVE ({error}). Checkpoints and versions are lost when this machine stops. Run this cell "
            "again and allow access to the drive, or continue for a trial run."
        )
    state = ON_DRIVE / "zenml"
    state.mkdir(parents=True, exist_ok=True)
    os.environ["ZENML_CONFIG_PATH"] = os.environ["ZENML_LOCAL_STORES_PATH"] = str(state)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{ON_DRIVE / 'mlflow.db'}"
    return f"Cached steps, versions and checkpoints are in {ON_DRIVE}. To resume, run all cells again."


def results_directory() -> Path:
    """Return the directory for a paper's tables and figures: on the drive if it is mounted."""
    return (ON_DRIVE if ON_DRIVE.is_dir() else cache_directory()) / "results"


def choose(config: str | None = None) -> Choice:
    """Return the stack and settings for this machine's GPU, or for your own settings file.

    Raises:
        UsageError: the file cannot be read, or torch cannot use the GPU that is there.
    """
    from review_sentiment.models.compute import plan_compute

    if config is not None:
        plan = plan_compute(load_settings(ROOT / config).model.device)
        stack = "gpu-local" if plan.device == "cuda" else "local"
        return Choice(stack, ROOT / config, (), f"{config}, as requested")
    plan = plan_compute()
    if plan.device == "cpu":
        return Choice("local", default_config(), (), "no GPU: the embedded model and reviews, in 15 minutes")
    import torch

    name = torch.cuda.get_device_name(0)
    overrides = () if _on_colab() else ("training.checkpoint_dir=null",)
    return Choice(
        "gpu-local", CONFIGS / "colab.yaml", overrides, f"{name}: the run chooses what fits its memory"
    )


def require_access(settings: Settings, ask: Callable[[str], str] = getpass) -> str:
    """Return the location of the base model; ask once for a token of the Hub if it is needed.

    Colab's secret `HF_TOKEN`, the environment variable and `hf auth login` work without asking.

    Raises:
        ModelUnavailableError: there is no access; the message has the steps to get it.
    """
    from huggingface_hub import get_token

    from review_sentiment.models.access import require_model
    from review_sentiment.models.base_model import identify

    base = identify(settings.model)
    try:
        return require_model(base)
    except ModelUnavailableError as error:
        if get_token() is not None:
            raise
        token = ask(f"{error}\nHugging Face token (hidden, not stored in the notebook): ").strip()
        if not token:
            raise
        os.environ["HF_TOKEN"] = token
        return require_model(base)


def run(choice: Choice, *more: str) -> dict[str, Any]:
    """Run the pipeline, print its progress, and return its result in the form of `--json`.

    Steps that finished earlier come from the cache, and training resumes from its checkpoint.

    Raises:
        ReviewSentimentError: the run failed; its output shows what to do.
        KeyboardInterrupt: the cell was interrupted; a checkpoint has been written.
    """
    process = subprocess.Popen(
        [sys.executable, "run_pipeline.py", *choice.arguments, *more, "--json"],
        cwd=ROOT,
        env=os.environ | {STARTED_FROM: "notebook"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # otherwise the kernel's Ctrl-C would reach it twice
    )
    assert process.stderr is not None
    assert process.stdout is not None
    try:
        for line in process.stderr:
            click.echo(line.rstrip())
        result = process.stdout.read()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        raise
    finally:
        process.wait()
    if process.returncode:
        raise ReviewSentimentError(
            f"The run failed with exit code {process.returncode}; its last lines show why and what to do."
        )
    found: dict[str, Any] = json.loads(result)
    return found


def _on_colab() -> bool:
    return find_spec("google") is not None and find_spec("google.colab") is not None
