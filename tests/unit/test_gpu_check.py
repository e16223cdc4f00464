"""The GPU check, tried on a CPU: whatever the GPU does, its stages call code that exists."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from review_sentiment.data.chats import ChatDataset
from review_sentiment.models.base_model import ModelIdentity

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("small", "write_8b", "variants", "scoring")


def test_the_stages_of_the_gpu_check_run_on_a_cpu(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    """The stages left out here add no call of ours that these do not make."""
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    for file in Path(tiny_model.name).glob("*token*"):
        (tokenizer / file.name).write_bytes(file.read_bytes())
    template = Path(tiny_model.name) / "chat_template.jinja"
    (tokenizer / template.name).write_bytes(template.read_bytes())
    reviews = pd.concat([tiny_chats.frame] * 50, ignore_index=True)
    reviews.to_parquet(tmp_path / "reviews.parquet")
    options = [f"--{name}={tmp_path / name}" for name in ("out", "models", "scratch", "tokenizer")]
    options += [f"--reviews={tmp_path / 'reviews.parquet'}", f"--stages={','.join(STAGES)}"]
    finished = subprocess.run(
        [sys.executable, "benchmarks/gpu_check.py", "--tiny", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    results = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [result["stage"] for result in results] == list(STAGES), finished.stderr
    assert [result["stage"] for result in results if not result["ok"]] == [], finished.stderr
