"""Put a version's evaluation reviews to a server, and compare its answers with the recorded ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.data.chats import format_chats
from review_sentiment.data.prompts import PromptBuilder, label_token_ids
from review_sentiment.errors import first_line
from review_sentiment.models.loading import load_tokenizer
from review_sentiment.registry import parity
from review_sentiment.registry.parity import Answer, Evidence, Parity
from review_sentiment.scoring.answers import probability_columns
from review_sentiment.scoring.completions_server import CompletionsServer, Question, Reply, ServerError
from review_sentiment.scoring.label_tokens import label_branches
from review_sentiment.scoring.version_files import require_label_words
from review_sentiment.tracking import downloads, evidence
from review_sentiment.tracking.mlflow_store import BASELINE, temporary_directory

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.scoring.version_files import Serving
    from review_sentiment.tracking.model_versions import ModelVersion

CHAT = "chat"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedAnswers:
    """A version's evaluation reviews, its predictions for them in the same order, and its base model's."""

    serving: Serving
    reviews: pd.DataFrame
    tuned: pd.DataFrame
    untuned: pd.DataFrame


def recorded_answers(version: ModelVersion, rows: int | None) -> RecordedAnswers:
    """Return what is recorded of the first rows of a version's evaluation, a random sample; None for all.

    Raises:
        TrackingError: the version has no evidence.
        ModelUnavailableError: its files cannot be downloaded.
        UsageError: it has a classification head.
    """
    tuned = evidence.predictions_of(version)[:rows]
    reviews = evidence.reviews_of(version).set_index("review_id", drop=False).loc[tuned["review_id"]]
    has_baseline = BASELINE in version.compared_models
    untuned = evidence.predictions_of(version, BASELINE) if has_baseline else tuned.head(0)
    with temporary_directory() as scratch:
        serving, adapter = downloads.download_adapter(version, Path(scratch))
        require_label_words(adapter)
    return RecordedAnswers(serving, reviews, tuned, untuned)


def compare_with_server(
    recorded: RecordedAnswers, server: CompletionsServer, model: str, endpoint: str
) -> Parity:
    """Ask a model of a server for its answers; a few reviews again as token ids, to find causes.

    Raises:
        ServerError: the server does not answer.
        ModelUnavailableError: the tokenizer of the base model is not available.
    """
    serving = recorded.serving
    tokenizer = load_tokenizer(serving.base)
    chats = format_chats(recorded.reviews, tokenizer, serving.prompt).frame
    prompts = list(chats["prompt"])
    longest = max(map(len, label_token_ids(tokenizer, prompts[0], serving.labels)))
    first = label_branches(tokenizer, prompts[0], serving.labels)[0].labels_by_token
    # Labels that share their first token have no probabilities there.
    tokens = [str(tokenizer.decode([token])) for token in first] if len(first) == len(serving.labels) else []
    ask = partial(_ask, server, model, serving.labels, tokens, longest)

    theirs = ask(_questions(PromptBuilder(tokenizer, serving.prompt), chats, endpoint))
    ours = _answers(recorded.tuned, serving.labels, list(chats["prompt_tokens"]))
    probed = parity.rows_to_probe(ours, theirs)
    encoded = [tokenizer.encode(prompts[row], add_special_tokens=False) for row in probed]
    try:
        by_ids = dict(zip(probed, ask([{"prompt": ids} for ids in encoded]), strict=True))
    except ServerError as error:
        logger.info("The cause of differences is sought without token ids: %s", first_line(error))
        by_ids = {}
    reviews = tuple(recorded.tuned["review_id"])
    untuned = recorded.untuned[recorded.untuned["review_id"].isin(reviews)]
    untuned_answers = _answers(untuned, serving.labels, [None] * len(untuned))
    untuned_rows = map(reviews.index, untuned["review_id"])
    return parity.compare(
        Evidence(
            labels=serving.labels,
            review_ids=reviews,
            ours=ours,
            theirs=theirs,
            untuned=dict(zip(untuned_rows, untuned_answers, strict=True)),
            by_ids=by_ids,
        )
    )


def _questions(builder: PromptBuilder, chats: pd.DataFrame, endpoint: str) -> list[Question]:
    if endpoint != CHAT:
        return [{"prompt": prompt} for prompt in chats["prompt"]]
    rows = zip(chats["title"], chats["text"], strict=True)
    return [{"messages": builder.messages(title, text)} for title, text in rows]


def _ask(
    server: CompletionsServer,
    model: str,
    labels: Sequence[str],
    tokens: Sequence[str],
    longest: int,
    questions: Sequence[Question],
) -> tuple[Answer, ...]:
    """Return the server's answers as labels; `tokens` are the first tokens of the labels."""

    def answer(reply: Reply) -> Answer:
        found = parity.normalised([reply.log_prob(token) for token in tokens])
        return Answer(parity.label_in(reply.text, labels), reply.prompt_tokens, found)

    return tuple(map(answer, server.answers(model, questions, longest)))


def _answers(
    predictions: pd.DataFrame, labels: Sequence[str], prompt_tokens: Sequence[int | None]
) -> tuple[Answer, ...]:
    probabilities = predictions[probability_columns(labels)].to_numpy()
    rows = zip(predictions["predicted"], prompt_tokens, probabilities, strict=True)
    return tuple(Answer(label, tokens, tuple(map(float, found))) for label, tokens, found in rows)
