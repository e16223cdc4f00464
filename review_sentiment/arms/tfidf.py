"""TF-IDF of words and word pairs with logistic regression: the alternative that costs least to train."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.arms.arm import LabelledDocuments, documents
from review_sentiment.arms.linear import DocumentArm, Features, LinearHead, fit_linear

if TYPE_CHECKING:
    import numpy.typing as npt

VOCABULARY_FILE = "vocabulary.json"
IDF_FILE = "idf.npy"
INVERSE_REGULARISATION = 10.0
"""Of the logistic regression: weak, because most of the features are rare."""


@dataclass(frozen=True)
class Tfidf(DocumentArm):
    """A TF-IDF vectorizer of scikit-learn, and a linear layer on its features."""

    vectorizer: Any
    head: LinearHead

    @classmethod
    def fit(cls, train: LabelledDocuments, seed: int) -> Tfidf:
        """Fit on training documents."""
        vectorizer = _vectorizer()
        features = vectorizer.fit_transform(train.documents)
        return cls(vectorizer, fit_linear(Features(features, train), INVERSE_REGULARISATION, seed))

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c]."""
        return self.head.log_probs(self.vectorizer.transform(documents(titles, texts)))

    def save(self, directory: Path) -> None:
        """Write vocabulary, document frequencies and weights."""
        vocabulary = {word: int(place) for word, place in self.vectorizer.vocabulary_.items()}
        (directory / VOCABULARY_FILE).write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
        np.save(directory / IDF_FILE, self.vectorizer.idf_)
        self.head.save(directory)

    @classmethod
    def load(cls, directory: Path) -> Tfidf:
        """Read what `save` wrote."""
        vectorizer = _vectorizer(json.loads((directory / VOCABULARY_FILE).read_text("utf-8")))
        vectorizer.idf_ = np.load(directory / IDF_FILE)
        return cls(vectorizer, LinearHead.load(directory))


def _vectorizer(vocabulary: dict[str, int] | None = None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    rarest = 2 if vocabulary is None else 1  # with a given vocabulary, it is only checked
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=rarest, vocabulary=vocabulary)
