"""Search settings by the macro-F1 on the validation reviews; evaluation reviews are never used.

    python run_pipeline.py sweep --over lora.rank=8,16,32 --over training.learning_rate=1e-4..1e-3 --trials 12

Optuna proposes the settings. If every dimension is a list and there are enough trials, each combination is
tried once. Trials are kept in a database in the cache directory: finished ones survive a killed process, and
the next sweep of the same settings, data and ranges continues from them. Every trial is a child run in
MLflow.
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
from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
from review_sentiment.models.recipe import Recipe
from review_sentiment.settings_files import flat, known_keys, with_overrides
from review_sentiment.training.checkpoints import training_identity
from review_sentiment.training.job import TrainingJob
from review_sentiment.training.preparation import Prepared, prepare
from review_sentiment.training.qlora import finetune

if TYPE_CHECKING:
    import optuna

    from review_sentiment.config import Settings

SWEPT_SECTIONS = ("lora", "training")
"""Sections that can be searched: another section could change the reviews that trials are compared on."""
LOG_SCALE_FROM = 10.0
"""A range whose ends have at least this ratio is searched on a logarithmic scale."""
_COMMA = re.compile(r",(?![^\[]*\])")
"""A comma between values; the commas of a list in brackets belong to one value."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dimension:
    """A setting and the values to try: choices, or a range, of whole numbers if the setting is one."""

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False

    @property
    def limits(self) -> tuple[str, ...]:
        """Return the choices, or the ends of the range, in the form of `--set`."""
        return self.choices or tuple(self._written(end) for end in (self.low, self.high))

    def _written(self, value: float) -> str:
        return str(int(value)) if self.whole else repr(value)

    def propose(self, trial: optuna.Trial) -> str:
        """Return the value that Optuna tries next, in the form of `--set`."""
        if self.choices:
            return str(trial.suggest_categorical(self.key, self.choices))
        logarithmic = self.low > 0 and self.high / self.low >= LOG_SCALE_FROM
        if self.whole:
            return str(trial.suggest_int(self.key, int(self.low), int(self.high), log=logarithmic))
        return repr(trial.suggest_float(self.key, self.low, self.high, log=logarithmic))


@dataclass(frozen=True)
class TrialResult:
    """A finished trial: the values that it tried, and its figures on the validation reviews."""

    number: int
    values: Mapping[str, str]
    macro_f1: float
    figures: Mapping[str, float]


Recorder = Callable[[str, TrialResult], None]
"""Receives the identity of the sweep and each finished trial."""


def parse_dimensions(texts: Sequence[str], settings: Settings) -> list[Dimension]:
    """Read each KEY=A,B,C or KEY=LOW..HIGH, and try every combination of choices and ends on the settings.

    Raises:
        UsageError: a key is unknown, cannot be searched or is there twice, or the settings refuse a value.
    """
    dimensions = [_dimension(text, settings) for text in texts]
    keys = [dimension.key for dimension in dimensions]
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(f"--over: {key} is searched twice. Write all of its values into one --over.")
    for values in itertools.product(*(dimension.limits for dimension in dimensions)):
        with_overrides(settings, [f"{key}={value}" for key, value in zip(keys, values, strict=True)])
    return dimensions


def _dimension(text: str, settings: Settings) -> Dimension:
    key, separator, values = (part.strip() for part in text.partition("="))
    if not separator or not values:
        raise UsageError(f"--over {text}: write KEY=A,B,C or KEY=LOW..HIGH, such as lora.rank=8,16.")
    searchable = [name for name in known_keys() if name.partition(".")[0] in SWEPT_SECTIONS]
    if key not in searchable:
        raise UsageError(
            f"--over {text}: '{key}' is not a training setting.{did_you_mean(key, searchable)} "
            f"Settings in the sections {' and '.join(SWEPT_SECTIONS)} can be searched."
        )

    def parsed(value: str) -> Any:
        return flat(with_overrides(settings, [f"{key}={value}"]))[key]

    if ".." in values:
        ends = [parsed(end) for end in values.split("..") if end.strip()]
        numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
        if len(ends) != values.count("..") + 1 or len(numbers) != 2:  # noqa: PLR2004 - a range has two ends
            raise UsageError(
                f"--over {text}: a range is two numbers, LOW..HIGH, such as {key}=LOW..HIGH; "
                "other values are a list, A,B,C."
            )
        low, high = numbers
        if not low < high:
            raise UsageError(f"--over {text}: the range must be increasing.")
        return Dimension(key, low=low, high=high, whole=isinstance(low, int))
    choices = tuple(value.strip() for value in _COMMA.split(values))
    if len(choices) < 2 or "" in choices:  # noqa: PLR2004 - one value is not a choice
        raise UsageError(f"--over {text}: give at least two values, A,B,C, and none of them empty.")
    results = [parsed(choice) for choice in choices]
    repeated = next((choice for n, choice in enumerate(choices) if results[n] in results[:n]), None)
    if repeated:
        raise UsageError(f"--over {text}: {repeated} is the same value as one before it.")
    return Dimension(key, choices)


def sweep(
    settings: Settings, dimensions: Sequence[Dimension], trials: int, record: Recorder
) -> list[TrialResult]:
    """Run trials until `trials` are finished, including those of earlier processes; return them, best first.

    A trial whose training fails is pruned.

    Raises:
        DataError: the reviews cannot be used.
    """
    import optuna

    prepared = prepare(settings)
    study = _study(settings, dimensions, prepared)
    combinations = _combinations(dimensions)
    if combinations and trials >= len(combinations):
        trials = len(combinations)  # the same settings and seed would give the same result
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
    """Return all combinations of values; none if a dimension is a range."""
    choices = [[(dimension.key, choice) for choice in dimension.choices] for dimension in dimensions]
    return [dict(values) for values in itertools.product(*choices)]


def _enqueue(study: optuna.Study, combinations: Sequence[dict[str, str]]) -> None:
    """Queue each combination that is neither tried nor waiting, in this order."""
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
    recipe = Recipe.from_settings(settings).with_training(validations=0)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-trial-") as scratch:
        trained = finetune(TrainingJob(recipe, prepared.train, Path(scratch) / "adapter"))
        quiet = settings.evaluation.model_copy(update={"sample_predictions": 0, "audit_samples": 0})
        chats = HeldOut(prepared.validation)
        evaluation = evaluate_model(recipe.base, trained.adapter, chats, recipe.plan, quiet)
    metrics = evaluation.metrics.headline()
    return {
        "macro_f1": metrics["f1"],
        "accuracy": metrics["accuracy"],
        "roc_auc": metrics["roc_auc"],
        "seconds": trained.summary.seconds,
        "last_loss": trained.proof.last_loss,
    }


def _ended(study: optuna.Study) -> list[Any]:
    """Return the trials that are complete or pruned; a killed process leaves others behind."""
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
