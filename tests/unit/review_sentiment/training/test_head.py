"""A training with a classification head: loss and gradients of plain PyTorch, proof, resuming, reloading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from review_sentiment.config import Balance, LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset, format_chats
from review_sentiment.data.review_table import table_of
from review_sentiment.errors import DataError
from review_sentiment.models import label_head
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.label_head import head_of
from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
from review_sentiment.models.lora import HEAD_FILE, add_adapters, train_adapters_in_fp32
from review_sentiment.models.packed_attention import use_packed_attention
from review_sentiment.models.recipe import Recipe
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.training import qlora
from review_sentiment.training.arguments import trainer_arguments
from review_sentiment.training.callback import KEPT_FILE
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.decisions import Decision
from review_sentiment.training.head_start import start_head
from review_sentiment.training.job import FinishedTraining, TrainingContext, TrainingJob
from review_sentiment.training.lora_proof import HEAD, LoraProofError
from review_sentiment.training.qlora import finetune
from review_sentiment.training.rows import IGNORED, collate, tokenise
from review_sentiment.training.trainer import AnswerTrainer
from tests.tiny import move_adapters, prompt_of

PLAN = plan_compute("cpu", "fp32")
LORA = LoraSettings(rank=4, alpha=8)
TRAINING = TrainingSettings(learning_rate=3e-3, batch_size=6, max_steps=12, epochs=9, checkpoint_steps=3)
LABELS = {
    2: ("negative", "positive"),
    3: ("very bad", "fine", "very good"),
    18: tuple("abcdefghijklmnopqr"),
}
"""By their number; of the three, two start with the same token."""


def chats_of(base: ModelIdentity, labels: tuple[str, ...]) -> ChatDataset:
    """Return 36 chats; most have the first label."""
    numbers = [number // 2 % len(labels) if number % 2 else 0 for number in range(36)]
    rows = [
        {
            "review_id": f"{row:02d}",
            "category": "Tops",
            "group": f"product {row}",
            "user": f"user {row}",
            "source_label": labels[number],
            "label": labels[number],
            "title": "",
            "text": f"Number {number} of it" + " and more" * (row % 5),
        }
        for row, number in enumerate(numbers)
    ]
    frame = table_of("Tops", rows).frame
    return format_chats(frame, load_tokenizer(base), prompt_of(labels))


def recipe(base: ModelIdentity, training: TrainingSettings = TRAINING) -> Recipe:
    return Recipe(base, PLAN, LORA, training, 1, "classification")


def train(
    base: ModelIdentity, chats: ChatDataset, directory: Path, context: TrainingContext | None = None
) -> FinishedTraining:
    return finetune(TrainingJob(recipe(base), chats, directory), context)


def gradients_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def one_step(
    base: ModelIdentity, chats: ChatDataset, scratch: Path, balance: Balance, packs_rows: bool, budget: int
) -> tuple[float, dict[str, torch.Tensor], float, dict[str, torch.Tensor]]:
    """Return loss and gradients of a batch: our trainer's, and those of plain PyTorch on a padded batch."""
    tokenizer = load_tokenizer(base)
    torch.manual_seed(0)
    model = add_adapters(load_model(base, PLAN), LORA)
    start_head(model, tokenizer, chats.frame["prompt"].iloc[0], chats.labels, 1)
    if packs_rows:
        use_packed_attention(model, PLAN)
    trainer = AnswerTrainer(
        model=model,
        args=trainer_arguments(recipe(base), scratch),
        token_budget=budget,
        packs_rows=packs_rows,
        balance=balance,
        train_dataset=tokenise(chats, tokenizer, "classification"),
        processing_class=tokenizer,
    )
    train_adapters_in_fp32(model)
    move_adapters(model)
    batch = collate([trainer.train_dataset[row] for row in range(TRAINING.batch_size)])
    loss = float(trainer.training_step(model, dict(batch), (batch["labels"] != IGNORED).sum()))
    ours = gradients_of(model)

    model.zero_grad()
    model.set_attn_implementation("eager")
    inputs = tokenizer(
        list(chats.frame["prompt"].head(TRAINING.batch_size)),
        add_special_tokens=False,
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )
    hidden = model.get_decoder()(**inputs).last_hidden_state
    last = hidden[torch.arange(len(hidden)), inputs["attention_mask"].sum(1) - 1]
    head = head_of(model)
    assert head is not None
    logits = last @ head.weight.t()
    counts = chats.frame["label"].value_counts()
    shares = torch.tensor([counts.get(label, 0) / len(chats) for label in chats.labels])
    if balance == "logit_adjusted":
        logits = logits + shares.log()
    gold = torch.tensor([chats.labels.index(label) for label in chats.frame["label"]])[: len(hidden)]
    losses = torch.nn.functional.cross_entropy(logits, gold, reduction="none")
    if balance == "weights":
        losses = losses / (len(chats.labels) * shares[gold])
    losses.mean().backward()
    return loss, ours, float(losses.mean()), gradients_of(model)


@pytest.mark.parametrize(
    ("count", "balance", "packs_rows", "budget"),
    [
        (2, "undersample", True, 100_000),
        (2, "weights", False, 300),
        (3, "logit_adjusted", True, 300),
        (3, "undersample", False, 100_000),
        (18, "weights", True, 300),
        (18, "logit_adjusted", False, 100_000),
    ],
)
def test_loss_and_gradients_are_those_of_a_linear_layer_on_the_last_hidden_state(
    tiny_model: ModelIdentity, tmp_path: Path, count: int, balance: Balance, packs_rows: bool, budget: int
) -> None:
    chats = chats_of(tiny_model, LABELS[count])
    loss, ours, expected, plain = one_step(tiny_model, chats, tmp_path, balance, packs_rows, budget)
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-5)
    assert sum("lm_head" in name for name in ours) == 1
    assert len(ours) == 1 + 2 * 14


@pytest.mark.parametrize("count", [2, 3, 18])
def test_a_head_is_trained_proved_and_answers_from_its_files(
    tiny_model: ModelIdentity, tmp_path: Path, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "review_sentiment")
    chats = chats_of(tiny_model, LABELS[count])
    trained = train(tiny_model, chats, tmp_path / "a")
    assert "answers: classification head (model.head=classification)" in caplog.messages
    start = next(line for line in caplog.messages if line.startswith("initial head"))
    if count == 3:
        assert (
            start == "initial head: small random weights (very bad and very good start with the same token)"
        )
    else:
        assert start.startswith(
            "initial head: the output layer's rows of the labels' first tokens (these diff"
        )

    proof = trained.proof.layers[-1]
    assert (proof.layer, len(trained.proof.layers)) == (HEAD, 15)
    assert proof.forward_calls > 0
    assert proof.first_gradient_norm > 0
    assert proof.distance > 0
    assert trained.proof.reload_difference == 0
    assert trained.summary.trainable_parameters == trained_numbers(trained.adapter)

    model, tokenizer = load_adapted_model(tiny_model, trained.adapter, PLAN), load_tokenizer(tiny_model)
    prompts = list(chats.frame["prompt"])
    scores = score_labels(model, tokenizer, prompts, chats.labels, PLAN, 4096)
    assert scores.label_mass == pytest.approx(1)
    assert (scores.answered == scores.constrained).all()
    with pytest.raises(DataError, match="classification head answers with"):
        score_labels(model, tokenizer, prompts, chats.labels[::-1], PLAN, 4096)


def trained_numbers(adapter: Path) -> int:
    """Return how many numbers the files of adapter and head have."""
    return sum(
        value.numel()
        for name in ("adapter_model.safetensors", HEAD_FILE)
        for value in load_file(adapter / name).values()
    )


class KilledError(BaseException):
    """What happens to a process at a moment that it does not choose."""


@pytest.mark.parametrize("step", [4, 12])
def test_a_killed_training_resumes_and_ends_with_the_same_head(
    tiny_model: ModelIdentity, tmp_path: Path, step: int
) -> None:
    def kill(now: int, _figures: Mapping[str, float]) -> None:
        if now == step:
            raise KilledError

    chats = chats_of(tiny_model, LABELS[3])
    whole = train(tiny_model, chats, tmp_path / "whole")
    store = CheckpointStore(str(tmp_path / "durable"), "a")
    with pytest.raises(KilledError):
        train(tiny_model, chats, tmp_path / "a", TrainingContext((kill,), store))
    resumed = train(tiny_model, chats, tmp_path / "b", TrainingContext((), store))
    assert resumed.proof.layers == whole.proof.layers
    for name in ("adapter_model.safetensors", HEAD_FILE):
        torch.testing.assert_close(load_file(resumed.adapter / name), load_file(whole.adapter / name))


def test_a_training_that_had_ended_is_concluded_with_the_head_of_its_checkpoint(
    tiny_model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KilledError

    chats = chats_of(tiny_model, LABELS[2])
    store = CheckpointStore(str(tmp_path / "durable"), "a")
    with monkeypatch.context() as patched:
        patched.setattr(qlora, "save_adapter", fail)
        with pytest.raises(KilledError):
            train(tiny_model, chats, tmp_path / "a", TrainingContext((), store))
    resumed = train(tiny_model, chats, tmp_path / "b", TrainingContext((), store))
    saved = load_file(next(tmp_path.glob("durable/a/step-00000012")) / HEAD_FILE)
    assert torch.equal(load_file(resumed.adapter / HEAD_FILE)["weight"], saved["weight"])
    assert resumed.proof.layers[-1].distance > 0


def test_the_kept_adapter_of_a_validation_has_the_head_of_the_same_step(
    tiny_model: ModelIdentity, tmp_path: Path
) -> None:
    chats = chats_of(tiny_model, LABELS[2])
    training = TRAINING.model_copy(update={"validations": 2})
    job = TrainingJob(recipe(tiny_model, training), chats, tmp_path / "a", chats)
    finished = finetune(job, TrainingContext((), CheckpointStore(str(tmp_path), "durable")))
    assert len(finished.validations) == 2
    kept = load_file(tmp_path / "durable" / "step-00000012" / KEPT_FILE)
    head = next(weight for name, weight in kept.items() if "lm_head" in name)
    assert torch.equal(load_file(finished.adapter / HEAD_FILE)["weight"], head)


def test_a_head_that_is_saved_wrongly_is_refused(
    tiny_model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(head: label_head.LabelHead, directory: Path) -> None:
        label_head.save_head(head, directory)
        tensors = load_file(directory / HEAD_FILE)
        metadata = {label_head.LABELS: '["negative", "positive"]'}
        save_file({"weight": tensors["weight"].flip(0).contiguous()}, directory / HEAD_FILE, metadata)

    monkeypatch.setattr(qlora, "save_head", swapped)
    with pytest.raises(LoraProofError, match="saved files do not answer as the trained model does"):
        train(tiny_model, chats_of(tiny_model, LABELS[2]), tmp_path / "a")


def test_a_head_outside_the_forward_pass_stops_training_before_the_first_step(
    tiny_model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def detached(head: label_head.LabelHead, hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(hidden, head.weight.detach())

    monkeypatch.setattr(label_head.LabelHead, "forward", detached)
    with pytest.raises(LoraProofError, match="1 of 15 trained layers have no gradient: classification head"):
        train(tiny_model, chats_of(tiny_model, LABELS[2]), tmp_path / "a")


def test_a_head_that_did_not_move_is_refused(
    tiny_model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: list[torch.Tensor] = []

    def starting(model: PreTrainedModel, *others: Any) -> Decision:
        decision = start_head(model, *others)
        # As TRL's cast to BF16 and our cast back leave it.
        start.append(model.get_output_embeddings().weight.detach().bfloat16().float())
        return decision

    def back_to_the_start(model: PreTrainedModel, _kept: object) -> None:
        model.get_output_embeddings().weight.data.copy_(start[0])

    monkeypatch.setattr(qlora, "start_head", starting)
    monkeypatch.setattr(qlora, "restore_adapter", back_to_the_start)
    with pytest.raises(
        LoraProofError, match="1 of 15 trained layers did not move in training: classification"
    ):
        train(tiny_model, chats_of(tiny_model, LABELS[3]), tmp_path / "a")


def test_the_same_seed_gives_the_same_files(tiny_model: ModelIdentity, tmp_path: Path) -> None:
    chats = chats_of(tiny_model, LABELS[3])
    files = []
    for name in ("a", "b"):
        train(tiny_model, chats, tmp_path / name)
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert files[0] == files[1]
    assert set(files[0]) == {"adapter_config.json", "adapter_model.safetensors", HEAD_FILE}
