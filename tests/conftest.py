"""The tiny model once a session, and state directories that no test shares."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from front_door.state import OPT_OUTS
from review_sentiment.models.base_model import ModelIdentity
from tests.tiny import make_tiny_model, prompt_of, review_rows

if TYPE_CHECKING:
    from review_sentiment.data.chats import ChatDataset

SHARED_RUNS = {"project", "dashboard_project", "two_versions"}
"""Fixtures with the state of runs, and what was loaded for them."""
BY_MODULE = {"dashboard_project"}
"""Those of them that every module has for itself."""

LONGEST_NAME = 100
"""Characters of a parameter in the name of its test."""

# An example may take longer than hypothesis' 0.2 s while other tests run.
hypothesis.settings.register_profile("side by side", deadline=None)
hypothesis.settings.load_profile("side by side")


def pytest_configure(config: pytest.Config) -> None:
    """Keep ZenML's state out of the user's directories: it is read when ZenML is imported.

    Tests, and the processes that they start, take one thread each: two threads that share a core with another
    process spend their time waiting for each other (a test of 3 s took 20 s). A shell has SIGINT ignored in
    what it runs in the background, and processes that the tests interrupt would have it from here.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    state = tempfile.mkdtemp(prefix="review-sentiment-tests-")
    config.add_cleanup(lambda: shutil.rmtree(state, ignore_errors=True))
    os.environ["ZENML_CONFIG_PATH"] = f"{state}/zenml"
    os.environ["ZENML_LOCAL_STORES_PATH"] = f"{state}/stores"
    os.environ.update(OPT_OUTS)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share a pipeline run on one worker: each worker would run it again.

    Modules with a group of their own take the run once more, so that no worker is busy long after the others.
    """
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        for shared in SHARED_RUNS.intersection(getattr(item, "fixturenames", ())):
            of_module = f" of {item.nodeid.partition('::')[0]}" if shared in BY_MODULE else ""
            item.add_marker(pytest.mark.xdist_group(f"{shared}{of_module}"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if pytest-xdist does not see the groups, which it adds to the ids (with pytest 9.2, it does not).

    Each worker would run every shared pipeline again.
    """
    if getattr(session.config.option, "loadgroup", False):
        lost = [
            one.nodeid
            for one in session.items
            if one.get_closest_marker("xdist_group") and "@" not in one.nodeid
        ]
        assert not lost, f"pytest-xdist does not group the tests that share a run: {lost[0]}"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case by its parameter, not by its bytes: gzip writes the time, and workers must agree.

    Of a long text, the name has the start: those of 2 MB filled logs.
    """
    if isinstance(val, str) and len(val) > LONGEST_NAME:
        return f"{ascii(val[:LONGEST_NAME])[1:-1]}..."
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="module", autouse=True)
def _what_is_loaded_is_not_collected() -> None:
    """Spare the garbage collector the loaded modules: a training calls it three times, for 0.4 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> ModelIdentity:
    """Return the tiny model of the session."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture(scope="session")
def tiny_chats(tiny_model: ModelIdentity) -> ChatDataset:
    """Return 48 chats for the tiny model, whose words give the label away."""
    from review_sentiment.data.chats import format_chats
    from review_sentiment.data.review_table import table_of
    from review_sentiment.models.loading import load_tokenizer

    rows = [
        {
            "review_id": f"{number:04d}",
            "category": "Tops",
            "group": row["parent_asin"],
            "user": row["user_id"],
            "source_label": f"{row['rating']:g}",
            "label": "positive" if row["rating"] == 5.0 else "negative",
            "title": row["title"],
            "text": row["text"],
        }
        for number, row in enumerate(review_rows("Tops", 48))
    ]
    table = table_of("Tops", rows)
    return format_chats(table.frame, load_tokenizer(tiny_model), prompt_of())


@pytest.fixture(scope="session")
def empty_mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow database without a run, to be copied: creating one takes four seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch, configured_mlflow(f"sqlite:///{file}", patch):
        return file


@pytest.fixture
def mlflow_uri(empty_mlflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point MLflow to a sqlite database of this test."""
    file = tmp_path / "mlflow" / "mlflow.db"
    file.parent.mkdir()
    shutil.copy(empty_mlflow_database, file)
    with configured_mlflow(f"sqlite:///{file}", monkeypatch) as uri:
        yield uri


@contextmanager
def configured_mlflow(uri: str, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point MLflow to a store while the block runs."""
    import mlflow

    from review_sentiment.tracking import mlflow_store

    patch.setenv("MLFLOW_TRACKING_URI", uri)
    try:
        mlflow_store.configure(uri)
        yield uri
    finally:
        mlflow.set_tracking_uri("")
        mlflow.set_registry_uri("")
