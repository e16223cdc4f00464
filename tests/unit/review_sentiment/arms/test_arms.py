"""Arms: they learn what separates the labels, and come back from a directory the same."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from review_sentiment.arms import tuned_encoder
from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.catalogue import KIND_FILE, fit_arm, load_arm, save_arm
from review_sentiment.arms.combination import Combination
from review_sentiment.arms.version_scorer import PackedVersion, version_scorer
from review_sentiment.config import TrainedArm
from review_sentiment.data.chats import ChatDataset
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import DataError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.scoring.version_files import save_rule
from tests.unit.review_sentiment.arms.conftest import WORDS

SEED = 7
EPOCHS = 10


def reviews(labels: tuple[str, ...], each: int = 12) -> LabelledDocuments:
    """Return reviews whose words tell the label."""
    rows = [
        {"title": label if number % 2 else "", "text": f"{WORDS[label]} number {number}", "label": label}
        for number in range(each)
        for label in labels
    ]
    return LabelledDocuments.of(ChatDataset(pd.DataFrame(rows), labels))


def quick(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Train a random encoder on few reviews: it needs more and larger steps."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "cache"))
    monkeypatch.setattr(tuned_encoder, "REVIEWS_PER_STEP", 8)
    monkeypatch.setattr(tuned_encoder, "LEARNING_RATE", 0.005)


@pytest.mark.parametrize("labels", [("bad", "good"), ("good", "bad"), ("good", "bad", "fair")])
@pytest.mark.parametrize("name", get_args(TrainedArm))
def test_an_arm_answers_and_is_the_same_after_loading(
    tmp_path: Path,
    name: TrainedArm,
    labels: tuple[str, ...],
    tiny_encoder: ModelIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick(monkeypatch, tmp_path)
    saved = tmp_path / "arm"
    saved.mkdir()
    train, unseen = reviews(labels), ["A lovely warm coat", "Thin and torn", "Average, just usual"]
    arm = fit_arm(name, train, reviews(labels, each=4), SEED, tiny_encoder, EPOCHS)
    found = arm.log_probs(["", "", ""], unseen)
    assert arm.labels == labels
    assert found.shape == (3, len(labels))
    assert np.exp(found).sum(1) == pytest.approx(1)
    expected = [label for label in ("good", "bad", "fair") if label in labels]
    assert [labels[index] for index in found.argmax(1)][: len(expected)] == expected
    save_arm(name, arm, saved)
    loaded = load_arm(saved)
    assert loaded.labels == labels
    np.testing.assert_array_equal(loaded.log_probs(["", "", ""], unseen), found)


def test_probabilities_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train = reviews(("good", "bad", "fair"))
    theirs = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        LogisticRegression(C=10.0, max_iter=1_000, random_state=SEED),
    ).fit(train.documents, [train.labels[number] for number in train.targets.argmax(1)])
    unseen = ["lovely torn plain", "number 3"]
    order = [list(theirs.classes_).index(label) for label in train.labels]
    np.testing.assert_allclose(
        np.exp(fit_arm("tfidf", train, train, SEED).log_probs(["", ""], unseen)),
        theirs.predict_proba(unseen)[:, order],
        rtol=1e-12,
    )


@pytest.mark.parametrize("name", get_args(TrainedArm))
def test_an_arm_learns_how_sure_its_teacher_is(
    tmp_path: Path, name: TrainedArm, tiny_encoder: ModelIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, tmp_path)
    plain = reviews(("bad", "good"), each=24)
    sure = np.where(plain.targets == 1, 0.8, 0.2)
    taught = LabelledDocuments(plain.documents, sure, plain.labels)
    found = np.exp(
        fit_arm(name, taught, taught, SEED, tiny_encoder, EPOCHS).log_probs(["", ""], ["soft", "thin"])
    )
    certain = np.exp(
        fit_arm(name, plain, plain, SEED, tiny_encoder, EPOCHS).log_probs(["", ""], ["soft", "thin"])
    )
    assert [row.argmax() for row in found] == [1, 0]
    assert found.max() < min(0.9, certain.max() - 0.05)


def test_a_directory_without_an_arm_is_refused(tmp_path: Path) -> None:
    (tmp_path / KIND_FILE).write_text("forest")
    with pytest.raises(DataError, match=r"no arm of a known kind: kind\.txt is 'forest'"):
        load_arm(tmp_path)


def test_the_files_of_an_arm_are_scored_as_those_of_any_version(tmp_path: Path) -> None:
    train = reviews(("bad", "good"))
    arm = fit_arm("tfidf", train, train, SEED)
    save_arm("tfidf", arm, tmp_path)
    rule = DecisionRule.raw(train.labels, (0.1, 0.9))
    save_rule(rule, tmp_path)
    scorer = version_scorer(tmp_path, plan_compute("cpu", "fp32"))
    (found, failed) = scorer.answer_each(
        [({"title": "<b>Good</b>", "text": "lovely"}, ""), ({"text": ""}, "")]
    )
    log_probs = arm.log_probs(["Good"], ["lovely"])
    assert found["p_good"] == pytest.approx(rule.probabilities(log_probs)[0, 1])
    assert found["label"] == "good"
    assert failed == {"error": "`text` is empty"}


def test_a_worker_scores_with_a_version_and_its_student_as_this_machine_does(tmp_path: Path) -> None:
    scorers = []
    for name, each in (("teacher", 12), ("student", 6)):
        train = reviews(("bad", "good"), each)
        (tmp_path / name).mkdir()
        save_arm("tfidf", fit_arm("tfidf", train, train, SEED), tmp_path / name)
        save_rule(DecisionRule.raw(train.labels, (0.5, 0.5)), tmp_path / name)
        scorers.append(version_scorer(tmp_path / name, plan_compute("cpu", "fp32")))
    cascade = Combination(
        student_name="s", student_version="1", student_run="r", threshold=0.8, rule=scorers[0].rule
    )
    packed = PackedVersion.of(tmp_path / "teacher", tmp_path / "student", cascade, "fp32")
    texts = ["lovely soft warm", "unknown", "torn itchy thin", "lovely thin"]
    found = pickle.loads(pickle.dumps(packed)).load("cpu").scores([""] * 4, texts)
    expected = cascade.scorer(*scorers).scores([""] * 4, texts)
    np.testing.assert_array_equal(found.log_probs, expected.log_probs)
    assert found.by_student.tolist() == expected.by_student.tolist() == [True, False, True, False]
