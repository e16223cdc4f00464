"""Models: the list, a version's page, promotion and rollback, with a real registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import mlflow
import pytest
from starlette.testclient import TestClient

from dashboard.app import build_app
from dashboard.explain.glossary import GATE_CHECKS, GLOSSARY, meaning_of, meaning_of_check
from dashboard.markdown import as_html
from dashboard.pages import decision, promotion, version
from dashboard.queries.versions import VERSIONS_SHOWN
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import TrackingError
from review_sentiment.names import in_markdown
from review_sentiment.tracking import aliases, evidence, model_versions, new_version, run_log
from review_sentiment.tracking.mlflow_store import TEACHER_TAG
from tests.unit.dashboard.recorded import LABELS
from tests.unit.dashboard.test_compare import decided_with

NAME = "review-sentiment"
TAGS = {
    "gate": "passed",
    "natural_accuracy": "0.950000",
    "natural_interval": "0.940-0.960",
    "natural_reviews": "1284",
    "accuracy": "0.930000",
    "evaluation_reviews": "636",
    "evaluation_rows": "aaaaaabbbbbb",
    "zenml_run": "run-of-august",
}
CHECKS = {
    "share": "natural",
    "checks": [
        {"name": "LoRA proof", "required": "r", "measured": "m", "passed": True},
        {"name": "calibration error", "required": "at most 5.0%", "measured": "21.7%", "passed": False},
    ],
}


@pytest.fixture
def run(mlflow_uri: str) -> str:
    """Return a run with a model that all versions share."""
    return run_log.open_run("e", "run", {}, {})


@pytest.fixture
def model_id(run: str) -> str:
    made = mlflow.MlflowClient().create_logged_model("1", name="model", source_run_id=run)
    return str(made.model_id)


@pytest.fixture
def client(run: str, model_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Return a client of pages about three versions: 1 is the champion, 3 the challenger."""
    register(run, model_id, natural_accuracy="0.940000")
    register(run, model_id, evaluation_reviews="70", evaluation_rows="ccc")
    register(
        run,
        model_id,
        gate="not passed",
        **{"gate.reason": "calibration error is 21.7%"},
        warnings="Collapsed.",
    )
    aliases.make_champion(NAME, "1")
    aliases.set_alias(NAME, "3", model_versions.CHALLENGER)
    monkeypatch.setattr(evidence, "gate_of", lambda _: dict(CHECKS))
    monkeypatch.setattr(evidence, "settings_of", lambda one: {"lora.rank": one.version, "seed": "42"})
    with TestClient(build_app()) as found:
        yield found


def register(run: str, model_id: str, name: str = NAME, **tags: str) -> None:
    new_version.register_version(name, run, model_id, TAGS | tags)


def champion() -> tuple[str, dict[str, str]]:
    """Return the champion, and all aliases."""
    held = mlflow.MlflowClient().get_registered_model(NAME).aliases
    return str(held["champion"]), {alias: str(number) for alias, number in held.items()}


def test_the_list_marks_what_is_not_comparable_and_names_the_failed_check(client: TestClient) -> None:
    page = client.get("/models").text
    rows = dict(re.findall(r'value="(\d+)" aria-label(.*?)</tr>', page, re.DOTALL))
    assert list(rows) == ["3", "2", "1"]
    assert [number for number, row in rows.items() if "not comparable" in row] == ["2"]
    assert "1,284 natural, 636 balanced (aaaaaa)" in rows["3"]
    assert "0.950 [0.940, 0.960]" in rows["3"]
    assert 'title="calibration error is 21.7%"' in rows["3"]
    assert 'title="Collapsed."' in rows["3"]
    assert "checked" not in page, "nothing is preselected"


def test_mlflow_lists_the_versions_again_after_a_commit_only(
    client: TestClient, run: str, model_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = [], model_versions.list_models
    monkeypatch.setattr(model_versions, "list_models", lambda: asked.append(1) or ask())
    page = client.get("/models").text
    assert client.get("/models").text == page
    assert len(asked) <= 1
    register(run, model_id)
    assert "Version 4<" in client.get("/models").text


def test_the_list_is_paged(client: TestClient, run: str, model_id: str) -> None:
    for _ in range(VERSIONS_SHOWN):
        register(run, model_id)
    page = client.get("/models").text
    assert "Version 53<" in page
    assert "Version 3<" not in page
    older = client.get("/models", params={"before": "4"}).text
    assert "Version 3<" in older
    assert "Version 4<" not in older
    assert "Newest" in older
    assert "Older versions" not in older


def test_students_have_a_list_of_their_own(client: TestClient, run: str, model_id: str) -> None:
    register(run, model_id, "review-sentiment-student", student="tuned_encoder", **{TEACHER_TAG: f"{NAME}/1"})
    page = client.get("/models?model=review-sentiment-student").text
    assert "Student: tuned encoder" in page
    assert f"{NAME}/1" in client.get("/models/1?model=review-sentiment-student").text
    assert client.get("/models?model=it's").status_code == 404
    (student,) = model_versions.students_of(model_versions.get_version(NAME, "1"))
    assert student.name == "review-sentiment-student"


def test_a_version_explains_its_gate_checks_and_differs_from_the_champion(client: TestClient) -> None:
    page = unescape(client.get("/models/3").text)
    assert GATE_CHECKS["calibration error"] in page
    assert "+0.010" in page
    assert "lora.rank" in page
    assert ">seed<" not in page
    assert 'href="/runs/run-of-august"' in page
    assert re.search(r"#/models/review-sentiment/versions/3\?workflowType=machine_learning", page)
    assert re.search(r"#/experiments/\d+/runs/\w+\?workflowType=machine_learning", page)
    assert "not comparable" in client.get("/models/2").text


def test_mistakes_are_counted_and_shown_as_text(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ("It is <b>soft</b>.", "negative", "positive", "91.0%", "Tops")
    monkeypatch.setattr(version, "confident_mistakes", lambda _: ([row], 7, 60))
    page = client.get("/models/3/mistakes").text
    assert "7 of 60 reviews" in page
    assert "It is &lt;b&gt;soft&lt;/b&gt;." in page


@pytest.mark.parametrize("number", ["99", "0", "x", "9" * 30])
def test_an_unknown_version_is_not_found(client: TestClient, number: str) -> None:
    found = client.get(f"/models/{number}")
    assert found.status_code == 404
    assert f"No version {number}" in found.text


def test_a_version_without_its_evidence_still_has_a_page(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise TrackingError("it is no longer there")

    monkeypatch.setattr(evidence, "gate_of", gone)
    monkeypatch.setattr(evidence, "settings_of", gone)
    page = client.get("/models/3")
    assert page.status_code == 200
    assert "it is no longer there" in page.text
    assert client.get("/models/3/promote").status_code == 200
    monkeypatch.setattr(evidence, "card_of", gone)
    assert client.get("/models/3/card").status_code == 503


def test_a_promotion_names_what_it_replaces_and_what_failed_before_it_happens(client: TestClient) -> None:
    page = client.get("/models/3/promote").text
    assert "instead of <strong>version 1</strong>" in page
    assert "21.7%. Required: at most 5.0%" in page
    assert "LoRA proof" not in page
    assert champion()[0] == "1"
    done = client.post("/models/3/promote?instead_of=1", follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/models/3")
    assert champion() == ("3", {"champion": "3"}), "a champion is no longer the challenger"
    page = client.get("/models/1").text
    assert "previous champion" in page

    page = client.get("/models/rollback").text
    assert "Version 1 becomes" in page
    assert champion()[0] == "3"
    done = client.post("/models/rollback?instead_of=3", follow_redirects=False)
    assert done.headers["location"] == "/models/1"
    assert champion()[0] == "1"


def test_nothing_happens_if_the_champion_has_changed_since_the_question(client: TestClient) -> None:
    aliases.make_champion(NAME, "2")
    for address in ("/models/3/promote?instead_of=1", "/models/rollback?instead_of=1"):
        answer = client.post(address)
        assert answer.status_code == promotion.CONFLICT
        assert "has changed in the meantime" in answer.text
        assert champion()[0] == "2"


def test_a_rollback_without_an_earlier_champion_is_not_offered(client: TestClient) -> None:
    assert "Roll back" not in client.get("/models").text
    assert "had no champion before" in client.post("/models/rollback?instead_of=1").text
    assert champion()[0] == "1"


def test_a_deleted_version_is_no_previous_champion(client: TestClient) -> None:
    aliases.make_champion(NAME, "2")
    aliases.make_champion(NAME, "3")
    mlflow.MlflowClient().delete_model_version(NAME, "2")
    assert "Roll back to version 1" in client.get("/models").text
    assert aliases.roll_back(NAME) == "1"


def test_a_threshold_is_moved_by_the_address(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        decision, "read_decision", lambda _: decided_with(DecisionRule.raw(LABELS, (0.2, 0.8)))
    )
    page = client.get("/models/1/decision?threshold=0.01").text
    assert "From 0.01 on" in page
    assert "The rule: from 0.5 on" in page
    assert 'value="0.01"' in page
    for wrong in ("2", "x", "nan"):
        page = client.get(f"/models/1/decision?threshold={wrong}")
        assert page.status_code == 200
        assert 'aria-invalid="true"' in page.text


def test_a_card_is_shown_without_the_pictures_of_mlflows_pages() -> None:
    picture = "![Curves](get-artifact?path=tuned/decision.png&run_uuid=1)"
    measured = f"|a|b|\n|---|---|\n|gain|{in_markdown('+0.1 [0.0, 0.2]')}|\n|share|{in_markdown('$x$')}|"
    shown = as_html(f"# First\n\n{picture}\n\nSecond <script>. [x](javascript:alert(1))\n\n{measured}")
    assert "<h2>First</h2>" in shown
    assert "Second &lt;script&gt;." in shown
    assert "get-artifact" not in shown
    assert "Curves" not in shown
    assert "href" not in shown
    assert "<td>+0.1 [0.0, 0.2]</td>" in shown
    assert "<td>$x$</td>" in shown


def test_the_tables_of_a_card_have_names_of_their_own() -> None:
    shown = as_html("|a|\n|---|\n|1|\n\n|b|\n|---|\n|2|\n")
    assert re.findall("aria-label='(.+?)'", shown) == [
        "Table 1 of the model card",
        "Table 2 of the model card",
    ]


def test_the_longest_entry_of_the_glossary_counts() -> None:
    assert meaning_of("Accuracy in production") == GLOSSARY["accuracy in production"]
    assert meaning_of("precision of negative") == GLOSSARY["precision"]
    assert meaning_of("p95") == ""
    assert meaning_of_check("accuracy over the version 2, champion at the time") != ""
    assert meaning_of_check("answers like the teacher's") != ""


def test_figures_are_those_of_the_glossary() -> None:
    assert all(meaning_of(name) for name in version.FIGURES.values())
