"""A model's evaluation in one step and in merged shards."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from review_sentiment.config import EvaluationSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.data.few_shot import FewShot
from review_sentiment.data.prompt_format import PromptFormat
from review_sentiment.errors import DataError
from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model, evaluate_shard, merge_shards
from review_sentiment.evaluation.few_shot import evaluate_few_shot
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from tests.tiny import write_adapter_with_head

PLAN = plan_compute("cpu", "fp32")


def test_merged_shards_equal_the_evaluation_of_the_whole(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset
) -> None:
    settings = EvaluationSettings(sample_predictions=4, audit_samples=7, shards=3)
    chats = HeldOut(tiny_chats, tiny_chats.head(20))
    whole = evaluate_model(tiny_model, None, chats, PLAN, settings)
    shards = [evaluate_shard(tiny_model, None, chats, PLAN, settings, number) for number in range(3)]
    together = merge_shards(shards, chats, settings.sample_predictions)
    pd.testing.assert_frame_equal(together.decision, whole.decision, rtol=1e-5)
    assert list(whole.decision["review_id"]) == list(tiny_chats.frame["review_id"][:20])
    assert together.metrics.headline() == pytest.approx(whole.metrics.headline(), abs=1e-6)
    assert together.metrics.confusion == whole.metrics.confusion
    pd.testing.assert_frame_equal(together.predictions, whole.predictions, rtol=1e-5)
    assert len(together.samples) == len(whole.samples)
    assert list(together.samples["text"]) == list(whole.samples["text"])  # the most confident mistakes
    assert whole.audit.n == together.audit.n == 7


def test_examples_in_the_prompt_are_an_arm_of_their_own(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset
) -> None:
    settings = EvaluationSettings(sample_predictions=2, audit_samples=2)
    form = PromptFormat(tiny_chats.labels, "Bad or good?", 64)
    chats = HeldOut(tiny_chats, tiny_chats.head(20))
    plain = evaluate_model(tiny_model, None, chats, PLAN, settings)
    found = evaluate_few_shot(tiny_model, FewShot(form, tiny_chats.frame, 2, seed=1), chats, PLAN, settings)
    assert found.model == "few_shot"
    assert list(found.predictions["review_id"]) == list(plain.predictions["review_id"])
    assert list(found.decision["review_id"]) == list(plain.decision["review_id"])
    assert not found.predictions["p_negative"].equals(plain.predictions["p_negative"])
    assert found.cost is not None
    assert found.cost.training_seconds is None


def test_a_model_with_a_head_generates_nothing_and_the_audit_says_so(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    settings = EvaluationSettings(sample_predictions=4, audit_samples=7, shards=2)
    adapter = write_adapter_with_head(tiny_model, tiny_chats.labels, tmp_path / "adapter")
    chats = HeldOut(tiny_chats)
    whole = evaluate_model(tiny_model, adapter, chats, PLAN, settings)
    shards = [evaluate_shard(tiny_model, adapter, chats, PLAN, settings, number) for number in range(2)]
    for found in (whole, merge_shards(shards, chats, settings.sample_predictions)):
        assert (found.audit.n, found.audit.generates) == (0, False)
        assert "classification head generates no text" in found.audit.sentence()
        assert len(found.samples) == 4
        assert found.samples["raw_answer"].isna().all()
        assert found.metrics.unparsed_rate == 0
        assert found.metrics.label_mass == pytest.approx(1)


def test_shards_have_every_chat_once_and_each_label_evenly(tiny_chats: ChatDataset) -> None:
    shards = [tiny_chats.shard(number, 5) for number in range(5)]
    ids = [review for shard in shards for review in shard.frame["review_id"]]
    assert sorted(ids) == sorted(tiny_chats.frame["review_id"])
    for label in tiny_chats.labels:
        counts = [int((shard.frame["label"] == label).sum()) for shard in shards]
        assert max(counts) - min(counts) <= 1


def test_more_shards_than_reviews_of_a_label_is_an_error(tiny_chats: ChatDataset) -> None:
    with pytest.raises(DataError, match=r"evaluation\.shards=25: only 24 reviews are \w+"):
        tiny_chats.shard(0, 25)


@pytest.mark.parametrize(
    ("rows", "label", "message"),
    [
        (slice(0, 0), None, "the evaluation set is empty"),
        (slice(None), "negative", "48 reviews but none that is positive"),
        (slice(None), "mixed", "unknown labels: mixed"),
    ],
    ids=["empty", "one class", "unknown labels"],
)
def test_unusable_reviews_are_reported_before_a_model_is_loaded(
    tiny_chats: ChatDataset, rows: slice, label: str | None, message: str
) -> None:
    gone = ModelIdentity("/no/such/model", None, "nf4", "gone")
    frame = tiny_chats.frame.iloc[rows] if label is None else tiny_chats.frame.assign(label=label)
    with pytest.raises(DataError, match=message):
        evaluate_model(gone, None, HeldOut(ChatDataset(frame, tiny_chats.labels)), PLAN, EvaluationSettings())
