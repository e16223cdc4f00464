"""From reviews to a registered model version."""

from collections.abc import Mapping, Sequence

from zenml import pipeline
from zenml.enums import ExecutionMode

from review_sentiment.config import Settings
from steps.classification_report import classification_report
from steps.compare import compare
from steps.data_report import data_report
from steps.evaluate import evaluate
from steps.evaluate_baseline import evaluate_baseline
from steps.evaluate_champion import evaluate_champion
from steps.evaluate_classical import evaluate_classical
from steps.evaluate_shard import evaluate_shard
from steps.finetune import finetune
from steps.format_chat import format_chat
from steps.ingest_reviews import ingest_reviews
from steps.merge_shards import merge_shards
from steps.probe_robustness import probe_robustness
from steps.register_model import register_model
from steps.split_reviews import split_reviews
from steps.validate_categories import validate_categories

NAME = "review_sentiment"


@pipeline(name=NAME, execution_mode=ExecutionMode.FAIL_FAST)
def review_sentiment(settings: Settings, available: Sequence[str], revisions: Mapping[str, str]) -> None:
    """Fine-tune and evaluate.

    `available` are the source's categories; `revisions` maps the chosen ones to
    the state of their data.
    """
    s, seed, labels = settings, settings.seed, settings.data.labels

    validate_categories(data=s.data, available=list(available))
    reviews = [
        ingest_reviews(
            source=s.data.source,
            category=category,
            labels=labels,
            revision=revision,
            cleaning=s.cleaning,
            needed_per_class=s.split.needed_per_class,
            seed=seed,
            id=f"ingest_reviews_{category}",
            after="validate_categories",
        )
        for category, revision in revisions.items()
    ]
    train, validation, evaluation = split_reviews(reviews=reviews, split=s.split, seed=seed)
    report = data_report(reviews=reviews, train=train, evaluation=evaluation)

    train_chats = format_chat(train, s.model, s.prompt, labels, id="format_chat_train")
    validation_chats = format_chat(validation, s.model, s.prompt, labels, id="format_chat_validation")
    evaluation_chats = format_chat(evaluation, s.model, s.prompt, labels, id="format_chat_evaluation")

    classical = evaluate_classical(train_chats, evaluation_chats, seed=seed)
    baseline = {}
    if not s.evaluation.skip_baseline:
        baseline["baseline"] = evaluate_baseline(evaluation_chats, model=s.model, evaluation=s.evaluation)
    adapter = finetune(
        train_chats, validation_chats, s.model, s.prompt, s.lora, s.training, s.tracking, seed=seed
    )
    if s.evaluation.shards == 1:
        tuned = evaluate(adapter, evaluation_chats, s.model, s.evaluation)
    else:
        shards = [
            evaluate_shard(
                adapter, evaluation_chats, s.model, s.evaluation, shard, id=f"evaluate_shard_{shard}"
            )
            for shard in range(s.evaluation.shards)
        ]
        tuned = merge_shards(adapter, evaluation_chats, shards, s.evaluation, id="evaluate")
    classification_report(adapter, tuned, **baseline)
    probed = {}
    if s.robustness.samples:
        probed["robustness"] = probe_robustness(adapter, tuned, evaluation_chats, s.model, s.robustness)
    champion = evaluate_champion(adapter, tuned, evaluation_chats, s.model, s.evaluation, s.registry)
    verdict = compare(adapter, tuned, classical, champion, gate=s.gate, **baseline)
    register_model(
        adapter=adapter,
        verdict=verdict,
        tuned=tuned,
        classical=classical,
        reviews=reviews,
        train=train,
        evaluation=evaluation,
        report=report,
        data=s.data,
        tracking=s.tracking,
        registry=s.registry,
        **baseline,
        **probed,
    )
