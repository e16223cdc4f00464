"""Settings: defaults, files, overrides, and helpful errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from pipelines.step_names import step_names
from review_sentiment.config import LoraSettings, Settings
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import SECTIONS, flat, known_keys, load_settings, read_yaml

CONFIGS = sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.yaml"))
DEFAULTS = flat(Settings())
MAX_MESSAGE = 700
"""Characters: one wrong value or file is one paragraph, however large the value is."""


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
    loaded = load_settings(path).model_dump(mode="json")
    for section, values in read_yaml(path).items():
        for key, value in values.items():
            found = loaded[section][key]
            # A section within a section has the defaults of the keys that the file leaves out.
            assert (found | value if isinstance(found, dict) else found) == found
            assert isinstance(found, dict) or found == value


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
        ("prompt.task=Which topic: {labels}? # 1", "prompt.task", "Which topic: {labels}? # 1"),
        ("prompt.task={labels}: which?", "prompt.task", "{labels}: which?"),
        ("prompt.task='quoted'", "prompt.task", "quoted"),
        ("prompt.task=null", "prompt.task", None),
        (
            "prompt.label_descriptions={positive: 'They say: fine'}",
            "prompt.label_descriptions",
            {"positive": "They say: fine"},
        ),
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
        ("epochs=3", "training.epochs' or 'student.epochs"),
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
        "model.head=softmax",
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


REFUSED_FILES = {
    b"a: [1": "line 1: expected",
    b"- 1\n- 2": "must contain sections with keys, not a list",
    b"\xff\xfe\xff": "is not text in UTF-8 or UTF-16",
    b"\x00\x01": "is not text in UTF-8 or UTF-16",
    b"lora:\n\trank: 4": "line 2: found character",
    b"lora:\n  rank: 4\n  alpha: 8\n  rank: 8": "line 4: 'rank' is already in line 2",
    b"seed: 1\nlora: {}\nseed: 2": "line 3: 'seed' is already in line 1",
    b"seed: 1\n---\nseed: 2": "line 2: but found another document",
    b"seed: !!python/object:os.system ls": "line 1: could not determine a constructor",
    b"[" * 5_000: "recursion",
    b"lora: &all [*all]": "line 1: lora is a section",
    b"seed: 1\nlora: 8": "line 2: lora is a section: write its settings below it",
    b"training:\n  epochs: 1\n  epoch: 2": "line 3: 'training.epoch' is not a setting. Did you mean",
    b"seed: 1\ntraining:\n  epochs: .nan": "line 3: training.epochs: input should be a valid number",
    b"1: 2": "'1' is not a setting",
}


@pytest.mark.parametrize("content", REFUSED_FILES, ids=lambda content: content[:20])
def test_a_file_that_is_wrong_is_an_error_with_the_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        load_settings(path)
    assert REFUSED_FILES[content] in str(error.value)
    assert len(str(error.value)) < MAX_MESSAGE


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / ("x" * 300), Path()):
        with pytest.raises(UsageError, match="cannot be read: "):
            load_settings(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_have_any_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes("data: {categories: [Ügla]}".encode(encoding))
    assert load_settings(path).data.categories == ("Ügla",)


def test_values_are_what_they_look_like_and_not_what_yaml_1_1_makes_of_them(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "seed: 017\ndata: {categories: [007, 2026-01-01, on]}\nmodel: {revision: 0123456}\n"
        "lora: {dora: on, rank: 8.0}\ntraining: &t {learning_rate: 1e-4}\n",
    )
    loaded = load_settings(path)
    assert (loaded.seed, loaded.data.categories) == (17, ("007", "2026-01-01", "on"))
    assert (loaded.model.revision, loaded.lora.dora, loaded.lora.rank) == ("0123456", True, 8)
    assert loaded.training.learning_rate == pytest.approx(1e-4)
    for override in ("seed=true", "seed=190:20:30", "lora.rank=on", "training.epochs=true"):
        with pytest.raises(UsageError, match=r"input should be a valid (integer|number), not"):
            load_settings(None, [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=inf", "training.epochs: input should be a finite number"),
        ("training.epochs=1e300", "training.epochs: input should be less than or equal to 10000"),
        ("seed=4294967296", "seed: input should be less than 4294967296"),
        ("lora={rank: 4}", "'lora' is a section. Set one of its settings, such as lora.rank"),
        ("lora.rank==4", "lora.rank: input should be a valid integer, not '=4'"),
        ("split.evaluation_share=1e-320", "split.evaluation_share: input should be greater than"),
        ("evaluation.shards=1000000", "evaluation.shards: input should be less than or equal to 1000"),
        ("lora.targets=[]", "lora.targets: "),
        ("lora.targets=q_proj,q_proj", "lora.targets: q_proj is listed twice"),
        ("lora.targets=all-linear,q_proj", "lora.targets: all-linear names every layer"),
        ("training.max_steps=0", "training.max_steps: 0 steps train nothing"),
        ("gate.min_gain_over_baseline=2", "gate.min_gain_over_baseline: input should be less than"),
        ("registry.model_name=a:b/c", "MLflow accepts no / or :"),
        ("registry.model_name=" + "x" * 300, "registry.model_name: value should have at most 256"),
        ("tracking.experiment=" + "x" * 501, "tracking.experiment: "),
        ('model.name="a\\0b"', "model.name: 'a\\x00b' has control characters"),
        ("data.source= ", "data.source: "),
    ],
)
def test_a_setting_that_no_run_could_use_is_refused(override: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        load_settings(None, [override])
    assert message in str(error.value)


def test_early_stopping_without_validations_is_refused() -> None:
    with pytest.raises(UsageError, match="training: patience counts validations"):
        load_settings(None, ["training.patience=3", "training.validations=0"])


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.dates(), st.datetimes(),
    st.binary(max_size=8), st.integers(min_value=10**18),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*known_keys(), *SECTIONS]) | st.text(max_size=12)


def _usable(load: Callable[[], Settings]) -> None:
    """Require settings that the steps' names and all derived values can be computed from, or a UsageError."""
    try:
        loaded = load()
    except UsageError as error:
        message = str(error)
    else:
        message = ""
        assert step_names(loaded)
        assert loaded.needed_per_class > 0
        assert Settings.model_validate_json(loaded.model_dump_json()) == loaded
    assert len(message) < MAX_MESSAGE


@given(key=KEYS, value=VALUES)
def test_any_value_of_any_key_in_a_file_is_read_or_refused(
    key: str, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    *section, last = key.split(".", maxsplit=1)
    content = {section[0]: {last: value}} if section else {last: value}
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(yaml.dump(content, encoding="utf-8", allow_unicode=True))
    _usable(lambda: load_settings(path))


@given(key=KEYS, value=st.text() | VALUES.map(lambda value: yaml.dump(value, default_flow_style=True)))
def test_any_override_is_read_or_refused(key: str, value: str) -> None:
    _usable(lambda: load_settings(None, [f"{key}={value}"]))


@given(st.binary(max_size=60) | st.text().map(str.encode))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content)
    _usable(lambda: load_settings(path))


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
        ({"rank": 1, "alpha": 10**9}, True),
    ],
)
def test_a_scale_that_overwrites_the_model_is_refused(lora: dict[str, Any], refused: bool) -> None:
    with pytest.raises(ValidationError, match="overwrites the model") if refused else nullcontext():
        LoraSettings(**lora)
