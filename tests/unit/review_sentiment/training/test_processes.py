"""Several processes train what one trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.errors import TrainingError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.job import TrainingContext, TrainingJob
from review_sentiment.training.processes import finetune_in_processes
from review_sentiment.training.qlora import finetune

PLAN = plan_compute("cpu", "fp32")
LORA = LoraSettings(rank=4)
ONE = TrainingSettings(
    learning_rate=1e-2, batch_size=4, max_steps=8, epochs=9, validations=2, tokens_per_pass=150
)
TWO = ONE.model_copy(update={"processes": 2, "checkpoint_steps": 3})


def job(
    model: ModelIdentity,
    training: TrainingSettings,
    chats: ChatDataset,
    directory: Path,
    validation: ChatDataset | None = None,
) -> TrainingJob:
    return TrainingJob(Recipe(model, PLAN, LORA, training, 3), chats, directory, validation)


def test_two_processes_have_the_losses_of_one_and_leave_a_checkpoint(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    validation = tiny_chats.head(12)
    alone = finetune(job(tiny_model, ONE, tiny_chats, tmp_path / "a", validation))
    seen: list[int] = []

    def observe(step: int, figures: Mapping[str, float]) -> None:
        if "loss" in figures:
            seen.append(step)

    store = CheckpointStore(str(tmp_path / "durable"), "a")
    together = finetune_in_processes(
        job(tiny_model, TWO, tiny_chats, tmp_path / "b", validation),
        TrainingContext((observe,), store, {"run_id": "r"}),
    )
    assert seen == list(range(1, 9))
    losses = [[point["loss"] for point in trained.curve] for trained in (alone, together)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert together.summary.tokens == alone.summary.tokens
    assert together.validations == alone.validations
    assert together.proof.reload_difference == 0
    expected, found = (load_file(tmp_path / one / "adapter_model.safetensors") for one in ("a", "b"))
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-4)
    assert store.newest_notes() == {"run_id": "r"}
    again: list[int] = []
    finetune_in_processes(
        job(tiny_model, TWO, tiny_chats, tmp_path / "c"),
        TrainingContext((lambda step, figures: again.append(step) if "loss" in figures else None,), store),
    )
    assert again == [7, 8]


def test_a_processes_error_is_the_steps_error(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    missing = ModelIdentity(str(tmp_path / "nothing"), None, "nf4", "nothing")
    with pytest.raises(TrainingError, match="could not be loaded"):
        finetune_in_processes(job(missing, TWO, tiny_chats, tmp_path / "adapter"), TrainingContext())


def test_a_batch_must_be_shared_out_evenly() -> None:
    with pytest.raises(ValidationError, match="batch_size 16 cannot be divided evenly among 3 processes"):
        TrainingSettings(processes=3)
