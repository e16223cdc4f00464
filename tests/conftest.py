"""A tiny random Llama with a chat template, and state directories that no test shares."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from front_door.state import OPT_OUTS
from review_sentiment.models import BaseModel

if TYPE_CHECKING:
    from review_sentiment.chats import ChatDataset


def pytest_configure(config: pytest.Config) -> None:
    """Keep ZenML's state out of the user's directories: it is read when ZenML is imported.

    Tests side by side, and the processes that they start, take one thread each: a core for each
    of two, where four threads on two cores wait for one another.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    state = tempfile.mkdtemp(prefix="review-sentiment-tests-")
    config.add_cleanup(lambda: shutil.rmtree(state, ignore_errors=True))
    os.environ["ZENML_CONFIG_PATH"] = f"{state}/zenml"
    os.environ["ZENML_LOCAL_STORES_PATH"] = f"{state}/stores"
    os.environ.update(OPT_OUTS)


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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """Return a random Llama of 2 layers in a directory, with a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    directory = tmp_path_factory.mktemp("tiny-llama")
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
    return BaseModel(str(directory), None, "nf4", "tiny random Llama")


@pytest.fixture(scope="session")
def tiny_chats(tiny_model: BaseModel) -> ChatDataset:
    """Return 48 chats for the tiny model, whose words give the label away."""
    from review_sentiment.chats import format_chats
    from review_sentiment.models import load_tokenizer
    from review_sentiment.reviews import table_of

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
    table = table_of(rows, len(rows), {})
    return format_chats(table.frame, load_tokenizer(tiny_model), ("negative", "positive"), 160)


@pytest.fixture
def mlflow_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point MLflow to a sqlite database of this test."""
    import mlflow

    from review_sentiment import tracking

    uri = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracking.configure(uri)
    yield uri
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")
