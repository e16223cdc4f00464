"""`Check`: the project's one record of a check, used by `doctor` and by the dashboard's pages.

    Check("disk", ok=False, found="0.3 GB free", advice="Free some space.")

`doctor --json` prints the fields under these names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from review_sentiment.errors import ReviewSentimentError, first_line

SECONDS_TO_ANSWER = 10
"""For a service or a machine that is asked."""


@dataclass(frozen=True)
class Check:
    """What was checked, whether it passed, what was found and, if that does not say it, what to do."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def run_check(name: str, probe: Callable[[], str], advice: str = "") -> Check:
    """Return a passed check with the probe's result, or a failed one with the first line of its exception.

    Every exception counts: probes call many libraries. Our own errors say themselves what to do.
    """
    try:
        return Check(name, True, probe())
    except ReviewSentimentError as error:
        return Check(name, False, str(error))
    except Exception as error:  # noqa: BLE001
        return Check(name, False, f"{type(error).__name__}: {first_line(error)}", advice)


def report(checks: Sequence[Check]) -> str:
    """Return one line per check, and the advice below each that failed."""
    lines = []
    for check in checks:
        lines.append(f"{'ok  ' if check.ok else 'FAIL'} {check.name:13} {check.found}")
        if not check.ok and check.advice:
            lines.append(f"     {'':13} -> {check.advice}")
    failed = sum(not check.ok for check in checks)
    lines.append(f"{failed} of {len(checks)} checks failed." if failed else "All checks passed.")
    return "\n".join(lines)
