"""The classical model to beat: TF-IDF of words and word pairs with logistic regression."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.evaluation.examples import sample_rows, sample_table
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import Evaluation, evaluation_of

if TYPE_CHECKING:
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.evaluation.evaluate import HeldOut

MAX_ITERATIONS = 1_000
SAMPLES_SHOWN = 16


def evaluate_classical(train: ChatDataset, chats: HeldOut, seed: int) -> Evaluation:
    """Fit on the training reviews and evaluate on the same rows as the language models.

    It sees the same titles and texts as the language model.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        LogisticRegression(C=10.0, max_iter=MAX_ITERATIONS, random_state=seed),
    )
    classifier.fit(_documents(train.frame), train.frame["label"])
    evaluation, labels = chats.evaluation, chats.evaluation.labels
    order = [list(classifier.classes_).index(name) for name in labels]

    def predicted(frame: pd.DataFrame) -> pd.DataFrame:
        probabilities = classifier.predict_proba(_documents(frame))[:, order]
        return prediction_table(frame, labels, probabilities, probabilities.argmax(1), np.ones(len(frame)))

    predictions, core = predicted(evaluation.frame), evaluation.balanced()
    rows = sample_rows(predictions.iloc[: len(core)], SAMPLES_SHOWN)
    answers = [str(predictions["predicted"].iloc[row]) for row in rows]
    samples = sample_table(core.frame, predictions, rows, answers)
    found = evaluation_of("classical", evaluation, predictions, samples)
    return found if chats.decision is None else replace(found, decision=predicted(chats.decision.frame))


def _documents(frame: pd.DataFrame) -> pd.Series:
    return frame["title"] + "\n" + frame["text"]
