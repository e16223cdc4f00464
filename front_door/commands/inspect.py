"""`inspect`: what a table of reviews contains, and what to repair before it is used."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from front_door.commands.options import CONFIG, JSON, OVERRIDES
from front_door.stack.configs import default_config
from front_door.state import new_log_file
from front_door.terminal.console import quiet
from review_sentiment.config import MAX_COUNT
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.config import DataSettings, Settings
    from review_sentiment.data.inspection.inspection import TableReport
    from review_sentiment.data.inspection.texts import ChatTokens

DEFAULT_LABELS = ("negative", "positive")
"""Labels of the prompt whose length is measured if the table has no classes."""


@click.command("inspect")
@click.argument("source", metavar="FILE|DIRECTORY|ADDRESS")
@click.option("--query", metavar="SELECT", help="Read these rows, if ADDRESS is a database.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="ROLE=NAME",
    help="Name the column of a role, such as label=stars. Can be repeated.",
)
@click.option(
    "--write",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a configuration for training on the table.",
)
@CONFIG
@OVERRIDES
@JSON
def inspect_command(
    source: str,
    query: str | None,
    columns: tuple[str, ...],
    output: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what a table of reviews contains, and what is wrong with it.

    CSV, JSON or Parquet, plain or compressed; the files of a directory are one table. The report has the
    columns, which of them could be the text, the label and so on, duplicates, classes, lengths in tokens,
    columns that give the label away, and warnings. A large table is sampled. A table at an address (of a
    data set, a web server, a file system or a database, as in data.source) is copied to the cache. Nothing
    else is written, except with --write: a configuration that trains on the table; its command is the last
    line.
    """
    if output is not None:
        _require_new(output)
    settings = load_settings(config_file or default_config(), overrides)
    given = dict(map(_role_and_column, columns))
    with quiet(new_log_file()):
        report = inspect_source(_settings_of(source, query), given, settings)
    from front_door.commands.inspection_text import as_text

    if not as_json:
        click.echo(as_text(report))
    command = _write(report, query, output) if output is not None else None
    if as_json:
        click.echo(json.dumps(report.as_json() | {"command": command}, ensure_ascii=False))
    elif command is not None:
        click.echo(f"\n{command}")


def _require_new(output: Path) -> None:
    if output.exists():
        raise UsageError(f"{output} exists, and is not overwritten. Name another file, or remove it.")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: there is no directory {output.parent}. Create it, or name another file.")


def _write(report: TableReport, query: str | None, output: Path) -> str:
    """Write the configuration, and return the command that trains with it.

    Raises:
        UsageError: the table cannot be used, or the file cannot be written.
    """
    from front_door.commands.table_configuration import configuration_of

    text = configuration_of(report, query, output)
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}.") from error
    return shlex.join(["python", "run_pipeline.py", "--config", str(output)])


def _settings_of(source: str, query: str | None) -> DataSettings:
    """Return the settings that name the table, so that the same addresses are refused.

    Raises:
        UsageError: the address contains a password.
    """
    given = [f"data.source={source}", *([f"data.query={query}"] if query else [])]
    return load_settings(None, given).data


def _role_and_column(option: str) -> tuple[str, str]:
    role, separator, column = option.partition("=")
    if not separator or not role:
        raise UsageError(f"--column {option}: write ROLE=NAME, such as --column label=stars.")
    return role.strip(), column


def inspect_source(table: DataSettings, given: dict[str, str], settings: Settings) -> TableReport:
    """Inspect a table with the tokenizer of the settings' model.

    Raises:
        UsageError: the table does not exist, or is not one.
        ModelUnavailableError: the model is not available.
    """
    from review_sentiment.data.inspection.inspection import Tokens, inspect_table
    from review_sentiment.data.sources.catalogue import table_of
    from review_sentiment.models.base_model import identify

    base = identify(settings.model)

    def counter(labels: Sequence[str]) -> ChatTokens:
        from review_sentiment.config import PromptSettings
        from review_sentiment.data.prompt_format import prompt_format
        from review_sentiment.data.prompts import PromptBuilder
        from review_sentiment.models.loading import load_tokenizer

        tokenizer = load_tokenizer(base, without_torch=True)
        # A review is counted whole, and the table may have other labels than the settings.
        whole = PromptSettings(task=settings.prompt.task, max_tokens=MAX_COUNT)
        prompts = PromptBuilder(tokenizer, prompt_format(whole, labels or DEFAULT_LABELS))
        return lambda title, text: prompts.build(title, text, prompts.labels[0]).total_tokens

    tokens = Tokens(base.title, settings.prompt.max_tokens, counter)
    return inspect_table(table_of(table), settings.seed, given, tokens, table.source)
