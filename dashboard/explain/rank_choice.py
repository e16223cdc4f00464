"""Results of a sweep over the LoRA rank: from this machine, or those that come with the project."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from review_sentiment.cache import cache_directory
from review_sentiment.config import LoraSettings

PROJECT_SWEEP = Path(__file__).resolve().with_name("rank_sweep.json")
RANK = "lora.rank"


@dataclass(frozen=True)
class RankResult:
    """Trials with one rank: lowest and highest macro-F1, and the means of their figures."""

    rank: int
    trials: int
    min_f1: float
    max_f1: float
    macro_f1: float
    roc_auc: float
    seconds: float


@dataclass(frozen=True)
class RankSweep:
    """Results by rank, and where they come from."""

    results: tuple[RankResult, ...]
    command: str

    def about_the_default(self) -> str:
        """Return how the default rank compares with the best one, and why it is the default; or nothing."""
        default = LoraSettings().rank
        here = next((one for one in self.results if one.rank == default), None)
        if here is None:
            return ""
        best = max(self.results, key=lambda one: one.macro_f1)
        why = (
            f"The default is {default}: its memory and time hardly count beside the base model's, and it "
            "leaves room for tasks with more labels and more reviews."
        )
        if best is here:
            return f"Rank {default} scores highest here. {why}"
        gain, spread = best.macro_f1 - here.macro_f1, max(one.max_f1 - one.min_f1 for one in self.results)
        higher = f"Rank {best.rank} scores {gain:.3f} more than rank {default} here"
        if gain > spread:
            return f"{higher}, which is more than trials of the same rank differ."
        return (
            f"{higher}, but trials of the same rank differ by up to {spread:.3f}: this sweep does not show "
            f"that one of them is better. {why}"
        )


def rank_sweep() -> RankSweep:
    """Return the newest sweep over the rank on this machine, or the project's own."""
    if found := _newest_sweep():
        return found
    content = json.loads(PROJECT_SWEEP.read_text(encoding="utf-8"))
    return RankSweep(by_rank(content["trials"]), content["command"])


def by_rank(trials: Sequence[Mapping[str, Mapping[str, Any]]]) -> tuple[RankResult, ...]:
    """Group trials, as `sweep --json` prints them, by rank."""
    groups: dict[int, list[Mapping[str, float]]] = {}
    for trial in trials:
        if RANK in trial["values"]:
            groups.setdefault(int(trial["values"][RANK]), []).append(trial["figures"])
    return tuple(
        RankResult(
            rank,
            len(group),
            min(figures["macro_f1"] for figures in group),
            max(figures["macro_f1"] for figures in group),
            *(mean(figures[name] for figures in group) for name in ("macro_f1", "roc_auc", "seconds")),
        )
        for rank, group in sorted(groups.items())
    )


def _newest_sweep() -> RankSweep | None:
    files = sorted((cache_directory() / "sweeps").glob("*.db"), key=lambda file: -file.stat().st_mtime)
    if not files:
        return None
    import optuna

    for file in files:
        study = optuna.load_study(study_name=file.stem, storage=f"sqlite:///{file}")
        attributes = [trial.user_attrs for trial in study.get_trials(deepcopy=False)]
        trials = [one for one in attributes if "figures" in one]
        results = by_rank(trials)
        if len(results) > 1:
            return RankSweep(results, f"a sweep on this machine ({len(trials)} trials)")
    return None
