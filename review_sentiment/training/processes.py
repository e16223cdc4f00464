"""A training on several processes of this machine, one a GPU: `training.processes: N`.

The step that trains starts `accelerate launch` with this module and waits. What the
processes are to do is in a file; what the first of them has to say (figures of a step, the
result, an error) comes back as lines of another one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.errors import ReviewSentimentError, TrainingError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan
from review_sentiment.progress import follow, pass_on, speak_for_this_process
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.qlora import FineTuned, TrainingContext, finetune

LAST_LINES = 15
"""Lines of the processes' output that an error shows."""


@dataclass(frozen=True)
class Task:
    """All that a process must know; data sets are parquet files beside it."""

    base: ModelIdentity
    plan: ComputePlan
    lora: LoraSettings
    training: TrainingSettings
    seed: int
    adapter: Path
    labels: tuple[str, ...]
    validated: bool
    checkpoint_address: str | None
    checkpoint_identity: str
    notes: dict[str, str]


def finetune_in_processes(
    base: ModelIdentity,
    plan: ComputePlan,
    chats: ChatDataset,
    lora: LoraSettings,
    training: TrainingSettings,
    seed: int,
    adapter: Path,
    surroundings: TrainingContext,
) -> FineTuned:
    """Train as `training.finetune` does, on `training.processes` processes: the same losses.

    Raises:
        TrainingError: a process failed; the message is its own.
        KeyboardInterrupt: Ctrl-C was pressed; the processes have kept a checkpoint.
    """
    store = surroundings.checkpoints
    task = Task(
        base=base,
        plan=plan,
        lora=lora,
        training=training,
        seed=seed,
        adapter=adapter.resolve(),
        labels=chats.labels,
        validated=surroundings.validation is not None,
        checkpoint_address=store.base_address if store else None,
        checkpoint_identity=store.identity if store else "",
        notes=dict(surroundings.notes),
    )
    with tempfile.TemporaryDirectory(prefix="review-sentiment-processes-") as scratch:
        directory = Path(scratch)
        chats.frame.to_parquet(directory / "train.parquet")
        if surroundings.validation is not None:
            surroundings.validation.frame.to_parquet(directory / "validation.parquet")
        (directory / "task.json").write_bytes(TypeAdapter(Task).dump_json(task))
        (directory / "said.jsonl").touch()
        with (directory / "output.txt").open("w") as output:
            process = subprocess.Popen(
                _command(training.processes, directory),
                env=_environment(plan),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                heard = (_heard(said, surroundings) for said in follow(process, directory / "said.jsonl"))
                result = next((found for found in heard if found is not None), None)
            except BaseException:
                process.terminate()  # the processes keep a checkpoint and end
                raise
            finally:
                process.wait()
        if result is None:
            last = (directory / "output.txt").read_text(errors="replace").splitlines()[-LAST_LINES:]
            raise TrainingError(
                f"The {training.processes} training processes ended with {process.returncode} and without a "
                "word. Their last lines:\n" + "\n".join(last)
            )
        return result


def _command(processes: int, directory: Path) -> list[str]:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    options = ["--num_processes", str(processes), "--mixed_precision", "no", "--dynamo_backend", "no"]
    return [*launch, *options, "--main_process_port", "0", "-m", __spec__.name, str(directory)]


def _environment(plan: ComputePlan) -> dict[str, str]:
    """Tell accelerate about a CPU: its launcher knows several processes for GPUs only (1.15)."""
    on_cpu = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"} if plan.device == "cpu" else {}
    package_root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **on_cpu, "PYTHONPATH": path}


def _heard(message: Mapping[str, Any], surroundings: TrainingContext) -> FineTuned | None:
    match message["kind"]:
        case "step":
            for observe in surroundings.observers:
                observe(message["step"], message["figures"])
        case "error":
            raise TrainingError(message["message"])
        case "result":
            return TypeAdapter(FineTuned).validate_python(message["result"])
        case _:
            pass_on(message)
    return None


def _work(directory: Path) -> None:
    """Do one process's part; only the first of them speaks."""
    import torch

    task = TypeAdapter(Task).validate_json((directory / "task.json").read_bytes())
    rank = int(os.environ["RANK"])
    if task.plan.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    parts = _chats(directory, task)
    store = (
        CheckpointStore(task.checkpoint_address, task.checkpoint_identity)
        if task.checkpoint_address is not None
        else None
    )
    first = rank == 0
    speaker = speak_for_this_process(directory / "said.jsonl") if first else None
    observers = (
        (lambda step, figures: speaker.say("step", step=step, figures=dict(figures)),) if speaker else ()
    )
    try:
        result = finetune(
            task.base,
            task.plan,
            next(parts),
            task.lora,
            task.training,
            task.seed,
            task.adapter,
            TrainingContext(observers, store, task.notes, next(parts, None), directory / "shared"),
        )
    except ReviewSentimentError as error:
        if speaker:
            speaker.say("error", message=str(error))
        raise SystemExit(1) from error
    if speaker:
        speaker.say("result", result=TypeAdapter(FineTuned).dump_python(result, mode="json"))


def _chats(directory: Path, task: Task) -> Iterator[ChatDataset]:
    for name in ("train", *(("validation",) if task.validated else ())):
        yield ChatDataset(pd.read_parquet(directory / f"{name}.parquet"), task.labels)


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
