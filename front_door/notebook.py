"""What a notebook needs of its surroundings: a place that outlives it, sign-in, settings for its GPU, a run.

notebooks/finetune_colab.ipynb calls these; the run itself is `run_pipeline.py` in a process of its own, so
that its end frees the GPU and an interrupted cell lets it write a checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getpass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
TOKENS_PER_PASS = (8_192, 4_096, 2_048, 1_024)
"""Passes to choose from on a GPU, the fastest first: an A100 takes the first, a T4 the last."""


@dataclass(frozen=True)
class Choice:
    """What to run here: stack, configuration, overrides of it, and why."""

    stack: str
    config: Path
    overrides: tuple[str, ...]
    reason: str

    @property
    def settings(self) -> Settings:
        """Return the settings that a run would have."""
        return load_settings(self.config, list(self.overrides))

    @property
    def arguments(self) -> list[str]:
        """Return the command line that says the same."""
        sets = [part for override in self.overrides for part in ("--set", override)]
        return ["--stack", self.stack, "--config", str(self.config), *sets]


def keep_state() -> str:
    """Put caches of steps, versions and checkpoints where they outlive the machine; return what was done.

    On Colab that is the mounted drive. Call it before anything else: ZenML reads its place once.
    """
    said = (
        _keep_on_drive()
        if _on_colab()
        else "State, versions and checkpoints stay on this machine, where the command line keeps them."
    )
    prepare_environment()
    return said


def _keep_on_drive() -> str:
    """Mount the drive and let ZenML and MLflow keep their state on it; return what came of it."""
    from google.colab import drive

    try:
        drive.mount(str(DRIVE))
    except (OSError, ValueError) as error:  # refused, or timed out
        return (
            f"NO DRIVE ({error}). Checkpoints and versions are lost with this machine. Run this cell again "
            "and allow the drive, or go on for a trial."
        )
    state = ON_DRIVE / "zenml"
    state.mkdir(parents=True, exist_ok=True)
    os.environ["ZENML_CONFIG_PATH"] = os.environ["ZENML_LOCAL_STORES_PATH"] = str(state)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{ON_DRIVE / 'mlflow.db'}"
    return f"Steps, versions and checkpoints are kept in {ON_DRIVE}: run all again, and it goes on."


def results_directory() -> Path:
    """Return where tables and figures for a paper are written: on the drive where it is mounted."""
    return (ON_DRIVE if ON_DRIVE.is_dir() else cache_directory()) / "results"


def choose(config: str | None = None) -> Choice:
    """Return what suits the GPU that is here; `config` is a file of one's own.

    Raises:
        UsageError: the configuration cannot be read.
    """
    from review_sentiment.models.compute import plan_compute

    plan = plan_compute()
    if config is not None:
        stack = "gpu-local" if plan.device == "cuda" else "local"
        return Choice(stack, ROOT / config, (), f"{config}, as asked for")
    if plan.device == "cpu":
        return Choice("local", default_config(), (), "no GPU: the embedded model and reviews, in 15 minutes")
    colab = Choice("gpu-local", CONFIGS / "colab.yaml", (), "")
    overrides = () if _on_colab() else ("training.checkpoint_dir=null",)
    for tokens in TOKENS_PER_PASS:
        chosen = Choice(colab.stack, colab.config, (*overrides, f"training.tokens_per_pass={tokens}"), "")
        if _fits(chosen.settings):
            break
    import torch

    name = torch.cuda.get_device_name(0)
    return Choice(chosen.stack, chosen.config, chosen.overrides, f"{name}: {tokens:,} tokens a pass")


def require_access(settings: Settings, ask: Callable[[str], str] = getpass) -> str:
    """Return where the base model is; who is not signed in to the Hub is asked for a token once.

    A secret `HF_TOKEN` of Colab, the variable, and an earlier `hf auth login` are found without asking.

    Raises:
        ModelUnavailableError: there is no access; the message has the things to do.
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
        token = ask(f"{error}\nToken of the Hub (not shown, not kept in the notebook): ").strip()
        if not token:
            raise
        os.environ["HF_TOKEN"] = token
        return require_model(base)


def run(choice: Choice, *more: str) -> dict[str, Any]:
    """Run the pipeline, print its progress, and return its result as `--json` has it.

    What an earlier run has finished comes from the cache, and a training goes on from its checkpoint.

    Raises:
        ReviewSentimentError: the run failed; what it printed says what to do.
        KeyboardInterrupt: the cell was interrupted; a checkpoint has been written.
    """
    command = [sys.executable, "run_pipeline.py", *choice.arguments, *more, "--json"]
    with _running(command) as process:
        assert process.stderr is not None
        for line in process.stderr:
            click.echo(line.rstrip())
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        raise ReviewSentimentError(
            f"The run ended with exit code {process.returncode}; the last lines above say why and what to do."
        )
    found: dict[str, Any] = json.loads(said)
    return found


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process; an interrupted cell interrupts it, once, and waits for its end."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # else the kernel's Ctrl-C reaches it twice
    )
    try:
        yield process
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        raise
    finally:
        process.wait()


def _fits(settings: Settings) -> bool:
    from front_door.run.estimate import estimate_here

    return estimate_here(settings).verdict == "fits"


def _on_colab() -> bool:
    return find_spec("google") is not None and find_spec("google.colab") is not None
