"""A licence comes from its source, and is never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.registry.licences import data_licence, model_licence


def base(name: str) -> ModelIdentity:
    return ModelIdentity(name, None, "nf4", "title")


def test_the_embedded_ones_are_known() -> None:
    assert model_licence(base("embedded")) == "Apache-2.0"
    assert data_licence("embedded") == "CC0-1.0"


@pytest.mark.parametrize(
    ("head", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: llama3.1\n---\n", "llama3.1"),
        ("---\ntags: [x]\n---\n", None),
        ("# No head\n", None),
    ],
)
def test_a_directorys_licence_is_in_its_card(head: str, licence: str | None, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(head)
    assert model_licence(base(str(tmp_path))) == (licence or f"unknown: see {tmp_path}")


@pytest.mark.parametrize(
    ("source", "page"),
    [
        ("hub", "https://amazon-reviews-2023.github.io"),
        ("ucsd", "https://amazon-reviews-2023.github.io"),
        ("some/reviews", "some/reviews"),
        ("https://me:pw@host/reviews", "https://***@host/reviews"),
    ],
)
def test_a_source_without_a_stated_licence_is_unknown(source: str, page: str) -> None:
    assert data_licence(source) == f"unknown: see {page}"


def test_an_unreachable_hub_leaves_the_licence_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert model_licence(base("nobody/nothing")) == "unknown: see http://127.0.0.1:9/nobody/nothing"
    assert data_licence("hf://datasets/nobody/nothing@abc/dir") == (
        "unknown: see http://127.0.0.1:9/datasets/nobody/nothing"
    )
