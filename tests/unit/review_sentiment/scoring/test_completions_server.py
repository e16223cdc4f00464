"""A server that fails, refuses or is busy: retried where that helps, else one error that says what to do."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from review_sentiment.errors import ReviewSentimentError, UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.scoring import completions_server
from review_sentiment.scoring.completions_server import CompletionsServer, Reply, ServerError
from tests.engine import KEY, Engine, serving
from tests.ports import free_ports

QUESTIONS = [{"prompt": f"Review {number}"} for number in range(20)]


@pytest.fixture(scope="module")
def engine(tiny_model: ModelIdentity) -> Engine:
    """Return a server of the tiny model; tests replace what is wrong with it."""
    return Engine(Path(tiny_model.name))


def asked(engine: Engine, key: str = "", timeout: float = 20.0, model: str | None = None) -> list[Reply]:
    """Return the answers to some questions, as the command asks them."""
    with serving(engine), CompletionsServer(f"{engine.url}/v1/", key, timeout) as server:
        return server.answers(server.choose_model(model), QUESTIONS, 2)


def test_a_busy_server_is_asked_again_a_few_requests_at_a_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completions_server, "FIRST_WAIT_SECONDS", 0.01)
    busy = replace(engine, busy=5)
    assert asked(busy) == asked(engine)
    assert busy.requests["/v1/completions"] == len(QUESTIONS) + 5
    assert 1 < busy.most_at_once <= completions_server.CONCURRENT_REQUESTS


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"needs_key"}, "needs an API key: set the variable OPENAI_API_KEY"),
        ({"broken_json"}, "is not JSON"),
        ({"empty"}, "is not a completion. Is it an OpenAI-compatible server?"),
        ({"slow"}, "did not answer within 0.2 s"),
    ],
    ids=str,
)
def test_a_server_that_fails_is_one_error(engine: Engine, fault: set[str], message: str) -> None:
    with pytest.raises(ServerError, match=message):
        asked(replace(engine, faults=frozenset(fault)), timeout=0.2 if fault == {"slow"} else 20)


def test_a_server_that_stays_busy_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions_server, "FIRST_WAIT_SECONDS", 0.001)
    busy = replace(engine, busy=10**6)
    with pytest.raises(ServerError, match="answered 429 in 6 attempts"):
        asked(busy)
    assert busy.requests["/v1/completions"] == completions_server.ATTEMPTS


def test_the_key_reaches_the_server_and_no_message(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    guarded = replace(engine, faults=frozenset({"needs_key"}))
    with caplog.at_level("DEBUG"):
        assert len(asked(guarded, KEY)) == len(QUESTIONS)
        with pytest.raises(ServerError, match="refused the key") as refused:
            asked(guarded, "sk-another-key")
        with serving(engine), CompletionsServer(engine.url, "review", 20) as server:
            with pytest.raises(ServerError, match="does not exist") as unknown:
                server.answers("review", QUESTIONS, 2)
            assert "`***`" in str(unknown.value)  # servers repeat what they were sent
    assert "sk-" not in f"{caplog.text}{refused.value!r}"


@pytest.mark.parametrize(
    ("offered", "model", "message"),
    [
        (("reviews",), "review", "has no model 'review'. Did you mean 'reviews'\\? It offers: reviews"),
        (("base", "reviews"), None, "Choose one of the models .* --model. It offers: base, reviews"),
        ((), None, "It offers: none"),
    ],
)
def test_the_models_that_a_server_offers_are_listed(
    engine: Engine, offered: tuple[str, ...], model: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        asked(replace(engine, models=offered), model=model)


def test_a_model_that_is_named_need_not_be_listed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions_server, "FIRST_WAIT_SECONDS", 0.001)
    unlisted = replace(engine, faults=frozenset({"no_list"}))
    assert len(asked(unlisted, model="tiny")) == len(QUESTIONS)
    with pytest.raises(ServerError, match="answered 500 in 6 attempts"):
        asked(unlisted)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000", "needs an address such as http://"),
        ("ftp://host", "needs an address such as http://"),
        ("http://user:secret@host", "contains a password"),
        ("http://127.0.0.1:port", "is not an address"),
        ("nothing listens", "cannot be reached: .*Is the server running"),
    ],
)
def test_an_address_that_cannot_be_used_is_explained(url: str, message: str) -> None:
    address = f"http://127.0.0.1:{free_ports(1)[0]}" if url == "nothing listens" else url
    with pytest.raises(ReviewSentimentError, match=message) as found:
        CompletionsServer(address, "", 5).choose_model(None)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("token", [" positive", "\u2581positive", "\u0120positive", "positive"])
def test_a_token_is_found_however_its_space_is_marked(token: str) -> None:
    assert Reply("", None, {token: -0.5, "negative": -2.0}).log_prob("positive") == -0.5
    assert Reply("", None, {token: -0.5}).log_prob("neutral") is None


def test_an_error_ends_the_requests_that_wait(engine: Engine) -> None:
    started = time.monotonic()
    with pytest.raises(ServerError, match="does not exist"), serving(engine):
        CompletionsServer(engine.url, "", 5).answers("none", QUESTIONS * 50, 1)
    assert time.monotonic() - started < 5
