"""From reviews to a registered model version."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from zenml import pipeline
from zenml.enums import ExecutionMode

from pipelines.wiring import wire
from review_sentiment.config import Settings
from steps.classification_report import classification_report
from steps.compare import compare
from steps.data_report import data_report
from steps.evaluate import evaluate
from steps.evaluate_arm import evaluate_arm
from steps.evaluate_baseline import evaluate_baseline
from steps.evaluate_champion import evaluate_champion
from steps.evaluate_few_shot import evaluate_few_shot
from steps.evaluate_shard import evaluate_shard
from steps.finetune import finetune
from steps.fit_decision import fit_decision
from steps.format_chat import format_chat
from steps.ingest_reviews import ingest_reviews
from steps.merge_shards import merge_shards
from steps.probe_robustness import probe_robustness
from steps.register_model import register_model
from steps.split_reviews import split_reviews
from steps.validate_categories import validate_categories

NAME = "review_sentiment"
STEPS = SimpleNamespace(
    classification_report=classification_report,
    compare=compare,
    data_report=data_report,
    evaluate=evaluate,
    evaluate_arm=evaluate_arm,
    evaluate_baseline=evaluate_baseline,
    evaluate_champion=evaluate_champion,
    evaluate_few_shot=evaluate_few_shot,
    evaluate_shard=evaluate_shard,
    finetune=finetune,
    fit_decision=fit_decision,
    format_chat=format_chat,
    ingest_reviews=ingest_reviews,
    merge_shards=merge_shards,
    probe_robustness=probe_robustness,
    register_model=register_model,
    split_reviews=split_reviews,
    validate_categories=validate_categories,
)


@pipeline(name=NAME, execution_mode=ExecutionMode.FAIL_FAST)
def review_sentiment(settings: Settings, available: Sequence[str], revisions: Mapping[str, str]) -> None:
    """Fine-tune, evaluate, compare and register a model."""
    wire(STEPS, settings, available, revisions)
