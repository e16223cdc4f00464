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


def fit_arm(
    name: TrainedArm,
    train: LabelledDocuments,
    validation: LabelledDocuments,
    seed: int,
    encoder: ModelIdentity | None = None,
) -> Arm:
    """Train an arm.

    The validation documents choose what a kind leaves open, such as the number of epochs. `encoder` is what
    the kinds start from that have one; if it is not given, the embedded one.

    Raises:
        ModelUnavailableError: the encoder is not available.
        TrainingError: the training did not converge.
    """
    if name == "tfidf":
        from review_sentiment.arms.tfidf import Tfidf

        return Tfidf.fit(train, seed)
    from review_sentiment.arms.encoder_source import identify_encoder

    encoder = encoder or identify_encoder()
    if name == "static":
        from review_sentiment.arms.static import Static

        return Static.fit(encoder, train, validation, seed)
    from review_sentiment.arms.encoder import Encoder

    if name == "frozen_encoder":
        from review_sentiment.arms.frozen_encoder import fit_frozen_encoder

        return fit_frozen_encoder(Encoder.open(encoder), train, validation, seed)
    from review_sentiment.arms.tuned_encoder import fit_tuned_encoder

    return fit_tuned_encoder(Encoder.open(encoder), train, validation, seed)


def save_arm(name: TrainedArm, arm: Arm, directory: Path) -> None:
    """Write an arm and its kind to an empty directory."""
    arm.save(directory)
    (directory / KIND_FILE).write_text(name, encoding="utf-8")


def load_arm(directory: Path) -> Arm:
    """Read what `save_arm` wrote.

    Raises:
        DataError: the directory has no arm of a kind that is known.
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

            return EncoderClassifier.load(directory)
        case other:
            raise DataError(f"{directory} has no arm of a known kind: {KIND_FILE} is {other!r}.")
