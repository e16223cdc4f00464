"""A run keeps its command line, without secrets."""

from __future__ import annotations

import shlex

import click
import pytest

from front_door.commands.run import _given_options, cli
from review_sentiment.tracking.provenance import command_line, trained_with, without_secrets


@pytest.mark.parametrize(
    "secret",
    [
        "https://me:s3cret@host/data",
        "https://s3cret@host/data",
        "https://host/data?X-Amz-Signature=s3cret&b=s3cret",
        "a.token=s3cret",
        "MY_API_KEY=s3cret",
        "password=s3cret",
        "hf_s3cretABCDEFGHIJKLMNOP",
    ],
)
def test_secrets_are_left_out(secret: str) -> None:
    shown = command_line(["--set", f"data.source={secret}", "--set", "lora.rank=8"])
    assert "s3cret" not in shown
    assert shown.endswith("--set lora.rank=8")


@pytest.mark.parametrize(
    "plain",
    [
        "prompt.max_tokens=144",
        "training.tokens_per_pass=4096",
        "data.source=hf://datasets/OWNER/NAME@2b6d039/raw",
        "data.source=a directory/reviews",
    ],
)
def test_what_is_not_secret_stays_and_can_be_repeated(plain: str) -> None:
    assert shlex.split(command_line(["--set", plain])) == ["python", "run_pipeline.py", "--set", plain]


def test_an_address_keeps_its_host() -> None:
    assert without_secrets("https://me:pw@host/data?x=1") == "https://***@host/data?***"


def test_the_options_that_were_given_are_kept() -> None:
    words = ["--config", "configs/smoke.yaml", "--set", "a.b=1", "--set", "c.d=2", "--rerun", "evaluate"]
    context = cli.make_context("run_pipeline.py", [*words, "--json"], resilient_parsing=True)
    assert isinstance(context, click.Context)
    assert _given_options(context) == words
    assert _given_options(cli.make_context("run_pipeline.py", [], resilient_parsing=True)) == []


def test_versions_of_packages_come_back_from_tags() -> None:
    assert trained_with({"package.torch": "2.1", "gate": "passed"}) == {"torch": "2.1"}
