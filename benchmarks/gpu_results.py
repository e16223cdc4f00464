"""The file of the GPU check's results: a line for each stage, or more while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = "results.jsonl"


def note(out: Path, stage: str, found: dict[str, Any]) -> None:
    """Append a stage's figures to the results."""
    with (out / FILE).open("a") as file:
        file.write(json.dumps({"stage": stage, **found}, default=str) + "\n")


def last_lines(out: Path) -> list[str]:
    """Return the last line of each stage."""
    lines = (out / FILE).read_text().splitlines()
    return list({json.loads(line)["stage"]: line for line in lines}.values())
