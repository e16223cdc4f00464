"""All kinds of arms by their name, without loading what only some of them need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import DataError

if TYPE_CHECKING:
    from review_sentiment.arms.arm import Arm, LabelledDocuments
    from review_sentiment.config import TrainedArm
    from review_sentiment.models.base_model import ModelIdentity

KIND_FILE = "kind.txt"
EPOCHS = 2
"""Of a tuned encoder, unless more are asked for."""
CHOOSING_REVIEWS = 300
"""Validation reviews that choose regularisation and epoch: an encoder takes seconds to read more."""


def fit_arm(
    name: TrainedArm,
    train: LabelledDocuments,
    validation: LabelledDocuments,
    seed: int,
    encoder: ModelIdentity | None = None,
    epochs: int = EPOCHS,
) -> Arm:
    """Train an arm.

    A sample of the validation documents chooses regularisation and epoch. `encoder` is the one that some
    kinds start from; if it is not given, they start from the embedded one. `epochs` are those of a tuned one.

    Raises:
        ModelUnavailableError: the encoder is not available.
        TrainingError: the training did not converge.
    """
    if name == "tfidf":
        from review_sentiment.arms.tfidf import Tfidf

        return Tfidf.fit(train, seed)
    from review_sentiment.arms.encoder_source import identify_encoder

    encoder, validation = encoder or identify_encoder(), validation.head(CHOOSING_REVIEWS)
    if name == "static":
        from review_sentiment.arms.static import Static

        return Static.fit(encoder, train, validation, seed)
    from review_sentiment.arms.encoder import Encoder

    if name == "frozen_encoder":
        from review_sentiment.arms.frozen_encoder import fit_frozen_encoder

        return fit_frozen_encoder(Encoder.open(encoder), train, validation, seed)
    from review_sentiment.arms.tuned_encoder import fit_tuned_encoder

    return fit_tuned_encoder(Encoder.open(encoder), train, validation, seed, epochs)


def save_arm(name: TrainedArm, arm: Arm, directory: Path) -> None:
    """Write an arm and its kind to an empty directory."""
    arm.save(directory)
    (directory / KIND_FILE).write_text(name, encoding="utf-8")


def packages_of(directory: Path) -> tuple[str, ...]:
    """Return the packages that an arm needs to answer, besides those that all need."""
    from review_sentiment.arms.encoder_classifier import ENCODER_DIRECTORY
    from review_sentiment.arms.onnx_encoder import GRAPH_FILE

    if (directory / ENCODER_DIRECTORY / GRAPH_FILE).is_file():
        return ("onnxruntime",)
    return ("model2vec",) if (directory / KIND_FILE).read_text(encoding="utf-8") == "static" else ()


def load_arm(directory: Path, device: str = "auto") -> Arm:
    """Read what `save_arm` wrote; an encoder answers on the device.

    Raises:
        DataError: the directory has no arm of a kind that is known.
        ModelUnavailableError: its encoder is damaged.
    """
    file = directory / KIND_FILE
    match file.read_text(encoding="utf-8") if file.is_file() else "":
        case "tfidf":
            from review_sentiment.arms.tfidf import Tfidf

            return Tfidf.load(directory)
        case "static":
            from review_sentiment.arms.static import Static

            return Static.load(directory)
        case "frozen_encoder" | "tuned_encoder":
            from review_sentiment.arms.encoder_classifier import EncoderClassifier

            return EncoderClassifier.load(directory, device)
        case other:
            raise DataError(f"{directory} has no arm of a known kind: {KIND_FILE} is {other!r}.")
