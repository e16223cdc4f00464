"""Turn reviews into chats in the model's own chat template."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.reviews import ChatDatasetMaterializer
from review_sentiment.config import Labels, ModelSettings, PromptSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.data.review_table import ReviewTable
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "format_chat", packages=("transformers", "tokenizers"))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=ChatDatasetMaterializer)
def format_chat(
    reviews: ReviewTable, model: ModelSettings, prompt: PromptSettings, labels: Labels
) -> Annotated[ChatDataset, "chats"]:
    """Return one chat per review."""
    from review_sentiment.data.chats import format_chats
    from review_sentiment.data.labels import scheme_of
    from review_sentiment.data.prompt_format import prompt_format
    from review_sentiment.models.base_model import identify
    from review_sentiment.models.loading import load_tokenizer

    tokenizer = load_tokenizer(identify(model))
    names = scheme_of(labels).names
    return format_chats(reviews.frame, tokenizer, prompt_format(prompt, names))
