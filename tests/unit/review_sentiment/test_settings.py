"""Settings: defaults, files, overrides, and helpful errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from review_sentiment.config import LoraSettings, Settings
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import flat, known_keys, load_settings, read_yaml

CONFIGS = sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.yaml"))
DEFAULTS = flat(Settings())


def written(directory: Path, text: str) -> Path:
    """Write a file with this text."""
    path = directory / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Yield every key with its description."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field.description
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields_of(field.annotation, f"{prefix}{name}.")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_file_in_configs_is_valid_and_all_its_values_are_used(path: Path) -> None:
    loaded = flat(load_settings(path))
    for section, values in read_yaml(path).items():
        for key, value in values.items():
            found = loaded[f"{section}.{key}"]
            assert (list(found) if isinstance(found, tuple) else found) == value


def test_the_two_main_configurations_exist() -> None:
    assert {"local.yaml", "gpu.yaml"} <= {path.name for path in CONFIGS}


def test_without_a_file_the_defaults_apply() -> None:
    assert load_settings(None) == Settings()


def test_an_override_replaces_the_file_and_the_file_replaces_the_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, "training: {epochs: 3, batch_size: 4}\nseed: 7")
    loaded = flat(load_settings(path, ["training.epochs=5", "lora.rank=8"]))
    chosen = {"training.epochs": 5.0, "training.batch_size": 4, "seed": 7, "lora.rank": 8}
    assert loaded == DEFAULTS | chosen


def test_the_last_override_of_a_key_wins() -> None:
    assert load_settings(None, ["lora.rank=8", "lora.rank=4"]).lora.rank == 4


@pytest.mark.parametrize("key", known_keys())
def test_every_setting_can_be_set_to_its_default_by_its_key(key: str) -> None:
    value = DEFAULTS[key]
    assert flat(load_settings(None, [f"{key}={json.dumps(value)}"])) == DEFAULTS


def test_settings_are_the_same_after_writing_and_reading_a_file(tmp_path: Path) -> None:
    changed = load_settings(None, ["model.revision=abc", "training.gradient_checkpointing=true", "seed=3"])
    path = written(tmp_path, yaml.safe_dump(changed.model_dump(mode="json")))
    assert load_settings(path) == changed


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.learning_rate=5e-4", "training.learning_rate", 5e-4),
        ("data.categories=Tops, Trend", "data.categories", ("Tops", "Trend")),
        ("data.categories=[Tops]", "data.categories", ("Tops",)),
        ("data.categories=Tops", "data.categories", ("Tops",)),
        ("evaluation.baseline_samples=null", "evaluation.baseline_samples", None),
        ("evaluation.skip_baseline=true", "evaluation.skip_baseline", True),
        ("model.name=meta-llama/Llama-3.1-8B", "model.name", "meta-llama/Llama-3.1-8B"),
        ("model.revision=12e4567", "model.revision", "12e4567"),
        ("data.source=a=b", "data.source", "a=b"),
    ],
)
def test_an_override_is_parsed_as_a_person_means_it(override: str, key: str, value: object) -> None:
    assert flat(load_settings(None, [override]))[key] == value


@pytest.mark.parametrize("override", ["training.epochs", "=3", ""])
def test_an_override_without_a_key_or_value_is_an_error_that_shows_the_format(override: str) -> None:
    with pytest.raises(UsageError, match=r"write it as --set section\.key=value"):
        load_settings(None, [override])


def test_an_override_inside_a_plain_setting_is_an_error() -> None:
    with pytest.raises(UsageError, match="'rank' is a setting, not a section"):
        load_settings(None, ["lora.rank=4", "lora.rank.value=4"])


def test_an_override_fills_a_section_that_the_file_leaves_empty(tmp_path: Path) -> None:
    path = written(tmp_path, "training:\n  # epochs: 2\n")
    assert load_settings(path, ["training.epochs=2"]).training.epochs == 2


@pytest.mark.parametrize(
    ("override", "suggestion"),
    [
        ("training.lerning_rate=1", "training.learning_rate"),
        ("trainin.epochs=1", "training"),
        ("epochs=3", "training.epochs"),
        ("sed=3", "seed"),
    ],
)
def test_an_unknown_key_is_an_error_that_suggests_the_closest_valid_one(
    override: str, suggestion: str
) -> None:
    with pytest.raises(UsageError, match=rf"is not a setting\. Did you mean '{suggestion}'\?"):
        load_settings(None, [override])


@pytest.mark.parametrize(
    "override",
    [
        "seed=-1",
        "split.evaluation_share=1",
        "training.batch_size=0",
        "training.epochs=many",
        "lora.dropout=1",
        "prompt.max_tokens=47",
        "model.quantization=int8",
        "gate.max_unparsed_rate=1.1",
        "registry.model_name=a/b",
        "registry.model_name=",
        "training.gradient_checkpointing=sometimes",
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_an_error_that_names_its_key(override: str) -> None:
    key, _, value = override.partition("=")
    with pytest.raises(UsageError) as error:
        load_settings(None, [override])
    assert f"{key}: " in str(error.value)
    assert value in str(error.value)


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError, match="the address contains a password") as error:
        load_settings(None, ["data.source=https://me:sesame@files.example.org/reviews"])
    assert "sesame" not in str(error.value)
    assert load_settings(None, ["data.source=hf://datasets/owner/name@main/reviews"])


def test_shares_that_leave_no_products_to_train_on_are_an_error() -> None:
    with pytest.raises(UsageError, match=r"split: evaluation_share \+ validation_share must stay below 0\.9"):
        load_settings(None, ["split.evaluation_share=0.5", "split.validation_share=0.4"])
    assert load_settings(None, ["split.evaluation_share=0.5", "split.validation_share=0.39"])


def test_one_error_lists_all_problems_and_where_they_come_from(tmp_path: Path) -> None:
    path = written(tmp_path, "lora: {rank: 0}\ntrainng: {}")
    with pytest.raises(UsageError) as error:
        load_settings(path, ["seed=x"])
    for part in (str(path), "--set", "lora.rank", "'trainng'", "seed"):
        assert part in str(error.value)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "# nothing\n")) == Settings()


def test_a_missing_file_is_an_error_that_suggests_the_closest_one(tmp_path: Path) -> None:
    written(tmp_path, "")
    with pytest.raises(UsageError, match=r"does not exist\. Did you mean '.*run\.yaml'\?"):
        load_settings(tmp_path / "runn.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "is not YAML"),
        (b"- 1\n- 2", "must contain sections with keys, not a list"),
        (b"\xff\xfe\xff", "cannot be read"),
    ],
)
def test_a_file_without_settings_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_settings(path)


def test_settings_are_immutable() -> None:
    loaded: Any = load_settings(None)
    with pytest.raises(ValidationError, match="frozen"):
        loaded.seed = 1


@pytest.mark.parametrize(("key", "description"), list(fields_of(Settings)))
def test_every_setting_has_a_sentence_of_description(key: str, description: str | None) -> None:
    assert description is not None
    assert description.endswith(".")


@pytest.mark.parametrize(
    ("lora", "refused"),
    [
        ({"rank": 16, "alpha": 16_000}, False),
        ({"rank": 16, "alpha": 16_001}, True),
        ({"rank": 16, "alpha": 4_001, "rank_stabilised": True}, True),
        ({"rank": 1, "alpha": 10**15}, True),
    ],
)
def test_a_scale_that_overwrites_the_model_is_refused(lora: dict[str, Any], refused: bool) -> None:
    with pytest.raises(ValidationError, match="overwrites the model") if refused else nullcontext():
        LoraSettings(**lora)
