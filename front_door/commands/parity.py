"""`parity`: whether a server that loads an exported version gives the version's answers."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from front_door.commands.options import JSON, NAME
from front_door.commands.registry_access import mlflow_ready, model_name
from front_door.terminal.console import quiet
from review_sentiment.errors import EXIT_FAILED


@click.command("parity")
@click.argument("version")
@click.option("--server", "url", required=True, metavar="URL", help="Such as http://127.0.0.1:8000.")
@click.option("--model", help="Name of the model on the server. Default: its only one.")
@click.option("--rows", type=click.IntRange(1), help="Number of reviews. Default: all.")
@click.option(
    "--endpoint",
    type=click.Choice(["chat", "completions"]),
    default="chat",
    show_default=True,
    help="Send chats, which the server renders, or prompts that we have rendered.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds to wait for an answer.",
)
@NAME
@JSON
def parity_command(version: str, url: str, name: str | None, as_json: bool, **options: Any) -> None:
    """Compare a server's answers with those of VERSION (a number or an alias).

    Sends the version's evaluation reviews to an OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama),
    and names the likely cause of differences. The exit code is 0 if 99.5 % of the answers are the same and
    all others are near ties, else 1. OPENAI_API_KEY holds the server's key, if it needs one.
    """
    from review_sentiment.scoring.completions_server import KEY_VARIABLE, CompletionsServer

    with CompletionsServer(url, os.environ.get(KEY_VARIABLE, ""), options["timeout"]) as server:
        model = server.choose_model(options["model"])
        with mlflow_ready() as log_file:
            from review_sentiment.registry.server_answers import compare_with_server, recorded_answers
            from review_sentiment.tracking import model_versions

            found = model_versions.get_version(model_name(name), version)
            recorded = recorded_answers(found, options["rows"])
        click.echo(f"log {log_file}", err=True)
        with quiet(log_file):
            result = compare_with_server(recorded, server, model, options["endpoint"])
    about = {"server": server.url, "model": model, "endpoint": options["endpoint"]}
    click.echo(json.dumps(about | result.as_json()) if as_json else result.as_text())
    if not result.passed:
        raise SystemExit(EXIT_FAILED)
