"""Training on several processes of this machine, one per GPU: `training.processes: N`.

The step that trains starts `accelerate launch` with this module and waits. The task of the processes is in a
file. What the first process reports (figures of a step, the result, an error) comes back as lines of another
file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from pydantic import TypeAdapter

from review_sentiment.data.chats import ChatDataset
from review_sentiment.errors import ReviewSentimentError, TrainingError
from review_sentiment.models.compute import ComputePlan, require_gpus
from review_sentiment.models.recipe import Recipe
from review_sentiment.progress import MessageWriter, forward_logs, log_again, read_messages
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.job import FinishedTraining, TrainingContext, TrainingJob
from review_sentiment.training.qlora import finetune

LAST_LINES = 15
"""Lines of the processes' output that an error shows."""
TRAIN_FILE, VALIDATION_FILE = "train.parquet", "validation.parquet"


@dataclass(frozen=True)
class Task:
    """Everything that a process must know; the data sets are parquet files beside it."""

    recipe: Recipe
    adapter: Path
    labels: tuple[str, ...]
    checkpoint_address: str | None
    checkpoint_identity: str
    notes: dict[str, str]


def finetune_in_processes(job: TrainingJob, context: TrainingContext) -> FinishedTraining:
    """Train as `qlora.finetune` does, on `training.processes` processes: the losses are the same.

    Raises:
        UsageError: there are more processes than GPUs.
        TrainingError: a process failed; the message is its own, of several the first.
        KeyboardInterrupt: Ctrl-C was pressed; the processes have saved a checkpoint.
    """
    if job.recipe.plan.device == "cuda":
        import torch

        require_gpus(job.recipe.training.processes, torch.cuda.device_count())
    store = context.checkpoints
    task = Task(
        recipe=job.recipe,
        adapter=job.adapter.resolve(),
        labels=job.train.labels,
        checkpoint_address=store.base_address if store else None,
        checkpoint_identity=store.identity if store else "",
        notes=dict(context.notes),
    )
    with tempfile.TemporaryDirectory(prefix="review-sentiment-processes-") as scratch:
        directory = Path(scratch)
        job.train.frame.to_parquet(directory / TRAIN_FILE)
        if job.validation is not None:
            job.validation.frame.to_parquet(directory / VALIDATION_FILE)
        (directory / "task.json").write_bytes(TypeAdapter(Task).dump_json(task))
        return _run(job.recipe, directory, context)


def _run(recipe: Recipe, directory: Path, context: TrainingContext) -> FinishedTraining:
    """Start the processes on the task in a directory, and wait for the result."""
    messages, output_file = directory / "messages.jsonl", directory / "output.txt"
    messages.touch()
    processes = recipe.training.processes
    with output_file.open("w") as output:
        process = subprocess.Popen(
            _command(processes, directory),
            env=_environment(recipe.plan),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            results = (_receive(message, context) for message in read_messages(process, messages))
            result = next((found for found in results if found is not None), None)
        except TrainingError:
            _kill(process)  # a process that waits for the failed one would do so for half an hour
            raise
        except BaseException:
            process.terminate()  # the processes save a checkpoint and exit
            raise
        finally:
            process.wait()
    if result is None:
        last = output_file.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise TrainingError(
            f"The {processes} training processes exited with code {process.returncode} without an error "
            "message. Last lines of their output:\n" + "\n".join(last)
        )
    return result


def _kill(launcher: subprocess.Popen[bytes]) -> None:
    """Kill the launcher and the processes that it has started."""
    with suppress(psutil.NoSuchProcess):  # it has exited, and has ended its processes
        processes = psutil.Process(launcher.pid).children(recursive=True)
        launcher.kill()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _command(processes: int, directory: Path) -> list[str]:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    options = ["--num_processes", str(processes), "--mixed_precision", "no", "--dynamo_backend", "no"]
    return [*launch, *options, "--main_process_port", "0", "-m", __spec__.name, str(directory)]


def _environment(plan: ComputePlan) -> dict[str, str]:
    """Tell accelerate about a CPU: its launcher (1.15) starts several processes for GPUs only."""
    on_cpu = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"} if plan.device == "cpu" else {}
    project = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **on_cpu, "PYTHONPATH": path}


def _receive(message: Mapping[str, Any], context: TrainingContext) -> FinishedTraining | None:
    match message["kind"]:
        case "step":
            for observe in context.observers:
                observe(message["step"], message["figures"])
        case "error":
            raise TrainingError(message["message"])
        case "result":
            return TypeAdapter(FinishedTraining).validate_python(message["result"])
        case _:
            log_again(message)
    return None


def _work(directory: Path) -> None:
    """Do the work of one process. Only the first one reports its progress; each reports its error."""
    import torch

    task = TypeAdapter(Task).validate_json((directory / "task.json").read_bytes())
    if task.recipe.plan.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    job = TrainingJob(
        task.recipe,
        ChatDataset(pd.read_parquet(directory / TRAIN_FILE), task.labels),
        task.adapter,
    )
    if (directory / VALIDATION_FILE).is_file():
        validation = ChatDataset(pd.read_parquet(directory / VALIDATION_FILE), task.labels)
        job = replace(job, validation=validation)
    store = (
        CheckpointStore(task.checkpoint_address, task.checkpoint_identity)
        if task.checkpoint_address is not None
        else None
    )
    messages = directory / "messages.jsonl"
    first = int(os.environ["RANK"]) == 0
    writer = forward_logs(messages) if first else MessageWriter(messages)
    observers = (
        (lambda step, figures: writer.write("step", step=step, figures=dict(figures)),) if first else ()
    )
    try:
        result = finetune(job, TrainingContext(observers, store, task.notes, directory / "shared"))
    except ReviewSentimentError as error:
        writer.write("error", message=str(error))
        raise SystemExit(1) from error
    if first:
        writer.write("result", result=TypeAdapter(FinishedTraining).dump_python(result, mode="json"))


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
