"""Engines find a chat template for any day, an adapter on its own base, and their commands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from review_sentiment.config import LoraSettings
from review_sentiment.data.prompts import PromptBuilder
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters, save_adapter
from review_sentiment.registry import serving_files
from review_sentiment.scoring.version_files import Serving, save_rule
from tests.tiny import CHATML, prompt_of

LABELS = ("negative", "positive")
PLAN = plan_compute("cpu", "fp32")


def with_template(tiny: ModelIdentity, directory: Path, template: str) -> ModelIdentity:
    """Return a tokenizer's directory as a model with another chat template."""
    tokenizer = load_tokenizer(tiny)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(str(directory))
    return ModelIdentity(str(directory), None, "none", "tiny")


def test_an_exported_template_renders_what_the_version_was_trained_on(
    tiny_model: ModelIdentity, tmp_path: Path
) -> None:
    dated = with_template(tiny_model, tmp_path / "model", "{{ strftime_now('%d %b %Y') }}\n" + CHATML)
    serving_files.save_tokenizer(Serving(dated, prompt_of()), tmp_path)
    builder = PromptBuilder(load_tokenizer(dated), prompt_of())
    exported: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tmp_path)
    rendered = exported.apply_chat_template(
        builder.messages("A title", "A text."), tokenize=False, add_generation_prompt=True
    )
    assert rendered == builder.prompt("A title", "A text.")
    assert "26 Jul 2024" in rendered


def test_ollama_renders_the_same_prompt(tiny_model: ModelIdentity, tmp_path: Path) -> None:
    for number, template in enumerate(
        (CHATML, CHATML.replace("message in messages", "message in messages[-1:]"))
    ):
        model = with_template(tiny_model, tmp_path / str(number), template)
        builder = PromptBuilder(load_tokenizer(model), prompt_of())
        written = serving_files.modelfile(load_tokenizer(model), Serving(model, prompt_of()))
        (*system, user) = builder.messages("", "Soft.")
        filled = written.split('"""')[1].replace("{{ .Prompt }}", user["content"])
        for turn in system:
            filled = filled.replace("{{ .System }}", turn["content"])
        assert filled == builder.prompt("", "Soft.")
        assert 'PARAMETER stop "<|im_end|>"' in written


@pytest.mark.parametrize("dora", [False, True])
def test_an_adapter_is_exported_with_the_base_that_it_was_trained_on(
    tiny_model: ModelIdentity, tmp_path: Path, dora: bool
) -> None:
    from peft import PeftModel

    model = add_adapters(load_model(tiny_model, PLAN), LoraSettings(rank=12, alpha=24, dora=dora))
    save_adapter(model, tiny_model, tmp_path / "trained")
    save_rule(DecisionRule.raw(LABELS, (0.2, 0.8)), tmp_path / "trained")
    serving, out = Serving(tiny_model, prompt_of()), tmp_path / "an export"
    if dora:
        with pytest.raises(UsageError, match="Export without --adapter"):
            serving_files.export_adapter(serving, tmp_path / "trained", PLAN, out)
        return
    serving_files.export_adapter(serving, tmp_path / "trained", PLAN, out)
    base = load_model(ModelIdentity(str(out / "base"), None, "none", "tiny"), PLAN)
    PeftModel.from_pretrained(base, str(out / "adapter"))
    found = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert found["base_model_name_or_path"] == str(out / "base")
    assert not (out / "base" / "Modelfile").exists()
    (command,) = serving_files.adapter_commands(out, "reviews-7", "fp32")["vLLM"]
    words = shlex.split(command)
    assert words[:3] == ["vllm", "serve", str(out / "base")]
    assert f"reviews-7={out / 'adapter'}" in words
    assert words[words.index("--max-lora-rank") + 1] == "16"


@pytest.mark.parametrize(
    ("precision", "dtype", "gguf"), [("fp32", "float32", "f32"), ("bf16", "bfloat16", "bf16")]
)
def test_engines_get_the_precision_of_the_export(precision: str, dtype: str, gguf: str) -> None:
    commands = serving_files.merged_commands(Path("/models/my export"), "reviews-7", precision)
    assert set(commands) == {"vLLM", "SGLang", "llama.cpp", "Ollama"}
    for engine in ("vLLM", "SGLang"):
        assert f"--dtype {dtype} " in commands[engine][0]
    assert commands["llama.cpp"][0].endswith(f"--outtype {gguf}")
    assert all("'/models/my export" in lines[0] for lines in commands.values())
