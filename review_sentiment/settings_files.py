"""Settings from YAML files and `KEY=VALUE` overrides; errors name the line and suggest the closest valid key.

YAML 1.1 guesses types: `017` is 15, `190:20:30` is 685230, `on` is true, and a commit of digits is a number.
Here every value is read as text, and the type of its setting decides what the text means.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from review_sentiment.config import Settings
from review_sentiment.errors import UsageError, did_you_mean, first_line, nearest

SECTIONS = tuple(name for name, value in Settings() if isinstance(value, BaseModel))
LEVELS = 3
"""Depth of the settings: `data.columns.text`."""
MERGE = "tag:yaml.org,2002:merge"
NULLS = ("", "null", "~")
NULL, *COLLECTIONS = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "str", "seq", "map"))


class TypedLoader(yaml.SafeLoader):
    """PyYAML's loader, but a key that is there twice is an error; PyYAML takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node.

        Raises:
            ConstructorError: a key is there twice.
        """
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if key.value in lines:
                    problem = f"'{key.value}' is already in line {lines[key.value]}"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                lines[key.value] = key.start_mark.line + 1
        return dict(super().construct_mapping(node, deep))


class TextLoader(TypedLoader):
    """Loads every scalar as text; empty, `null` and `~` without quotes are None."""

    yaml_implicit_resolvers: ClassVar[Any] = {  # type: ignore[misc]
        first: [(tag, pattern) for tag, pattern in resolvers if tag in (NULL, MERGE)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors: ClassVar[Any] = {
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (NULL, *COLLECTIONS, None)
    }


def load_settings(file: Path | None, overrides: Sequence[str] = ()) -> Settings:
    """Return the defaults, replaced by the file's values, replaced by the overrides.

    Raises:
        UsageError: the file is missing or not YAML, a key is unknown, or a value has the wrong type or range;
            one error lists all problems.
    """
    if file is None:
        return _validated({}, overrides, "the defaults", {})
    content, lines = _read(file, TextLoader)
    # A section whose keys are all commented out is None in YAML.
    values = {key: value for key, value in content.items() if value is not None}
    return _validated(values, overrides, str(file), lines)


def with_overrides(settings: Settings, overrides: Sequence[str]) -> Settings:
    """Return the settings, replaced by the overrides.

    Raises:
        UsageError: as `load_settings`.
    """
    return _validated(settings.model_dump(), overrides, "the configuration", {})


def read_yaml(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        UsageError: the file is missing, or not a YAML mapping.
    """
    return _read(file, TypedLoader)[0]


def _read(file: Path, loader_of: type[TypedLoader]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the mapping in a YAML file, and the line of each key by its dotted name, three levels deep."""
    try:
        loader = loader_of(file.read_bytes())
        loader.name = str(file)
        node = loader.get_single_node()
        content = {} if node is None else loader.construct_document(node)
    except FileNotFoundError as error:
        siblings = sorted(path.name for path in file.parent.glob("*.yaml"))
        suggestion = nearest(file.name, siblings)
        hint = f" Did you mean '{file.parent / suggestion}'?" if suggestion else ""
        raise UsageError(f"The file {file} does not exist.{hint}") from error
    except OSError as error:
        raise UsageError(f"The file {file} cannot be read: {error.strerror}.") from error
    except yaml.reader.ReaderError as error:
        raise UsageError(f"The file {file} is not text in UTF-8 or UTF-16: {error.reason}.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise UsageError(f"The file {file} is not YAML: {where}{error.problem}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"The file {file} is not YAML: {first_line(error)}.") from error
    if node is None or content is None:
        return {}, {}
    if not isinstance(content, dict):
        raise UsageError(f"The file {file} must contain sections with keys, not a {type(content).__name__}.")
    return content, dict(_lines(node))


def _lines(node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, int]]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        yield f"{prefix}{key.value}", key.start_mark.line + 1
        if prefix.count(".") < LEVELS - 1:
            yield from _lines(value, f"{prefix}{key.value}.")


def _validated(
    values: dict[str, Any], overrides: Sequence[str], origin: str, lines: Mapping[str, int]
) -> Settings:
    """Return the settings with these values; `lines` are those of the file's keys."""
    overridden = set()
    for override in overrides:
        key, separator, value = (part.strip() for part in override.partition("="))
        if not separator or not key:
            raise UsageError(
                f"--set {override}: write it as --set section.key=value, such as training.epochs=2."
            )
        _put(values, key, _parse(value, _kinds(key)), override)
        overridden.add(key)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = {}  # by key: a union reports a problem for each of its alternatives
        for problem in error.errors(include_url=False):
            key, text = _explain(problem)
            line = f"line {lines[key]}: " if key in lines and key not in overridden else ""
            problems[key] = f"{line}{text}"
        with_set = " and --set" if overrides else ""
        raise UsageError(f"Settings from {origin}{with_set}: {' '.join(problems.values())}") from error


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
    if key in SECTIONS:
        example = next(name for name in known_keys() if name.startswith(f"{key}."))
        raise UsageError(
            f"--set {override}: '{key}' is a section. Set one of its settings, such as {example}."
        )
    *sections, last = key.split(".", 2)  # an entry of a mapping, such as a label, may have dots itself
    place = values
    for section in sections:
        inner = place.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {override}: '{section}' is a setting, not a section.")
        place = inner
    place[last] = value


def _kinds(key: str) -> list[Any]:
    """Return which of `tuple` and `dict` a setting can be, or `str` if it is text; nothing if unknown."""
    *sections, name = key.split(".")
    place: object = Settings()
    for section in sections:
        place = getattr(place, section, None)
    fields = type(place).model_fields if isinstance(place, BaseModel) else {}
    annotation = fields[name].annotation if name in fields else None
    union = get_origin(annotation) in (Union, UnionType)
    parts = get_args(annotation) if union else (annotation,)
    bare = [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts]
    if all(part in (str, NoneType) for part in bare):
        return [str]
    origins = {get_origin(part) for part in bare}
    return [collection for collection in (tuple, dict) if collection in origins]


def _parse(value: str, kinds: Sequence[Any]) -> Any:
    """Return the value as a file's would be read; if it is not YAML, it is text.

    A list without brackets and a sentence without quotes are text too: names of categories and sentences
    contain what YAML takes for syntax, such as `#` and `:`.
    """
    ends = {tuple: ("[]",), dict: ("{}",), str: ("''", '""')}
    enclosed = any(value[:1] + value[-1:] in ends[kind] for kind in kinds)
    if not enclosed and (tuple in kinds or (str in kinds and value not in NULLS)):
        return value
    try:
        return yaml.load(value, TextLoader)
    except (yaml.YAMLError, RecursionError):
        return value


def _explain(problem: Mapping[str, Any]) -> tuple[str, str]:
    """Return the key that a problem of pydantic is about, and what is wrong."""
    keys = known_keys()
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] in ("extra_forbidden", "invalid_key"):
        shown = f"'{key:.80}'"
        if path[0] in SECTIONS:
            section = [name for name in keys if name.startswith(f"{path[0]}.")]
            return key, f"{shown} is not a setting.{did_you_mean(key, section)}"
        # People who forget the section remember the last part of the key.
        meant: dict[str, list[str]] = {name: [name] for name in SECTIONS}
        for name in keys:
            meant.setdefault(name.split(".")[-1], []).append(name)
        suggestion = nearest(key, meant)
        named = " or ".join(f"'{name}'" for name in meant[suggestion]) if suggestion else ""
        return key, f"{shown} is not a setting.{f' Did you mean {named}?' if named else ''}"
    # After the key, pydantic's path names the alternative of a union or the position in a list.
    key = next((name for name in (".".join(path[:depth]) for depth in (3, 2, 1)) if name in keys), key)
    if problem["type"] == "value_error":
        return key, f"{key}: {problem['ctx']['error']}."
    given = reprlib.repr(problem["input"])
    if problem["type"] == "model_type":
        return key, f"{key} is a section: write its settings below it, indented, not {given}."
    wanted = problem["msg"].lower().partition(", unable to parse")[0].replace("valid tuple", "list")
    return key, f"{key}: {wanted}, not {given}."
