"""Settings from YAML files and `KEY=VALUE` overrides; errors suggest the closest valid key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from review_sentiment.config import Settings
from review_sentiment.errors import UsageError, did_you_mean, nearest


def load_settings(file: Path | None, overrides: Sequence[str] = ()) -> Settings:
    """Return the defaults, replaced by the file's values, replaced by the overrides.

    Raises:
        UsageError: the file is missing or not YAML, a key is unknown, or a value has the wrong type or range;
            one error lists all problems.
    """
    if file is None:
        return _validated({}, overrides, "the defaults")
    # A section whose keys are all commented out is None in YAML.
    values = {key: value for key, value in read_yaml(file).items() if value is not None}
    return _validated(values, overrides, str(file))


def with_overrides(settings: Settings, overrides: Sequence[str]) -> Settings:
    """Return the settings, replaced by the overrides.

    Raises:
        UsageError: as `load_settings`.
    """
    return _validated(settings.model_dump(), overrides, "the configuration")


def _validated(values: dict[str, Any], overrides: Sequence[str], origin: str) -> Settings:
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
        # By key: a union reports a problem for each of its alternatives.
        problems = {
            text.split(":")[0]: text for text in map(_explain, error.errors(include_url=False))
        }.values()
        with_set = " and --set" if overrides else ""
        raise UsageError(f"Settings from {origin}{with_set}: {' '.join(problems)}") from error


def read_yaml(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

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
        raise UsageError(f"The file {file} must contain sections with keys, not a {type(content).__name__}.")
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
    """Parse a value as YAML; a value that is not YAML is a string."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _explain(problem: Mapping[str, Any]) -> str:
    keys = known_keys()
    sections = sorted({name.split(".")[0] for name in keys if "." in name})
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        if len(path) > 1:
            section = [name for name in keys if name.startswith(f"{path[0]}.")]
            return f"'{key}' is not a setting.{did_you_mean(key, section)}"
        # People who forget the section remember the last part of the key.
        meant = {name.split(".")[-1]: name for name in keys} | {name: name for name in sections}
        suggestion = nearest(key, meant)
        hint = f" Did you mean '{meant[suggestion]}'?" if suggestion else ""
        return f"'{key}' is not a setting.{hint}"
    # After the key, pydantic's path names the alternative of a union or the position in a list.
    key = next((name for name in (".".join(path[:depth]) for depth in (2, 1)) if name in keys), key)
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}."
    return f"{key}: {problem['msg'].lower()}, not {problem['input']!r}."
