"""An interrupted training goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.errors import TrainingError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.training import callback
from review_sentiment.training import qlora as training_module
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.job import FinishedTraining, TrainingContext, TrainingJob
from review_sentiment.training.qlora import finetune
from review_sentiment.training.trainer import AnswerTrainer

PLAN = plan_compute("cpu", "fp32")
LORA = LoraSettings(rank=4, alpha=8)
TRAINING = TrainingSettings(learning_rate=1e-2, batch_size=4, max_steps=12, epochs=9, checkpoint_steps=3)
SAME_LOSS = 1e-6


def train(
    model: ModelIdentity,
    chats: ChatDataset,
    directory: Path,
    store: CheckpointStore | None = None,
    training: TrainingSettings = TRAINING,
    observers: tuple[Callable[[int, Mapping[str, float]], None], ...] = (),
    validation: ChatDataset | None = None,
) -> FinishedTraining:
    job = TrainingJob(Recipe(model, PLAN, LORA, training, 3), chats, directory, validation)
    return finetune(job, TrainingContext(observers, store, {"run_id": "r"}))


@pytest.fixture(scope="module")
def whole(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path_factory: pytest.TempPathFactory
) -> FinishedTraining:
    return train(tiny_model, tiny_chats, tmp_path_factory.mktemp("whole") / "adapter")


def losses(trained: FinishedTraining) -> list[float]:
    return [point["loss"] for point in trained.curve]


class KilledError(BaseException):
    """What happens to a process at a moment that it does not choose."""


@pytest.mark.parametrize("step", [1, 3, 8, 12])
def test_a_killed_training_goes_on_with_the_same_losses_and_ends_with_the_same_adapter(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, whole: FinishedTraining, step: int
) -> None:
    def kill(now: int, _figures: Mapping[str, float]) -> None:
        if now == step:
            raise KilledError

    store = CheckpointStore(str(tmp_path / "durable"), "a")
    with pytest.raises(KilledError):
        train(tiny_model, tiny_chats, tmp_path / "a", store, observers=(kill,))
    seen: list[int] = []
    resumed = train(
        tiny_model, tiny_chats, tmp_path / "b", store, observers=(lambda now, _: seen.append(now),)
    )

    assert seen == list(range((step - 1) // 3 * 3 + 1, 13))
    assert losses(resumed) == pytest.approx(losses(whole), abs=SAME_LOSS)
    assert [point["step"] for point in resumed.curve] == list(range(1, 13))
    assert resumed.summary.tokens == whole.summary.tokens
    assert resumed.proof.layers == whole.proof.layers
    expected = load_file(whole.adapter / "adapter_model.safetensors")
    found = load_file(resumed.adapter / "adapter_model.safetensors")
    torch.testing.assert_close(found, expected)


def test_a_training_that_had_ended_is_not_trained_further(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    whole: FinishedTraining,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last step has a checkpoint of its own; what comes after it failed."""

    def fail(*_: object) -> None:
        raise KilledError

    store = CheckpointStore(str(tmp_path / "durable"), "a")
    with monkeypatch.context() as patched:
        patched.setattr(training_module, "save_adapter", fail)
        with pytest.raises(KilledError):
            train(tiny_model, tiny_chats, tmp_path / "a", store)
    seen: list[int] = []
    resumed = train(
        tiny_model, tiny_chats, tmp_path / "b", store, observers=(lambda now, _: seen.append(now),)
    )
    assert seen == []
    assert losses(resumed) == losses(whole)
    assert resumed.proof.layers == whole.proof.layers
    expected, found = (load_file(one.adapter / "adapter_model.safetensors") for one in (whole, resumed))
    torch.testing.assert_close(found, expected)


def test_a_torn_checkpoint_costs_one_interval_more(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, whole: FinishedTraining
) -> None:
    def kill(now: int, _figures: Mapping[str, float]) -> None:
        if now == 8:
            raise KilledError

    store = CheckpointStore(str(tmp_path / "durable"), "a")
    with pytest.raises(KilledError):
        train(tiny_model, tiny_chats, tmp_path / "a", store, observers=(kill,))
    optimizer = tmp_path / "durable" / "a" / "step-00000006" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:1000])
    seen: list[int] = []
    resumed = train(
        tiny_model, tiny_chats, tmp_path / "b", store, observers=(lambda now, _: seen.append(now),)
    )
    assert seen[0] == 4
    assert losses(resumed) == pytest.approx(losses(whole), abs=SAME_LOSS)


@pytest.mark.parametrize(
    ("numbers", "raised", "code"),
    [
        ([signal.SIGINT], KeyboardInterrupt, None),
        ([signal.SIGTERM], SystemExit, 143),
        pytest.param([signal.SIGTERM, signal.SIGINT], SystemExit, 143, id="and ZenML's heartbeat"),
        pytest.param([signal.SIGINT, signal.SIGTERM], KeyboardInterrupt, None, id="the heartbeat first"),
    ],
)
def test_ctrl_c_and_sigterm_keep_the_step_they_come_in(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    whole: FinishedTraining,
    numbers: list[signal.Signals],
    raised: type[BaseException],
    code: int | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stop(now: int, _figures: Mapping[str, float]) -> None:
        if now == 5:
            written = len(caplog.records)
            for number in numbers:
                os.kill(os.getpid(), number)
            # It may have come in the middle of a write: whoever writes then breaks that one.
            assert len(caplog.records) == written

    store = CheckpointStore(str(tmp_path / "durable"), "a")
    before = signal.getsignal(numbers[0])
    with pytest.raises(raised) as caught:
        train(tiny_model, tiny_chats, tmp_path / "a", store, observers=(stop,))
    assert getattr(caught.value, "code", None) == code
    assert signal.getsignal(numbers[0]) is before
    assert "ends after step 5" in caplog.text
    seen: list[int] = []
    resumed = train(
        tiny_model, tiny_chats, tmp_path / "b", store, observers=(lambda now, _: seen.append(now),)
    )
    assert seen[0] == 6
    assert losses(resumed) == pytest.approx(losses(whole), abs=SAME_LOSS)


def test_validations_and_the_adapter_that_is_kept_survive_an_interruption(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    settings = TRAINING.model_copy(update={"validations": 4, "checkpoint_steps": 5})

    def kill(now: int, figures: Mapping[str, float]) -> None:
        if now == 11 and "loss" in figures:
            raise KilledError

    validation = tiny_chats.head(20)
    whole = train(tiny_model, tiny_chats, tmp_path / "a", training=settings, validation=validation)
    store = CheckpointStore(str(tmp_path / "durable"), "a")
    with pytest.raises(KilledError):
        train(
            tiny_model, tiny_chats, tmp_path / "b", store, settings, observers=(kill,), validation=validation
        )
    resumed = train(tiny_model, tiny_chats, tmp_path / "c", store, settings, validation=validation)

    assert [found["step"] for found in whole.validations] == [3, 6, 9, 12]
    assert resumed.validations == whole.validations
    expected, found = (load_file(one.adapter / "adapter_model.safetensors") for one in (whole, resumed))
    torch.testing.assert_close(found, expected)


def test_training_stops_when_validation_no_longer_gets_better(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([0.5, 0.9, 0.7, 0.8, 0.95])
    monkeypatch.setattr(callback, "figures", lambda _: {"f1": next(figures)})
    settings = TRAINING.model_copy(update={"validations": 6, "patience": 2})
    stopped = train(tiny_model, tiny_chats, tmp_path / "a", training=settings, validation=tiny_chats.head(8))
    assert [found["macro_f1"] for found in stopped.validations] == [0.5, 0.9, 0.7, 0.8]
    assert stopped.summary.steps == 8


@pytest.mark.parametrize(
    ("figures", "kept_step"),
    [
        pytest.param([0.9, 0.5], 6, id="worse than an earlier one"),
        pytest.param([0.9, 0.85], 12, id="within a standard error of it: 0.11 of eight reviews"),
        pytest.param([0.5, 0.9], 12, id="better"),
    ],
)
def test_the_last_adapter_about_as_good_as_the_best_is_the_one_that_is_saved(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: list[float],
    kept_step: int,
) -> None:
    given = iter(figures)
    monkeypatch.setattr(callback, "figures", lambda _: {"f1": next(given)})
    constant = {"schedule": "constant_with_warmup", "warmup_share": 0.0, "validations": 2}
    settings = TRAINING.model_copy(update=constant)
    kept = train(tiny_model, tiny_chats, tmp_path / "a", training=settings, validation=tiny_chats.head(8))
    as_long = settings.model_copy(update={"max_steps": kept_step})
    expected = train(tiny_model, tiny_chats, tmp_path / "b", training=as_long)
    expected_weights, weights = (
        load_file(one.adapter / "adapter_model.safetensors") for one in (expected, kept)
    )
    torch.testing.assert_close(weights, expected_weights)


def test_a_batch_that_does_not_fit_is_tried_again_in_smaller_micro_batches(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: FinishedTraining,
) -> None:
    compute = AnswerTrainer.compute_loss
    most = 2

    def short_of_memory(self: AnswerTrainer, model, inputs, *args: object, **options: object) -> object:
        if len(inputs["input_ids"]) > most:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")
        return compute(self, model, inputs, *args, **options)

    monkeypatch.setattr(AnswerTrainer, "compute_loss", short_of_memory)
    trained = train(tiny_model, tiny_chats, tmp_path / "a")
    assert losses(trained) == pytest.approx(losses(whole), rel=1e-4)
    assert trained.summary.tokens == whole.summary.tokens


def test_a_review_that_does_not_fit_alone_is_an_error_with_the_settings_that_matter(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(AnswerTrainer, "compute_loss", no_memory)
    with pytest.raises(TrainingError, match=r"Memory ran out.*batch_size 4, rank 4.*lora\.rank=2"):
        train(tiny_model, tiny_chats, tmp_path / "a")


@pytest.mark.parametrize("place", ["add_adapters", "AnswerTrainer.create_optimizer", "_prove_the_files"])
def test_memory_that_runs_out_outside_the_micro_batches_is_an_error_with_the_settings_that_matter(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")

    monkeypatch.setattr(f"review_sentiment.training.qlora.{place}", no_memory)
    with pytest.raises(
        TrainingError, match=r"Memory ran out.*outside the micro-batches.*rank 4.*lora\.rank=2"
    ):
        train(tiny_model, tiny_chats, tmp_path / "a")


def test_the_ids_of_a_batch_whose_loss_is_no_number_are_kept(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = AnswerTrainer.compute_loss
    monkeypatch.setattr(
        AnswerTrainer, "compute_loss", lambda self, *a, **o: compute(self, *a, **o) * float("inf")
    )
    store = CheckpointStore(str(tmp_path / "durable"), "a")
    with pytest.raises(TrainingError, match=r"step 1: loss is inf.*failed_batch_1\.json"):
        train(tiny_model, tiny_chats, tmp_path / "a", store)
    kept = (tmp_path / "durable" / "a" / "failed_batch_1.json").read_text()
    assert sum(f'"{review}"' in kept for review in tiny_chats.frame["review_id"]) == TRAINING.batch_size
