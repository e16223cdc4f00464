"""What a sweep over the rank found: this machine's own, else the one that comes with the project."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from review_sentiment.cache import cache_directory

MEASURED = Path(__file__).resolve().with_name("rank_sweep.json")
RANK = "lora.rank"


@dataclass(frozen=True)
class RankResult:
    """Trials with one rank: how many, and the means of their macro-F1, ROC AUC and seconds of training.

    `min_f1` and `max_f1` are the ends of their macro-F1.
    """

    rank: int
    trials: int
    min_f1: float
    max_f1: float
    macro_f1: float
    roc_auc: float
    seconds: float


@dataclass(frozen=True)
class RankSweep:
    """Results by rank, and the command that made them."""

    results: tuple[RankResult, ...]
    command: str


def rank_sweep() -> RankSweep:
    """Return the newest sweep over the rank that was made here, else the project's own."""
    return _made_here() or _project_sweep()


def by_rank(trials: Sequence[dict[str, object]]) -> tuple[RankResult, ...]:
    """Return the means by rank of trials as `sweep --json` prints them."""
    groups: dict[int, list[dict[str, float]]] = {}
    for trial in trials:
        values, figures = trial["values"], trial["figures"]
        assert isinstance(values, dict)
        assert isinstance(figures, dict)
        if RANK in values:
            groups.setdefault(int(values[RANK]), []).append(figures)
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


def _project_sweep() -> RankSweep:
    content = json.loads(MEASURED.read_text(encoding="utf-8"))
    return RankSweep(by_rank(content["trials"]), content["command"])


def _made_here() -> RankSweep | None:
    files = sorted((cache_directory() / "sweeps").glob("*.db"), key=lambda file: file.stat().st_mtime)
    if not files:
        return None
    import optuna

    for file in reversed(files):
        study = optuna.load_study(study_name=file.stem, storage=f"sqlite:///{file}")
        trials = [
            dict(trial.user_attrs)
            for trial in study.get_trials(deepcopy=False)
            if "figures" in trial.user_attrs
        ]
        results = by_rank(trials)
        if len(results) > 1:
            return RankSweep(results, f"a sweep on this machine ({len(trials)} trials)")
    return None
