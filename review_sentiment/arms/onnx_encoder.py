"""An encoder that ONNX Runtime computes on the CPU, from two files: it needs no weights of PyTorch.

Each text is computed alone by a single thread, and as many texts at once as PyTorch has threads. So
there is no padding, no thread waits for another, and a vector is bit-identical in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.errors import ModelUnavailableError, first_line

if TYPE_CHECKING:
    import numpy.typing as npt
    from tokenizers import Tokenizer

GRAPH_FILE = "encoder.onnx"
TOKENIZER_FILE = "tokenizer.json"
TOKENS, VECTOR = "text_tokens", "text_vector"
"""The graph's input, INT64 [1, tokens], and its output, FP32 [1, d]."""
ERRORS_ONLY = 3
"""Level of ONNX Runtime's log: its warnings are about how a graph was written."""


SLOW_FUSIONS = ["BiasGeluFusion", "SkipLayerNormFusion"]
"""What ONNX Runtime 1.32 computes slower than the operators that they fuse: on one core, 208 against 36
microseconds for a sum and its normalisation [80, 384], 151 against 106 for a bias and a GELU [80, 1536]."""


def require_onnx_package(name: str) -> Any:
    """Import a package of the extra `onnx`.

    Raises:
        ModelUnavailableError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelUnavailableError(
            f"An encoder in the ONNX format needs the package {name} ({first_line(error)}). Install it: "
            "pip install '.[onnx]'."
        ) from error


@dataclass(frozen=True)
class OnnxEncoder:
    """A tokenizer, which cuts long texts, and a graph from a text's tokens to their mean hidden state."""

    tokenizer: Tokenizer
    graph: bytes
    session: Any

    @classmethod
    def start(cls, tokenizer: Tokenizer, graph: bytes) -> OnnxEncoder:
        """Prepare a graph to be computed.

        Raises:
            ModelUnavailableError: ONNX Runtime is not installed, or cannot read the graph.
        """
        runtime = require_onnx_package("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        try:
            session = runtime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW_FUSIONS
            )
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise ModelUnavailableError(
                f"ONNX Runtime {runtime.__version__} cannot read the graph of an encoder: "
                f"{first_line(error)}. If a newer one wrote it, install that: pip install '.[onnx]'. "
                "Otherwise the file is damaged: get it again."
            ) from error
        return cls(tokenizer, graph, session)

    @classmethod
    def load(cls, directory: Path) -> OnnxEncoder:
        """Read what `save` wrote.

        Raises:
            ModelUnavailableError: as `start`, or a file is missing or damaged.
        """
        from tokenizers import Tokenizer

        try:
            graph = (directory / GRAPH_FILE).read_bytes()
            tokenizer = Tokenizer.from_file(str(directory / TOKENIZER_FILE))
        except Exception as error:  # tokenizers raises a bare Exception for a file that it cannot read
            raise ModelUnavailableError(
                f"The encoder in {directory} cannot be read: {first_line(error)}. It needs {GRAPH_FILE} and "
                f"{TOKENIZER_FILE}: get the files of this version again."
            ) from error
        try:
            return cls.start(tokenizer, graph)
        except ModelUnavailableError as error:
            raise ModelUnavailableError(f"{directory / GRAPH_FILE}: {error}") from error

    def save(self, directory: Path) -> None:
        """Write the tokenizer and the graph."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / GRAPH_FILE).write_bytes(self.graph)
        self.tokenizer.save(str(directory / TOKENIZER_FILE))

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, with the special ones, cut at the encoder's maximum."""
        return [found.ids for found in self.tokenizer.encode_batch(list(texts))]

    def means(self, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Return the mean hidden state [n, d] of each row of tokens; that of no tokens is zero."""
        import torch

        found = np.zeros((len(rows), self.session.get_outputs()[0].shape[1]), np.float32)

        def compute(row: int) -> None:
            (vectors,) = self.session.run([VECTOR], {TOKENS: np.array([rows[row]], np.int64)})
            found[row] = vectors[0]

        longest_first = sorted(filter(rows.__getitem__, range(len(rows))), key=lambda row: -len(rows[row]))
        if len(longest_first) == 1:  # without the 0.1 ms that a pool takes to start
            compute(longest_first[0])
        else:
            # The longest come first, so that no thread is left alone with one at the end.
            with ThreadPoolExecutor(torch.get_num_threads()) as pool:
                for _ in pool.map(compute, longest_first):
                    pass  # raises what `compute` raised
        return found
