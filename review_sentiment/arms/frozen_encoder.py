"""Logistic regression on the sentence vectors of an encoder, which stays as it is."""

from __future__ import annotations

from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.encoder import Encoder, normalised
from review_sentiment.arms.encoder_classifier import EncoderClassifier
from review_sentiment.arms.linear import Features, fit_best_linear


def fit_frozen_encoder(
    encoder: Encoder, train: LabelledDocuments, validation: LabelledDocuments, seed: int
) -> EncoderClassifier:
    """Fit on training documents; the validation documents choose the regularisation."""

    def features(found: LabelledDocuments) -> Features:
        return Features(normalised(encoder.means(encoder.tokenise(found.documents))), found)

    head = fit_best_linear(features(train), features(validation), seed)
    return EncoderClassifier(encoder, head, normalises=True)
