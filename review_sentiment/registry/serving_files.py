"""What other engines need to serve an exported version: its tokenizer, a Modelfile, and their commands."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.data.prompts import PromptBuilder, template_with_fixed_date
from review_sentiment.errors import UsageError
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.models.merging import write_merged
from review_sentiment.scoring.version_files import RULE_FILE, require_label_words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from review_sentiment.models.compute import ComputePlan
    from review_sentiment.scoring.version_files import Serving

BASE, ADAPTER, MODELFILE = "base", "adapter", "Modelfile"
CONFIGURATION = "adapter_config.json"
PORT = 8000
DTYPES = {"fp32": ("float32", "f32"), "bf16": ("bfloat16", "bf16"), "fp16": ("float16", "f16")}
"""What vLLM and SGLang, and llama.cpp, call our precisions. They would round FP32 weights by default."""
VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The values of vLLM's --max-lora-rank."""


def save_tokenizer(serving: Serving, directory: Path) -> None:
    """Write the tokenizer, and a chat template that renders what the version was trained on on any day."""
    tokenizer = load_tokenizer(serving.base)
    tokenizer.chat_template = template_with_fixed_date(tokenizer)
    tokenizer.save_pretrained(str(directory))
    (directory / MODELFILE).write_text(modelfile(tokenizer, serving), encoding="utf-8")


def modelfile(tokenizer: PreTrainedTokenizerBase, serving: Serving) -> str:
    """Return the Modelfile with which Ollama imports the directory it is in."""
    builder = PromptBuilder(tokenizer, serving.prompt)
    # Ollama has templates of its own. Ours with its variables in place of a chat is the same one in its form.
    template = builder.template("{{ .System }}", "{{ .Prompt }}")
    bos = tokenizer.bos_token_id
    if bos is not None and list(tokenizer("").input_ids)[:1] == [bos]:
        template = template.removeprefix(str(tokenizer.bos_token))  # which Ollama adds as well
    stop = f'PARAMETER stop "{tokenizer.eos_token}"'
    return f'FROM .\nTEMPLATE """{template}"""\nPARAMETER temperature 0\n{stop}\n'


def export_adapter(serving: Serving, adapter: Path, plan: ComputePlan, directory: Path) -> None:
    """Write the base model, dequantised as the adapter was trained on it, and the adapter beside it.

    Raises:
        UsageError: engines cannot load such an adapter, or the version has a classification head.
        ModelUnavailableError: the base model is not available.
    """
    require_label_words(adapter)
    configuration = json.loads((adapter / CONFIGURATION).read_text(encoding="utf-8"))
    if configuration["use_dora"]:
        raise UsageError("Engines do not load DoRA adapters. Export without --adapter, as merged weights.")
    write_merged(load_model(serving.base, plan), plan.dtype, directory / BASE)
    save_tokenizer(serving, directory / BASE)
    (directory / BASE / MODELFILE).unlink()  # it would serve the base model alone
    (directory / ADAPTER).mkdir()
    for file in ("adapter_model.safetensors", RULE_FILE):
        shutil.copy(adapter / file, directory / ADAPTER)
    serving.save(directory / ADAPTER)
    configuration["base_model_name_or_path"] = str(directory.resolve() / BASE)
    (directory / ADAPTER / CONFIGURATION).write_text(json.dumps(configuration, indent=2), encoding="utf-8")


def merged_commands(directory: Path, name: str, precision: str) -> dict[str, list[str]]:
    """Return the commands that serve merged weights under a name, for each engine."""
    place, (dtype, gguf_type) = shlex.quote(str(directory)), DTYPES[precision]
    gguf = shlex.quote(str(directory / f"{name}.gguf"))
    return {
        "vLLM": [f"vllm serve {place} --served-model-name {name} --dtype {dtype} --port {PORT}"],
        "SGLang": [
            f"python -m sglang.launch_server --model-path {place} --served-model-name {name} --dtype {dtype} "
            f"--port {PORT}"
        ],
        "llama.cpp": [
            f"python convert_hf_to_gguf.py {place} --outfile {gguf} --outtype {gguf_type}",
            f"llama-server -m {gguf} --alias {name} --jinja --port {PORT}",
        ],
        "Ollama": [
            f"ollama create {name} -f {shlex.quote(str(directory / MODELFILE))}"
            f"  # then {name}:latest is at http://127.0.0.1:11434"
        ],
    }


def adapter_commands(directory: Path, name: str, precision: str) -> dict[str, list[str]]:
    """Return the command that serves a base model with its adapter."""
    rank = json.loads((directory / ADAPTER / CONFIGURATION).read_text(encoding="utf-8"))["r"]
    base, adapter = (shlex.quote(str(directory / part)) for part in (BASE, ADAPTER))
    allowed = next((value for value in VLLM_RANKS if value >= rank), rank)
    return {
        "vLLM": [
            f"vllm serve {base} --enable-lora --max-lora-rank {allowed} --lora-modules {name}={adapter} "
            f"--dtype {DTYPES[precision][0]} --port {PORT}"
        ]
    }


def check_command(version: str, name: str) -> str:
    """Return the command that compares a server with the version."""
    return f"python run_pipeline.py parity {version} --server http://127.0.0.1:{PORT} --model {name}"
