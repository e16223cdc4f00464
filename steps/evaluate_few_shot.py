"""Evaluate the untuned model with examples in its prompt, as one of the arms."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import DecisionSettings, EvaluationSettings, ModelSettings, PromptSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from steps.evaluate import PACKAGES
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "evaluate_few_shot", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=EvaluationMaterializer)
def evaluate_few_shot(
    train: ChatDataset,
    evaluation_chats: ChatDataset,
    decision_chats: ChatDataset,
    *,
    model: ModelSettings,
    prompt: PromptSettings,
    evaluation: EvaluationSettings,
    decision: DecisionSettings,
    shots: int,
    seed: int,
) -> Annotated[Evaluation, "arm"]:
    """Return the evaluation under a rule of its own; `shots` examples per label are training reviews."""
    from review_sentiment.data.few_shot import FewShot
    from review_sentiment.data.prompt_format import prompt_format
    from review_sentiment.evaluation.evaluate import HeldOut
    from review_sentiment.evaluation.few_shot import evaluate_few_shot as evaluate_with_examples
    from review_sentiment.evaluation.result import under_own_rule
    from review_sentiment.models.base_model import identify
    from review_sentiment.models.compute import plan_compute

    form = prompt_format(prompt, evaluation_chats.labels)
    found = evaluate_with_examples(
        identify(model),
        FewShot(form, train.frame, shots, seed),
        HeldOut(evaluation_chats, decision_chats),
        plan_compute(model.device, model.precision),
        evaluation,
    )
    return under_own_rule(found, evaluation_chats, decision)
