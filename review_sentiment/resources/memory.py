"""How much memory a training needs, estimated from the shape of the model and the recipe.

    python run_pipeline.py estimate

The estimate for a GPU sums what is held (weights, adapters and their optimizer state, activations, logits at
the answers, one dequantised layer or all of them), multiplies it by the allocator's overhead, and adds the
CUDA context. On a CPU the activations are those of our own layers and packed attention. The tests compare the
GPU estimate with published figures; `benchmarks/memory.py` compares the CPU estimate with measured peaks.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from review_sentiment.resources.device import CUDA_CONTEXT_BYTES

if TYPE_CHECKING:
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.resources.micro_batches import MicroBatch, Rows

NF4_BYTES = 4.127 / 8
"""A weight in NF4 takes 4 bits, and 0.127 for its scale: each block of 64 weights has one, itself quantised
to 8 bits (double quantisation; QLoRA, arXiv 2305.14314, section 3)."""
ADAPTER_BYTES = {"adamw_torch_fused": 16, "adamw_torch": 16}
"""An FP32 adapter weight, its gradient, and the two moments of Adam."""
GPU_OVERHEAD, OF_KEPT_LAYERS = 0.10, 0.15
"""Bytes that the CUDA allocator reserves for each byte in use, and more for layers that keep all."""
LOGIT_BYTES = 16
"""One logit in BF16, its FP32 copy, the FP32 gradient, and a temporary."""
CPU_PROCESS_BYTES = 1.1e9
"""A process that has run the steps before training: libraries, and what evaluating the baseline left."""
MLP_WIDTHS = ("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner")
"""What configurations call the width of the MLP. BLOOM has none of them: it is 4 times the hidden size."""
CPU_TEMPORARIES = 20
"""Temporaries of one block that glibc's heap ends up with: it keeps what was freed, in holes between what is
kept. Fitted with `benchmarks/memory.py`; without holes (MALLOC_MMAP_THRESHOLD_=65536) it would be one."""


@dataclass(frozen=True)
class Weights:
    """The weights of a model: in the linear layers of its blocks, elsewhere, and of adapters of rank 1."""

    linear: int
    others: int
    adapters: int


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a model that memory depends on; `key_value` is the width of all key heads together.

    Without `counted` weights they are those of a Llama.
    """

    hidden: int
    layers: int
    intermediate: int
    heads: int
    key_value: int
    vocabulary: int
    tied: bool
    counted: Weights | None = None

    @property
    def linear_parameters(self) -> int:
        """Return the weights that are quantised and adapted, those of the blocks' linear layers."""
        if self.counted:
            return self.counted.linear
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * self.key_value
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def other_parameters(self) -> int:
        """Return the weights of the embeddings, the output layer and the norms."""
        if self.counted:
            return self.counted.others
        return self.vocabulary * self.hidden * (1 if self.tied else 2) + (2 * self.layers + 1) * self.hidden

    @property
    def output_parameters(self) -> int:
        """Return the weights of an output layer that shares none with the embeddings; part of the others."""
        return 0 if self.tied else self.vocabulary * self.hidden

    def adapter_parameters(self, rank: int) -> int:
        """Return the weights of A and B on every linear layer of the blocks."""
        if self.counted:
            return rank * self.counted.adapters
        square, narrow = 2 * (2 * self.hidden), 2 * (self.hidden + self.key_value)
        return self.layers * rank * (square + narrow + 3 * (self.hidden + self.intermediate))


SHAPES = {
    "embedded": ModelShape(576, 30, 1536, 9, 192, 49_152, tied=True),
    "meta-llama/Llama-3.1-8B-Instruct": ModelShape(4096, 32, 14336, 32, 1024, 128_256, tied=False),
    "meta-llama/Llama-3.2-3B-Instruct": ModelShape(3072, 28, 8192, 24, 1024, 128_256, tied=True),
    "meta-llama/Llama-3.2-1B-Instruct": ModelShape(2048, 16, 8192, 32, 512, 128_256, tied=True),
    "meta-llama/Llama-3.1-70B-Instruct": ModelShape(8192, 80, 28672, 64, 1024, 128_256, tied=False),
}
"""Models that can be planned for before they are downloaded, or unpacked in the case of the embedded one."""


@dataclass(frozen=True)
class Load:
    """What a micro-batch puts on the device, and how; `checkpointing` is a fraction of layers."""

    batch: MicroBatch
    answer_tokens: int
    rank: int
    nf4: bool
    checkpointing: float
    dequantised_once: bool
    weight_bytes: int
    optimizer: str
    keeps_probabilities: bool = False
    """Whether attention on a GPU keeps them, as the block-wise kernel of packed rows does."""
    has_head: bool = False
    """Whether a classification head replaces the output layer: its own few thousand numbers do not count."""


@dataclass(frozen=True)
class Memory:
    """Bytes by purpose; `overhead` is the CUDA context, the libraries and what the allocator wastes."""

    weights: float
    adapters: float
    activations: float
    logits: float
    dequantised: float
    overhead: float

    @property
    def total(self) -> float:
        """Return the bytes at the peak."""
        return float(sum(asdict(self).values()))


def shape_of(base: ModelIdentity) -> ModelShape:
    """Return the shape of a model, from its configuration; weights are not loaded.

    Raises:
        ModelUnavailableError: its configuration cannot be read.
    """
    if base.name in SHAPES:
        return SHAPES[base.name]
    from review_sentiment.models.loading import load_configuration

    configuration = load_configuration(base)
    return replace(shape_from(configuration), counted=count_weights(configuration))


def shape_from(configuration: Any) -> ModelShape:
    """Return the shape that a configuration of transformers describes."""
    heads = configuration.num_attention_heads
    key_heads = getattr(configuration, "num_key_value_heads", None) or heads
    size = getattr(configuration, "head_dim", None) or configuration.hidden_size // heads
    return ModelShape(
        hidden=configuration.hidden_size,
        layers=configuration.num_hidden_layers,
        intermediate=next(
            (width for name in MLP_WIDTHS if (width := getattr(configuration, name, None))),
            4 * configuration.hidden_size,
        ),
        heads=heads,
        key_value=key_heads * size,
        vocabulary=configuration.vocab_size,
        tied=bool(configuration.tie_word_embeddings),
    )


def count_weights(configuration: Any) -> Weights:
    """Count the weights of a model: GPT-NeoX has two matrices in its MLP, Falcon has a single key head."""
    from review_sentiment.models.lora import linear_layers, without_weights

    model = without_weights(configuration)
    layers: Any = linear_layers(model).values()
    shapes = [layer.weight.shape for layer in layers]
    linear = sum(map(math.prod, shapes))
    total = sum(parameter.numel() for parameter in model.parameters())
    return Weights(linear, total - linear, sum(map(sum, shapes)))


def load_of(recipe: Recipe, rows: Rows, answer_tokens: int = 2) -> Load:
    """Return the load of a training on rows whose answers have so many tokens."""
    plan = recipe.plan
    heaviest = rows.heaviest(recipe.token_budget, plan.packs_rows)
    return Load(
        batch=heaviest,
        answer_tokens=answer_tokens * heaviest.rows,
        rank=recipe.lora.rank,
        nf4=recipe.base.quantization == "nf4",
        checkpointing=recipe.recomputed_fraction,
        dequantised_once=recipe.dequantises_once,
        weight_bytes=4 if plan.precision == "fp32" else 2,
        optimizer=plan.optimizer,
        keeps_probabilities=plan.packs_rows and plan.packed_attention[0] == "blocks",
        has_head=recipe.has_head,
    )


def estimate(shape: ModelShape, load: Load, device: str, process: float = CPU_PROCESS_BYTES) -> Memory:
    """Return what a training takes at its peak, on `cuda` or `cpu`.

    `process` are the bytes that a process on a CPU has before it loads the model.
    """
    on_gpu = device == "cuda"
    linear = shape.linear_parameters * (NF4_BYTES if load.nf4 else load.weight_bytes)
    adapters = shape.adapter_parameters(load.rank) * ADAPTER_BYTES[load.optimizer]
    a_block = (_gpu_activations if on_gpu else _cpu_activations)(shape, load)
    block_inputs = load.weight_bytes * shape.hidden * shape.layers * load.batch.tokens
    recomputed = load.checkpointing
    activations = (1 - recomputed) * a_block * shape.layers
    if recomputed:  # those layers keep their inputs, and one of them is recomputed at a time
        activations += recomputed * block_inputs + a_block
    dequantised = shape.linear_parameters if load.dequantised_once else shape.hidden * shape.intermediate
    others = shape.other_parameters - shape.output_parameters * load.has_head
    held = Memory(
        weights=linear + others * load.weight_bytes,
        adapters=adapters,
        activations=activations,
        logits=load.answer_tokens * shape.vocabulary * LOGIT_BYTES * (not load.has_head),
        dequantised=load.weight_bytes * dequantised * load.nf4,
        overhead=0.0,
    )
    if on_gpu:
        overhead = held.total * (GPU_OVERHEAD + OF_KEPT_LAYERS * (1 - recomputed)) + CUDA_CONTEXT_BYTES
    else:
        # Small micro-batches need less memory than loading does: then the weights exist as they are in
        # their file, and once more while they are cast and quantised.
        loading = 2 * load.weight_bytes * (shape.linear_parameters + shape.other_parameters) + adapters
        running = held.total + CPU_TEMPORARIES * _cpu_temporaries(shape, load)
        overhead = process + max(loading, running) - held.total
    return Memory(**(asdict(held) | {"overhead": overhead}))


def _gpu_activations(shape: ModelShape, load: Load) -> float:
    """Return the bytes that one block keeps for its backward pass."""
    a_token = 16 * shape.hidden + 4 * shape.key_value + 8 * shape.intermediate + 14 * load.rank
    probabilities = load.weight_bytes * load.batch.scores * shape.heads * load.keeps_probabilities
    return load.batch.tokens * a_token + probabilities


def _cpu_activations(shape: ModelShape, load: Load) -> float:
    """Return the bytes that one block keeps: with our norms, gated layers, LoRA products and attention.

    Both norms keep input and output, the output projection its input, the gated layer gate and up; attention
    its queries, keys, values and probabilities, with the padding of its rows.
    """
    batch = load.batch
    linear = batch.tokens * (5 * shape.hidden + 2 * shape.intermediate)
    attention = batch.queries * shape.hidden + 2 * batch.keys * shape.key_value + batch.scores * shape.heads
    return float(load.weight_bytes * (linear + attention))


def _cpu_temporaries(shape: ModelShape, load: Load) -> float:
    """Return the bytes that the operations of one block need while they run."""
    return load.weight_bytes * load.batch.tokens * (3 * shape.hidden + 2 * shape.intermediate)
