"""From stars to the labels that the model answers with."""

from collections.abc import Mapping
from dataclasses import dataclass

RATINGS = range(1, 6)


@dataclass(frozen=True)
class LabelScheme:
    """The classes of a task, and the star ratings of each class.

    `names` are the words that the model answers, in the order of the class index. `of_stars` maps whole star
    ratings to names; reviews with other ratings are dropped.
    """

    names: tuple[str, ...]
    of_stars: Mapping[int, str]

    def described(self) -> str:
        """Return a description of the stars of each label, and of those left out."""
        parts = []
        for name in self.names:
            stars = [str(rating) for rating, label in self.of_stars.items() if label == name]
            parts.append(f"{'-'.join(stars)} star{'s' if stars != ['1'] else ''} {name}")
        left_out = [str(rating) for rating in RATINGS if rating not in self.of_stars]
        return ", ".join(parts) + (f"; {', '.join(left_out)} left out" if left_out else "")

    def label(self, stars: float) -> str | None:
        """Return the label of a rating, or None if the scheme drops it."""
        return self.of_stars.get(int(stars)) if stars == int(stars) else None


BINARY = LabelScheme(
    names=("negative", "positive"),
    of_stars={1: "negative", 2: "negative", 4: "positive", 5: "positive"},
)
"""1-2 stars against 4-5; reviews with 3 stars are dropped."""
NEUTRAL = LabelScheme(names=("negative", "neutral", "positive"), of_stars={**BINARY.of_stars, 3: "neutral"})
"""3 stars are a class of their own."""
STARS = LabelScheme(names=("1", "2", "3", "4", "5"), of_stars={stars: str(stars) for stars in RATINGS})
"""The rating itself."""

LABEL_SCHEMES: Mapping[str, LabelScheme] = {"binary": BINARY, "neutral": NEUTRAL, "stars": STARS}
"""By the values of the setting `data.labels`."""
