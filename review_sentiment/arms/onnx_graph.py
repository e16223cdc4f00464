"""From an encoder of PyTorch to a tokenizer and a graph in the ONNX format, in FP32."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from review_sentiment.arms.onnx_encoder import TOKENS, VECTOR, require_onnx_package
from review_sentiment.errors import TrainingError, first_line

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from review_sentiment.arms.encoder import Encoder

PLAIN_ATTENTION = "eager"
"""Products and a softmax, which ONNX Runtime computes as they are."""
TRACED_TOKENS = 24
"""Of the text that is traced. The graph takes any number of them."""
MAX_BYTES = 2**31
"""Of a file in the format, which is one protobuf message."""


def exported_graph(encoder: Encoder) -> bytes:
    """Return the graph from the tokens of one text to their mean hidden state, in FP32.

    Raises:
        ModelUnavailableError: a package that exports is not installed.
        TrainingError: the encoder cannot be exported.
    """
    import torch

    for package in ("onnx", "onnxruntime", "onnxscript"):
        require_onnx_package(package)
    model = deepcopy(encoder.model).to("cpu")
    if model.config._attn_implementation != PLAIN_ATTENTION:
        model.set_attn_implementation(PLAIN_ATTENTION)
    if (size := sum(weight.nbytes for weight in model.parameters())) >= MAX_BYTES:
        raise TrainingError(
            f"An encoder of {size / 1e9:.1f} GB does not fit into an ONNX file, which has 2 GB at most. "
            "Choose a smaller encoder (arms.encoder)."
        )
    tokens = torch.full((1, min(TRACED_TOKENS, encoder.max_tokens)), encoder.tokenizer.unk_token_id or 0)
    try:
        with _quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                _mean_state(model),
                (tokens,),
                dynamo=True,
                dynamic_shapes=({1: torch.export.Dim("tokens", min=1, max=encoder.max_tokens)},),
                input_names=[TOKENS],
                output_names=[VECTOR],
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise TrainingError(
            f"The encoder ({type(model).__name__}) cannot be exported to ONNX: {first_line(error)}. Choose "
            "another encoder (arms.encoder), or keep it in the format of PyTorch."
        ) from error
    return bytes(program.model_proto.SerializeToString())


def exported_tokenizer(encoder: Encoder) -> Tokenizer:
    """Return a tokenizer that cuts texts as the encoder's.

    Raises:
        TrainingError: the encoder's is written in Python.
    """
    from tokenizers import Tokenizer

    backend = getattr(encoder.tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise TrainingError(
            f"The tokenizer {type(encoder.tokenizer).__name__} cannot be exported: it is not one of "
            "the package tokenizers. Choose an encoder with a tokenizer.json (arms.encoder)."
        )
    found = Tokenizer.from_str(backend.to_str())
    found.no_padding()
    found.enable_truncation(encoder.max_tokens)
    return found


def _mean_state(model: torch.nn.Module) -> torch.nn.Module:
    import torch

    class MeanState(torch.nn.Module):
        """All tokens of one text count, so there is no mask."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.model(input_ids=tokens).last_hidden_state.mean(1)
            return found

    return MeanState().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says to its developers off the terminal."""
    exporter = logging.getLogger("torch.onnx")
    before = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        exporter.setLevel(before)
