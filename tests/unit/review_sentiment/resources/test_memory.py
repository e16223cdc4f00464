"""The estimate of memory agrees with what others have published, and grows with what it should grow with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from review_sentiment.config import LoraSettings, Settings, TrainingSettings
from review_sentiment.models.base_model import ModelIdentity, identify
from review_sentiment.models.block_attention import blocks_of
from review_sentiment.models.compute import ComputePlan, gpu_plan, plan_compute
from review_sentiment.models.loading import load_configuration
from review_sentiment.models.lora import add_adapters
from review_sentiment.models.packing import pack
from review_sentiment.models.recipe import Recipe
from review_sentiment.resources.memory import (
    LOGIT_BYTES,
    SHAPES,
    Load,
    Weights,
    count_weights,
    estimate,
    load_of,
    shape_from,
    shape_of,
)
from review_sentiment.resources.micro_batches import KnownRows, MicroBatch, PlannedRows
from tests.families import random_model

LLAMA_8B = SHAPES["meta-llama/Llama-3.1-8B-Instruct"]
GIB = 2**30


def qlora(tokens: int, answers: int, rank: int) -> Load:
    """Return 8-bit-free QLoRA with checkpointing, as the published figures were measured."""
    return Load(MicroBatch.padded(1, tokens), answers, rank, True, True, False, 2, "adamw_torch_fused")


@pytest.mark.parametrize(("gigabytes", "tokens"), [(12, 932), (24, 5_789), (80, 28_454)])
def test_the_longest_sequences_that_fit_a_gpu_according_to_unsloth(gigabytes: int, tokens: int) -> None:
    """Transformers with FlashAttention 2, Llama 3.1 8B, rank 32, batch 1, loss over all tokens.

    https://docs.unsloth.ai/basics/long-context-finetuning: the estimate for the length that just fits
    must be about the device's memory. Errors: -15, -6 and +1 %.
    """
    needed = estimate(LLAMA_8B, qlora(tokens, tokens, 32), "cuda").total
    assert -0.16 < needed / (gigabytes * GIB) - 1 < 0.02


def test_a_short_batch_of_torchtune() -> None:
    """8B QLoRA at batch 2 on a 4090: 7.4 GiB, on Alpaca's rows of about a hundred tokens, rank 8."""
    needed = estimate(LLAMA_8B, qlora(2 * 128, 2 * 128, 8), "cuda").total
    assert -0.14 < needed / (7.4 * GIB) - 1 < 0.14


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3", "gpt_neox", "gpt2", "opt", "bloom", "falcon"])
def test_the_shape_counts_the_weights_that_the_model_has(family: str, tmp_path: Path) -> None:
    """Some have two matrices in their MLP, some fuse the projections of attention."""
    model = random_model(family)
    model.config.save_pretrained(tmp_path)
    shape = shape_of(ModelIdentity(str(tmp_path), None, "none", family))
    assert sum(p.numel() for p in model.parameters()) == shape.linear_parameters + shape.other_parameters
    adapted = add_adapters(model, LoraSettings(rank=4))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert trained == shape.adapter_parameters(4)


def test_a_known_shape_counts_as_its_configuration_does() -> None:
    shape = SHAPES["embedded"]
    configuration = load_configuration(identify(Settings().model))
    counted = shape_from(configuration)
    assert shape == counted
    assert count_weights(configuration) == Weights(
        shape.linear_parameters, shape.other_parameters, shape.adapter_parameters(1)
    )


def test_known_shapes_are_those_of_the_published_models() -> None:
    billions = {
        name.rpartition("/")[2]: round((shape.linear_parameters + shape.other_parameters) / 1e9, 2)
        for name, shape in SHAPES.items()
    }
    assert billions == {
        "embedded": 0.13,
        "Llama-3.1-8B-Instruct": 8.03,
        "Llama-3.2-3B-Instruct": 3.21,
        "Llama-3.2-1B-Instruct": 1.24,
        "Llama-3.1-70B-Instruct": 70.55,
    }


def load(plan: ComputePlan, **training: int) -> Load:
    """Return the load of reviews of up to 200 tokens."""
    recipe = Recipe(
        ModelIdentity("x", None, "nf4", "x"), plan, LoraSettings(), TrainingSettings(**training), 0
    )
    return load_of(recipe, PlannedRows(200, recipe.training.batch_size))


def test_a_head_saves_the_logits_and_an_output_layer_that_is_not_tied() -> None:
    words = Recipe(
        ModelIdentity("x", None, "nf4", "x"), gpu_plan("bf16"), LoraSettings(), TrainingSettings(), 0
    )
    rows = PlannedRows(200, 16)
    for shape, output_bytes in ((LLAMA_8B, 2 * 128_256 * 4096), (SHAPES["embedded"], 0)):
        with_words, with_head = (
            estimate(shape, load_of(recipe, rows), "cuda")
            for recipe in (words, replace(words, head="classification"))
        )
        assert with_head.logits == 0 < with_words.logits
        assert with_words.weights - with_head.weights == output_bytes


def test_a_micro_batch_holds_the_token_budget_or_the_longest_row() -> None:
    full = load(gpu_plan("bf16"), tokens_per_pass=1000)
    assert full.batch.tokens == 1000
    assert full.checkpointing
    assert load(gpu_plan("bf16"), tokens_per_pass=100).batch.tokens == 200
    assert load(gpu_plan("bf16"), tokens_per_pass=999).batch.tokens == 800
    small = load(plan_compute("cpu", "fp32"), batch_size=2)
    assert (small.batch.tokens, small.weight_bytes, small.checkpointing) == (400, 4, False)


def test_a_micro_batch_of_known_rows_is_the_one_that_the_trainer_makes() -> None:
    rows = KnownRows((100, 90, 80, 70), shared=30)
    # Attention: the prefix as a row of 32, and four rows of 80 (70 rounded up), each with keys for 30 + 80.
    attention = (32 + 4 * 80, 32 + 4 * 128, 32 * 32 + 4 * 80 * 128)
    assert rows.heaviest(1000, packs_rows=True) == MicroBatch(340 - 3 * 30, 4, *attention)
    assert rows.heaviest(1000, packs_rows=False) == MicroBatch.padded(4, 112)
    # Two micro-batches: 100 with 80, and 90 with 70.
    heavier = rows.heaviest(200, packs_rows=True)
    assert (heavier.tokens, heavier.rows) == (180 - 30, 2)
    assert rows.truncated(75).longest == 75


@given(
    lengths=st.lists(st.integers(40, 200), min_size=1, max_size=16).map(tuple),
    shared=st.integers(0, 39),
    tokens_per_pass=st.integers(200, 4000),
)
def test_a_micro_batch_of_known_rows_stays_within_the_token_budget(
    lengths: tuple[int, ...], shared: int, tokens_per_pass: int
) -> None:
    known = KnownRows(lengths, shared).heaviest(tokens_per_pass, packs_rows=True)
    assert known.tokens <= tokens_per_pass
    assert known.rows <= len(lengths)


def test_attention_is_counted_with_the_padding_that_it_computes() -> None:
    """Rows of very different lengths: the blocks that `packed_attention` makes of them hold as much."""
    ids = [[0, 1, 2, *range(3 + number, 3 + number + 13 * number)] for number in range(1, 13)]
    ids.sort(key=len, reverse=True)
    packed = pack(ids, most_shared=3).rows
    q, k = torch.zeros(1, packed.tokens, 4, 8).squeeze(0), torch.zeros(packed.tokens, 2, 8)
    blocks = blocks_of(packed, q, k)
    counted = MicroBatch.packed(list(map(len, ids)), 3)
    assert counted.queries == sum(len(block.queries_at) for block in blocks) / 4
    assert counted.keys == sum(len(block.keys_at) for block in blocks) / 2
    assert counted.scores == sum(block.rows * block.bias.numel() / 2 for block in blocks)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_takes_more_memory(device: str) -> None:
    shape = SHAPES["embedded"]
    load = Load(MicroBatch.padded(8, 256), 32, 16, True, False, False, 2, "adamw_torch_fused")
    plain = estimate(shape, load, device).total
    assert estimate(shape, replace(load, batch=MicroBatch.padded(16, 256)), device).total > plain
    assert estimate(shape, replace(load, rank=64), device).total > plain
    assert estimate(shape, replace(load, nf4=False), device).total > plain
    assert estimate(shape, replace(load, dequantised_once=True), device).total > plain
    assert estimate(shape, replace(load, weight_bytes=4), device).total > plain
    assert estimate(shape, replace(load, checkpointing=True), device).total < plain
    more = estimate(shape, replace(load, answer_tokens=64), device)
    assert more.logits == 64 * shape.vocabulary * LOGIT_BYTES


def test_on_a_cpu_small_passes_take_what_loading_takes() -> None:
    """A 7B model in BF16 is there twice while it is quantised, whatever a pass takes."""
    load = Load(MicroBatch.padded(1, 256), 2, 16, True, True, False, 2, "adamw_torch_fused")
    weights = 2 * (LLAMA_8B.linear_parameters + LLAMA_8B.other_parameters)
    assert estimate(LLAMA_8B, load, "cpu").total > 2 * weights
