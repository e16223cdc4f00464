"""Several processes train what one trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from review_sentiment.training import processes
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.job import TrainingContext, TrainingJob
from review_sentiment.training.processes import finetune_in_processes
from review_sentiment.training.qlora import finetune
from tests.failing_rank import ROWS_THAT_FIT

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


@pytest.fixture
def second_fits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that leaves the second process memory for so many rows."""
    command = processes._command

    def limit(rows: int) -> None:
        monkeypatch.setenv(ROWS_THAT_FIT, str(rows))
        monkeypatch.setattr(
            processes,
            "_command",
            lambda *args: [
                "tests.failing_rank" if part == processes.__name__ else part for part in command(*args)
            ],
        )

    return limit


def test_two_processes_have_the_losses_of_one_and_leave_a_checkpoint(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    second_fits: Callable[[int], None],
) -> None:
    """The second one runs out of memory: both try the batch again, in smaller micro-batches."""
    second_fits(1)
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
    norms = [[point["grad_norm"] for point in trained.curve] for trained in (alone, together)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)
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


def test_memory_that_runs_out_in_one_process_ends_all_with_its_message(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    second_fits: Callable[[int], None],
) -> None:
    second_fits(0)
    with pytest.raises(TrainingError, match=r"Memory ran out.*outside the micro-batches"):
        finetune_in_processes(job(tiny_model, TWO, tiny_chats, tmp_path / "adapter"), TrainingContext())


def test_a_batch_must_be_shared_out_evenly() -> None:
    with pytest.raises(ValidationError, match="batch_size 16 cannot be divided evenly among 3 processes"):
        TrainingSettings(processes=3)
