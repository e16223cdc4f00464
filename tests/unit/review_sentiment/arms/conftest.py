from __future__ import annotations

import pytest

from review_sentiment.arms.encoder_source import identify_encoder
from review_sentiment.models.base_model import ModelIdentity
from tests.tiny_encoder import make_tiny_encoder

WORDS = {"good": "lovely soft warm", "bad": "torn itchy thin", "fair": "plain usual average"}


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> ModelIdentity:
    """Return a random encoder that knows the words of the tests."""
    directory = tmp_path_factory.mktemp("encoder")
    others = "a and coat just number"
    make_tiny_encoder(directory, " ".join([*WORDS.values(), others]).split())
    return identify_encoder(str(directory))
