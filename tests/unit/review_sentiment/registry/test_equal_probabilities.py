"""Every door of a version has the same probabilities: files, HTTP, MLflow, an export, and the evaluation.

All of them score the same reviews in the same batches, since other batches give slightly other logits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from review_sentiment.config import EvaluationSettings, LoraSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.decision.calibration import Calibration
from review_sentiment.decision.rule import Band, DecisionRule, Threshold
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.label_head import random_head, save_head
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters, save_adapter
from review_sentiment.scoring.answers import answer_table
from review_sentiment.scoring.bulk_scoring import FileScores, ScoringJob, score_file
from review_sentiment.scoring.prompted_model import TOKENS_PER_BATCH, tuned_scorer
from review_sentiment.scoring.version_files import Serving, load_rule, save_rule
from tests.tiny import prompt_of

PLAN = plan_compute()
LABELS = ("negative", "positive")
COLUMNS = ["p_negative", "p_positive"]
SPREAD = 3.0
"""Standard deviation of the calibrated log odds; a random model's hardly differ between reviews."""
EXACT = 1e-9
DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "decision.md"


@dataclass(frozen=True)
class Version:
    """A version's files, the reviews, and what `score` found for them."""

    adapter: Path
    chats: ChatDataset
    rule: DecisionRule
    scores: FileScores
    output: pd.DataFrame

    @property
    def records(self) -> list[dict[str, str]]:
        """Return the reviews."""
        return [dict(row) for row in self.chats.frame[["title", "text"]].to_dict("records")]  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["label words", "head"])
def version(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Version:
    import torch

    from review_sentiment.scoring.answered_file import answer_file

    place = tmp_path_factory.mktemp("version")
    adapter, source = place / "adapter", place / "in.csv"
    model = add_adapters(load_model(tiny_model, PLAN), LoraSettings(rank=2, alpha=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    save_adapter(model, tiny_model, adapter)
    if request.param == "head":
        save_head(random_head(model, LABELS, seed=1), adapter)
    Serving(tiny_model, prompt_of(LABELS)).save(adapter)
    rule = DecisionRule.raw(LABELS, (0.12, 0.88))
    save_rule(rule, adapter)
    tiny_chats.frame[["title", "text"]].to_csv(source, index=False)
    job = ScoringJob(source, place / "out.csv", "1", rule)
    scores = score_file(job, "tiny", lambda: tuned_scorer(adapter, PLAN))
    # A calibration that spreads the probabilities, and a threshold and a band that divide the reviews.
    log_probs = scores.log_probs.to_numpy()
    odds = log_probs[:, 0] - log_probs[:, 1]
    slope = SPREAD / float(odds.std())
    middle = slope * float(np.median(odds)) / 2
    platt = replace(Calibration.none(2), method="platt", slopes=(slope, slope), offsets=(-middle, middle))
    rule = replace(rule, calibration=platt, objective="precision negative=0.2")
    rule = replace(rule, threshold=Threshold(0, _between(answer_table(rule, log_probs)["p_negative"])))
    rule = replace(rule, band=Band(_between(answer_table(rule, log_probs)["probability"]), 0.1, 0.9))
    save_rule(rule, adapter)
    answer_file(replace(job, rule=rule), scores)
    return Version(adapter, tiny_chats, rule, scores, pd.read_csv(job.output))


def _between(probabilities: pd.Series[float]) -> float:
    """Return the middle between two neighbours of the probabilities."""
    return float(probabilities.nsmallest(21).tail(2).mean())


def assert_equal(found: pd.DataFrame, version: Version) -> None:
    """Compare answers with those of `score`."""
    assert version.output["p_negative"].between(0.001, 0.999).sum() > len(found) / 2
    np.testing.assert_allclose(found[COLUMNS], version.output[COLUMNS], rtol=0, atol=EXACT)
    for column in ("label", "unsure"):
        assert list(found[column]) == list(version.output[column])
        assert found[column].nunique() == 2


def test_a_server_and_mlflow_answer_as_score_does(version: Version, tmp_path: Path) -> None:
    import mlflow
    from starlette.testclient import TestClient

    from review_sentiment.scoring.service import build_app
    from review_sentiment.tracking.served_model import ServedModel

    client = TestClient(build_app(tuned_scorer(version.adapter, PLAN), "reviews", "1"))
    response = client.post("/invocations", json={"dataframe_records": version.records})
    assert_equal(pd.DataFrame(response.json()["predictions"]), version)
    files = {"adapter": str(version.adapter)}
    mlflow.pyfunc.save_model(
        tmp_path / "model", python_model=ServedModel(), artifacts=files, pip_requirements=[]
    )
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert_equal(model.predict(pd.DataFrame(version.records)), version)


def test_the_evaluation_recorded_the_probabilities_of_score(
    version: Version, tiny_model: ModelIdentity
) -> None:
    from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
    from review_sentiment.evaluation.predictions import answers_of

    settings = EvaluationSettings(tokens_per_batch=TOKENS_PER_BATCH, audit_samples=0, sample_predictions=0)
    evaluation = evaluate_model(tiny_model, version.adapter, HeldOut(version.chats), PLAN, settings)
    under = evaluation.under(version.rule, version.rule.prior)
    recorded = answers_of(under.stratified, LABELS).log_probs
    assert_equal(answer_table(version.rule, recorded), version)
    assert list(under.stratified["decided"]) == list(version.output["label"])


Decide = Callable[[npt.NDArray[np.float64]], tuple[list[str], npt.NDArray[np.float64], Sequence[bool]]]


def documented(directory: Path) -> Decide:
    """Return the function of docs/decision.md, with the `decision.json` of a directory."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("merged/", f"{directory}/"), names)
    found: Decide = names["decide"]
    return found


@pytest.mark.parametrize("version", ["label words"], indirect=True)
def test_the_documented_lines_give_an_export_the_answers_of_score(version: Version, tmp_path: Path) -> None:
    from review_sentiment.registry.export import export

    serving = Serving.load(version.adapter)
    export(serving, version.adapter, PLAN, version.chats.frame, tmp_path / "merged")
    # An engine may return logits, which differ from log-probabilities by a number per review.
    labels, probabilities, unsure = documented(tmp_path / "merged")(version.scores.log_probs.to_numpy() + 7)
    found = pd.DataFrame(probabilities, columns=COLUMNS).assign(label=labels, unsure=unsure)
    assert_equal(found, version)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"costs": (1.0, 5.0, 2.0)},
        {"threshold": Threshold(1, 0.3)},
        {"band": Band(0.7, 0.02, 0.95)},
        {"calibration": replace(Calibration.none(3), slopes=(0.5, 1.0, 2.0), offsets=(0.3, 0.0, -0.3))},
    ],
)
def test_the_documented_lines_follow_every_kind_of_rule(change: dict[str, Any], tmp_path: Path) -> None:
    rule = replace(DecisionRule.raw(("negative", "neutral", "positive"), (0.1, 0.2, 0.7)), **change)
    save_rule(rule, tmp_path)
    assert load_rule(tmp_path) == rule
    log_probs = np.random.default_rng(0).normal(0, 3, (200, 3))
    labels, probabilities, unsure = documented(tmp_path)(log_probs)
    expected = rule.probabilities(log_probs)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=EXACT)
    assert labels == [rule.labels[index] for index in rule.answers(expected)]
    assert list(unsure) == list(rule.unsure(expected))
