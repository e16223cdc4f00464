"""What a teacher answers, and the student that learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.catalogue import load_arm, packages_of
from review_sentiment.arms.student import FittedStudent, StudentTraining, fit_student
from review_sentiment.arms.teacher import Unlabelled, ask_teacher, read_unlabelled, sampled
from review_sentiment.config import StudentSettings
from review_sentiment.decision.calibration import Calibration
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.scoring.column_choice import ColumnChoice
from review_sentiment.scoring.scorer import Scorer

LABELS = ("bad", "good")
LONG = "the sleeves are far too long for me and the colour is dull"
HELD_OUT = pd.DataFrame({"text": [LONG, "Fits well"]})


class Counts:
    """A model whose log odds are the number of times that a review says good, less one half."""

    labels = LABELS
    max_characters = 1_000

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        odds = [f"{title} {text}".count("good") - 0.5 for title, text in zip(titles, texts, strict=True)]
        return np.stack([np.zeros(len(odds)), np.array(odds)], axis=1)


def teacher() -> Scorer:
    """Return it with a calibration that doubles its log odds, and a rule for a share of 90 %."""
    doubled = replace(Calibration.none(len(LABELS)), slopes=(2.0, 2.0))
    return Scorer(Counts(), DecisionRule(LABELS, (0.1, 0.9), doubled, "accuracy"))


def unlabelled(*texts: str) -> Unlabelled:
    """Return reviews without titles."""
    return Unlabelled(pd.DataFrame({"title": "", "text": texts}))


def test_the_answers_are_calibrated_at_equal_class_shares() -> None:
    answers = ask_teacher(teacher(), "reviews/3", unlabelled("good", "poor", "good good"))
    assert (answers.teacher, answers.labels) == ("reviews/3", LABELS)
    odds = np.array([0.5, -0.5, 1.5])
    assert answers.probabilities[:, 1] == pytest.approx(1 / (1 + np.exp(-2 * odds)))
    assert answers.documents().targets == pytest.approx(answers.probabilities)


def test_training_reviews_fill_up_a_sample_in_whatever_order_they_are() -> None:
    def reviews(start: int, count: int) -> pd.DataFrame:
        ids = [f"{number:02}" for number in range(start, start + count)]
        return pd.DataFrame({"review_id": ids, "title": "", "text": [f"text {number}" for number in ids]})

    unused, train = reviews(0, 30), reviews(50, 20)
    assert sampled(unused, train, 30, seed=1).frame["text"].to_list() == unused["text"].to_list()
    more = sampled(unused, train, 40, seed=1).frame
    assert (len(more), more["text"][:30].to_list()) == (40, unused["text"].to_list())
    again = sampled(unused, train.sample(frac=1, random_state=3), 40, seed=1).frame
    assert again["text"].to_list() == more["text"].to_list()
    assert len(sampled(unused.head(0), train, 1_000, seed=1)) == 20


def test_a_file_gives_no_review_that_is_nearly_held_out(tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    near = LONG.replace("dull", "grey")
    texts = ["<b>Lovely</b> coat", near, "fits  well", "", "Lovely coat", "warm"]
    pd.DataFrame({"Body": texts, "Headline": ["4 stars", *["x"] * 5]}).to_csv(file, index=False)
    choice = ColumnChoice("Body", "Headline")
    found = read_unlabelled(file, choice, HELD_OUT, most=100, seed=0).frame
    assert sorted(found["text"]) == ["Lovely coat", "warm"]
    assert len(read_unlabelled(file, choice, HELD_OUT.tail(0), most=2, seed=0)) <= 2


def test_a_file_of_held_out_reviews_alone_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "reviews.jsonl"
    file.write_text(f'{{"text": "{LONG}"}}\n')
    with pytest.raises(UsageError, match=r"No review of reviews\.jsonl can be used: of 1 rows"):
        read_unlabelled(file, ColumnChoice(), HELD_OUT, most=100, seed=0)


def test_a_student_learns_what_only_its_teacher_knows(tmp_path: Path) -> None:
    """No labelled review has the word "good", and the teacher's answers decide what it means."""
    targets = np.tile([[0.0, 1.0], [1.0, 0.0]], (4, 1))
    labelled = LabelledDocuments(["warm coat", "thin coat"] * 4, targets, LABELS)
    answers = ask_teacher(teacher(), "t/1", unlabelled(*["good good coat", "a coat"] * 20))
    training = StudentTraining(labelled, labelled, answers, None, seed=0)
    fit_student(training, StudentSettings(kind="tfidf"), tmp_path)
    found = np.exp(load_arm(tmp_path).log_probs(["", ""], ["good good coat", "a coat"]))
    assert found[0, 1] > 0.8
    assert found[1, 1] < 0.4


def test_an_encoder_answers_with_the_runtime_that_was_asked_for(
    tiny_encoder: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default with ONNX Runtime if it is installed, and the record says how it was chosen."""
    texts = ["soft warm coat", "torn thin coat"] * 8
    labelled = LabelledDocuments(texts, np.tile([[0.0, 1.0], [1.0, 0.0]], (8, 1)), LABELS)
    answers = ask_teacher(teacher(), "t/1", unlabelled("good", "a coat"))
    training = StudentTraining(labelled, labelled, answers, tiny_encoder, seed=0)

    def fitted(runtime: str) -> FittedStudent:
        chosen = StudentSettings.model_validate({"kind": "frozen_encoder", "runtime": runtime})
        (tmp_path / runtime).mkdir()
        return fit_student(training, chosen, tmp_path / runtime)

    exported, plain = fitted("auto").export, fitted("torch").export
    assert exported is not None
    assert exported.fp32.largest_change < 1e-4
    assert plain is None
    answered = [load_arm(tmp_path / runtime).log_probs([""] * 16, texts) for runtime in ("auto", "torch")]
    assert answered[0] == pytest.approx(answered[1], abs=0.05)
    assert packages_of(tmp_path / "auto") == ("onnxruntime",)

    (tmp_path / "auto").rename(tmp_path / "before")
    monkeypatch.setattr("review_sentiment.arms.student.find_spec", lambda name: None)
    assert fitted("auto").export is None
