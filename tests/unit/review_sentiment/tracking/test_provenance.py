"""A run keeps its command line, without secrets."""

from __future__ import annotations

import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from front_door.commands.options import given_options
from front_door.commands.run import cli
from review_sentiment.tracking.provenance import (
    command_line,
    source_commit,
    trained_with,
    without_secrets,
)


@pytest.mark.parametrize(
    "secret",
    [
        "https://me:s3cret@host/data",
        "https://s3cret@host/data",
        "https://host/data?X-Amz-Signature=s3cret&b=s3cret",
        "https://host/data?config=a&b=s3cret",
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
        "data.source=hf://datasets/OWNER/NAME?config=german&split=test",
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
    assert given_options(context) == words
    assert given_options(cli.make_context("run_pipeline.py", [], resilient_parsing=True)) == []


def test_versions_of_packages_come_back_from_tags() -> None:
    assert trained_with({"package.torch": "2.1", "gate": "passed"}) == {"torch": "2.1"}


def git(directory: Path, *arguments: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *who, *arguments], cwd=directory, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return the package in a checkout with one commit."""
    package = tmp_path / "checkout" / "review_sentiment"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parent, "init")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-m", "first")
    return package


def test_the_commit_is_that_of_the_code_wherever_the_command_is_started(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init")
    git(other, "commit", "--allow-empty", "-m", "of somebody else")
    monkeypatch.chdir(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    found = source_commit(checkout)
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert found == git(checkout, "rev-parse", "HEAD") != git(other, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("file", "marked"),
    [("__init__.py", True), ("new.py", True), ("directory/new.py", True), ("out.csv", False)],
)
def test_code_that_differs_from_the_commit_is_marked(checkout: Path, file: str, marked: bool) -> None:
    (checkout / "directory").mkdir()
    (checkout / file).write_text("changed = 1")
    assert source_commit(checkout).endswith("+changes") is marked


@pytest.mark.parametrize("place", ["site-packages/review_sentiment", "plain"])
def test_an_installed_package_has_no_commit(checkout: Path, tmp_path: Path, place: str) -> None:
    """Also one in an environment below another repository."""
    installed = (checkout.parent if "/" in place else tmp_path) / place
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert (
        source_commit(installed)
        == f"not from a git checkout (review-sentiment {version('review-sentiment')})"
    )


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert source_commit(checkout).startswith("not from a git checkout")
