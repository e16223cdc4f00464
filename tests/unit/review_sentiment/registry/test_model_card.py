"""The card explains a version to a reader, and warns of one that cannot be trusted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.data.labels import BINARY
from review_sentiment.data.review_table import CategoryCounts, ReviewTable
from review_sentiment.evaluation.audit import Audit
from review_sentiment.evaluation.metrics import Metrics
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.evaluation.robustness import Robustness
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.label_head import LabelHead, save_head
from review_sentiment.models.lora import HEAD_FILE
from review_sentiment.registry.gate import Evaluations
from review_sentiment.registry.lineage import Lineage
from review_sentiment.registry.model_card import MAX_CATEGORIES, CardIdentity, concerns, write_card
from review_sentiment.registry.tuned_model import TunedModel
from review_sentiment.tracking.new_version import DESCRIPTION_LIMIT
from review_sentiment.training.lora_proof import LoraProof
from tests.families import random_model
from tests.unit.review_sentiment.registry.test_lineage import LINEAGE, TRAINED
from tests.unit.test_materializers import ROBUSTNESS, RULE, VERDICT, adapter
from tests.unit.test_materializers import evaluation as some_evaluation

SOUND = Metrics(
    n=200,
    accuracy=0.9,
    constrained_accuracy=0.9,
    precision=0.9,
    recall=0.9,
    f1=0.9,
    roc_auc=0.95,
    unparsed_rate=0.0,
    brier=0.08,
    calibration_error=0.02,
    label_mass=1.0,
    intervals={},
    labels=("negative", "positive"),
    confusion=((90, 10, 0), (10, 90, 0)),
    category_accuracy={},
    category_n={},
)
LEARNED = LoraProof((), 2.0, 0.5)


def evaluation(metrics: Metrics = SOUND, audit: Audit | None = None) -> Evaluation:
    return Evaluation("tuned", metrics, *(pd.DataFrame() for _ in range(3)), audit=audit or Audit())


def test_a_sound_model_needs_no_warning() -> None:
    assert concerns(evaluation(), LEARNED) == []


@pytest.mark.parametrize(
    ("confusion", "label"),
    [(((30, 70, 0), (0, 100, 0)), "negative"), (((100, 0, 0), (60, 0, 40)), "positive")],
)
def test_a_collapsed_class_is_a_warning(confusion: tuple[tuple[int, ...], ...], label: str) -> None:
    (warning,) = concerns(evaluation(replace(SOUND, confusion=confusion)), LEARNED)
    assert f"of the {label} reviews" in warning
    assert "collapsed on a class" in warning


def test_a_loss_that_hardly_fell_is_a_warning() -> None:
    (warning,) = concerns(evaluation(), replace(LEARNED, last_loss=1.9))
    assert "fell by only 5%" in warning


def test_generated_answers_that_differ_from_the_scores_are_a_warning() -> None:
    (warning,) = concerns(evaluation(audit=Audit(64, 60, 57, ("a", "b", "c"))), LEARNED)
    assert "3 of 60 reviews" in warning


def reviews(**counts: int) -> ReviewTable:
    labels = [label for label, count in counts.items() for _ in range(count)]
    return ReviewTable(pd.DataFrame({"label": labels}))


def card(
    directory: Path, categories: int = 2, lineage: Lineage = LINEAGE, robustness: Robustness | None = None
) -> str:
    trained = replace(
        adapter(directory),
        base=ModelIdentity("embedded", "1", "nf4", "SmolLM2"),
        settings={"lora.rank": "16", "seed": "42", "model.revision": "None"},
    )
    dropped = {"3 stars": 90, "same text": 10}
    facts = TunedModel(
        adapter=trained,
        settings={},
        lineage=lineage,
        base_licence="Apache-2.0",
        data_licence="CC0-1.0",
        scheme=BINARY,
        train=reviews(negative=3, positive=4),
        evaluation=reviews(negative=1, positive=1),
        rule=RULE,
        categories=tuple(
            CategoryCounts(f"A_long_name_of_a_category_{number}", 1_000, 900, dropped)
            for number in range(categories)
        ),
        columns=ReviewColumns(),
    )
    software = {"Python": "3.11.7", "torch": "2.13.0", "peft": "0.21.2"}
    evaluations = Evaluations(some_evaluation(), (some_evaluation(),), robustness=robustness)
    return write_card(CardIdentity("m", "7", "child", (), software), VERDICT, evaluations, facts)


def test_the_card_shows_how_the_version_was_made_and_how_to_use_it(tmp_path: Path) -> None:
    found = card(tmp_path)
    for text in (
        f"**Provenance**\n\n`{TRAINED.command}` on the stack local, commit `{TRAINED.commit}`",
        "registered by ZenML run `gate-2`",
        "peft 0.21.2, Python 3.11.7, torch 2.13.0",
        "embedded (licence CC0-1.0), revision p==1",
        "SmolLM2 (licence Apache-2.0)",
        "7 reviews (3 negative, 4 positive), fingerprint `1234567890abcdef`",
        "| A_long_name_of_a_category_1&ensp; | 1,000&ensp; | 900&ensp; | 3 stars (90), same text (10) |",
        "Reviews are truncated if they exceed 192 tokens",
        "`lora.rank=16`, `seed=42`.",
        'mlflow.pyfunc.load_model("models:/m/7")',
        "MLflow run `run` with the training",
        "child run `child` has this evaluation",
    ):
        assert text in found
    (code,) = re.findall(r"```python\n(.*?)```", found, re.DOTALL)
    compile(code, "card", "exec")
    assert "champion" not in found  # the alias moves, the card stays
    assert "registered by" not in card(tmp_path, lineage=replace(LINEAGE, registering=TRAINED))
    assert "**Robustness**" not in found
    assert ROBUSTNESS.table() in card(tmp_path, robustness=ROBUSTNESS)


def test_many_categories_are_summed_up_so_that_mlflow_keeps_the_whole_card(tmp_path: Path) -> None:
    revisions = {f"A_long_name_of_a_category_{number}": f"{number:040x}" for number in range(33)}
    found = card(tmp_path, categories=33, lineage=replace(LINEAGE, revisions=revisions))
    assert found.count("A_long_name_of_a_category_") < 2 * MAX_CATEGORIES
    assert "| 29 more&ensp; | 29,000&ensp; | 26,100&ensp; | 3 stars (2,610), same text (290) |" in found
    assert len(found) < DESCRIPTION_LIMIT
    save_head(LabelHead(RULE.labels, torch.zeros(2, 4), None), tmp_path)
    assert (
        len(card(tmp_path, categories=33, lineage=replace(LINEAGE, revisions=revisions))) < DESCRIPTION_LIMIT
    )


def test_the_card_of_a_version_with_a_head_loads_the_head_as_well(tmp_path: Path) -> None:
    """Its code is run on a model of one layer, in place of the one that it downloads."""
    assert HEAD_FILE not in card(tmp_path)
    head = LabelHead(("negative", "positive"), torch.randn(2, 64), None)
    adapter(tmp_path)
    save_head(head, tmp_path)
    found = card(tmp_path)
    assert "1 layers (with the head) were called" in found
    (code,) = re.findall(r"```python\n(.*?)```", found, re.DOTALL)
    lines = code[code.index("for name") :]
    model = random_model("llama")
    embeddings = model.get_input_embeddings().weight.clone()
    names: dict[str, object] = {
        "torch": torch,
        "load_file": load_file,
        "files": str(tmp_path),
        "model": model,
    }
    exec(compile(lines, "card", "exec"), names)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        hidden = model.get_decoder()(input_ids=ids).last_hidden_state
        torch.testing.assert_close(model(input_ids=ids).logits, head(hidden))
    assert torch.equal(model.get_input_embeddings().weight, embeddings)
