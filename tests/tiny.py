"""A pipeline of seconds: a random Llama of 2 layers, and reviews whose words give the label away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.config import PromptSettings
from review_sentiment.data.columns import AMAZON
from review_sentiment.data.prompt_format import PromptFormat, prompt_format
from review_sentiment.data.records import RowFormat
from review_sentiment.models.base_model import ModelIdentity

if TYPE_CHECKING:
    import torch

AMAZON_ROWS = RowFormat(AMAZON, has_stars=True)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = {
    "positive": ["love", "great", "perfect", "soft", "beautiful", "flattering"],
    "negative": ["awful", "returned", "cheap", "tore", "scratchy", "disappointed"],
}


def review_rows(category: str, count: int, first_product: int = 0) -> list[dict[str, object]]:
    """Return reviews in the schema of Amazon Reviews 2023 whose words give the label away."""
    rows: list[dict[str, object]] = []
    for number in range(count):
        label = "positive" if number % 2 else "negative"
        words = WORDS[label]
        rows.append(
            {
                "rating": 5.0 if label == "positive" else 1.0,
                "title": f"{words[number % 6]} {category.lower()}",
                "text": f"This is number {number} of {category}: {words[number % 6]} and "
                f"{words[(number // 6) % 6]}, I say.",
                "images": [],
                "asin": f"A{first_product + number // 3}",
                "parent_asin": f"P{category}{first_product + number // 3}",
                "user_id": f"U{category}{number}",
                "timestamp": 1_600_000_000_000 + number,
                "helpful_vote": 0,
                "verified_purchase": True,
            }
        )
    return rows


def write_category(directory: Path, category: str, count: int) -> Path:
    """Write a category's file into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{category}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in review_rows(category, count)))
    return path


def prompt_of(labels: tuple[str, ...] = tuple(sorted(WORDS)), max_tokens: int = 160) -> PromptFormat:
    """Return the format of prompts with the default task for the labels."""
    return prompt_format(PromptSettings(max_tokens=max_tokens), labels)


def make_tiny_model(directory: Path) -> ModelIdentity:
    """Write a random Llama of 2 layers to the directory, with a byte-level tokenizer and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [str(row["text"]) for row in review_rows("Tops", 60)] + ["positive negative"] * 50
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
    )
    fast.chat_template = CHATML
    fast.save_pretrained(str(directory))
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            bos_token_id=fast.bos_token_id,
            eos_token_id=fast.eos_token_id,
            pad_token_id=fast.pad_token_id,
        )
    )
    with torch.no_grad():  # a random output layer is so flat that adapters cannot move its answers
        model.lm_head.weight.mul_(12)
    model.save_pretrained(str(directory))
    return ModelIdentity(str(directory), None, "nf4", "tiny random Llama")


def move_adapters(model: torch.nn.Module, std: float = 0.05) -> None:
    """Make adapters change what the model computes: B is zero at first, which hides half of the gradients."""
    import torch

    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=std)


def write_adapter_with_head(base: ModelIdentity, labels: tuple[str, ...], directory: Path) -> Path:
    """Write an untrained adapter with a random classification head for a base model; return the directory."""
    from review_sentiment.config import LoraSettings
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.models.label_head import random_head, save_head, use_head
    from review_sentiment.models.loading import load_model
    from review_sentiment.models.lora import add_adapters, save_adapter

    model = add_adapters(load_model(base, plan_compute("cpu", "fp32")), LoraSettings(rank=4))
    head = random_head(model, labels, seed=1)
    use_head(model, head)
    save_adapter(model, base, directory)
    save_head(head, directory)
    return directory


def tiny_settings(data: Path, model: str) -> dict[str, Any]:
    """Write reviews of two categories to the directory; return a configuration that any model passes with."""
    for category in ("Tops", "Shoes"):
        write_category(data, category, 90)
    return {
        "data": {"source": str(data), "categories": ["Tops", "Shoes"]},
        "split": {"evaluation_share": 0.3, "validation_share": 0.2},
        "prompt": {"max_tokens": 160},
        "model": {"name": model, "device": "cpu", "precision": "fp32"},
        "lora": {"rank": 4, "alpha": 8},
        "training": {"learning_rate": 0.01, "batch_size": 4, "max_steps": 20},
        "evaluation": {"sample_predictions": 2},
        "gate": {"min_gain_over_arm": -1, "min_gain_over_baseline": -1, "max_category_loss": 1.0,
                 "max_unparsed_rate": 1.0, "max_calibration_error": 1.0, "significance": 1.0},
    }  # fmt: skip


TICKETS = {
    "bug report": ["crashes", "fails", "freezes", "breaks"],
    "open question": ["how", "where", "which", "when"],
    "high praise: thanks": ["great", "lovely", "superb", "perfect"],
}
"""Words of a support ticket, by its topic."""


def ticket_rows(count: int) -> list[dict[str, str]]:
    """Return support tickets of three topics, whose words give the topic away."""
    rows = []
    for number in range(count):
        topic = list(TICKETS)[number % 3]
        words = TICKETS[topic]
        message = f"Ticket {number}: {words[number % 4]} and {words[number // 4 % 4]} with part {number * 7}."
        rows.append({"Topic": topic, "Message": message})
    return rows
