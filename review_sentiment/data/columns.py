"""Which column of a source has which part of a review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from review_sentiment.data.files.review_file import TEXT, TITLE, ReviewColumns
from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from review_sentiment.config import ColumnSettings


@dataclass(frozen=True)
class Columns:
    """The column of each part of a review; None if the source does not have it.

    `required` are the roles whose columns must exist, in the order in which a missing one is reported.
    """

    text: str
    label: str
    title: str | None = None
    category: str | None = None
    group: str | None = None
    user: str | None = None
    time: str | None = None
    verified_purchase: str | None = None
    required: tuple[str, ...] = ("label", "text")

    def names(self) -> tuple[str, ...]:
        """Return all columns, each once."""
        roles = astuple(self)[:-1]
        return tuple(dict.fromkeys(name for name in roles if name is not None))

    def require_roles(self, roles: Sequence[str]) -> None:
        """Check that there are columns for some roles, whether or not a table has them.

        Raises:
            UsageError: there is none for a role.
        """
        for role in roles:
            if getattr(self, role) is None:
                raise UsageError(
                    f"data.columns.{role} must name a column: the settings need the {role} of each review."
                )

    def require(self, available: Sequence[str], place: str, roles: Sequence[str] = ()) -> None:
        """Check that a table has the columns of the required roles, and of `roles`.

        Raises:
            UsageError: it does not; the closest column is suggested.
        """
        self.require_roles(roles)
        for role in dict.fromkeys((*self.required, *roles)):
            column = getattr(self, role)
            if column is not None and column not in available:
                raise UsageError(
                    f"data.columns.{role}: {place} has no column '{column}'."
                    f"{did_you_mean(column, available)} It has: {', '.join(available) or 'none'}. For a "
                    "configuration with the columns of your table: "
                    f"python run_pipeline.py inspect {place} --write configs/mine.yaml"
                )


AMAZON = Columns(
    text="text",
    label="rating",
    title="title",
    group="parent_asin",
    user="user_id",
    time="timestamp",
    verified_purchase="verified_purchase",
    required=("label", "text", "group"),
)
"""The schema of Amazon Reviews 2023 (https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023)."""


def columns_of(given: ColumnSettings, own: Columns) -> Columns:
    """Return the columns of the settings, all of which must exist, or else the source's own.

    Raises:
        UsageError: some columns are named, but not those of the text and the label.
    """
    roles = given.given
    missing = [f"data.columns.{role}" for role in ("text", "label") if role not in roles]
    if roles and missing:
        raise UsageError(
            f"{' and '.join(missing)} must be set too: if one column of a table is named, all that are used "
            "must be."
        )
    return Columns(**roles, required=tuple(roles)) if roles else own


def review_columns(given: ColumnSettings) -> ReviewColumns:
    """Return the columns in which a file to score is expected to have its reviews."""
    return ReviewColumns(given.text or TEXT, given.title if given.given else TITLE)
