"""Settings from YAML files and `KEY=VALUE` overrides, with errors that name the nearest right key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from review_sentiment.config import Settings
from review_sentiment.errors import UsageError
from review_sentiment.suggestions import did_you_mean, nearest


def load_settings(file: Path | None, overrides: Sequence[str] = ()) -> Settings:
    """Return the defaults with the file's values and the overrides on top.

    Raises:
        UsageError: the file is missing or not YAML, a key is unknown, or a
            value has the wrong type or range; every problem at once.
    """
    values = {} if file is None else read_yaml(file)
    origin = "the defaults" if file is None else str(file)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise UsageError(
                f"--set {override}: write it as --set section.key=value, such as training.epochs=2."
            )
        _put(values, key.strip(), _parse(value), override)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors(include_url=False)]
        with_set = " and --set" if overrides else ""
        raise UsageError(f"Settings from {origin}{with_set}: {' '.join(problems)}") from error


def read_yaml(file: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        UsageError: the file is missing, or not a YAML mapping.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        siblings = sorted(path.name for path in file.parent.glob("*.yaml"))
        suggestion = nearest(file.name, siblings)
        hint = f" Did you mean '{file.parent / suggestion}'?" if suggestion else ""
        raise UsageError(f"The file {file} does not exist.{hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The file {file} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"The file {file} is not YAML: {' '.join(str(error).split())}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"The file {file} must hold sections with keys, not a {type(content).__name__}.")
    return content


def flat(settings: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Return every setting by its dotted key."""
    values: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values


def known_keys() -> list[str]:
    """Return the dotted keys of all settings."""
    return list(flat(Settings()))


def _put(values: dict[str, Any], key: str, value: Any, override: str) -> None:
    *sections, last = key.split(".")
    place = values
    for section in sections:
        inner = place.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {override}: '{section}' is a setting, not a section.")
        place = inner
    place[last] = value


def _parse(value: str) -> Any:
    """Read a value as YAML does; `a,b,c` is a list, as in the help text."""
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    if isinstance(parsed, str):
        try:  # YAML 1.1 takes 5e-4 for a string
            return float(parsed)
        except ValueError:
            pass
        if "," in parsed:
            return [part.strip() for part in parsed.split(",") if part.strip()]
    return parsed


def _explain(problem: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        section = ".".join(path[:-1])
        keys = known_keys()
        in_section = [name for name in keys if name.startswith(f"{section}.")] if section else keys
        sections = sorted({name.split(".")[0] for name in keys})
        candidates = in_section or keys
        hint = did_you_mean(key, [*candidates, *(sections if not section else [])])
        return f"'{key}' is not a setting.{hint}"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}."
    return f"{key}: {problem['msg'].lower()}, not {problem['input']!r}."
