"""Export an encoder arm to ONNX: FP32, proved to answer the same, or int8 if that is as good and faster."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from review_sentiment.arms.encoder import Encoder
from review_sentiment.arms.onnx_encoder import OnnxEncoder
from review_sentiment.arms.onnx_graph import exported_graph, exported_tokenizer
from review_sentiment.arms.onnx_int8 import with_int8_weights
from review_sentiment.errors import TrainingError

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.arms.arm import LabelledDocuments
    from review_sentiment.arms.encoder_classifier import EncoderClassifier

Form = Literal["torch", "fp32", "int8"]
"""PyTorch in FP32, and ONNX Runtime with weights of either precision."""

TOLERANCE = 1e-4
"""Of FP32, compared with PyTorch: a probability, and a vector in units of its length."""
REQUIRED_AGREEMENT = 0.98
"""Fraction of the documents that must keep their label in int8. Near ties may change theirs, for better or
worse: of 300 reviews, the embedded encoder keeps 98.7 %, and its cross-entropy with the labels is no higher.
The exported model is what is evaluated, so the gate judges it."""
MAX_CROSS_ENTROPY_LOSS = 0.002
"""In nats, how much worse int8 may be."""
KEEP_PYTORCH = "Use the arm as it is, in PyTorch, or choose another encoder (arms.encoder)."
ROUNDS = 5
TIMED_DOCUMENTS = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fidelity:
    """How an exported arm answers documents, compared with the same arm in PyTorch.

    The changes are those of probabilities. `agreement` is the fraction of the documents with the same label.
    `cross_entropy_change` is in nats per document; above zero is worse.
    """

    largest_change: float
    mean_change: float
    agreement: float
    cross_entropy_change: float

    @classmethod
    def of(
        cls,
        exported: npt.NDArray[np.float64],
        original: npt.NDArray[np.float64],
        targets: npt.NDArray[np.float64],
    ) -> Fidelity:
        """Compare log-probabilities [n, c] with the original ones."""
        changes = np.abs(np.exp(exported) - np.exp(original))
        return cls(
            float(changes.max()),
            float(changes.mean()),
            float((exported.argmax(1) == original.argmax(1)).mean()),
            float((targets * (original - exported)).sum(1).mean()),
        )


@dataclass(frozen=True)
class OnnxExport:
    """What was measured on documents, and which precision was chosen for what reason.

    `throughput` has the documents per second of each form, round by round: the forms take turns.
    """

    documents: int
    fp32: Fidelity
    int8: Fidelity
    throughput: Mapping[Form, tuple[float, ...]]
    precision: Literal["fp32", "int8"]
    reason: str


def export_onnx(arm: EncoderClassifier, documents: LabelledDocuments) -> tuple[EncoderClassifier, OnnxExport]:
    """Return an arm that ONNX Runtime computes on the CPU, and how it was chosen; `arm` stays as it is.

    The documents are held-out ones: some hundred, for which it takes about a minute.

    Raises:
        ModelUnavailableError: a package of the extra `onnx` is not installed.
        TrainingError: the encoder cannot be exported, or its export answers otherwise.
    """
    if not isinstance(arm.encoder, Encoder):
        raise TypeError("this arm is exported already")
    encoder = Encoder(arm.encoder.tokenizer, deepcopy(arm.encoder.model).to("cpu"))
    graph, tokenizer = exported_graph(encoder), exported_tokenizer(encoder)
    exported = OnnxEncoder.start(tokenizer, graph)
    _require_same_vectors(encoder, exported, documents.documents)
    forms: dict[Form, EncoderClassifier] = {
        "torch": replace(arm, encoder=encoder),
        "fp32": replace(arm, encoder=exported),
        "int8": replace(arm, encoder=OnnxEncoder.start(tokenizer, with_int8_weights(graph))),
    }
    answers = {form: found.document_log_probs(documents.documents) for form, found in forms.items()}
    fp32, int8 = (
        Fidelity.of(answers[form], answers["torch"], documents.targets) for form in ("fp32", "int8")
    )
    _require_same_answers(fp32)
    throughput = _throughput(forms, documents.documents[:TIMED_DOCUMENTS])
    precision, reason = chosen_precision(int8, throughput)
    export = OnnxExport(len(documents), fp32, int8, throughput, precision, reason)
    _log(export)
    return forms[precision], export


def chosen_precision(
    int8: Fidelity, throughput: Mapping[Form, Sequence[float]]
) -> tuple[Literal["fp32", "int8"], str]:
    """Return the precision to keep, and why.

    int8 is kept if it answers as well and is faster than FP32 in every round of `throughput` (documents per
    second, by form).
    """
    speed_ups = [ours / other for ours, other in zip(throughput["int8"], throughput["fp32"], strict=True)]
    if int8.agreement < REQUIRED_AGREEMENT:
        return "fp32", (
            f"int8 keeps the label of only {int8.agreement:.2%} of the documents; "
            f"{REQUIRED_AGREEMENT:.1%} are required"
        )
    if not int8.cross_entropy_change <= MAX_CROSS_ENTROPY_LOSS:
        return "fp32", (
            f"int8 raises the cross-entropy by {int8.cross_entropy_change:.4f} nats; "
            f"{MAX_CROSS_ENTROPY_LOSS} are accepted"
        )
    if not min(speed_ups) > 1:
        return "fp32", (
            f"int8 is not faster in every round: {min(speed_ups):.2f} to {max(speed_ups):.2f} times the "
            "throughput of FP32"
        )
    return "int8", (
        f"int8 has {statistics.median(speed_ups):.2f} times the throughput of FP32, keeps the label of "
        f"{int8.agreement:.1%} of the documents and changes the cross-entropy by "
        f"{int8.cross_entropy_change:+.4f} nats"
    )


def _require_same_vectors(encoder: Encoder, exported: OnnxEncoder, texts: Sequence[str]) -> None:
    """Compare all texts, and a text that is as long as the encoder can read: no document may be."""
    rows = encoder.tokenise([*texts, " ".join(texts)])
    if exported.tokenise([*texts, " ".join(texts)]) != rows:
        raise TrainingError(
            f"The exported tokenizer of {type(encoder.model).__name__} divides texts otherwise than the "
            f"original one. {KEEP_PYTORCH}"
        )
    original = encoder.means(rows)
    lengths = np.linalg.norm(original, axis=1).clip(min=np.finfo(np.float32).tiny)
    differences = np.linalg.norm(exported.means(rows) - original, axis=1) / lengths
    if not differences.max() <= TOLERANCE:
        worst = int(np.nan_to_num(differences, nan=np.inf).argmax())
        raise TrainingError(
            f"The exported {type(encoder.model).__name__} computes other vectors than the original one: "
            f"that of {len(rows[worst])} tokens differs by {differences[worst]:.1e} of its length, and "
            f"{TOLERANCE:.0e} is the most that rounding explains. {KEEP_PYTORCH}"
        )


def _require_same_answers(fp32: Fidelity) -> None:
    if not fp32.largest_change <= TOLERANCE:
        raise TrainingError(
            f"The exported encoder changes a probability by {fp32.largest_change:.1e}; {TOLERANCE:.0e} is "
            f"the most that rounding explains. {KEEP_PYTORCH}"
        )


def _throughput(
    forms: Mapping[Form, EncoderClassifier], texts: Sequence[str]
) -> dict[Form, tuple[float, ...]]:
    """Return the texts per second of each form in each round; what else the machine does hits all alike."""
    found: dict[Form, list[float]] = {form: [] for form in forms}
    for _ in range(ROUNDS):
        for form, arm in forms.items():
            start = time.perf_counter()
            arm.document_log_probs(texts)
            found[form].append(len(texts) / (time.perf_counter() - start))
    return {form: tuple(values) for form, values in found.items()}


def _log(export: OnnxExport) -> None:
    logger.info(
        "Exported the encoder to ONNX: on %d documents, probabilities differ from PyTorch's by at most %.1e "
        "in FP32 and %.1e in int8 (%.1e on average). Documents per second: %s",
        export.documents,
        export.fp32.largest_change,
        export.int8.largest_change,
        export.int8.mean_change,
        ", ".join(f"{form} {statistics.median(values):.0f}" for form, values in export.throughput.items()),
    )
    logger.info("The export keeps %s: %s", export.precision, export.reason)
