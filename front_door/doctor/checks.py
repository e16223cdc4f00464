"""What doctor says of one thing: what was checked, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One check; `advice` says what to do where it is not ok."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def check(name: str, look: Callable[[], str], advice: str) -> Check:
    """Return what a look finds; whatever it raises is the finding: many libraries are behind it."""
    try:
        return Check(name, True, look())
    except Exception as error:  # noqa: BLE001
        first_line = (str(error).strip() or "no message").splitlines()[0]
        return Check(name, False, f"{type(error).__name__}: {first_line}", advice)


def report(checks: Sequence[Check]) -> str:
    """Return one line a check, and the advice under those that failed."""
    lines = []
    for each in checks:
        lines.append(f"{'ok  ' if each.ok else 'FAIL'} {each.name:13} {each.found}")
        if not each.ok:
            lines.append(f"     {'':13} -> {each.advice}")
    failed = sum(not each.ok for each in checks)
    lines.append(f"{failed} of {len(checks)} checks failed." if failed else "Everything is there.")
    return "\n".join(lines)
