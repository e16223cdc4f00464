"""Reviews as chats, ready for training and scoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.data import review_table
from review_sentiment.data.prompt_format import PromptFormat
from review_sentiment.data.prompts import PromptBuilder
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REVIEW_COLUMNS = [
    "review_id",
    "category",
    "source_label",
    "language",
    "verified_purchase",
    "label",
    "title",
    "text",
    "weight",
    "balanced",
]
CHAT_COLUMNS = {
    "prompt": "str",
    "completion": "str",
    "prompt_tokens": "int64",
    "total_tokens": "int64",
    "truncated": "bool",
}
COLUMNS = {name: review_table.COLUMNS[name] for name in REVIEW_COLUMNS} | CHAT_COLUMNS


@dataclass(frozen=True)
class ChatDataset:
    """One chat per row, with the columns of `COLUMNS`, and the labels that the model can answer."""

    frame: pd.DataFrame
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    def head(self, rows: int | None) -> ChatDataset:
        """Return the first rows, a random sample, since the rows are in the order of a hash; None for all."""
        return self if rows is None else ChatDataset(self.frame.head(rows), self.labels)

    def natural_shares(self) -> tuple[float, ...]:
        """Return the share of each label in the source, which the weights of a held-out set count."""
        weights = self.frame.groupby("label")["weight"].sum()
        return tuple(float(weights.get(label, 0) / weights.sum()) for label in self.labels)

    def balanced(self) -> ChatDataset:
        """Return the chats of the balanced reviews, which are the first."""
        return ChatDataset(self.frame[self.frame["balanced"]].reset_index(drop=True), self.labels)

    def shard(self, number: int, of: int) -> ChatDataset:
        """Return every `of`-th chat of each label, starting with the `number`-th (0-based).

        Raises:
            DataError: a label has fewer chats than there are shards.
        """
        counts = self.frame["label"].value_counts()
        if counts.min() < of:
            raise DataError(
                f"evaluation.shards={of}: only {counts.min()} reviews are {counts.idxmin()}, and each shard "
                "needs reviews of every label. Set a lower number."
            )
        place = self.frame.groupby("label").cumcount()
        return ChatDataset(self.frame[place % of == number].reset_index(drop=True), self.labels)

    def fingerprint(self) -> str:
        """Return a hash of the chats and their order, which training depends on."""
        return f"{stable_hash(*self.labels, *self.frame['prompt'], *self.frame['completion']):016x}"

    def token_statistics(self) -> dict[str, float]:
        """Return statistics of the lengths in tokens, and the fraction of truncated reviews."""
        tokens = self.frame["total_tokens"]
        return {
            "rows": len(tokens),
            "tokens": int(tokens.sum()),
            "mean_tokens": round(float(tokens.mean()), 1),
            "p50_tokens": float(tokens.quantile(0.5)),
            "p99_tokens": float(tokens.quantile(0.99)),
            "max_tokens": int(tokens.max()),
            "truncated_share": round(float(self.frame["truncated"].mean()), 4),
        }


def format_chats(
    reviews: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, form: PromptFormat
) -> ChatDataset:
    """Render every review as a chat, in the order of the table."""
    builder = PromptBuilder(tokenizer, form)
    rows = zip(reviews["title"], reviews["text"], reviews["label"], strict=True)
    chats = [vars(builder.build(title, text, label)) for title, text, label in rows]
    frame = pd.DataFrame(chats, index=reviews.index, columns=list(CHAT_COLUMNS))
    return ChatDataset(pd.concat([reviews[REVIEW_COLUMNS], frame], axis=1).astype(COLUMNS), form.labels)
