"""What a CPU can show of training on GPUs: stand-ins for the readings of CUDA, real parts for the rest."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.errors import TrainingError, UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan, gpu_plan, plan_compute, prepare_allocation
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters
from review_sentiment.models.recipe import Recipe
from review_sentiment.scoring import label_scoring
from review_sentiment.training import loss_scale, qlora, trainer
from review_sentiment.training.arguments import trainer_arguments
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.job import FinishedTraining, TrainingContext, TrainingJob
from review_sentiment.training.processes import finetune_in_processes
from review_sentiment.training.qlora import finetune
from review_sentiment.training.rows import tokenise
from review_sentiment.training.trainer import AnswerTrainer

PLAN = plan_compute("cpu", "fp32")
LORA = LoraSettings(rank=4, alpha=8)
TRAINING = TrainingSettings(learning_rate=1e-2, batch_size=2, max_steps=4, epochs=9, checkpoint_steps=2)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)


@pytest.mark.usefixtures("two_gpus")
def test_one_process_trains_on_one_of_two_gpus(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    """TRL refuses two visible GPUs in one process: transformers would copy the model to both."""
    recipe = Recipe(tiny_model, gpu_plan("fp32"), LORA, TRAINING, 1)
    tokenizer = load_tokenizer(tiny_model)
    built = AnswerTrainer(
        model=add_adapters(load_model(tiny_model, PLAN), LORA),
        args=trainer_arguments(recipe, tmp_path),
        token_budget=1_000,
        packs_rows=False,
        balance="undersample",
        train_dataset=tokenise(tiny_chats, tokenizer),
        processing_class=tokenizer,
    )
    assert built.args.n_gpu == 1
    assert built.args.train_batch_size == TRAINING.batch_size
    plan = plan_compute()
    assert built.args.device == torch.device(plan.placement) == torch.device("cuda:0")
    assert "cuda:0, the first of 2" in plan.reasons["device"]


@pytest.mark.usefixtures("two_gpus")
def test_more_processes_than_gpus_are_refused_before_any_starts(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    training = TRAINING.model_copy(update={"processes": 4})
    recipe = Recipe(tiny_model, gpu_plan("bf16"), LORA, training, 1)
    with pytest.raises(UsageError, match=r"processes is 4, and each needs a GPU: a step sees 2"):
        finetune_in_processes(TrainingJob(recipe, tiny_chats, tmp_path), TrainingContext())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}),
        ({"PYTORCH_ALLOC_CONF": "x"}, {"PYTORCH_ALLOC_CONF": "x"}),
        ({"PYTORCH_CUDA_ALLOC_CONF": "x"}, {"PYTORCH_CUDA_ALLOC_CONF": "x"}),
    ],
)
def test_the_allocator_grows_its_segments_unless_the_user_configures_it(
    before: dict[str, str], after: dict[str, str]
) -> None:
    prepare_allocation(before)
    assert before == after


def train(
    model: ModelIdentity, chats: ChatDataset, directory: Path, plan: ComputePlan, **context: object
) -> FinishedTraining:
    job = TrainingJob(Recipe(model, plan, LORA, TRAINING, 1), chats, directory)
    return finetune(job, TrainingContext(**context))  # type: ignore[arg-type]


def test_the_trained_model_is_gone_when_its_files_are_loaded(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optimizers of bitsandbytes keep a reference to the embedding: 1 GB of an 8B on a card of 16."""
    load, reload = qlora.load_model, qlora.load_adapted_model
    trained: list[weakref.ref[torch.Tensor]] = []
    alive: list[object] = []

    def note(*args: object) -> torch.nn.Module:
        model = load(*args)  # type: ignore[arg-type]
        trained.append(weakref.ref(model.get_input_embeddings().weight))
        return model

    def look(*args: object) -> torch.nn.Module:
        alive.append(trained[0]())
        return reload(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(qlora, "load_model", note)
    monkeypatch.setattr(qlora, "load_adapted_model", look)
    train(tiny_model, tiny_chats, tmp_path, replace(PLAN, optimizer=gpu_plan("bf16").optimizer))
    assert alive == [None]


def test_the_reload_proof_does_not_depend_on_the_memory_that_is_free(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was room to score near ties in FP32 before the reload, and none after it, or the reverse."""
    room = iter([True, False])
    monkeypatch.setattr(label_scoring, "NEAR_TIE", 100.0)
    monkeypatch.setattr(label_scoring, "room_for_fp32", lambda *_: next(room))
    done = train(tiny_model, tiny_chats, tmp_path, replace(PLAN, precision="bf16"))
    assert done.proof.reload_difference == 0


@pytest.fixture
def fp16(monkeypatch: pytest.MonkeyPatch) -> ComputePlan:
    """Return a plan for FP16 on this CPU: accelerate would leave out the scaler and autocast."""
    create = AnswerTrainer.create_accelerator_and_postprocess

    def with_mixed_precision(self: AnswerTrainer) -> None:
        create(self)
        self.accelerator.native_amp = self.args.fp16

    monkeypatch.setattr(AnswerTrainer, "create_accelerator_and_postprocess", with_mixed_precision)
    monkeypatch.setattr(qlora, "RELOAD_PROMPTS", 2)  # products in FP16 are slow on a CPU
    return replace(PLAN, precision="fp16")


def losses(done: FinishedTraining) -> list[float]:
    return [point["loss"] for point in done.curve]


def test_an_overflow_in_fp16_repeats_the_batch_and_costs_no_step(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    fp16: ComputePlan,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    without = train(tiny_model, tiny_chats, tmp_path / "without", fp16)
    assert "overflowed" not in caplog.text
    monkeypatch.setattr(loss_scale, "INITIAL_SCALE", 2.0**22)
    store = CheckpointStore(str(tmp_path / "durable"), "a")

    def kill(step: int, _figures: Mapping[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    whole = train(tiny_model, tiny_chats, tmp_path / "a", fp16)
    assert "overflowed in FP16: the batch is repeated with a loss scale of 2.09715e+06" in caplog.text
    for name in ("step", "learning_rate", "loss", "grad_norm"):
        of_both = [[point[name] for point in done.curve] for done in (whole, without)]
        assert of_both[0] == pytest.approx(of_both[1], rel=1e-2), name
    assert whole.summary.tokens == without.summary.tokens
    assert all(0 < layer.first_gradient_norm < 100 for layer in whole.proof.layers)

    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tiny_chats, tmp_path / "b", fp16, observers=(kill,), checkpoints=store)
    caplog.clear()
    resumed = train(tiny_model, tiny_chats, tmp_path / "b", fp16, checkpoints=store)
    assert losses(resumed) == pytest.approx(losses(whole), abs=1e-6)
    assert "overflowed" not in caplog.text, "the scale is in the checkpoint"


def test_gradients_that_overflow_at_any_scale_end_the_training(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    fp16: ComputePlan,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(loss_scale, "INITIAL_SCALE", 2.0**60)
    monkeypatch.setattr(trainer, "MAX_OVERFLOWS", 3)
    with pytest.raises(TrainingError, match=r"step 1: FP16 gradient is inf.*model\.precision=fp32"):
        train(tiny_model, tiny_chats, tmp_path / "a", fp16)
    assert caplog.text.count("the batch is repeated") == 3
