"""Category names, which are checked before anything is loaded."""

from collections.abc import Sequence

from review_sentiment.errors import UsageError, nearest


class UnknownCategoriesError(UsageError):
    """The source does not have all requested categories, or the request is empty or repeats one."""


def validate_categories(requested: Sequence[str], available: Sequence[str], source: str) -> tuple[str, ...]:
    """Return the requested categories in the given order.

    Raises:
        UnknownCategoriesError: it lists every unknown or repeated category, with the closest existing one.
    """
    problems = []
    for position, name in enumerate(requested):
        if name in requested[:position]:
            problems.append(f"'{name}' is listed twice")
        elif name not in available:
            suggestion = nearest(name, available)
            hint = f" (did you mean '{suggestion}'?)" if suggestion else ""
            problems.append(f"'{name}' is unknown{hint}")
    if not requested:
        problems.append("none is listed")
    if problems:
        raise UnknownCategoriesError(
            f"data.categories: {'; '.join(problems)}. "
            f"The source '{source}' has: {', '.join(available) or 'no categories'}."
        )
    return tuple(requested)
