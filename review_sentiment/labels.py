"""From stars to the labels that a model answers with."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelScheme:
    """The classes of a task and the star ratings that belong to each.

    `names` are the words that the model answers, in the order of the class
    index; `of_stars` maps a whole star rating to one of them. Ratings that are
    missing from it are dropped. `positive` is the class whose probability ROC
    AUC is computed for.
    """

    names: tuple[str, ...]
    of_stars: Mapping[int, str]
    positive: str

    def label(self, stars: float) -> str | None:
        """Return the label of a rating, or None where the scheme drops it."""
        return self.of_stars.get(int(stars)) if stars == int(stars) else None


BINARY = LabelScheme(
    names=("negative", "positive"),
    of_stars={1: "negative", 2: "negative", 4: "positive", 5: "positive"},
    positive="positive",
)
"""1-2 stars against 4-5; 3 stars are neither."""
