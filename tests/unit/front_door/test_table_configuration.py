"""`inspect --write` makes a configuration that training accepts, or says what is missing."""

from __future__ import annotations

import csv
import random
import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from front_door.main import main
from front_door.run.preflight import Preflight
from front_door.stack.files import read_stack
from review_sentiment.config import Settings
from review_sentiment.errors import EXIT_USAGE
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.settings_files import load_settings
from tests.tiny import ticket_rows


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def inspected(table: str, model: ModelIdentity, *options: str) -> int:
    return main(["inspect", table, "--write", "mine.yaml", "--set", f"model.name={model.name}", *options])


def accepted(model: ModelIdentity) -> Settings:
    """Return the settings of the written file, which pass the checks of a run."""
    settings = load_settings(Path("mine.yaml"), [f"model.name={model.name}", "prompt.max_tokens=200"])
    Preflight(settings, read_stack("local"))._reviews()
    return settings


def test_tickets_become_a_configuration_with_the_classes_as_they_are(
    tiny_model: ModelIdentity, capfd: pytest.CaptureFixture[str]
) -> None:
    write("tickets.csv", ticket_rows(150))
    assert inspected("tickets.csv", tiny_model) == 0
    last = capfd.readouterr().out.splitlines()[-1]
    assert shlex.split(last) == ["python", "run_pipeline.py", "--config", "mine.yaml"]
    settings = accepted(tiny_model)
    assert settings.data.source == "tickets.csv"
    assert settings.data.columns.given == {"text": "Message", "label": "Topic"}
    assert settings.data.labels == ("bug report", "open question", "high praise: thanks")
    assert settings.data.categories == ()
    assert (settings.split.evaluation_share, settings.split.validation_share) == (0.3, 0.2)
    assert settings.registry.model_name == "tickets"


def test_stars_become_a_mapping_and_a_large_table_is_sampled(tiny_model: ModelIdentity) -> None:
    draw = random.Random(1)
    rows = [
        {
            "Bewertungstext": f"{draw.choice(['Gut', 'Schlecht'])} und Nummer {number}, sage ich Ihnen.",
            "Sterne": draw.choice(["1", "2", "3.0", "4", "5"]),
            "Artikel": f"A-{number % 300}",
            "Abteilung": draw.choice(["Küche", "Garten"]),
        }
        for number in range(6_000)
    ]
    write("Bewertungen.csv", rows)
    assert inspected("Bewertungen.csv", tiny_model) == 0
    settings = accepted(tiny_model)
    assert settings.data.columns.given == {
        "text": "Bewertungstext",
        "label": "Sterne",
        "group": "Artikel",
        "category": "Abteilung",
    }
    mapping = {"1": "negative", "2": "negative", "3": "drop", "4": "positive", "5": "positive"}
    assert settings.data.labels == mapping
    assert settings.split == type(settings.split)(train_per_category=1_500, evaluation_per_category=300)


def test_what_would_spoil_the_splits_is_a_comment_with_the_reason(tiny_model: ModelIdentity) -> None:
    rows = [
        row | {"Customer": f"C{number % 5}", "Department": ["Web", "Web", "App"][number % 3]}
        for number, row in enumerate(ticket_rows(300))
    ]
    rows += [row | {"Topic": "spam"} for row in rows[:4]]
    write("tickets.csv", rows)
    assert inspected("tickets.csv", tiny_model) == 0
    text = Path("mine.yaml").read_text(encoding="utf-8")
    assert '# group: "Customer"   # not used: with 5 values, a split can be left without any' in text
    assert '# category: "Department"   # not used: 2 of 2 values have few rows of a label' in text
    settings = accepted(tiny_model)
    assert settings.data.labels["spam"] == "drop"  # type: ignore[call-overload,index]
    assert len(settings.data.labels) == 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [(["Message"], "no column looks like the label"), (["Topic"], "no column looks like the text")],
)
def test_a_table_without_texts_or_labels_is_refused_with_what_is_missing(
    tiny_model: ModelIdentity, columns: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write("tickets.csv", [{name: row[name] for name in columns} for row in ticket_rows(60)])
    assert inspected("tickets.csv", tiny_model) == EXIT_USAGE
    assert message in capfd.readouterr().err
    assert not Path("mine.yaml").exists()


def test_a_column_of_times_is_named_and_its_use_is_suggested(tiny_model: ModelIdentity) -> None:
    rows = [row | {"Created": f"2024-05-{1 + n % 28:02}"} for n, row in enumerate(ticket_rows(900))]
    write("tickets.csv", rows)
    assert inspected("tickets.csv", tiny_model) == 0
    assert accepted(tiny_model).data.columns.time == "Created"
    written = Path("mine.yaml").read_text(encoding="utf-8")
    assert "  # by: time " in written
    Path("mine.yaml").write_text(written.replace("# by: time", "by: time"), encoding="utf-8")
    assert accepted(tiny_model).split.by == "time"


def test_a_file_is_not_overwritten(tiny_model: ModelIdentity, capfd: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("mine")
    assert inspected("no such table.csv", tiny_model) == EXIT_USAGE
    assert "mine.yaml exists, and is not overwritten" in capfd.readouterr().err
    assert Path("mine.yaml").read_text() == "mine"


def test_headings_and_values_may_have_any_characters(tiny_model: ModelIdentity) -> None:
    odd = {"Topic": ' Topic: "a" #1 ', "Message": "Message: #2, 'in' two"}
    names = {"bug report": '"quoted"', "open question": "a: b #c", "high praise: thanks": "größer, €"}
    rows = [{odd["Topic"]: names[row["Topic"]], odd["Message"]: row["Message"]} for row in ticket_rows(150)]
    write("tickets.csv", rows)
    assert inspected("tickets.csv", tiny_model, "--column", f"label={odd['Topic']}") == 0
    assert set(accepted(tiny_model).data.labels) == set(names.values())


def test_a_heading_that_no_setting_can_have_is_refused(
    tiny_model: ModelIdentity, capfd: pytest.CaptureFixture[str]
) -> None:
    write("tickets.csv", [{"Topic": row["Topic"], "a\x07text": row["Message"]} for row in ticket_rows(120)])
    assert inspected("tickets.csv", tiny_model) == EXIT_USAGE
    assert (
        "No configuration was written: line 8: data.columns.text: 'a\\x07text' has" in capfd.readouterr().err
    )


def test_the_result_of_a_query_becomes_a_configuration_that_runs_the_query(
    tiny_model: ModelIdentity, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [(row["Message"], row["Topic"]) for row in ticket_rows(150)]
    with sqlite3.connect("desk.db") as connection:
        connection.execute("create table tickets (message, topic)")
        connection.executemany("insert into tickets values (?, ?)", rows)
    connection.close()
    query = 'select message,\n  topic as "Topic" from tickets'
    assert inspected("sqlite:///desk.db", tiny_model, "--query", query) == 0
    shown = capfd.readouterr()
    assert shown.out.splitlines()[0] == "sqlite:///desk.db: 150 rows"
    assert not any(message in shown.err for message, _ in rows)
    settings = accepted(tiny_model)
    assert (settings.data.source, settings.data.query) == ("sqlite:///desk.db", query)
    assert settings.data.columns.given == {"text": "message", "label": "Topic"}
    assert settings.registry.model_name == "desk"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["sqlite:///desk.db"], "is a database. Set the statement"),
        (["postgresql://me:sesame@h/d"], "contains a password"),
        (["hub"], "'hub' is not one table"),
        (["https://example.org/reviews"], "is not one table"),
        (["tickets.csv", "--query", "select 1"], "'tickets.csv' is not a database"),
    ],
)
def test_what_is_not_one_table_is_refused(
    options: list[str], message: str, tiny_model: ModelIdentity, capfd: pytest.CaptureFixture[str]
) -> None:
    write("tickets.csv", ticket_rows(3))
    assert inspected(options[0], tiny_model, *options[1:]) == EXIT_USAGE
    shown = capfd.readouterr().err
    assert message in shown
    assert "sesame" not in shown
