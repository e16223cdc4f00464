"""The reviews that a training will see: counted and measured if they are cached, otherwise assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.resources.micro_batches import KnownRows, PlannedRows, Rows

if TYPE_CHECKING:
    from review_sentiment.config import Settings
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.models.recipe import Recipe

MEAN_LENGTH = 0.56
"""Mean length of a chat as a fraction of the maximum: for the embedded reviews, 108 of 192 tokens."""
CHATS_FOR_THE_PREFIX = 16
"""All chats start with the same tokens, those of the instruction: a few chats show how many."""


@dataclass(frozen=True)
class TrainingData:
    """The training reviews of one epoch.

    `source` says what the count comes from. `lengths` are the tokens of each chat, and `shared` is the number
    that all start with. Without lengths, chats are assumed to have the mean length, the longest the maximum.
    """

    reviews: int
    source: str
    lengths: Sequence[int] = ()
    shared: int = 0

    def trained(self, settings: Settings) -> int:
        """Return the reviews that are trained on; each epoch counts."""
        training = settings.training
        if training.max_steps > 0:
            return training.max_steps * training.batch_size
        return round(training.epochs * self.reviews)

    def tokens(self, settings: Settings) -> float:
        """Return the tokens that are trained on."""
        known = sum(self.lengths) / len(self.lengths) if self.lengths else 0.0
        return self.trained(settings) * (known or MEAN_LENGTH * settings.prompt.max_tokens)

    def rows(self, settings: Settings, recipe: Recipe) -> Rows:
        """Return the rows that memory depends on: those of the heaviest batch, or assumed ones."""
        if not self.lengths:
            return PlannedRows(settings.prompt.max_tokens, recipe.training.batch_size)
        from review_sentiment.training.sampler import heaviest_rows

        heaviest = [self.lengths[row] for row in heaviest_rows(self.lengths, recipe)]
        return KnownRows(tuple(heaviest), min(self.shared, min(heaviest) - 1))

    def described(self, settings: Settings) -> str:
        """Return the number of reviews and its source."""
        source = "training.max_steps batches" if settings.training.max_steps > 0 else self.source
        return f"{self.trained(settings):,} reviews ({source})"


def assumed(settings: Settings, counts: Mapping[str, Mapping[str, int]] | None = None) -> TrainingData:
    """Return the training reviews that the settings lead to.

    `counts` are the reviews of each category by label, if a local source could tell. Without them, every
    category is assumed to fill `split.train_per_category`.
    """
    split, equal = settings.split, settings.training.composition == "equal"
    if counts is None:
        most = max(1, len(settings.data.categories)) * split.train_per_category
        return TrainingData(most, "at most: split.train_per_category for each category")
    left = 1 - split.evaluation_share - split.validation_share
    reviews = 0.0
    for labels in counts.values():
        usable = len(labels) * min(labels.values()) if equal else sum(labels.values())
        reviews += min(split.train_per_category, left * usable * (len(labels) > 1 or not equal))
    return TrainingData(round(reviews), "about: from the number of reviews by label")


def measured(chats: ChatDataset, settings: Settings) -> TrainingData:
    """Return the training reviews of a cached split."""
    from review_sentiment.models.base_model import identify
    from review_sentiment.models.loading import load_tokenizer
    from review_sentiment.models.packing import shared_prefix

    tokenizer = load_tokenizer(identify(settings.model))
    first = [
        tokenizer.encode(prompt, add_special_tokens=False)
        for prompt in chats.frame["prompt"].head(CHATS_FOR_THE_PREFIX)
    ]
    lengths = [int(tokens) for tokens in chats.frame["total_tokens"]]
    return TrainingData(
        len(chats), "from the cached split", lengths, shared_prefix(first, min(map(len, first)) - 1)
    )
