"""`decide`: a new rule for a registered version, without its model."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from front_door.main import main
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.predictions import PREDICTION_COLUMNS
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.registry.paper_results import collect
from review_sentiment.registry.version_comparison import different_settings
from review_sentiment.scoring.version_files import load_rule
from review_sentiment.tracking import downloads, evidence, model_versions, run_log
from tests.unit.review_sentiment.registry.test_registration import NAME, registered
from tests.unit.test_materializers import RULE, evaluation

LABELS = ("negative", "positive")


def predictions(negative: int, positive: int, seed: int) -> pd.DataFrame:
    """Return predictions of a model that is right most of the time."""
    gold = np.repeat([0, 1], (negative, positive))
    odds = np.random.default_rng(seed).normal(np.where(gold, 3.0, -3.0), 2.0)
    p = 1 / (1 + np.exp(-np.stack([-odds, odds], axis=1)))
    answered = np.array(LABELS)[p.argmax(-1)]
    table = pd.DataFrame(
        {
            "review_id": [f"{seed}-{row}" for row in range(len(gold))],
            "category": "Tops",
            "gold": np.array(LABELS)[gold],
            "predicted": answered,
            "constrained": answered,
            "label_mass": 0.99,
            "weight": 1.0,
        }
    ).astype(PREDICTION_COLUMNS)
    return table.assign(p_negative=p[:, 0], p_positive=p[:, 1])


def larger_evaluation() -> Evaluation:
    """Return an evaluation with enough reviews to fit a rule on."""
    table = predictions(100, 300, seed=1)
    plain = replace(evaluation(), predictions=table, stratified=table, metrics=compute_metrics(table, LABELS))
    return replace(plain, decision=predictions(100, 300, seed=2)).under(RULE, RULE.prior)


@pytest.fixture
def version(mlflow_uri: str, tmp_path: Path) -> str:
    """Return the number of a version whose answers are kept."""
    run = run_log.open_run("e", "run", {}, {})
    return str(registered(run, tmp_path / "adapter", tuned=larger_evaluation()).version)


def test_a_new_rule_makes_a_new_version_with_the_same_adapter(
    version: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["decide", version, "--name", NAME, "--precision", "negative=0.8", "--json"]
    before = time.monotonic()
    assert main(command) == 0
    assert time.monotonic() - before < 30
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["is_new"]) == ("2", True)
    assert found["rule"]["objective"] == "precision negative=0.8"

    two, one = model_versions.list_versions(NAME)
    assert (one.aliases, two.aliases) == ((model_versions.CHAMPION,), ())
    assert two.run_id == one.run_id
    assert two.evaluation_run != one.evaluation_run
    child = mlflow.MlflowClient().get_run(two.evaluation_run).data
    assert child.tags["mlflow.parentRunId"] == one.run_id
    assert child.metrics["tuned/natural_accuracy"] == found["natural"]["accuracy"]
    assert evidence.natural_of(two).as_json() == found["natural"] != evidence.natural_of(one).as_json()
    assert evidence.settings_of(two)["decision.precision"] == "{'negative': 0.8}"
    assert two.tags["gate.reason"].startswith("A new decision rule for version 1")
    assert "new decision rule: precision negative=0.8" in evidence.card_of(two)
    (_, first), (_, second) = (
        downloads.download_adapter(found, tmp_path / found.version) for found in (one, two)
    )
    assert load_rule(first) == evidence.rule_of(one) == RULE
    rule = load_rule(second)
    assert evidence.rule_of(two) == rule
    answers = evidence.stratified_of(two)
    p = rule.probabilities(np.log(answers[["p_negative", "p_positive"]].to_numpy()))
    assert answers["decided"].to_list() == [LABELS[answer] for answer in rule.answers(p)]
    assert {file.name for file in first.iterdir()} == {file.name for file in second.iterdir()}

    differences = different_settings(one, two)
    assert differences["decision.precision"][1] == "{'negative': 0.8}"
    compared = command_json(capsys, "compare", "1", "2")
    natural, balanced = compared["natural"], compared["test"]["overall"]
    assert natural["figures"] == [evidence.natural_of(version).as_json() for version in (one, two)]
    before, after = (figures["accuracy"] for figures in natural["figures"])
    assert natural["difference"]["accuracy"] == pytest.approx(after - before)
    gain = natural["test"]["overall"]
    assert gain["gain"] == pytest.approx(after - before)
    assert gain["interval"] == [natural["difference"][f"accuracy_{end}"] for end in ("low", "high")]
    assert len(natural["changed"]) == gain["only_candidate"] + gain["only_other"] > 0
    assert (balanced["gain"], compared["changed"]) == (0, [])  # the likeliest labels are the same
    assert main(["compare", "1", "2", "--name", NAME]) == 0
    text = capsys.readouterr().out
    assert text.index("as in production: 20.0% negative") < text.index("balanced")
    assert f"version 2 answers {rule.in_words()}" in text

    results = collect([one, two]).tables["results"].query("model == 'tuned' and figure == 'accuracy'")
    assert list(results["share"]) == ["natural", "balanced"] * 2
    assert list(results["value"])[::2] == [before, after]

    # Version 2 has this rule, whichever version is asked for it.
    for asked in ("1", "2"):
        assert main([command[0], asked, *command[2:]]) == 0
        again = json.loads(capsys.readouterr().out)
        assert (again["version"], again["is_new"]) == ("2", False)


def test_a_rule_that_abstains_says_how_often_and_how_well_by_category(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decide", version, "--name", NAME, "--abstain", "risk=0.04"]) == 0
    said = capsys.readouterr().out
    assert "version 2 registered: accuracy, and at most 4 % of the given answers wrong." in said
    natural = evidence.natural_of(model_versions.list_versions(NAME)[0])
    assert natural.coverage < 1
    assert natural.risk < 1 - natural.accuracy
    assert natural.shown("risk") in " ".join(said.split())
    card = evidence.card_of(model_versions.list_versions(NAME)[0])
    tops = next(line for line in card.splitlines() if line.startswith("| Tops"))
    own = natural.categories["Tops"]
    assert f"{own.coverage:.1%}" in tops
    assert own.shown("risk") in tops


def command_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Return what a command about the model prints as JSON."""
    assert main([*words, "--name", NAME, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


REFUSED = {
    ("--precision", "negativ=0.8"): "Did you mean 'negative'",
    ("--precision", "negative=0.999"): "cannot be guaranteed with 100 negative, 300 positive",
    ("--precision", "negative=0.8", "--recall", "negative=0.8"): "precision and recall; set one",
    ("--abstain", "0.02"): "decision.abstain",
}


def test_what_cannot_be_is_refused_and_nothing_is_registered(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, message in REFUSED.items():
        assert main(["decide", version, "--name", NAME, *options]) != 0
        assert message in capsys.readouterr().err
    assert len(model_versions.list_versions(NAME)) == 1
