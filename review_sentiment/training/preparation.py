"""Training and validation chats without a pipeline: for sweeps, notebooks and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.data.chats import ChatDataset, format_chats
from review_sentiment.data.cleaning import CleaningRules, clean_category
from review_sentiment.data.labels import scheme_of
from review_sentiment.data.prompt_format import prompt_format
from review_sentiment.data.sources.catalogue import open_source, with_categories
from review_sentiment.data.splits import SplitRules, split_reviews
from review_sentiment.models.base_model import identify
from review_sentiment.models.loading import load_tokenizer

if TYPE_CHECKING:
    from review_sentiment.config import Settings


@dataclass(frozen=True)
class Prepared:
    """The chats that training may see; evaluation reviews are not among them."""

    train: ChatDataset
    validation: ChatDataset


def prepare(settings: Settings) -> Prepared:
    """Read, clean, split and format, as the steps of the pipeline do.

    Raises:
        DataError: the reviews cannot be used.
        ModelUnavailableError: the model's tokenizer is not available.
    """
    source = open_source(settings.data)
    settings = with_categories(settings, source)
    scheme = scheme_of(settings.data.labels)
    rules = CleaningRules.of(
        scheme,
        settings.cleaning,
        settings.needed_per_class,
        settings.kept_per_class,
        needs_time=settings.needs_time,
    )
    tables = [
        clean_category(category, source.read(category, settings.seed), rules, settings.seed)
        for category in settings.data.categories
    ]
    splits = split_reviews(tables, SplitRules.of(settings), settings.seed)
    tokenizer = load_tokenizer(identify(settings.model))
    form = prompt_format(settings.prompt, scheme.names)
    train, validation = (
        format_chats(part.frame, tokenizer, form) for part in (splits.train, splits.validation)
    )
    return Prepared(train, validation)
