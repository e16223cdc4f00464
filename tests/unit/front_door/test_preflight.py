"""What can be known before the first step is checked before it, with real files and the tiny model."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from front_door.doctor.services import check_stack
from front_door.run.examination import check_reviews_once
from front_door.run.preflight import Preflight
from front_door.run.training_data import TrainingData
from front_door.stack.files import read_stack
from review_sentiment.config import Settings
from review_sentiment.errors import ReviewSentimentError, UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.resources import device
from review_sentiment.settings_files import known_keys, with_overrides
from tests.tiny import review_rows, tiny_settings, write_category


@pytest.fixture
def settings(tiny_model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    write_category(tmp_path / "reviews", "Praised", 0).write_text(
        "".join(f"{line}\n" for line in praised()), encoding="utf-8"
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    return Settings.model_validate(tiny_settings(tmp_path / "reviews", tiny_model.name))


def praised() -> list[str]:
    return [json.dumps(row) for row in review_rows("Praised", 40) if row["rating"] == 5.0]


def preflight(settings: Settings, *overrides: str) -> Preflight:
    return Preflight(with_overrides(settings, overrides), read_stack("local"))


def test_a_run_that_can_start_passes(settings: Settings) -> None:
    ready = preflight(settings)
    ready.require()
    assert ready.counts == {name: {"negative": 45, "positive": 45} for name in ("Tops", "Shoes")}
    assert "80 reviews (training.max_steps batches)" in ready.training_text
    assert ready.training
    assert ready.training.verdict == "fits"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.categories=Topps", "'Topps' is unknown (did you mean 'Tops'?)"),
        ("data.categories=Praised", "no category has reviews of two labels (Praised (20 positive))"),
        ("split.evaluation_per_category=1", "needs one review of each of the 2 labels"),
        ("lora.targets=q_projj", "llama has no layer 'q_projj' to adapt. Did you mean 'q_proj'?"),
        ("lora.targets=lm_head", "llama has no layer 'lm_head' to adapt"),
        ("lora.targets=q_proj,norm", "llama has no layer 'norm' to adapt"),
        ("prompt.max_tokens=257", "reads 256 tokens at most"),
        ("prompt.max_tokens=48", "leaves no room for the review"),
        ("prompt.label_descriptions={{positiv: fine}}", "Did you mean 'positive'?"),
        ("training.checkpoint_dir=s4://bucket/x", "s4://bucket/x cannot be written: Protocol not known: s4"),
        ("training.checkpoint_dir={tmp}/file/x", "/file is a file. Choose another"),
        ("training.checkpoint_dir={tmp}/" + "x" * 300, "cannot be written: File name too long"),
        ("model.name={tmp}/empty", "has no config.json"),
        ("model.precision=fp16", "needs a GPU"),
    ],
)
def test_what_would_fail_later_fails_at_once(
    settings: Settings, tmp_path: Path, override: str, message: str
) -> None:
    ready = preflight(settings, override.format(tmp=tmp_path))
    with pytest.raises(ReviewSentimentError) as error:
        ready.require()
    assert message in str(error.value)
    assert error.value.exit_code == (1 if override.startswith("model.name") else 2)
    checks = list(check_stack(ready.stack, ready.settings))
    assert str(error.value) in [check.found for check in checks if not check.ok], "doctor finds the same"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.labels=1,5,six"],
            "no row has the label 'six'. The column of the labels has: '1' (90), '5' (90).",
        ),
        (
            ["data.labels={6: a, 7: b}"],
            "no row has the label 'a' or 'b'. The column of the labels has: '1' (90)",
        ),
        (
            ["split.validation_share=0.001"],
            "'negative' has 90, 'positive' has 90 rows, and each label needs 5000, so that split.valid",
        ),
        (
            ["data.columns.text=txt", "data.columns.label=rating"],
            "data.columns.text: {tmp}/reviews/Praised.jsonl has no column 'txt'. Did you mean 'text'?",
        ),
    ],
)
def test_columns_and_labels_are_checked_before_the_run(
    settings: Settings, tmp_path: Path, overrides: list[str], message: str
) -> None:
    ready = preflight(settings, *overrides)
    with pytest.raises(UsageError) as error:
        ready.require()
    assert message.format(tmp=tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("table", "overrides", "message"),
    [
        (",x\n", ["data.columns.text=t"], "has no column 't'. It has: text, label"),
        (
            "word {n},{n}\n",
            [],
            "no row has the label 'a' or 'b'. The column of the labels has: '0' (1), '1' (1)",
        ),
        (",a\n", [], "data.columns.text: 60 of 60 texts are empty"),
        ("{n},a\n", [], "data.columns.text: 60 of 60 texts have no words, only numbers or signs"),
        ("word {n},a\n", [], "no row has the label 'b'. The column of the labels has: 'a' (60)."),
        (
            "word {n},a,more\n",
            [],
            "60 of 60 rows are broken, more than cleaning.max_broken_share = 1.0% (t.csv",
        ),
        ("größer {n},a\n", [], "t.csv is not in UTF-8 (see line 2). Convert it first: iconv -f latin1"),
        ("word {n},a\n", ["data.labels=" + ",".join(map(str, range(51)))], "a list of 2 to 50 values"),
        ("word {n},a\n", ["split.by=time"], "data.columns.time must name a column"),
        (
            "word {n},a\n",
            ["split.by=time", "data.columns.time=at"],
            "data.columns.time: {path} has no column",
        ),
    ],
)
def test_a_table_that_cannot_be_used_has_a_message(
    settings: Settings, tmp_path: Path, table: str, overrides: list[str], message: str
) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(table.format(n=number) for number in range(60))
    path.write_text(f"text,label\n{rows}", encoding="latin1" if "ö" in table else "utf-8")
    columns = ["data.columns.text=text", "data.columns.label=label", "data.labels=a,b", "data.categories="]
    with pytest.raises(ReviewSentimentError) as error:
        preflight(settings, f"data.source={path}", *columns, *overrides).require()
    assert message.format(path=path) in str(error.value)


def test_columns_and_labels_are_checked_once_until_they_change(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    monkeypatch.setattr(Preflight, "_reviews", lambda self: looks.append(self.settings.data.source) or "fine")
    for override in ("seed=1", "seed=2", "lora.rank=2"):
        check_reviews_once(preflight(settings, override))
    assert len(looks) == 1
    check_reviews_once(preflight(settings, "data.labels={1: bad, 5: good}"))
    write_category(tmp_path / "reviews", "Tops", 60)
    check_reviews_once(preflight(settings))
    assert len(looks) == 3


def test_the_labels_of_other_columns_pass(settings: Settings) -> None:
    columns = ["data.columns.text=text", "data.columns.label=rating", "data.columns.title=title"]
    ready = preflight(settings, *columns, "data.labels={1: bad, 5: good}")
    ready.require()
    assert ready.counts == {name: {"bad": 45, "good": 45} for name in ("Tops", "Shoes")}


@pytest.mark.parametrize("override", ["lora.targets=q_proj,v_proj", "lora.targets=self_attn.q_proj"])
def test_names_that_peft_would_match_are_accepted(settings: Settings, override: str) -> None:
    preflight(settings, override).require()


def test_a_training_that_cannot_fit_is_refused_with_one_change_that_would(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("training.batch_size=512", "training.tokens_per_pass=100000", "training.dequantise_once=false")
    greedy = preflight(settings, *keys)
    assert greedy.training
    monkeypatch.setattr(device, "usable_bytes", lambda _device: greedy.training.memory.total - 1)  # type: ignore[union-attr]
    long_chats = TrainingData(512, "from the cached split", [160] * 512)
    adapting = preflight(greedy.settings)
    adapting.require()
    assert "fits with training.tokens_per_pass=" in adapting.training_text
    with pytest.raises(ReviewSentimentError, match=r"; training\.tokens_per_pass=50000 would fit\. Change"):
        replace(preflight(greedy.settings, "training.fit=refuse"), data=long_chats).require()
    monkeypatch.setattr(device, "usable_bytes", lambda _device: 1e6)
    with pytest.raises(ReviewSentimentError, match="no setting makes it small enough"):
        preflight(settings).require()
    preflight(settings, "training.fit=ignore").require()


@limits(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(
            [
                key
                for key in known_keys()
                if not key.startswith(("model.name", "model.revision", "data.source"))
            ]
        ),
        st.sampled_from(
            ["0", "1", "0.5", "2", "7", "1000000000", "true", "auto", "null", "x", "cpu", "[a,b]"]
        ),
        max_size=3,
    )
)
def test_any_settings_pass_or_get_a_message(settings: Settings, changes: dict[str, str]) -> None:
    # Most values are wrong usage; a rank of 1,000,000,000 asks for checkpoints that no disk can hold.
    with suppress(ReviewSentimentError):
        preflight(settings, *(f"{key}={value}" for key, value in changes.items())).require()


def test_the_identity_changes_with_the_model_and_the_settings(settings: Settings, tmp_path: Path) -> None:
    model = shutil.copytree(settings.model.name, tmp_path / "model")
    before = preflight(settings, f"model.name={model}").pinned().identity
    assert before == preflight(settings, f"model.name={model}").pinned().identity
    assert before != preflight(settings, f"model.name={model}", "lora.rank=2").pinned().identity
    config = model / "config.json"
    config.write_text(config.read_text().replace("{", "{ ", 1))
    assert before != preflight(settings, f"model.name={model}").pinned().identity
