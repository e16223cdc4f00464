"""Load a model to score with, and prove first that its scores are those of plain transformers.

Scoring takes short cuts: it packs rows or pads them on the right without a mask, reads single positions, and
replaces layers by faster ones. Each is right for the families that the tests list, and some model will come
for which one is not. Its probabilities would be wrong without an error, so every loaded model is compared
with its own forward pass on a few rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models.loading import load_adapted_model, load_model
from review_sentiment.models.merged_pass import can_merge, use_merged_pass
from review_sentiment.resources.device import free_bytes
from review_sentiment.resources.memory import shape_from
from review_sentiment.scoring.full_precision import MAX_FREE_FRACTION, computed_in_fp32, room_for_fp32
from review_sentiment.scoring.next_token import score_next_tokens

if TYPE_CHECKING:
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.models.compute import ComputePlan

logger = logging.getLogger(__name__)

PROBE_LENGTHS = (24, 9)
"""Tokens of each row that is compared. That takes 1 s for the embedded model in FP32 on two cores."""
PROBE_PREFIX = 5
"""Leading tokens that the rows share."""
PROBE_CANDIDATES = 5
TOLERANCE = {"fp32": 1e-3, "bf16": 0.5, "fp16": 0.5}
"""Largest difference of a log-probability that rounding explains. In FP32 the tiny models in the tests differ
by at most 4e-6 and the embedded one by 2e-5; in BF16, logits of 30 have steps of 1/8."""


def load_scored_model(base: ModelIdentity, adapter: Path | None, plan: ComputePlan) -> PreTrainedModel:
    """Load the base model, with the adapter if there is one, ready to score.

    Raises:
        ModelUnavailableError: it is not available, or label scoring does not support it.
    """
    model = load_model(base, plan).eval() if adapter is None else load_adapted_model(base, adapter, plan)
    require_plain_scores(model, plan)
    merge_if_it_fits(model, plan)
    return model


def merge_if_it_fits(model: PreTrainedModel, plan: ComputePlan) -> None:
    """Let a Llama-like model score by a merged pass, if its weights fit into memory beside the others.

    Raises:
        ModelUnavailableError: the merged pass gives other scores.
    """
    if not can_merge(model):
        return
    exact, room = replace(plan, precision="fp32"), MAX_FREE_FRACTION * free_bytes(plan.device)
    parameters = shape_from(model.config).linear_parameters
    needed, needed_in_fp32 = (one.dtype.itemsize * parameters for one in (plan, exact))
    if needed > room:
        logger.info(
            "Scoring does not merge the adapter into the weights: in %s they take %.1f GB, and %.1f GB may "
            "be used",
            *(plan.precision, needed / 1e9, room / 1e9),
        )
        return
    # Rounding hides small mistakes, so the pass is proved in FP32 and then merged again in its precision.
    proved = exact if needed_in_fp32 <= room and room_for_fp32(model, plan.device) else plan
    use_merged_pass(model, proved)
    _require_plain_scores(model, proved)
    if proved.precision != plan.precision:
        use_merged_pass(model, plan)


def require_plain_scores(model: PreTrainedModel, plan: ComputePlan) -> None:
    """Compare our scores of a few rows with those of the model's own forward pass, one row at a time.

    Raises:
        ModelUnavailableError: they differ by more than rounding.
    """
    in_fp32 = plan.precision == "fp32" or room_for_fp32(model, plan.device)
    _require_plain_scores(model, replace(plan, precision="fp32") if in_fp32 else plan)


def _require_plain_scores(model: PreTrainedModel, plan: ComputePlan) -> None:
    with computed_in_fp32(model) if plan.precision == "fp32" else nullcontext():
        difference = _difference(model, plan)
    if not difference <= TOLERANCE[plan.precision]:
        raise ModelUnavailableError(
            f"Models of the type '{model.config.model_type}' ({type(model).__name__}) are not supported: "
            f"label scoring and transformers' own forward pass differ by {difference:.2g} in a "
            "log-probability. docs/training.md lists the families that are tested. Choose another model."
        )


def _difference(model: PreTrainedModel, plan: ComputePlan) -> float:
    vocabulary, outputs = (
        int(layer.weight.shape[0]) for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    # Multiples of a prime, modulo the vocabulary: tokens from all of it, the same in every process.
    tokens = [7919 * (number + 1) % vocabulary for number in range(sum(PROBE_LENGTHS))]
    rows = [tokens[:PROBE_PREFIX] + tokens[length : 2 * length - PROBE_PREFIX] for length in PROBE_LENGTHS]
    candidates = sorted({token % outputs for token in tokens[-PROBE_CANDIDATES:]})
    scored, _ = score_next_tokens(model, rows, candidates, plan, sum(PROBE_LENGTHS))
    return float(np.abs(scored - _plain_scores(model, rows, candidates, plan)).max())


def _plain_scores(
    model: PreTrainedModel, rows: list[list[int]], candidates: list[int], plan: ComputePlan
) -> npt.NDArray[np.float64]:
    """Return the log-probabilities [n, candidates] that transformers computes, without our layers."""
    import torch

    with torch.inference_mode(), plan.autocast(), _own_layers_of(model):
        logits = [model(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1] for ids in rows]
    log_probs = torch.stack(logits).float().log_softmax(-1)[:, candidates]
    return np.asarray(log_probs.double().cpu())


@contextmanager
def _own_layers_of(model: PreTrainedModel) -> Iterator[None]:
    """Undo `fuse_adapters`, `lighten` and packed attention within the block."""
    with ExitStack() as undo:
        undo.callback(model.set_attn_implementation, model.config._attn_implementation)
        model.set_attn_implementation("eager")
        for module in model.modules():
            replaced: Any = module.__dict__.get("forward")
            if getattr(replaced, "__module__", "").startswith("review_sentiment."):
                undo.callback(setattr, module, "forward", replaced)
                del module.forward
        yield
