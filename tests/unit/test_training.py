"""Training adapts every layer, proves it, and computes the loss of the answer only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from review_sentiment import training as training_module
from review_sentiment.chats import ChatDataset, format_chats
from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.errors import TrainingError
from review_sentiment.lora_proof import LoraProofError, LoraWitness
from review_sentiment.models import BaseModel, load_adapted_model, load_model, load_tokenizer, plan_compute
from review_sentiment.reviews import table_of
from review_sentiment.scoring import score_labels
from review_sentiment.training import IGNORED, AnswerTrainer, add_adapters, finetune, tokenise
from tests.conftest import review_rows

LABELS = ("negative", "positive")
PLAN = plan_compute("cpu", "fp32")
LORA = LoraSettings(rank=8, alpha=16)
TRAINING = TrainingSettings(learning_rate=1e-2, batch_size=4, max_steps=30, epochs=9)


@pytest.fixture(scope="module")
def chats(tiny_model: BaseModel) -> ChatDataset:
    rows = [
        {
            "review_id": f"{number:04d}",
            "category": "Tops",
            "product": row["parent_asin"],
            "user": row["user_id"],
            "stars": int(float(str(row["rating"]))),
            "label": "positive" if row["rating"] == 5.0 else "negative",
            "title": row["title"],
            "text": row["text"],
        }
        for number, row in enumerate(review_rows("Tops", 48))
    ]
    return format_chats(table_of(rows, len(rows), {}), load_tokenizer(tiny_model), LABELS, 160)


def test_only_the_answer_has_labels(tiny_model: BaseModel, chats: ChatDataset) -> None:
    tokenizer = load_tokenizer(tiny_model)
    row = tokenise(chats, tokenizer)[0]
    answer = [token for token in row["labels"] if token != IGNORED]
    assert tokenizer.decode(answer) == chats.frame["completion"].iloc[0]
    assert row["input_ids"][-len(answer) :] == answer


def test_the_loss_at_answer_positions_is_the_loss_over_all_positions(
    tiny_model: BaseModel, chats: ChatDataset, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    model = add_adapters(load_model(tiny_model, PLAN), LORA)
    trainer = AnswerTrainer(
        model=model,
        args=training_module._trainer_settings(tmp_path, PLAN, TRAINING, seed=1),
        tokens_per_pass=TRAINING.tokens_per_pass,
        train_dataset=tokenise(chats, tokenizer),
        processing_class=tokenizer,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    assert not model.is_activation_checkpointing
    ours = trainer.compute_loss(model, dict(batch))
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    full = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED
    )
    assert float(ours.detach()) == pytest.approx(float(full.detach()), rel=1e-5)


@pytest.mark.parametrize("tokens_per_pass", [1, 300])
def test_a_batch_in_several_passes_has_the_gradient_of_one_pass(
    tiny_model: BaseModel, chats: ChatDataset, tmp_path: Path, tokens_per_pass: int
) -> None:
    tokenizer = load_tokenizer(tiny_model)

    def loss_and_gradients(tokens: int) -> tuple[float, dict[str, torch.Tensor], int]:
        torch.manual_seed(0)
        model = add_adapters(load_model(tiny_model, PLAN), LORA)
        passes: list[int] = []
        model.register_forward_pre_hook(lambda *_: passes.append(1))
        trainer = AnswerTrainer(
            model=model,
            args=training_module._trainer_settings(tmp_path, PLAN, TRAINING, seed=1),
            tokens_per_pass=tokens,
            train_dataset=tokenise(chats, tokenizer),
            processing_class=tokenizer,
        )
        training_module._train_adapters_in_fp32(model)
        batch = next(iter(trainer.get_train_dataloader()))
        answers = (batch["labels"] != IGNORED).sum()
        loss = float(trainer.training_step(model, dict(batch), answers))
        return loss, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, len(passes)

    loss, gradients, passes = loss_and_gradients(100_000)
    assert passes == 1
    loss_in_parts, gradients_in_parts, passes = loss_and_gradients(tokens_per_pass)
    assert passes > 1
    assert loss_in_parts == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(gradients_in_parts, gradients, rtol=1e-4, atol=1e-6)


def test_training_learns_proves_every_layer_and_reports_its_steps(
    tiny_model: BaseModel, chats: ChatDataset, tmp_path: Path
) -> None:
    seen: list[tuple[int, Mapping[str, float]]] = []
    result = finetune(
        tiny_model, PLAN, chats, LORA, TRAINING, 1, tmp_path / "a", (lambda s, f: seen.append((s, f)),)
    )

    assert [step for step, _ in seen] == list(range(1, 31))
    assert set(seen[0][1]) == {"loss", "learning_rate", "grad_norm", "tokens_per_second"}
    assert len(result.proof.layers) == 14
    assert all(layer.b_norm > 0 and layer.first_gradient_norm > 0 for layer in result.proof.layers)
    assert result.proof.last_loss < 0.5 * result.proof.first_loss
    assert result.summary.steps == 30
    assert 0 <= result.summary.padding_share < 0.5

    model = load_adapted_model(tiny_model, result.adapter, PLAN)
    scores = score_labels(model, load_tokenizer(tiny_model), list(chats.frame["prompt"]), LABELS, PLAN, 4096)
    assert scores.label_mass.mean() > 0.9


def test_the_same_seed_gives_the_same_adapter_file(
    tiny_model: BaseModel, chats: ChatDataset, tmp_path: Path
) -> None:
    files = []
    for name in ("a", "b"):
        finetune(tiny_model, PLAN, chats, LORA, TRAINING, 7, tmp_path / name)
        files.append({p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())})
    assert files[0] == files[1]
    assert set(files[0]) == {"adapter_config.json", "adapter_model.safetensors"}


def test_a_loss_that_does_not_fall_is_refused(
    tiny_model: BaseModel, chats: ChatDataset, tmp_path: Path
) -> None:
    diverging = {"learning_rate": 0.9, "warmup_share": 0.0, "max_steps": 6}
    with pytest.raises(LoraProofError, match="loss did not fall"):
        finetune(tiny_model, PLAN, chats, LORA, TRAINING.model_copy(update=diverging), 1, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_loss_that_is_not_a_number_stops_at_that_step(
    tiny_model: BaseModel, chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = AnswerTrainer.compute_loss

    def poisoned(self: AnswerTrainer, *args: object, **kwargs: object) -> object:
        loss = whole(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 2 else loss

    monkeypatch.setattr(AnswerTrainer, "compute_loss", poisoned)
    with pytest.raises(TrainingError, match=r"step 3: loss is nan.*learning_rate"):
        finetune(tiny_model, PLAN, chats, LORA, TRAINING, 1, tmp_path / "a")


def test_an_adapter_outside_the_forward_pass_stops_training_before_the_first_step(
    tiny_model: BaseModel, chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training_module.add_adapters

    def bypassed(model, lora):
        adapted = whole(model, lora)
        layer = adapted.base_model.model.model.layers[1].mlp
        layer.down_proj.forward = layer.down_proj.get_base_layer().forward
        return adapted

    monkeypatch.setattr(training_module, "add_adapters", bypassed)
    monkeypatch.setattr(training_module, "fuse_adapters", lambda model: 0)
    with pytest.raises(LoraProofError, match=r"1 of 14 LoRA layers get no gradient.*down_proj"):
        finetune(tiny_model, PLAN, chats, LORA, TRAINING, 1, tmp_path / "a")


def test_a_model_without_adapters_has_nothing_to_prove(tiny_model: BaseModel) -> None:
    with pytest.raises(LoraProofError, match="no LoRA adapter"):
        LoraWitness(load_model(tiny_model, PLAN))
