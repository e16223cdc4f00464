"""Columns that give the label away: alone, or written into the text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.data.cleaning import normalised
from review_sentiment.data.inspection.roles import MAX_CLASSES, MIN_CLASSES
from review_sentiment.data.inspection.values import is_missing, number_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

LEAK_ROWS = 4_000
LEAKING_AUC = 0.95
MIN_PER_CLASS = 6
"""Rows that a class needs to be in every one of the three folds, twice."""
FOLDS = 3
NUMERIC = 0.95
IN_TEXT = 0.5
"""Fraction of the rows whose text names their label, from which the label is in the text."""
RATHER_THAN_OTHERS = 0.9
"""Of the texts that name any label, the fraction that must name the row's own."""


@dataclass(frozen=True)
class Leak:
    """A column that predicts the label alone, with the AUC of its predictions of held-out rows."""

    column: str
    auc: float


def leaking_columns(columns: Mapping[str, Sequence[Any]], label: str, texts: set[str]) -> list[Leak]:
    """Return the columns whose AUC exceeds `LEAKING_AUC`, except the texts, from which a model may learn.

    With several classes it is the mean AUC of each class against the others. Predictions come from
    cross-validation, so a column that is different in every row predicts nothing.
    """
    labels = ["" if is_missing(value) else str(value).strip() for value in columns[label]]
    counts = Counter(labels)
    enough = {name for name, count in counts.items() if name and count >= MIN_PER_CLASS}
    if not MIN_CLASSES <= len(enough) <= MAX_CLASSES:
        return []
    rows = [index for index, name in enumerate(labels) if name in enough]
    target = np.array([labels[index] for index in rows])
    found = []
    for name, values in columns.items():
        if name == label or name in texts:
            continue
        chosen = [values[index] for index in rows]
        if len({str(value) for value in chosen}) > 1 and (auc := _auc(chosen, target)) > LEAKING_AUC:
            found.append(Leak(name, auc))
    return sorted(found, key=lambda leak: -leak.auc)


def labelled_texts(texts: Sequence[Any], labels: Sequence[Any]) -> float:
    """Return the fraction of texts that name their own label, or 0 if they name others nearly as often.

    "good" is in many good reviews, and "not good" in bad ones; a label that was written into the text is in
    nearly all of them, and no other label is.
    """
    names = {
        name: normalised(name) for name in {str(label).strip() for label in labels if not is_missing(label)}
    }
    words = sorted(filter(None, names.values()), key=len, reverse=True)
    if not MIN_CLASSES <= len(names) <= MAX_CLASSES or not words:
        return 0.0
    any_name = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")
    own = named = count = 0
    for text, label in zip(texts, labels, strict=True):
        if is_missing(text) or is_missing(label):
            continue
        found = set(any_name.findall(normalised(str(text))))
        count += 1
        named += bool(found)
        own += found == {names[str(label).strip()]}
    if not count or own < RATHER_THAN_OTHERS * named:
        return 0.0
    return own / count


def _auc(values: Sequence[Any], target: npt.NDArray[np.str_]) -> float:
    """Return the AUC of cross-validated predictions from one column."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.tree import DecisionTreeClassifier

    numbers = [None if is_missing(value) else number_of(value) for value in values]
    present = sum(not is_missing(value) for value in values)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    if sum(number is not None for number in numbers) >= NUMERIC * present:
        column = np.array(numbers, dtype=float)[:, None]  # None becomes NaN
        tree = DecisionTreeClassifier(max_leaf_nodes=64, min_samples_leaf=2, random_state=0)
        predicted = cross_val_predict(tree, column, target, cv=folds, method="predict_proba")
    else:
        words = MultinomialNB(alpha=0.01)  # counts once, where a logistic regression takes seconds
        predicted = cross_val_predict(words, _words(values), target, cv=folds, method="predict_proba")
    if predicted.shape[1] == MIN_CLASSES:
        return float(roc_auc_score(target, predicted[:, 1]))
    return float(roc_auc_score(target, predicted, multi_class="ovr"))


def _words(values: Sequence[Any]) -> csr_matrix:
    """Return a matrix [rows, features] of the words of each value, and of the value as a whole."""
    from sklearn.feature_extraction.text import HashingVectorizer

    texts = ["" if is_missing(value) else " ".join(str(value).casefold().split()) for value in values]
    hashed = HashingVectorizer(analyzer=_parts, n_features=2**14, alternate_sign=False)
    return hashed.transform(texts)


def _parts(text: str) -> list[str]:
    return [f"={text}", *re.findall(r"\w+", text)]
