"""`score` and `serve`: the champion on files, and with many concurrent clients."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.front_door import Project
from tests.served_version import ask, serving

pytestmark = pytest.mark.integration

CLIENTS = 32
REQUESTS = 96


def reviews(count: int) -> pd.DataFrame:
    words = ("soft", "thin", "warm", "itchy", "bright", "awful", "lovely")
    return pd.DataFrame({"text": [f"{words[n % 7]} {words[n % 5]} shirt number {n}" for n in range(count)]})


def test_a_file_is_scored_cached_and_checked_for_drift(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    frame = reviews(40)
    frame.loc[3, "text"] = ""
    frame.to_csv(source, index=False)
    config = ["--config", str(project.config)]
    scored = project.run("score", str(source), "-o", str(output), "--json", *config)
    assert scored.returncode == 0, scored.stderr
    found = json.loads(scored.stdout)
    assert (found["rows"], found["failed"], found["cached"]) == (39, 1, False)
    rows = pd.read_csv(output)
    assert list(rows) == ["text", "label", "p_negative", "p_positive", "model_version"]
    assert len(rows) == 39
    assert set(found["distances"]) == {"label", "text_words", "title_words"}
    assert "text_words" in found["drifted"]  # each has only a few words
    assert "<html" in Path(found["drift_page"]).read_text().lower()

    again = project.run("score", str(source), "-o", str(output), "--fail-on-drift", *config)
    assert again.returncode == 1, again.stderr
    assert "from the cache" in again.stdout
    assert "drifted: " in again.stdout
    output.unlink()
    assert project.run("score", str(source), "-o", str(output), *config).returncode == 0
    assert len(pd.read_csv(output)) == 39
    missing = project.run("score", str(source), "-o", str(output), "--version", "99", *config)
    assert missing.returncode == 2
    assert "has no version '99'" in missing.stderr


@pytest.fixture(scope="module")
def served(project: Project, first_run: dict[str, Any]) -> Iterator[str]:
    """Serve the champion and yield its address."""
    with serving(project) as address:
        yield address
    with pytest.raises(urllib.error.URLError):  # the server has stopped
        urllib.request.urlopen(f"{address}/ping", timeout=5)


def test_responses_have_probabilities_and_the_version(served: str, first_run: dict[str, Any]) -> None:
    answers = ask(served, [{"title": "Lovely", "text": "Fits well."}, {"text": "Itchy and thin."}])
    assert [set(answer) for answer in answers] == [
        {"label", "probability", "p_negative", "p_positive", "model_version"}
    ] * 2
    assert {answer["model_version"] for answer in answers} <= set("123456789")
    for answer in answers:
        assert answer["p_negative"] + answer["p_positive"] == pytest.approx(1)
        assert answer["probability"] == answer[f"p_{answer['label']}"]
    with urllib.request.urlopen(f"{served}/version", timeout=5) as answer:
        assert json.loads(answer.read())["version"] == answers[0]["model_version"]


def test_bad_input_is_rejected_and_the_server_continues(served: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(served, "not a list")
    assert refused.value.code == 400
    assert "must be a list of reviews" in refused.value.read().decode()
    missing, fine = ask(served, [{"text": None}, {"text": "fine"}])
    assert missing == {"error": "`text` is missing"}
    assert fine["label"]


def test_concurrent_clients_get_their_own_answers(served: str) -> None:
    texts = reviews(REQUESTS)["text"].to_list()
    alone = [ask(served, [{"text": text}])[0]["p_positive"] for text in texts[:12]]
    with ThreadPoolExecutor(CLIENTS) as pool:
        together = list(pool.map(lambda text: ask(served, [{"text": text}])[0]["p_positive"], texts))
    assert together[:12] == pytest.approx(alone, abs=1e-5)
    in_one = [answer["p_positive"] for answer in ask(served, [{"text": text} for text in texts])]
    assert together == pytest.approx(in_one, abs=1e-4)
    assert len(set(together)) > REQUESTS // 2  # the answers differ
