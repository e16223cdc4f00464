"""Whether a base model can be had is known before anything runs, and what to do where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models.access import require_model
from review_sentiment.models.base_model import ModelIdentity
from tests.web_server import MODEL, WebServer, serving


def named(name: str) -> ModelIdentity:
    return ModelIdentity(name, None, "nf4", name)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with serving(tmp_path) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", server.url)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def test_the_embedded_model_and_a_directory_need_no_network(
    tiny_model: ModelIdentity, tmp_path: Path
) -> None:
    assert require_model(named("embedded")).startswith("embedded: ")
    assert require_model(tiny_model) == f"directory {tiny_model.name}"
    with pytest.raises(ModelUnavailableError, match=r"has no config\.json"):
        require_model(named(str(tmp_path)))


def test_a_gated_model_is_refused_with_three_things_to_do(
    hub: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated, hub.token = True, "hf_right"
    with pytest.raises(ModelUnavailableError, match=r"gated, and nobody is signed in.*\(1\).*\(2\).*\(3\)"):
        require_model(named(MODEL))
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(ModelUnavailableError, match=r"the signed-in account has no access") as refused:
        require_model(named(MODEL))
    assert "hf_other" not in str(refused.value)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert require_model(named(MODEL)) == f"{MODEL}, on the Hub, readable"


@pytest.mark.parametrize(
    ("name", "message"),
    [("nobody/nothing", "the Hub has no model 'nobody/nothing'"), ("a b//c", "is neither 'embedded'")],
)
def test_a_wrong_name_is_named(hub: WebServer, name: str, message: str) -> None:
    with pytest.raises(ModelUnavailableError, match=message):
        require_model(named(name))


def test_a_hub_that_does_not_answer_is_said(hub: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelUnavailableError, match="the Hub did not answer"):
        require_model(named(MODEL))
