"""A version over HTTP: a bad review costs only itself, and no response shows the server's insides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.scoring.prompted_model import untuned_scorer
from review_sentiment.scoring.service import build_app
from review_sentiment.scoring.version_files import Serving
from tests.tiny import prompt_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

JSON = "application/json"


@pytest.fixture(scope="module")
def client(tiny_model: ModelIdentity) -> TestClient:
    """Return a client of the tiny model, served as version 7 of `reviews`."""
    from starlette.testclient import TestClient

    scorer = untuned_scorer(Serving(tiny_model, prompt_of()), (0.5, 0.5), plan_compute("cpu", "fp32"))
    return TestClient(build_app(scorer, "reviews", "7"), raise_server_exceptions=False)


def ask(client: TestClient, body: str | bytes | dict[str, Any], kind: str = JSON) -> list[dict[str, Any]]:
    """Return the answers to a request."""
    content = json.dumps(body) if isinstance(body, dict) else body
    response = client.post("/invocations", content=content, headers={"content-type": kind})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"text": null}', "`text` is missing"),
        ('{"title": "no text"}', "`text` is missing"),
        ('{"text": NaN}', "`text` is missing"),
        ('{"text": 5}', "must be a string, got int"),
        ('{"text": ' + "9" * 5_000 + "}", "must be a string, got int"),
        ('{"text": ["a"]}', "must be a string, got list"),
        ('{"text": "ok", "title": 7}', "`title` must be a string"),
        ('{"text": ""}', "`text` is empty"),
        ('{"text": "<br />"}', "empty after cleaning"),
        ('{"text": "\\ud83d"}', "half a surrogate pair"),
        ('"no object"', "must be an object"),
        ("null", "must be an object"),
    ],
)
def test_a_bad_review_costs_only_itself(client: TestClient, bad: str, reason: str) -> None:
    good = '{"text": "fits well"}'
    first, failed, last = ask(client, f'{{"dataframe_records": [{good}, {bad}, {good}]}}')
    assert reason in failed.pop("error")
    assert not failed
    assert first == last
    assert set(first) == {"label", "probability", "p_negative", "p_positive", "model_version"}
    assert first["model_version"] == "7"


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"text": "NA"}, {"text": "soft " * 400_000}, {"text": None}]},
        {"instances": [{"text": "NA"}, {"text": "soft " * 400_000}, {"text": None}]},
        {"inputs": {"text": ["NA", "soft " * 400_000, None], "title": ["", None, "t"]}},
        {"dataframe_split": {"columns": ["text"], "data": [["NA"], ["soft " * 400_000], [None]]}},
        "text,title\nNA,\n" + "soft " * 400_000 + ",\n,t\n",
    ],
)
def test_every_format_gives_the_same_answers(client: TestClient, body: str | dict[str, Any]) -> None:
    answers = ask(client, body, "text/csv; charset=utf-8" if isinstance(body, str) else JSON)
    expected = ask(client, {"dataframe_records": [{"text": "NA"}, {"text": "soft " * 1_000}]})
    assert answers[:2] == expected
    assert list(answers[2]) == ["error"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{", JSON, 400),
        ("", JSON, 400),
        ("[" * 100_000, JSON, 400),
        (b"\xff\xfe{", JSON, 400),
        ("[]", JSON, 400),
        ('{"dataframe_records": 5}', JSON, 400),
        ('{"inputs": {"text": ["a"], "title": []}}', JSON, 400),
        ('{"dataframe_split": {"columns": ["text", "text"], "data": []}}', JSON, 400),
        ('{"dataframe_split": {"columns": [["text"]], "data": []}}', JSON, 400),
        (b"text\nM\xfcll\n", "text/csv", 400),
        ('{"dataframe_records": []}', "text/plain", 415),
    ],
)
def test_a_wrong_request_is_refused_with_the_reason(
    client: TestClient, body: str | bytes, kind: str, status: int
) -> None:
    response = client.post("/invocations", content=body, headers={"content-type": kind})
    assert response.status_code == status
    assert set(response.json()) == {"message"}
    assert "Traceback" not in response.text
    assert "/" not in response.json()["message"].replace("application/json or text/csv", "")


def test_an_unexpected_error_keeps_its_details_in_the_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("review_sentiment.scoring.prompted_model.score_labels", lambda *_: 1 / 0)
    response = client.post("/invocations", json={"dataframe_records": [{"text": "a"}]})
    assert response.status_code == 500
    assert response.json() == {"message": "This request failed. The server's log has the reason."}


@pytest.mark.parametrize("path", ["/", "/version"])
def test_the_server_tells_which_version_it_is(client: TestClient, path: str) -> None:
    assert client.get(path).json() == {"name": "reviews", "version": "7", "labels": ["negative", "positive"]}
