"""Encoders in the ONNX format: they answer as in PyTorch, in any company, and int8 must earn its place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.catalogue import load_arm, packages_of, save_arm
from review_sentiment.arms.encoder import Encoder
from review_sentiment.arms.encoder_classifier import ENCODER_DIRECTORY, EncoderClassifier
from review_sentiment.arms.encoder_source import identify_encoder
from review_sentiment.arms.linear import LinearHead
from review_sentiment.arms.onnx_encoder import GRAPH_FILE, TOKENIZER_FILE, OnnxEncoder
from review_sentiment.arms.onnx_export import Fidelity, Form, OnnxExport, chosen_precision, export_onnx
from review_sentiment.arms.onnx_graph import exported_graph, exported_tokenizer
from review_sentiment.arms.onnx_int8 import with_int8_weights
from review_sentiment.errors import ModelUnavailableError, TrainingError
from review_sentiment.models.base_model import ModelIdentity
from tests.tiny_encoder import FAMILIES, make_tiny_encoder

TEXTS = ["lovely", "torn and itchy, thin!", "", "Soft\nsoft warm " * 5, "plain usual average " * 40]
LABELS = ("bad", "good")


@pytest.fixture(scope="module")
def documents() -> LabelledDocuments:
    return LabelledDocuments(TEXTS, np.eye(2)[[1, 0, 0, 1, 0]], LABELS)


@pytest.fixture(scope="module")
def arm(tiny_encoder: ModelIdentity) -> EncoderClassifier:
    encoder = Encoder.open(tiny_encoder, "cpu")
    weights = np.random.default_rng(0).normal(size=(2, 32))
    return EncoderClassifier(encoder, LinearHead(LABELS, weights, np.zeros(2)), normalises=True)


@pytest.fixture(scope="module")
def graphs(arm: EncoderClassifier) -> dict[str, bytes]:
    fp32 = exported_graph(arm.encoder)
    return {"fp32": fp32, "int8": with_int8_weights(fp32)}


@pytest.fixture(scope="module")
def exported(
    arm: EncoderClassifier, documents: LabelledDocuments, graphs: dict[str, bytes]
) -> tuple[EncoderClassifier, OnnxExport]:
    with pytest.MonkeyPatch.context() as patch:  # the exporter takes four seconds
        patch.setattr("review_sentiment.arms.onnx_export.exported_graph", lambda encoder: graphs["fp32"])
        return export_onnx(arm, documents)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "bert"])  # that of `arm`
def test_vectors_are_those_of_pytorch(family: str, tmp_path: Path) -> None:
    make_tiny_encoder(tmp_path, ["lovely", "soft", "torn", "and"], family)
    encoder = Encoder.open(identify_encoder(str(tmp_path)), "cpu")
    ours = OnnxEncoder.start(exported_tokenizer(encoder), exported_graph(encoder))
    rows = ours.tokenise(TEXTS)
    assert rows == encoder.tokenise(TEXTS)
    assert len(rows[-1]) == 64
    rows += [[7], []]
    np.testing.assert_allclose(ours.means(rows), encoder.means(rows), rtol=0, atol=1e-6)


def test_an_exported_arm_is_two_files_and_the_layer_and_comes_back_the_same(
    exported: tuple[EncoderClassifier, OnnxExport], tmp_path: Path
) -> None:
    save_arm("tuned_encoder", exported[0], tmp_path)
    assert {file.name for file in (tmp_path / ENCODER_DIRECTORY).iterdir()} == {GRAPH_FILE, TOKENIZER_FILE}
    assert packages_of(tmp_path) == ("onnxruntime",)
    loaded = load_arm(tmp_path)
    titles = ["", "Good", "", "", ""]
    np.testing.assert_array_equal(loaded.log_probs(titles, TEXTS), exported[0].log_probs(titles, TEXTS))


def test_fp32_is_proved_and_a_precision_chosen(
    exported: tuple[EncoderClassifier, OnnxExport], arm: EncoderClassifier
) -> None:
    found, export = exported
    assert export.documents == len(TEXTS)
    assert export.fp32.largest_change < 1e-5
    assert export.fp32.agreement == 1
    assert export.fp32.largest_change < export.int8.largest_change < 0.05
    assert {len(rounds) for rounds in export.throughput.values()} == {5}
    assert (export.precision, export.reason) == chosen_precision(export.int8, export.throughput)
    changes = np.exp(found.document_log_probs(TEXTS)) - np.exp(arm.document_log_probs(TEXTS))
    assert np.abs(changes).max() == pytest.approx(getattr(export, export.precision).largest_change)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_vector_is_the_same_in_any_company(
    precision: str, graphs: dict[str, bytes], arm: EncoderClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = OnnxEncoder.start(exported_tokenizer(arm.encoder), graphs[precision])
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    rows = encoder.tokenise(TEXTS)
    alone = np.concatenate([encoder.means([row]) for row in rows])
    np.testing.assert_array_equal(encoder.means(rows * 4), np.tile(alone, (4, 1)))


GOOD = Fidelity(largest_change=0.01, mean_change=0.001, agreement=0.998, cross_entropy_change=0.0005)
FASTER = {"torch": (9.0, 9.0), "fp32": (10.0, 12.0), "int8": (19.0, 25.0)}


@pytest.mark.parametrize(
    ("int8", "throughput", "precision", "reason"),
    [
        (GOOD, FASTER, "int8", "1.99 times the throughput of FP32, keeps the label of 99.8%"),
        (replace(GOOD, cross_entropy_change=-0.1), FASTER, "int8", "the cross-entropy by -0.1000"),
        (replace(GOOD, agreement=0.9799), FASTER, "fp32", "keeps the label of only 97.99%"),
        (replace(GOOD, cross_entropy_change=0.0021), FASTER, "fp32", "cross-entropy by 0.0021"),
        (replace(GOOD, cross_entropy_change=float("nan")), FASTER, "fp32", "cross-entropy by nan"),
        (GOOD, FASTER | {"int8": (19.0, 11.9)}, "fp32", "not faster in every round: 0.99 to 1.90 times"),
    ],
)
def test_int8_is_kept_only_if_it_is_as_good_and_faster(
    int8: Fidelity, throughput: dict[Form, tuple[float, ...]], precision: str, reason: str
) -> None:
    found = chosen_precision(int8, throughput)
    assert found[0] == precision
    assert reason in found[1]


def test_an_export_that_answers_otherwise_is_refused(
    arm: EncoderClassifier,
    documents: LabelledDocuments,
    graphs: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("review_sentiment.arms.onnx_export.exported_graph", lambda encoder: graphs["int8"])
    with pytest.raises(TrainingError, match=r"BertModel computes other vectors .* Use the arm as it is"):
        export_onnx(arm, documents)


def test_an_encoder_that_no_file_can_hold_is_refused(
    arm: EncoderClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("review_sentiment.arms.onnx_graph.MAX_BYTES", 1_000)
    with pytest.raises(TrainingError, match="does not fit into an ONNX file"):
        exported_graph(arm.encoder)


def test_what_the_exporter_cannot_do_is_named(
    arm: EncoderClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*arguments: object, **options: object) -> None:
        raise torch.onnx.OnnxExporterError("no operator for this\nand a long report")

    monkeypatch.setattr("torch.onnx.export", fail)
    with pytest.raises(TrainingError, match=r"\(BertModel\) cannot be exported .*: no operator for this\. "):
        exported_graph(arm.encoder)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_its_extra(
    package: str, arm: EncoderClassifier, documents: LabelledDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelUnavailableError, match=rf"the package {package} .*pip install '\.\[onnx\]'"):
        export_onnx(arm, documents)


def cut_graph(directory: Path) -> None:
    (directory / GRAPH_FILE).write_bytes((directory / GRAPH_FILE).read_bytes()[:5_000])


def cut_tokenizer(directory: Path) -> None:
    (directory / TOKENIZER_FILE).write_text('{"version":')


def without_tokenizer(directory: Path) -> None:
    (directory / TOKENIZER_FILE).unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut_graph, "encoder.onnx: ONNX Runtime .* cannot read the graph .*get it again"),
        (cut_tokenizer, r"cannot be read: .*needs encoder\.onnx and tokenizer\.json"),
        (without_tokenizer, "cannot be read: No such file"),
    ],
)
def test_a_damaged_file_is_named(
    exported: tuple[EncoderClassifier, OnnxExport],
    tmp_path: Path,
    change: Callable[[Path], None],
    message: str,
) -> None:
    exported[0].encoder.save(tmp_path)
    change(tmp_path)
    with pytest.raises(ModelUnavailableError, match=message) as error:
        OnnxEncoder.load(tmp_path)
    assert str(tmp_path) in str(error.value)
