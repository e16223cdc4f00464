"""How the steps of a training run are connected.

`wire` only calls steps, so it reads like the pipeline it describes. `review_sentiment.py` calls it with
ZenML's steps, `step_names.py` with stand-ins that record their names. No other file lists a run's steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from review_sentiment.config import Settings
from review_sentiment.names import safe_names


@dataclass(frozen=True)
class Prepared:
    """The outputs of the steps that prepare reviews: ingested, split, and formatted as chats."""

    reviews: list[Any]
    train: Any
    validation: Any
    decision: Any
    evaluation: Any
    train_chats: Any
    validation_chats: Any
    decision_chats: Any
    evaluation_chats: Any

    @property
    def held_out(self) -> dict[str, Any]:
        """Return the chats that a model is evaluated on, and those that its rule is fitted on."""
        return {"evaluation_chats": self.evaluation_chats, "decision_chats": self.decision_chats}


def prepare(
    steps: Any, settings: Settings, available: Sequence[str], revisions: Mapping[str, str]
) -> Prepared:
    """Connect the steps that prepare reviews.

    `available` are the source's categories; `revisions` maps the chosen ones to the revision of their data.
    """
    s, seed, labels = settings, settings.seed, settings.data.labels
    safe = safe_names(revisions)

    steps.validate_categories(data=s.data, available=list(available))
    reviews = [
        steps.ingest_reviews(
            source=s.data.source,
            query=s.data.query,
            columns=s.data.columns,
            category=category,
            labels=labels,
            revision=revision,
            cleaning=s.cleaning,
            needed_per_class=s.needed_per_class,
            kept_per_class=s.kept_per_class,
            needs_time=s.needs_time,
            seed=seed,
            id=f"ingest_reviews_{safe[category]}",
            after="validate_categories",
        )
        for category, revision in revisions.items()
    ]
    train, validation, decision, evaluation = steps.split_reviews(
        reviews=reviews,
        split=s.split,
        composition=s.training.composition,
        natural_interval=s.evaluation.natural_interval,
        seed=seed,
    )
    # Only training depends on the head: other steps see it in the adapter's files.
    base = s.model.without_head()
    train_chats = steps.format_chat(train, base, s.prompt, labels, id="format_chat_train")
    validation_chats = steps.format_chat(validation, base, s.prompt, labels, id="format_chat_validation")
    decision_chats = steps.format_chat(decision, base, s.prompt, labels, id="format_chat_decision")
    evaluation_chats = steps.format_chat(evaluation, base, s.prompt, labels, id="format_chat_evaluation")
    return Prepared(
        reviews,
        *(train, validation, decision, evaluation),
        *(train_chats, validation_chats, decision_chats, evaluation_chats),
    )


def wire(steps: Any, settings: Settings, available: Sequence[str], revisions: Mapping[str, str]) -> None:
    """Connect the steps of a run; the arguments are those of `prepare`.

    A step that runs more than once has an `id` per invocation; the others are named after their function.
    """
    s, seed = settings, settings.seed
    made = prepare(steps, settings, available, revisions)
    held_out = made.held_out
    base = s.model.without_head()
    report = steps.data_report(
        reviews=made.reviews, train=made.train, validation=made.validation, evaluation=made.evaluation
    )

    arms = [
        steps.evaluate_arm(
            made.train_chats,
            made.validation_chats,
            **held_out,
            arm=arm,
            **s.arms.encoder_of(arm),
            decision=s.decision,
            seed=seed,
            id=f"evaluate_arm_{arm}",
        )
        for arm in s.arms.include
        if arm != "few_shot"
    ]
    if "few_shot" in s.arms.include:
        arms.append(
            steps.evaluate_few_shot(
                made.train_chats,
                **held_out,
                model=base,
                prompt=s.prompt,
                evaluation=s.evaluation,
                decision=s.decision,
                shots=s.arms.shots,
                seed=seed,
                id="evaluate_arm_few_shot",
            )
        )
    baseline = {}
    if not s.evaluation.skip_baseline:
        baseline["baseline"] = steps.evaluate_baseline(
            made.evaluation_chats, model=base, evaluation=s.evaluation
        )
    adapter = steps.finetune(
        made.train_chats, made.validation_chats, s.model, s.prompt, s.lora, s.training, s.tracking, seed=seed
    )
    if s.evaluation.shards == 1:
        scored = steps.evaluate(adapter, **held_out, model=base, evaluation=s.evaluation)
    else:
        shards = [
            steps.evaluate_shard(
                adapter,
                **held_out,
                model=base,
                evaluation=s.evaluation,
                shard=shard,
                id=f"evaluate_shard_{shard}",
            )
            for shard in range(s.evaluation.shards)
        ]
        scored = steps.merge_shards(
            adapter, **held_out, shards=shards, evaluation=s.evaluation, id="evaluate"
        )
    rule, tuned = steps.fit_decision(scored, made.evaluation_chats, s.decision)
    classification = steps.classification_report(tuned, **baseline)
    probed = {}
    if s.robustness.samples:
        probed["robustness"] = steps.probe_robustness(
            adapter, tuned, made.evaluation_chats, base, s.robustness
        )
    champion = steps.evaluate_champion(adapter, tuned, made.evaluation_chats, base, s.evaluation, s.registry)
    verdict = steps.compare(adapter, tuned, arms, champion, gate=s.gate, **baseline)
    steps.register_model(
        adapter=adapter,
        verdict=verdict,
        tuned=tuned,
        arms=arms,
        champion=champion,
        classification=classification,
        reviews=made.reviews,
        rule=rule,
        train=made.train,
        decision=made.decision,
        evaluation=made.evaluation,
        report=report,
        data=s.data,
        tracking=s.tracking,
        registry=s.registry,
        **baseline,
        **probed,
    )
