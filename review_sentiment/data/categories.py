"""Category names: checked before anything is loaded, every wrong one at once."""

from collections.abc import Sequence

from review_sentiment.errors import UsageError, nearest


class UnknownCategoriesError(UsageError):
    """At least one requested category does not exist in the source."""


def validate_categories(requested: Sequence[str], available: Sequence[str], source: str) -> tuple[str, ...]:
    """Return the requested categories in their order.

    Raises:
        UnknownCategoriesError: names every unknown or repeated category, each
            with the nearest right one.
    """
    problems = []
    for position, name in enumerate(requested):
        if name in requested[:position]:
            problems.append(f"'{name}' is named twice")
        elif name not in available:
            suggestion = nearest(name, available)
            hint = f" (did you mean '{suggestion}'?)" if suggestion else ""
            problems.append(f"'{name}' is unknown{hint}")
    if not requested:
        problems.append("none is named")
    if problems:
        raise UnknownCategoriesError(
            f"data.categories: {'; '.join(problems)}. "
            f"The source '{source}' has: {', '.join(available) or 'no categories at all'}."
        )
    return tuple(requested)
