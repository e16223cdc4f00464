"""Logistic regression on the sentence vectors of an encoder, which stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from review_sentiment.arms.arm import documents_of
from review_sentiment.arms.encoder import Encoder, normalised
from review_sentiment.arms.encoder_classifier import EncoderClassifier
from review_sentiment.arms.linear import Features, fit_best_linear

if TYPE_CHECKING:
    from review_sentiment.data.chats import ChatDataset


def fit_frozen_encoder(
    encoder: Encoder, train: ChatDataset, validation: ChatDataset, seed: int
) -> EncoderClassifier:
    """Fit on training reviews; the validation reviews choose the regularisation."""

    def features(chats: ChatDataset) -> Features:
        return Features(normalised(encoder.means(encoder.tokenise(documents_of(chats)))), chats)

    head = fit_best_linear(features(train), features(validation), seed)
    return EncoderClassifier(encoder, head, normalises=True)
