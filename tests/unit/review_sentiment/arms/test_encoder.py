"""Vectors of texts: those of a plain loop, whatever the batch, and encoders that cannot be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from review_sentiment.arms.distillation import DIMENSIONS, distill, static_model
from review_sentiment.arms.encoder import Encoder, normalised
from review_sentiment.arms.encoder_source import identify_encoder
from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models import embedded_encoder
from review_sentiment.models.base_model import ModelIdentity
from tests.tiny import make_tiny_model

TEXTS = ["lovely", "torn and itchy, thin!", "", "Soft\nsoft warm " * 5, "plain usual average " * 40]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: ModelIdentity) -> Encoder:
    return Encoder.open(tiny_encoder, "cpu")


def test_vectors_are_those_of_a_plain_loop(encoder: Encoder, tiny_encoder: ModelIdentity) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = (
        AutoTokenizer.from_pretrained(tiny_encoder.name),
        AutoModel.from_pretrained(tiny_encoder.name),
    )
    expected = []
    for text in TEXTS:
        inputs = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        with torch.no_grad():
            expected.append(model(**inputs).last_hidden_state[0].mean(0).numpy())
    found = encoder.means(encoder.tokenise(TEXTS))
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(normalised(found), axis=1), 1, rtol=1e-6)


def test_a_vector_is_the_same_in_any_batch(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = encoder.tokenise(TEXTS * 3)
    together = encoder.means(rows)
    monkeypatch.setattr("review_sentiment.arms.encoder.TOKENS_PER_BATCH", {"cpu": 1})
    np.testing.assert_allclose(encoder.means(rows), together, rtol=0, atol=1e-6)
    np.testing.assert_allclose(encoder.means(rows[::-1]), together[::-1], rtol=0, atol=1e-6)


def test_long_texts_are_cut_at_what_the_encoder_can_read(encoder: Encoder) -> None:
    assert [len(row) for row in encoder.tokenise(["lovely " * 10, "lovely " * 100])] == [12, 64]


def test_a_static_vector_is_the_weighted_main_part_of_a_tokens_vector(encoder: Encoder) -> None:
    """With a text of one token, the static model gives what PCA leaves of the encoder's vector."""
    model = distill(encoder)
    vocabulary = encoder.tokenizer.get_vocab()
    kept = [number for token, number in vocabulary.items() if number > 4 and token != "[unused0]"]
    rows = [[2, number, 3] for number in sorted(kept)]
    vectors = encoder.means(rows)
    centred = vectors - vectors.mean(0)
    for word in ("lovely", "torn"):
        place = sorted(kept).index(vocabulary[word])
        found = model.embedding[vocabulary[word]]
        frequency = 1 / (place + 2) / (1 / np.arange(2, len(kept) + 2)).sum()
        weight = 1e-4 / (1e-4 + frequency)
        assert len(found) == min(DIMENSIONS, vectors.shape[1])
        # PCA keeps all directions of so few, so lengths stay
        assert np.linalg.norm(found) == pytest.approx(weight * np.linalg.norm(centred[place]), rel=2e-3)
    assert not model.embedding[vocabulary["[unused0]"]].any()
    assert np.linalg.norm(model.encode(["torn lovely"])) == pytest.approx(1)


def test_a_static_model_is_distilled_once_for_the_files_of_an_encoder(
    tiny_encoder: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = static_model(tiny_encoder, "cpu")
    monkeypatch.setattr("review_sentiment.arms.distillation.distill", None)
    moved = replace(tiny_encoder, name=str(tmp_path / "elsewhere"))
    np.testing.assert_array_equal(static_model(moved, "cpu").embedding, first.embedding)
    with pytest.raises(TypeError, match="not callable"):
        static_model(replace(tiny_encoder, revision="other"), "cpu")


def edit(**values: object) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        content = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps(content | values))

    return change


def cut_off(directory: Path) -> None:
    (directory / "model.safetensors").write_bytes(b"weights")


def without_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            edit(num_hidden_layers=3),
            r"do not belong to its config\.json: 16 tensors of BertModel are missing",
        ),
        (edit(is_decoder=True), "of the type 'bert', which is not an encoder"),
        (cut_off, r"cannot be|can be loaded: .*save_pretrained.*arms\.encoder=embedded"),
        (without_weights, r"can be loaded: .*model\.safetensors"),
    ],
)
def test_what_is_wrong_with_a_directory_is_named(
    tiny_encoder: ModelIdentity, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    directory = Path(shutil.copytree(tiny_encoder.name, tmp_path / "encoder"))
    change(directory)
    with pytest.raises(ModelUnavailableError, match=message) as error:
        Encoder.open(identify_encoder(str(directory)), "cpu")
    assert str(error.value).startswith("arms.encoder: ")
    assert str(directory) in str(error.value)


def test_a_language_model_is_no_encoder(tmp_path: Path) -> None:
    make_tiny_model(tmp_path)
    with pytest.raises(
        ModelUnavailableError, match=r"arms\.encoder: .* of the type 'llama', which is not an"
    ):
        Encoder.open(identify_encoder(str(tmp_path)), "cpu")


def test_other_files_than_at_the_start_of_the_run_are_refused(
    tiny_encoder: ModelIdentity, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(tiny_encoder.name, tmp_path / "encoder"))
    before = identify_encoder(str(directory))
    assert before.revision == tiny_encoder.revision
    edit(num_hidden_layers=1)(directory)
    with pytest.raises(ModelUnavailableError, match="changed since the start of the run"):
        Encoder.open(before, "cpu")
    with pytest.raises(ModelUnavailableError, match=f"fingerprint '.*', not '{before.revision}'"):
        identify_encoder(str(directory), before.revision)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody/nothing", "nobody/nothing is not in the cache"),
        ("a b//c", r"arms\.encoder: 'a b//c' is neither 'embedded'"),
    ],
)
def test_a_name_that_the_hub_does_not_have_is_refused(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailableError, match=message):
        identify_encoder(name)


def test_the_embedded_encoder_knows_which_sentences_are_alike() -> None:
    identity = identify_encoder()
    assert identity.title == embedded_encoder.IDENTITY
    encoder = Encoder.open(identity, "cpu")
    texts = ["The dress is too small.", "This gown runs tiny.", "Stock markets fell on Monday."]
    vectors = normalised(encoder.means(encoder.tokenise(texts)))
    assert vectors.shape == (3, 384)
    dress, gown, markets = vectors
    assert dress @ gown > 0.6
    assert dress @ markets < 0.1
