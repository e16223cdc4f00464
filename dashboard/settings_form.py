"""Settings as a form: its fields, the problems with what was typed, and the equivalent command and file.

The fields come from `review_sentiment/config.py`: the type decides the kind of field, and the sentence below
a setting is its help. Typed text is parsed in the same way as `--set`.
"""

from __future__ import annotations

import json
import shlex
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from front_door.stack.configs import CONFIGS, DEFAULT_STACK
from review_sentiment.config import DataSettings, Settings, comma_separated
from review_sentiment.data.categories import validate_categories
from review_sentiment.data.labels import scheme_of
from review_sentiment.data.prompt_format import prompt_format
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.data.sources.source import EMBEDDED
from review_sentiment.errors import DataError, UsageError, did_you_mean
from review_sentiment.settings_files import flat, known_keys, load_settings, with_overrides

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Data": {
        "data.source": "Reviews",
        "data.categories": "Categories",
        "split.train_per_category": "Maximum training reviews per category",
        "split.validation_per_category": "Maximum validation reviews per category",
        "split.evaluation_per_category": "Maximum evaluation reviews per category",
        "prompt.task": "Instruction",
        "prompt.label_descriptions": "Descriptions of the labels",
        "prompt.max_tokens": "Maximum prompt length (tokens)",
    },
    "Model": {
        "model.name": "Base model",
        "model.head": "What is trained to answer",
        "model.quantization": "Quantization",
        "model.precision": "Precision",
        "model.device": "Device",
    },
    "LoRA": {
        "lora.rank": "Rank",
        "lora.alpha": "Alpha",
        "lora.dropout": "Dropout",
        "lora.targets": "Adapted layers",
    },
    "Training": {
        "training.learning_rate": "Learning rate",
        "training.epochs": "Epochs",
        "training.max_steps": "Maximum optimizer steps",
        "training.batch_size": "Batch size",
        "training.tokens_per_pass": "Tokens per micro-batch",
        "training.gradient_checkpointing": "Gradient checkpointing",
        "training.balance": "Class balance",
    },
    "Decision": {
        "decision.objective": "Objective",
        "decision.confidence": "Confidence of the guarantees",
        "gate.min_gain_over_champion": "Minimum gain over the champion",
        "gate.significance": "Significance level of the gate",
        "arms.include": "Alternatives to evaluate",
    },
}
"""Settings with a field of their own, by group, with their names; all others are written as KEY=VALUE."""
KEYS = tuple(key for group in GROUPS.values() for key in group)
MORE_PARAMETER = "more"
CONFIG_PARAMETER, STACK_PARAMETER = "config", "stack"
DEFAULT_CONFIG = "local"
STACKS = ("local", "gpu-local")
"""Stacks that run on this machine."""


@dataclass(frozen=True)
class Field:
    """A setting's field: its key, its name, its meaning, and its values if there are only a few."""

    key: str
    name: str
    help: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """What was typed: `settings` is None if there are problems; `problems` are by key.

    `overrides` are the values that differ from the configuration's. A problem that several keys cause
    together is under the empty key.
    """

    config: str
    stack: str
    overrides: Mapping[str, str]
    settings: Settings | None
    problems: Mapping[str, str] = field(default_factory=dict)


def config_names() -> list[str]:
    """Return the names of the files in configs/, the default one first."""
    names = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
    return sorted(names, key=lambda name: name != DEFAULT_CONFIG)


@cache
def base_settings(config: str) -> Settings:
    """Return a configuration's settings.

    Raises:
        UsageError: the configuration does not exist.
    """
    if config not in config_names():
        raise UsageError(f"There is no configuration '{config}'.{did_you_mean(config, config_names())}")
    return load_settings(CONFIGS / f"{config}.yaml")


@cache
def fields() -> Mapping[str, tuple[Field, ...]]:
    """Return the fields of each group."""
    return {group: tuple(_field(key, name) for key, name in names.items()) for group, names in GROUPS.items()}


def as_text(value: object) -> str:
    """Return a value as a user would type it."""
    if isinstance(value, tuple):
        return comma_separated(value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def read_form(config: str, stack: str, typed: Mapping[str, str], more: str = "") -> Form:
    """Return the form of what was typed; `more` has KEY=VALUE lines for settings without a field.

    Raises:
        UsageError: the configuration does not exist.
    """
    base = base_settings(config)
    values = {key: as_text(value) for key, value in flat(base).items()}
    lines, problems = _read_lines(more)
    written = {**typed, **lines}
    overrides = {key: text.strip() for key, text in written.items() if text.strip() != values[key]}
    assignments = [f"{key}={text}" for key, text in overrides.items()]
    for key, assignment in zip(overrides, assignments, strict=True):
        _, problem = _apply(base, [assignment])
        if problem:
            problems[key] = problem.removeprefix(f"{key}: ")
    settings = None
    if not problems:
        settings, problem = _apply(base, assignments)
        problems = {"": problem} if settings is None else _unknown_names(settings)
    return Form(config, stack, overrides, None if problems else settings, problems)


def options_of(form: Form, directory: Path) -> list[str]:
    """Return the command-line options of the form's run, if it is started in a directory."""
    configs = CONFIGS.relative_to(directory) if CONFIGS.is_relative_to(directory) else CONFIGS
    options = [] if form.stack == DEFAULT_STACK else ["--stack", form.stack]
    options += ["--config", str(configs / f"{form.config}.yaml")]
    for key, text in form.overrides.items():
        options += ["--set", f"{key}={text}"]
    return options


def command_line(form: Form) -> str:
    """Return the shell command that starts the same run from the project's directory."""
    return shlex.join(["python", "run_pipeline.py", *options_of(form, CONFIGS.parent)])


def as_yaml(settings: Settings) -> str:
    """Return the text of a file for `--config`: every setting that differs from its default."""
    defaults = flat(Settings())
    tree: dict[str, Any] = {}
    for key, value in flat(settings).items():
        if value != defaults[key]:
            *sections, name = key.split(".")
            place = tree
            for section in sections:
                place = place.setdefault(section, {})
            place[name] = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(tree, sort_keys=False) if tree else "{}  # the defaults\n"


def to_address(form: Form) -> dict[str, str]:
    """Return the form as URL parameters, which `from_address` reads; defaults are left out."""
    parameters = {} if form.config == DEFAULT_CONFIG else {CONFIG_PARAMETER: form.config}
    parameters |= {} if form.stack == DEFAULT_STACK else {STACK_PARAMETER: form.stack}
    return {**parameters, **form.overrides}


def from_address(parameters: Mapping[str, str]) -> tuple[str, str, dict[str, str], str]:
    """Return configuration, stack, typed settings and further lines from URL parameters or a sent form.

    Unknown parameters are ignored.
    """
    config, stack = parameters.get(CONFIG_PARAMETER), parameters.get(STACK_PARAMETER)
    known = known_keys()
    return (
        config if config in config_names() else DEFAULT_CONFIG,
        stack if stack in STACKS else DEFAULT_STACK,
        {key: text for key, text in parameters.items() if key in known},
        parameters.get(MORE_PARAMETER, ""),
    )


def needs_gpu(form: Form) -> bool:
    """Return whether the form's run needs a GPU."""
    return form.stack == "gpu-local" or (form.settings is not None and form.settings.model.device == "cuda")


def _read_lines(more: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values of KEY=VALUE lines, and the problems of all others."""
    values, problems = {}, {}
    known = known_keys()
    for line in filter(None, map(str.strip, more.splitlines())):
        key, separator, text = (part.strip() for part in line.partition("="))
        if not separator:
            problems[line] = "Write section.key=value, for example training.patience=2."
        elif key not in known:
            problems[key] = f"This is not a setting.{did_you_mean(key, known)}"
        else:
            values[key] = text
    return values, problems


def _apply(base: Settings, assignments: Sequence[str]) -> tuple[Settings | None, str]:
    """Return the settings with KEY=VALUE assignments applied, or None and the problem."""
    try:
        return with_overrides(base, assignments), ""
    except UsageError as error:
        return None, str(error).removeprefix("Settings from the configuration and --set: ")


def _unknown_names(settings: Settings) -> dict[str, str]:
    """Return the problems of names of categories and labels, by key.

    Categories are checked for the embedded reviews only: listing those of other sources can be slow.
    """
    data, prompt = settings.data, settings.prompt
    checks: dict[str, Callable[[], object]] = {
        "prompt.label_descriptions": lambda: prompt_format(prompt, scheme_of(data.labels).names)
    }
    if data.source == EMBEDDED and data.categories and not data.columns.given:
        checks["data.categories"] = lambda: validate_categories(
            data.categories, _embedded_categories(), EMBEDDED
        )
    problems = {}
    for key, check in checks.items():
        try:
            check()
        except (UsageError, DataError) as error:
            problems[key] = str(error).removeprefix(f"{key}: ")
    return problems


@cache
def _embedded_categories() -> tuple[str, ...]:
    return open_source(DataSettings()).categories()


def _field(key: str, name: str) -> Field:
    section, _, attribute = key.partition(".")
    found = type(getattr(Settings(), section)).model_fields[attribute]
    return Field(key, name, (found.description or "").replace("`", ""), _choices(found.annotation))


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the values of a type that has only a few, otherwise nothing."""
    if annotation is bool:
        return ("true", "false")
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    if get_origin(annotation) in {Union, types.UnionType}:
        parts = [_choices(part) for part in get_args(annotation)]
        return tuple(choice for part in parts for choice in part) if all(parts) else ()
    return ()
