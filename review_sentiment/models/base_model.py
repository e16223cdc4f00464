"""The identity of a base model: its name, revision and quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.models import embedded_model

if TYPE_CHECKING:
    from review_sentiment.config import ModelSettings

EMBEDDED = "embedded"


@dataclass(frozen=True)
class ModelIdentity:
    """What identifies a base model, so that an adapter can find it again on another machine.

    `name` is `embedded`, a directory or a Hub name; `title` is for people.
    """

    name: str
    revision: str | None
    quantization: str
    title: str


def identify(settings: ModelSettings) -> ModelIdentity:
    """Return the identity of the model that the settings name."""
    if settings.name == EMBEDDED:
        return ModelIdentity(
            EMBEDDED, embedded_model.revision(), settings.quantization, embedded_model.IDENTITY
        )
    return ModelIdentity(settings.name, settings.revision, settings.quantization, settings.name)
