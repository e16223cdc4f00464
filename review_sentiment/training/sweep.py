"""A search over named settings by the macro-F1 on validation reviews; evaluation reviews are not looked at.

    python run_pipeline.py sweep --over lora.rank=8,16,32 --over training.learning_rate=1e-4..1e-3 --trials 12

Optuna proposes the settings, or is given every combination of lists once where there are trials enough.
It keeps the trials in a database under the cache directory: those that are finished survive
whatever ends the process, and the next sweep of the same settings, data and ranges goes on from them.
Every trial is a child run in MLflow.
"""

from __future__ import annotations

import itertools
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.cache import cache_directory
from review_sentiment.errors import TrainingError, UsageError, did_you_mean
from review_sentiment.evaluation.evaluate import evaluate_model
from review_sentiment.models.base_model import identify
from review_sentiment.models.compute import plan_compute
from review_sentiment.settings_files import flat, with_overrides
from review_sentiment.training.checkpoints import training_identity
from review_sentiment.training.preparation import Prepared, prepare
from review_sentiment.training.qlora import finetune

if TYPE_CHECKING:
    import optuna

    from review_sentiment.config import Settings

SWEPT_SECTIONS = ("lora", "training")
"""Settings of a training: another value of the rest would change the reviews that trials are compared on."""
LOG_SCALE_FROM = 10.0
"""Ends of a range with at least this ratio are searched on a logarithmic scale."""
_RANGE = re.compile(r"(?P<low>[-+.\deE]+)\.\.(?P<high>[-+.\deE]+)")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dimension:
    """One setting and the values to try: some choices, or a range from `low` to `high`."""

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0

    def propose(self, trial: optuna.Trial) -> str:
        """Return the value that Optuna tries next, as one would write it after `--set`."""
        if self.choices:
            return str(trial.suggest_categorical(self.key, self.choices))
        logarithmic = self.low > 0 and self.high / self.low >= LOG_SCALE_FROM
        return repr(trial.suggest_float(self.key, self.low, self.high, log=logarithmic))


@dataclass(frozen=True)
class TrialResult:
    """A finished trial: what was tried, and how it did on the validation reviews."""

    number: int
    values: Mapping[str, str]
    macro_f1: float
    figures: Mapping[str, float]


Recorder = Callable[[str, TrialResult], None]
"""Told the sweep's identity and each finished trial."""


def parse_dimension(text: str, known: Sequence[str]) -> Dimension:
    """Read KEY=A,B,C or KEY=LOW..HIGH.

    Raises:
        UsageError: the key is unknown or is not one of a training, or there is no choice.
    """
    key, separator, values = text.partition("=")
    if not separator or not values:
        raise UsageError(f"--over {text}: write KEY=A,B,C or KEY=LOW..HIGH, such as lora.rank=8,16.")
    searchable = [name for name in known if name.partition(".")[0] in SWEPT_SECTIONS]
    if key not in searchable:
        raise UsageError(
            f"--over {text}: '{key}' is no setting of a training.{did_you_mean(key, searchable)} "
            f"Those of the sections {' and '.join(SWEPT_SECTIONS)} can be searched."
        )
    if found := _RANGE.fullmatch(values):
        low, high = float(found["low"]), float(found["high"])
        if not low < high:
            raise UsageError(f"--over {text}: the range must rise.")
        return Dimension(key, low=low, high=high)
    choices = tuple(value.strip() for value in values.split(",") if value.strip())
    if len(choices) < 2:  # noqa: PLR2004 - one value is no choice
        raise UsageError(f"--over {text}: give at least two values.")
    return Dimension(key, choices)


def sweep(
    settings: Settings, dimensions: Sequence[Dimension], trials: int, record: Recorder
) -> list[TrialResult]:
    """Run trials until so many are finished, those of earlier processes counted; return them, best first.

    Where every dimension is a list, each combination is tried once if there are trials enough for all.

    A trial whose training fails is pruned: its settings are no good.

    Raises:
        UsageError: a value is not one that the setting can have.
        DataError: the reviews cannot be used.
    """
    import optuna

    for dimension in dimensions:
        for value in dimension.choices or (repr(dimension.low), repr(dimension.high)):
            with_overrides(settings, [f"{dimension.key}={value}"])
    prepared = prepare(settings)
    study = _study(settings, dimensions, prepared)
    combinations = _combinations(dimensions)
    if combinations and trials >= len(combinations):
        trials = len(combinations)  # the same settings and seed again would tell nothing
        _enqueue(study, combinations)

    def objective(trial: optuna.Trial) -> float:
        values = {dimension.key: dimension.propose(trial) for dimension in dimensions}
        tried = with_overrides(settings, [f"{key}={value}" for key, value in values.items()])
        logger.info("trial %d: %s", trial.number, _shown(values))
        try:
            figures = _try(tried, prepared)
        except TrainingError as error:
            logger.warning("trial %d failed: %s", trial.number, error)
            raise optuna.TrialPruned from error
        result = TrialResult(trial.number, values, figures["macro_f1"], figures)
        trial.set_user_attr("values", values)
        trial.set_user_attr("figures", figures)
        record(study.study_name, result)
        logger.info("trial %d: macro-F1 %.4f", trial.number, result.macro_f1)
        return result.macro_f1

    while (left := trials - len(_ended(study))) > 0:
        study.optimize(objective, n_trials=left)
    return sorted(_finished(study), key=lambda result: -result.macro_f1)


def _study(settings: Settings, dimensions: Sequence[Dimension], prepared: Prepared) -> optuna.Study:
    import optuna

    swept = {dimension.key for dimension in dimensions}
    identity = training_identity(
        settings={key: str(value) for key, value in flat(settings).items() if key not in swept},
        dimensions=[asdict(dimension) for dimension in dimensions],
        data=prepared.train.fingerprint(),
        validation=prepared.validation.fingerprint(),
    )
    directory = cache_directory() / "sweeps"
    directory.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        study_name=identity,
        storage=f"sqlite:///{directory / identity}.db",
        sampler=optuna.samplers.TPESampler(seed=settings.seed),
        direction="maximize",
        load_if_exists=True,
    )


def _combinations(dimensions: Sequence[Dimension]) -> list[dict[str, str]]:
    """Return all values that can be tried together; none where a dimension is a range."""
    choices = [[(dimension.key, choice) for choice in dimension.choices] for dimension in dimensions]
    return [dict(values) for values in itertools.product(*choices)]


def _enqueue(study: optuna.Study, combinations: Sequence[dict[str, str]]) -> None:
    """Let Optuna try each combination that is neither tried nor waiting, in this order."""
    from optuna.trial import TrialState

    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    known = [trial.params for trial in _ended(study)] + [
        trial.system_attrs["fixed_params"] for trial in waiting
    ]
    for values in combinations:
        if values not in known:
            study.enqueue_trial(values)


def _try(settings: Settings, prepared: Prepared) -> dict[str, float]:
    """Train with the settings and return the figures on the validation reviews."""
    base = identify(settings.model)
    plan = plan_compute(settings.model.device, settings.model.precision)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-trial-") as scratch:
        trained = finetune(
            base,
            plan,
            prepared.train,
            settings.lora,
            settings.training.model_copy(update={"validations": 0}),
            settings.seed,
            Path(scratch) / "adapter",
        )
        quiet = settings.evaluation.model_copy(update={"sample_predictions": 0, "audit_samples": 0})
        evaluation = evaluate_model(base, trained.adapter, prepared.validation, plan, quiet)
    metrics = evaluation.metrics.headline()
    return {
        "macro_f1": metrics["f1"],
        "accuracy": metrics["accuracy"],
        "roc_auc": metrics["roc_auc"],
        "seconds": trained.summary.seconds,
        "last_loss": trained.proof.last_loss,
    }


def _ended(study: optuna.Study) -> list[Any]:
    """Return the trials that need not be tried again; a killed process leaves others behind."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _finished(study: optuna.Study) -> list[TrialResult]:
    from optuna.trial import TrialState

    return [
        TrialResult(trial.number, trial.user_attrs["values"], trial.value, trial.user_attrs["figures"])
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if trial.value is not None
    ]


def _shown(values: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
