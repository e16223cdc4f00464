"""A checkpoint is whole or passed over, and belongs to one training."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.errors import UsageError
from review_sentiment.training.checkpoints import (
    KEPT,
    MANIFEST,
    CheckpointStore,
    clear_checkpoints,
    training_identity,
)


def written(directory: Path, **contents: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_text(content)
    return directory


@pytest.fixture(params=["directory", "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a directory, and an object store of fsspec."""
    return str(tmp_path / "durable") if request.param == "directory" else f"memory://{tmp_path.name}"


def test_the_newest_checkpoint_comes_back_as_it_was(address: str, tmp_path: Path) -> None:
    store = CheckpointStore(address, "a")
    for step in (3, 12, 7):
        store.save(written(tmp_path / "out", weights=f"weights {step}"), step, {"run_id": f"run {step}"})
    found = CheckpointStore(address, "a").fetch_newest(tmp_path / "back")
    assert found is not None
    assert (found.step, found.notes) == (12, {"run_id": "run 12"})
    assert (tmp_path / "back" / "weights").read_text() == "weights 12"
    assert store.newest_notes() == {"run_id": "run 12"}


def test_older_checkpoints_go(address: str, tmp_path: Path) -> None:
    store = CheckpointStore(address, "a")
    for step in range(1, 6):
        store.save(written(tmp_path / "out", weights=str(step)), step, {})
    assert [step for step, _ in store._steps()] == [5, 4]
    assert KEPT == 2


def test_checkpoints_of_another_training_are_not_seen(address: str, tmp_path: Path) -> None:
    CheckpointStore(address, "a").save(written(tmp_path / "out", weights="a"), 5, {})
    assert CheckpointStore(address, "b").fetch_newest(tmp_path / "back") is None


def test_a_cleared_training_starts_anew(address: str, tmp_path: Path) -> None:
    store = CheckpointStore(address, "a")
    store.save(written(tmp_path / "out", weights="a"), 5, {})
    store.clear()
    clear_checkpoints(store.address)
    assert store.fetch_newest(tmp_path / "back") is None


@pytest.mark.parametrize(
    "damage", ["no manifest", "half a manifest", "file gone", "file cut", "file changed"]
)
def test_an_incomplete_checkpoint_is_skipped_with_a_warning(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(str(tmp_path / "durable"), "a")
    for step in (1, 2):
        store.save(written(tmp_path / "out", weights=f"weights {step}", state="s"), step, {})
    torn = tmp_path / "durable" / "a" / "step-00000002"
    manifest, weights = torn / MANIFEST, torn / "weights"
    {
        "no manifest": manifest.unlink,
        "half a manifest": lambda: manifest.write_text(manifest.read_text()[:40]),
        "file gone": weights.unlink,
        "file cut": lambda: weights.write_text("weig"),
        "file changed": lambda: weights.write_text("weights 3"),
    }[damage]()
    with caplog.at_level(logging.WARNING):
        found = store.fetch_newest(tmp_path / "back")
    assert found is not None
    assert found.step == 1
    assert (tmp_path / "back" / "weights").read_text() == "weights 1"
    assert "Skipped the checkpoint of step 2" in caplog.text


def test_a_step_that_was_half_written_is_written_anew(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path / "durable"), "a")
    written(tmp_path / "durable" / "a" / "step-00000004", weights="half", stray="x")
    store.save(written(tmp_path / "out", weights="whole"), 4, {})
    assert store.fetch_newest(tmp_path / "back") is not None
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["weights"]


def test_an_address_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(UsageError, match=r"training\.checkpoint_dir.*nowhere://x.*fsspec"):
        CheckpointStore("nowhere://x", "a")


@hypothesis_settings(max_examples=50)
@given(
    left=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
    right=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
)
def test_identities_are_equal_for_equal_parts_only(left: dict[str, int], right: dict[str, int]) -> None:
    same = training_identity(settings=left) == training_identity(settings=dict(sorted(right.items())))
    assert same == (left == right)
