"""Settings as a form: fields from the schema, problems at their fields, round trip through the URL."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import settings_form as form
from review_sentiment.config import Settings
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import load_settings


def test_every_field_is_a_setting_with_a_help_sentence() -> None:
    found = [field for group in form.fields().values() for field in group]
    assert [field.key for field in found] == list(form.KEYS)
    assert all(field.help.endswith(".") for field in found)


def test_a_setting_with_few_values_has_choices() -> None:
    choices = {field.key: field.choices for group in form.fields().values() for field in group}
    assert choices["model.precision"] == ("auto", "bf16", "fp16", "fp32")
    assert choices["lora.rank"] == ()


def test_each_invalid_value_is_reported_at_its_own_field() -> None:
    found = form.read_form("local", "local", {"lora.rank": "many", "training.epochs": "-1"})
    assert set(found.problems) == {"lora.rank", "training.epochs"}
    assert "many" in found.problems["lora.rank"]
    assert found.settings is None


def test_a_scale_that_overwrites_the_model_is_reported_at_its_field() -> None:
    found = form.read_form("local", "local", {"lora.alpha": "1000000000"})
    assert "overwrites the model" in found.problems["lora.alpha"]
    assert found.settings is None


def test_conflicting_values_are_reported_together() -> None:
    typed = {"split.evaluation_share": "0.6", "split.validation_share": "0.5"}
    more = "\n".join(f"{key}={value}" for key, value in typed.items())
    found = form.read_form("local", "local", {}, more)
    assert "must stay below" in found.problems[""]


def test_an_unknown_category_gets_the_nearest_one_suggested() -> None:
    found = form.read_form("local", "local", {"data.categories": "Tosp"})
    assert "did you mean 'Tops'" in found.problems["data.categories"]


def test_a_description_of_an_unknown_label_is_reported_at_its_field() -> None:
    found = form.read_form("local", "local", {"prompt.label_descriptions": "{positiv: They like it}"})
    assert "Did you mean 'positive'?" in found.problems["prompt.label_descriptions"]


def test_descriptions_survive_the_round_trip_through_the_url() -> None:
    words = {"positive": 'They\'re happy: "fine" {x}, größer', "negative": "#1"}
    found = form.read_form("local", "local", {"prompt.label_descriptions": form.as_text(words)})
    again = form.read_form(*form.from_address(form.to_address(found)))
    assert again.settings is not None
    assert again.settings.prompt.label_descriptions == words


@pytest.mark.parametrize("line", ["training.patiense=2", "lora", "import os"])
def test_a_line_that_is_not_a_setting_is_refused(line: str) -> None:
    assert form.read_form("local", "local", {}, line).settings is None


def test_the_command_line_quotes_shell_syntax() -> None:
    found = form.read_form("smoke", "local", {"data.source": "$(touch x); y", "lora.rank": "8"})
    words = ["--config", "configs/smoke.yaml", "--set", "lora.rank=8", "--set", "data.source=$(touch x); y"]
    command = shlex.split(form.command_line(found))
    assert command[:2] == ["python", "run_pipeline.py"]
    assert sorted(command[2:]) == sorted(words)


def test_the_path_of_the_configuration_is_relative_to_where_the_run_starts(tmp_path: Path) -> None:
    found = form.read_form("smoke", "local", {})
    assert form.options_of(found, form.CONFIGS.parent) == ["--config", "configs/smoke.yaml"]
    assert Path(form.options_of(found, tmp_path)[1]).is_file()


def test_the_file_gives_the_same_settings(tmp_path: Path) -> None:
    found = form.read_form("gpu", "gpu-local", {"lora.rank": "8", "training.gradient_checkpointing": "false"})
    assert found.settings is not None
    file = tmp_path / "config.yaml"
    file.write_text(form.as_yaml(found.settings), encoding="utf-8")
    assert load_settings(file) == found.settings


@pytest.mark.parametrize("labels", ["bug #1, praise: yes", '{"1": "bad", "2": "drop", "3": "good"}'])
def test_the_columns_and_labels_of_a_table_survive_the_form(tmp_path: Path, labels: str) -> None:
    columns = {"data.columns.text": "Text: English", "data.columns.label": "# of stars"}
    found = form.read_form("local", "local", {"data.source": "my table.csv", "data.categories": ""} | columns)
    more = form.read_form("local", "local", dict(found.overrides), f"data.labels={labels}")
    assert more.settings is not None, more.problems
    assert more.settings.data.columns.given == {"text": "Text: English", "label": "# of stars"}
    file = tmp_path / "config.yaml"
    file.write_text(form.as_yaml(more.settings), encoding="utf-8")
    assert load_settings(file) == more.settings
    _, *options = form.options_of(more, form.CONFIGS.parent)
    assert load_settings(form.CONFIGS / "local.yaml", options[2::2]) == more.settings


@settings(max_examples=25)
@given(
    config=st.sampled_from(form.config_names()),
    rank=st.integers(1, 512),
    epochs=st.floats(0.01, 50),
    minutes=st.integers(1, 9),
)
def test_settings_survive_the_round_trip_through_the_url(
    config: str, rank: int, epochs: float, minutes: int
) -> None:
    typed = {"lora.rank": str(rank), "training.epochs": repr(epochs)}
    found = form.read_form(config, "local", typed, f"training.checkpoint_minutes={minutes}")
    again = form.read_form(*form.from_address(form.to_address(found)))
    assert again.settings == found.settings is not None


def test_an_unknown_url_parameter_is_ignored() -> None:
    assert form.from_address({"config": "../../etc", "stack": "rm", "no.setting": "1"}) == (
        "local",
        "local",
        {},
        "",
    )


def test_an_unknown_configuration_is_refused() -> None:
    with pytest.raises(UsageError, match="smoke"):
        form.base_settings("smok")


def test_a_form_that_needs_a_gpu_is_recognised() -> None:
    assert form.needs_gpu(form.read_form("gpu", "local", {}))
    assert form.needs_gpu(form.read_form("local", "gpu-local", {}))
    assert not form.needs_gpu(form.read_form("local", "local", {}))


@pytest.mark.parametrize("value", [True, None, ("a", "b"), 0.5, "text"])
def test_values_are_shown_as_a_user_types_them(value: object) -> None:
    assert form.as_text(value) in {"true", "null", "a, b", "0.5", "text"}


def test_defaults_need_no_file() -> None:
    assert "defaults" in form.as_yaml(Settings())
