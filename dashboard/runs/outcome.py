"""What came of a run, in one sentence: the version that it registered and its gate, or why it has none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dashboard.rendering import capitalised

Judgement = Literal["good", "warn", "bad", "neutral", "live"]
JUDGEMENTS: Mapping[str, Judgement] = {
    "starting": "live",
    "running": "live",
    "detached": "live",
    "completed": "good",
    "failed": "bad",
    "interrupted": "warn",
    "lost": "bad",
}
STATUS_WORDS = {"interrupted": "stopped", "lost": "process lost", "detached": "on a cluster"}
GAIN = re.compile(r"accuracy over the (?P<other>.+?)(?:, champion at the time)? is (?P<gain>[+-]\d\.\d+) ")
"""In a gate's reason: the other model, and the difference to its accuracy."""
PREFIX = "The gate was not passed: "


@dataclass(frozen=True)
class Outcome:
    """A sentence, how good that is, and the registered version, if any, with its model's name."""

    text: str
    judgement: Judgement
    version: str = ""
    model: str = ""


def outcome_of_end(end: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a run that ended, from the last of its events."""
    status, result = end["status"], end["result"] or {}
    if status != "completed":
        words = {"detached": "Started on a cluster.", "interrupted": "Stopped before it completed."}
        return Outcome(words.get(status) or _first_line(end["text"]), JUDGEMENTS[status])
    model = result.get("model") or {}
    if not model:
        return Outcome(f"Completed: {', '.join(result.get('outputs') or {}) or 'no version'}.", "good")
    if result["steps"].get("register_model", {}).get("status") == "cached":
        text = f"Everything came from the cache. Version {model['version']} has this result already."
        return Outcome(text, "neutral", model["version"], model["name"])
    alias = ", ".join(model["aliases"])
    return _registered(
        model["version"], alias, model["gate"] == "passed", model["gate_reason"], model["name"]
    )


def outcome_of_verdict(verdict: Mapping[str, Any]) -> Outcome | None:
    """Return the outcome that ZenML has recorded, or None if the run registered nothing."""
    if "version" not in verdict:
        return None
    passed, reason = bool(verdict.get("passed")), verdict.get("reason", "")
    return _registered(verdict["version"], verdict.get("alias", ""), passed, reason, "")


def gate_text(reason: str) -> str:
    """Return why a gate was not passed, with a difference of accuracies in points."""
    reason = reason.removeprefix(PREFIX)
    found = GAIN.search(reason)
    if found is None:
        return capitalised(reason)
    points, other = 100 * float(found["gain"]), found["other"]
    if points < 0:
        return f"{-points:.1f} points below {other}."
    return f"{points:.1f} points above {other}, which is not enough."


def _registered(version: str, alias: str, passed: bool, reason: str, model: str) -> Outcome:
    role = f" as {alias}" if alias else ""
    text = f"Version {version} registered{role}. " + (
        "Gate passed." if passed else f"Gate not passed: {gate_text(reason)}"
    )
    return Outcome(text, "good" if passed else "warn", version, model)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
