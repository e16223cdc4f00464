"""The licences of the base model and the reviews, as far as their sources state them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.data.sources.source import EMBEDDED as EMBEDDED_DATA
from review_sentiment.models import embedded_model
from review_sentiment.models.access import hub_page
from review_sentiment.models.base_model import EMBEDDED as EMBEDDED_MODEL
from review_sentiment.tracking.provenance import without_secrets

if TYPE_CHECKING:
    from review_sentiment.models.base_model import ModelIdentity

CARD = "README.md"
AMAZON_REVIEWS_PAGE = "https://amazon-reviews-2023.github.io"

logger = logging.getLogger(__name__)


def model_licence(base: ModelIdentity) -> str:
    """Return a model's licence from its card, or where to look for it."""
    if base.name == EMBEDDED_MODEL:
        return embedded_model.LICENCE
    directory = Path(base.name)
    if directory.is_dir():
        return _of_file(directory / CARD) or f"unknown: see {base.name}"
    return _of_hub(base.name, base.revision, "model") or f"unknown: see {hub_page(base.name)}"


def data_licence(source: str) -> str:
    """Return the licence of `data.source`, or where to look for it."""
    from review_sentiment.data.sources.embedded import LICENCE
    from review_sentiment.data.sources.hub import AMAZON_REVIEWS
    from review_sentiment.data.sources.hub_repository import ADDRESS
    from review_sentiment.data.sources.source import HUB, UCSD

    if source == EMBEDDED_DATA:
        return LICENCE
    if source in (HUB, AMAZON_REVIEWS, UCSD):  # their pages do not state one
        return f"unknown: see {AMAZON_REVIEWS_PAGE}"
    found = ADDRESS.match(source)
    if found is None:
        return f"unknown: see {without_secrets(source)}"
    repository = found["repository"]
    licence = _of_hub(repository, found["revision"], "dataset")
    return licence or f"unknown: see {hub_page(f'datasets/{repository}')}"


def _of_hub(repository: str, revision: str | None, kind: str) -> str | None:
    from httpx2 import HTTPError
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        card = hf_hub_download(repository, CARD, revision=revision, repo_type=kind)
    except (HfHubHTTPError, HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        logger.info("The card of %s could not be read, so its licence is unknown: %s", repository, error)
        return None
    return _of_file(Path(card))


def _of_file(card: Path) -> str | None:
    """Return the licence in the YAML header of a card, or None."""
    from huggingface_hub import metadata_load

    head = metadata_load(card) if card.is_file() else None
    if not head or not head.get("license"):
        return None
    return str(head.get("license_name") or head["license"])
