"""Which columns of a file have its reviews: those asked for, those of the training, or `text` and `title`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from review_sentiment.data.files.review_file import TEXT, TITLE, ReviewColumns
from review_sentiment.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class ColumnChoice:
    """The columns asked for, if any, and those that the version was trained on."""

    text: str | None = None
    title: str | None = None
    trained: ReviewColumns = field(default_factory=ReviewColumns)

    def among(self, columns: Collection[str], name: str) -> ReviewColumns:
        """Return the columns of a file with some columns.

        A version that was trained without titles gets none unless they are asked for.

        Raises:
            UsageError: the file lacks a column asked for, or has no column with texts.
        """
        for role, column in (("text", self.text), ("title", self.title)):
            if column is not None and column not in columns:
                raise UsageError(
                    f"--{role}-column: {name} has no column '{column}'.{did_you_mean(column, columns)} "
                    f"It has: {_listed(columns)}."
                )
        text = self.text or _first(columns, self.trained.text, TEXT)
        if text is None:
            usual = " or ".join(f"'{column}'" for column in dict.fromkeys((self.trained.text, TEXT)))
            raise UsageError(
                f"{name} has no column {usual}; it has: {_listed(columns)}. Name the column with the reviews "
                "with --text-column, and the one with their titles, if any, with --title-column."
            )
        titles = () if self.trained.title is None else (self.trained.title, TITLE)
        return ReviewColumns(text, self.title or _first(columns, *titles))


def _first(columns: Collection[str], *names: str) -> str | None:
    return next((name for name in names if name in columns), None)


def _listed(columns: Collection[str]) -> str:
    return ", ".join(map(repr, columns))[:300]
