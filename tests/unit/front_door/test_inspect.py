"""`inspect` as users run it, with a model's own tokenizer; texts stay out of the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from front_door.main import main
from review_sentiment.errors import EXIT_USAGE
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.loading import load_tokenizer

SECRET = "My neighbour Zacharias"
MODEL_OPTION = "model.name={}"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table whose headings are not ours."""
    path = tmp_path / "Bewertungen.csv"
    rows = [f"{SECRET} said it lasted {row} days.;{'gut' if row % 3 else 'schlecht'}" for row in range(60)]
    path.write_text("\n".join(["Kommentar;Urteil", *rows]), encoding="utf-8")
    return path


def test_the_report_goes_to_the_terminal_only(
    table: Path, tiny_model: ModelIdentity, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = table.parent / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(state))
    options = ["--set", MODEL_OPTION.format(tiny_model.name)]
    assert main(["inspect", str(table), *options]) == 0
    shown = capfd.readouterr().out
    assert SECRET in shown
    assert 'data.columns: {text: "Kommentar", label: "Urteil"}' in shown.splitlines()[-1]
    logs = [path for path in state.rglob("*") if path.is_file()]
    assert logs
    assert not any(SECRET.encode() in path.read_bytes() for path in logs)

    assert main(["inspect", str(table), "--json", *options]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["rows"], report["classes"]) == (60, {"gut": 40, "schlecht": 20})
    assert report["tokens"]["model"] == tiny_model.name
    assert report["tokens"]["reviews"] == 60


@pytest.mark.parametrize(
    ("option", "message"),
    [("label=Urteile", "Did you mean 'Urteil'?"), ("label", "write ROLE=NAME"), ("", "write ROLE=NAME")],
)
def test_a_wrong_column_is_a_usage_error(
    option: str, message: str, table: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(table), "--column", option]) == EXIT_USAGE
    assert message in capfd.readouterr().err


def test_the_file_of_a_tokenizer_has_the_same_tokens_as_the_tokenizer(tiny_model: ModelIdentity) -> None:
    both = load_tokenizer(tiny_model), load_tokenizer(tiny_model, without_torch=True)
    text = "Größe M, 10:30 <|im_end|>\n\n  日本 it's"
    one, other = ([each.encode(text), each.eos_token, each.pad_token, each.chat_template] for each in both)
    assert one == other
