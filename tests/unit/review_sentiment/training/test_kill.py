"""`kill -9` at ten random moments: ten resumes, and the losses of a training that was left alone."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.job import FinishedTraining, TrainingContext, TrainingJob
from review_sentiment.training.qlora import finetune

LOADED_ONCE = [
    "review_sentiment.training.qlora",
    "review_sentiment.scoring.label_scoring",
    "bitsandbytes",
    "datasets",
    "fsspec",
    "peft",
    "transformers.models.llama.modeling_llama",
]
"""Modules that are imported before the processes fork: a life begins at once."""
KILLS = 10
STEPS = 60
MOST_STEPS_A_LIFE = 5
TRAINING = TrainingSettings(
    learning_rate=3e-3, batch_size=4, max_steps=STEPS, epochs=9, checkpoint_steps=2, validations=0
)


def train(
    model: ModelIdentity, chats: ChatDataset, directory: Path, said: Connection | None
) -> FinishedTraining:
    """Train with checkpoints; tell each step to the other end."""

    def tell(step: int, _figures: Mapping[str, float]) -> None:
        if said is not None:
            said.send(step)

    store = CheckpointStore(str(directory / "durable"), "a") if said is not None else None
    recipe = Recipe(model, plan_compute("cpu", "fp32"), LoraSettings(rank=4), TRAINING, 5)
    job = TrainingJob(recipe, chats, directory / "adapter")
    return finetune(job, TrainingContext((tell,), store))


def live(model: ModelIdentity, chats: ChatDataset, directory: Path, said: Connection) -> None:
    """Train in a process of its own and send the losses at the end."""
    os.setpgid(0, 0)
    trained = train(model, chats, directory, said)
    said.send([point["loss"] for point in trained.curve])


@pytest.mark.parametrize("seed", [0])
def test_ten_kills(tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, seed: int) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED_ONCE)
    draw = random.Random(seed)
    first_steps = []
    losses: list[float] = []
    for life in range(KILLS + 1):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=live, args=(tiny_model, tiny_chats, tmp_path, sender))
        process.start()
        sender.close()
        steps_left = draw.randint(1, MOST_STEPS_A_LIFE) if life < KILLS else STEPS
        first_steps.append(receiver.recv())
        for _ in range(steps_left - 1):
            try:
                said = receiver.recv()
            except EOFError:
                break
            if isinstance(said, list):
                losses = said
                break
        if life < KILLS:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == (-signal.SIGKILL if life < KILLS else 0)

    assert first_steps == sorted(first_steps)
    assert first_steps[-1] > KILLS
    alone = train(tiny_model, tiny_chats, tmp_path / "alone", None)
    assert losses == pytest.approx([point["loss"] for point in alone.curve], abs=1e-4)
