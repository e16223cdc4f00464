"""Training adapts every layer, proves it, and computes the loss of the answer only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from review_sentiment.config import Balance, LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.errors import TrainingError
from review_sentiment.models import lean_layers
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters, train_adapters_in_fp32
from review_sentiment.models.packed_attention import use_packed_attention
from review_sentiment.models.recipe import Recipe
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.training import qlora
from review_sentiment.training.arguments import trainer_arguments
from review_sentiment.training.job import FinishedTraining, TrainingContext, TrainingJob
from review_sentiment.training.lora_proof import LoraProofError, LoraWatcher
from review_sentiment.training.qlora import finetune
from review_sentiment.training.rows import IGNORED, collate, tokenise
from review_sentiment.training.trainer import AnswerTrainer

LABELS = ("negative", "positive")
PLAN = plan_compute("cpu", "fp32")
LORA = LoraSettings(rank=8, alpha=16)
TRAINING = TrainingSettings(learning_rate=1e-2, batch_size=4, max_steps=30, epochs=9)


def train(
    model: ModelIdentity,
    chats: ChatDataset,
    directory: Path,
    context: TrainingContext | None = None,
    training: TrainingSettings = TRAINING,
) -> FinishedTraining:
    return finetune(TrainingJob(Recipe(model, PLAN, LORA, training, 1), chats, directory), context)


@pytest.fixture
def chats(tiny_chats: ChatDataset) -> ChatDataset:
    return tiny_chats


def test_only_the_answer_has_labels(tiny_model: ModelIdentity, chats: ChatDataset) -> None:
    tokenizer = load_tokenizer(tiny_model)
    row = tokenise(chats, tokenizer)[0]
    answer = [token for token in row["labels"] if token != IGNORED]
    assert tokenizer.decode(answer) == chats.frame["completion"].iloc[0]
    assert row["input_ids"][-len(answer) :] == answer


@dataclass(frozen=True)
class Step:
    """What one training step computed, and in how many micro-batches."""

    loss: float
    gradients: dict[str, torch.Tensor]
    micro_batches: int


def one_step(
    model_identity: ModelIdentity,
    chats: ChatDataset,
    scratch: Path,
    token_budget: int,
    packs_rows: bool,
    balance: Balance = "undersample",
) -> tuple[Step, float]:
    """Return the step, and the loss over all positions of the same batch."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(model_identity)
    model = load_model(model_identity, PLAN)
    if packs_rows:
        use_packed_attention(model, PLAN)
    model = add_adapters(model, LORA)
    assert not model.is_activation_checkpointing
    micro_batches: list[int] = []
    model.register_forward_pre_hook(lambda *_: micro_batches.append(1))
    trainer = AnswerTrainer(
        model=model,
        args=trainer_arguments(Recipe(model_identity, PLAN, LORA, TRAINING, 1), scratch),
        token_budget=token_budget,
        packs_rows=packs_rows,
        balance=balance,
        train_dataset=tokenise(chats, tokenizer),
        processing_class=tokenizer,
    )
    train_adapters_in_fp32(model)
    batch = collate([trainer.train_dataset[row] for row in range(TRAINING.batch_size)])
    loss = float(trainer.training_step(model, dict(batch), (batch["labels"] != IGNORED).sum()))
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    with torch.no_grad():
        logits = load_model(model_identity, PLAN)(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits
    full = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED
    )
    return Step(loss, gradients, len(micro_batches)), float(full)


@pytest.mark.parametrize("packs_rows", [True, False])
def test_the_loss_at_answer_positions_is_the_loss_over_all_positions(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path, packs_rows: bool
) -> None:
    step, full = one_step(tiny_model, chats, tmp_path, 100_000, packs_rows)
    assert step.micro_batches == 1
    assert step.loss == pytest.approx(full, rel=1e-5)


@pytest.mark.parametrize(
    ("token_budget", "packs_rows", "balance"),
    [
        (1, False, "undersample"),
        (300, False, "weights"),
        (300, True, "undersample"),
        (300, True, "logit_adjusted"),
        (100_000, True, "weights"),
    ],
)
def test_micro_batches_and_packing_leave_the_gradient_unchanged(
    tiny_model: ModelIdentity,
    chats: ChatDataset,
    tmp_path: Path,
    token_budget: int,
    packs_rows: bool,
    balance: Balance,
) -> None:
    plain, unbalanced = one_step(tiny_model, chats, tmp_path, 100_000, packs_rows=False, balance=balance)
    step, _ = one_step(tiny_model, chats, tmp_path, token_budget, packs_rows, balance)
    # Labels of two shares are adjusted by two logits, and the loss with them.
    assert (abs(plain.loss - unbalanced) > 1e-4) == (balance == "logit_adjusted")
    assert (step.micro_batches > 1) == (token_budget < 100_000)
    assert step.loss == pytest.approx(plain.loss, rel=1e-5)
    torch.testing.assert_close(step.gradients, plain.gradients, rtol=1e-3, atol=1e-5)


def test_training_learns_proves_every_layer_and_reports_its_steps(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path
) -> None:
    seen: list[tuple[int, Mapping[str, float]]] = []
    result = train(
        tiny_model, chats, tmp_path / "a", TrainingContext(observers=(lambda s, f: seen.append((s, f)),))
    )

    assert [step for step, _ in seen] == list(range(1, 31))
    figures = {"loss", "learning_rate", "grad_norm", "tokens_per_second", "memory_gb"}
    assert set(seen[1][1]) == figures
    assert set(seen[0][1]) == figures | {"probe_memory_gb", "expected_memory_gb"}
    assert len(result.proof.layers) == 14
    assert all(layer.distance > 0 and layer.first_gradient_norm > 0 for layer in result.proof.layers)
    assert result.proof.last_loss < 0.5 * result.proof.first_loss
    assert result.summary.steps == 30
    assert result.proof.reload_difference == 0
    assert result.summary.computed_tokens < result.summary.tokens  # the shared prompt outweighs the padding

    model = load_adapted_model(tiny_model, result.adapter, PLAN)
    scores = score_labels(model, load_tokenizer(tiny_model), list(chats.frame["prompt"]), LABELS, PLAN, 4096)
    assert scores.label_mass.mean() > 0.9


def test_a_training_logs_its_decisions_with_their_reasons(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "review_sentiment")
    train(tiny_model, chats, tmp_path / "a")
    logged = {line.partition(":")[0]: line for line in caplog.messages}
    assert logged["device"] == "device: cpu (model.device=cpu)"
    assert logged["precision"] == "precision: fp32 (model.precision=fp32)"
    assert logged["packing"].startswith("packing: on (no padding")
    assert logged["attention"].startswith("attention: packed, blocks (a CPU has no kernel")
    for name in ("weights", "attention", "optimizer", "gradient checkpointing", "micro-batches"):
        assert logged[name].endswith(")")
        assert "()" not in logged[name]


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("packing", "packing: off (training.disable)"),
        ("fused_lora", "fused LoRA layers: off (training.disable)"),
        ("lean_layers", "lean layers: off (training.disable)"),
        ("fused_optimizer", "optimizer: adamw_torch (training.disable)"),
    ],
)
def test_each_speed_up_can_be_switched_off(
    tiny_model: ModelIdentity,
    chats: ChatDataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    decision: str,
) -> None:
    caplog.set_level("INFO", "review_sentiment")
    training = TrainingSettings.model_validate({**TRAINING.model_dump(), "disable": name, "max_steps": 8})
    recipe = Recipe(tiny_model, PLAN.without(training.disable), LORA, training, 1)
    finetune(TrainingJob(recipe, chats, tmp_path / "a"))
    assert [line for line in caplog.messages if "training.disable" in line] == [decision]


def test_recomputed_layers_leave_losses_and_gradients_unchanged(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    forward = lean_layers._attention_forward

    def counted(*inputs: Any, **options: Any) -> Any:
        computed.append(1)
        return forward(*inputs, **options)

    monkeypatch.setattr(lean_layers, "_attention_forward", counted)
    curves, calls = [], []
    for every in (False, 2, True):
        computed.clear()
        training = TRAINING.model_copy(update={"gradient_checkpointing": every, "max_steps": 8})
        curves.append(train(tiny_model, chats, tmp_path / str(every), training=training).curve)
        calls.append(len(computed))
    assert 0 < 2 * (calls[1] - calls[0]) == calls[2] - calls[0], "the tiny model has two layers"
    for curve in curves[1:]:
        for name in ("loss", "grad_norm"):
            assert [point[name] for point in curve] == pytest.approx([p[name] for p in curves[0]], rel=1e-5)


def test_a_model_whose_attention_cannot_be_packed_is_padded_and_planned_for(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "review_sentiment")
    shutil.copytree(tiny_model.name, tmp_path / "other")
    config = tmp_path / "other" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"attention_dropout": 0.1}))
    base = replace(tiny_model, name=str(tmp_path / "other"))
    job = TrainingJob(Recipe(base, PLAN, LORA, TRAINING, 1), chats, tmp_path / "adapter")
    loaded = qlora.load(job, load_tokenizer(base), tmp_path / "scratch")
    assert not loaded.recipe.plan.packs_rows
    assert loaded.model.config._attn_implementation == "eager"
    assert "packing: off (this model's attention cannot be packed)" in caplog.messages


def test_the_same_seed_gives_the_same_adapter_file(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path
) -> None:
    files = []
    for name in ("a", "b"):
        train(tiny_model, chats, tmp_path / name)
        files.append({p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())})
    assert files[0] == files[1]
    assert set(files[0]) == {"adapter_config.json", "adapter_model.safetensors"}


def test_a_loss_that_does_not_fall_is_refused(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path
) -> None:
    one_step_only = TRAINING.model_copy(update={"max_steps": 1, "warmup_share": 0.0})
    with pytest.raises(LoraProofError, match="loss did not fall"):  # its loss is both the first and the last
        train(tiny_model, chats, tmp_path / "a", training=one_step_only)
    assert not (tmp_path / "a").exists()


def test_a_loss_that_is_not_a_number_stops_at_that_step(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = AnswerTrainer.compute_loss

    def poisoned(self: AnswerTrainer, *args: object, **kwargs: object) -> object:
        loss = whole(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 2 else loss

    monkeypatch.setattr(AnswerTrainer, "compute_loss", poisoned)
    with pytest.raises(TrainingError, match=r"step 3: loss is nan.*reviews \(00.*learning_rate"):
        train(tiny_model, chats, tmp_path / "a")


def test_an_adapter_outside_the_forward_pass_stops_training_before_the_first_step(
    tiny_model: ModelIdentity, chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = qlora.fuse_adapters

    def all_but_one(model, kept_dtype):
        fused = whole(model, kept_dtype)
        layer = model.base_model.model.model.layers[1].mlp
        layer.down_proj.forward = layer.down_proj.get_base_layer().forward
        return fused

    monkeypatch.setattr(qlora, "fuse_adapters", all_but_one)
    with pytest.raises(LoraProofError, match=r"1 of 14 trained layers have no gradient.*down_proj"):
        train(tiny_model, chats, tmp_path / "a")


def test_a_model_without_adapters_has_nothing_to_prove(tiny_model: ModelIdentity) -> None:
    with pytest.raises(LoraProofError, match="no LoRA adapter"):
        LoraWatcher(load_model(tiny_model, PLAN))
