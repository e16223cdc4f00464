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
    assert set(found["distances"]) == {"label", "language", "text_words", "title_words"}
    assert "text_words" in found["drifted"]  # each has only a few words
    assert "<html" in Path(found["drift_page"]).read_text().lower()

    share = found["shares"]["negative"]
    assert share["low"] <= share["estimate"] <= share["high"]
    assert (found["prior"], share["used"]) == ("version", share["version"])

    expected = output.read_bytes()
    other = tmp_path / "other.csv"
    reviews(2).to_csv(other, index=False)
    for changed in (lambda: project.run("score", str(other), "-o", str(output), *config), output.unlink):
        changed()
        again = project.run("score", str(source), "-o", str(output), "--fail-on-drift", *config)
        assert again.returncode == 1, again.stderr
        assert "39 scored + 1 failed = 40 rows" in again.stdout
        assert "drifted: " in again.stdout
        assert "scores from the cache" in again.stdout
        assert output.read_bytes() == expected

    other_prior = project.run("score", str(source), "-o", str(output), "--prior", "0.9", "--json", *config)
    found = json.loads(other_prior.stdout)
    assert (found["cached"], found["shares"]["negative"]["used"]) == (True, 0.9)
    raised = pd.read_csv(output)["p_negative"] > rows["p_negative"]
    assert raised.all()
    for options, message in (
        (["--version", "99"], "has no version '99'"),
        (["--prior", "negativ=0.1"], "Did you mean 'negative'"),
    ):
        refused = project.run("score", str(source), "-o", str(output), *options, *config)
        assert refused.returncode == 2
        assert message in refused.stderr


@pytest.mark.parametrize(
    ("content", "output", "code", "message"),
    [
        ("text,label\nfine,mine\n", "out.csv", 2, "already has a column label"),
        ("text\n", "out.csv", 2, "has no rows"),
        ("text\nfine\n", "in.csv", 2, "is the input itself"),
        ("text\nfine\n", "nowhere/out.csv", 2, "There is no directory"),
        ("text\n<br />\n", "out.csv", 1, "None of the 1 rows could be scored"),
    ],
)
def test_a_file_that_cannot_be_scored_is_an_error_of_one_paragraph(
    project: Project,
    first_run: dict[str, Any],
    tmp_path: Path,
    content: str,
    output: str,
    code: int,
    message: str,
) -> None:
    (tmp_path / "in.csv").write_text(content)
    options = ["-o", str(tmp_path / output), "--config", str(project.config)]
    scored = project.run("score", str(tmp_path / "in.csv"), *options)
    assert (scored.returncode, scored.stdout) == (code, "")
    [error] = [line for line in scored.stderr.splitlines() if line.startswith("error: ")]
    assert message in error
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"in.csv"} | ({"out.csv.failed.jsonl"} if code == 1 else set())


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
    with urllib.request.urlopen(f"{served}/version", timeout=60) as answer:
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--address", "ray://127.0.0.1:9"], "add --engine ray"),
        (["--engine", "ray", "--address", "ray://127.0.0.1:9"], "Ray cannot be reached"),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused(
    project: Project, tmp_path: Path, options: list[str], message: str
) -> None:
    reviews(2).to_csv(tmp_path / "in.csv", index=False)
    refused = project.run("score", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"), *options)
    assert refused.returncode == 2
    assert message in refused.stderr
