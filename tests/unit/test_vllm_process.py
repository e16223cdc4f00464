"""The process that asks vLLM, with a stand-in for vLLM: what is sent, what comes back, and that it ends."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import vllm_process

STAND_IN = '''
"""Continue a prompt with its last words, as many as there may be tokens."""
from types import SimpleNamespace


class SamplingParams:
    def __init__(self, temperature, max_tokens):
        self.max_tokens = max_tokens


class LLM:
    def __init__(self, model, dtype, max_model_len, **options):
        print("a log on standard output", model, dtype, max_model_len)

    def get_tokenizer(self):
        return SimpleNamespace(encode=lambda text, add_special_tokens: text.split())

    def generate(self, rows, params, use_tqdm):
        texts = [" " + " ".join(row["prompt_token_ids"][-params.max_tokens:]) for row in rows]
        return [SimpleNamespace(outputs=[SimpleNamespace(text=text)]) for text in texts]
'''


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let Python find a stand-in for vLLM; return the directory of a model."""
    packages, model = tmp_path / "packages", tmp_path / "model"
    for directory in (packages, model):
        directory.mkdir()
    (packages / "vllm.py").write_text(STAND_IN)
    (model / "config.json").write_text(json.dumps({"max_position_embeddings": 256}))
    monkeypatch.setenv("PYTHONPATH", str(packages))
    return model


def test_the_worker_answers_with_the_given_number_of_tokens_and_takes_no_time_in_between(
    stand_in: Path,
) -> None:
    python = Path(sys.executable)
    assert vllm_process.is_installed(python)
    with vllm_process.started(python, stand_in, "float32", tokens=2) as worker:
        seconds, answers = worker.answer(["is it good", "or bad"])
        assert answers == ["it good", "or bad"]
        assert seconds > 0
        spent = worker.cpu_seconds()
        assert spent > 0
        [process] = [one for one in psutil.Process().children() if "vllm_worker.py" in str(one.cmdline())]
        deadline = time.monotonic() + 10
        while process.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline, "it was not stopped"
            time.sleep(0.01)
        assert worker.answer(["and now"])[1] == ["and now"], "it goes on after it was stopped"
        assert worker.cpu_seconds() >= spent
    assert not process.is_running()


def test_a_python_without_vllm_is_told_apart() -> None:
    assert not vllm_process.is_installed(Path(sys.executable))
