"""Score a file of reviews with a registered version."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.scored import FileScoresMaterializer
from review_sentiment.arms.scoring_request import ScoringRequest
from review_sentiment.scoring.bulk_scoring import FileScores
from steps.evaluate import PACKAGES
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "score_file", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=FileScoresMaterializer)
def score_file(
    request: ScoringRequest,
    content: str,  # noqa: ARG001 - part of the cache key
) -> Annotated[FileScores, "scores"]:
    """Return the labels' log-probabilities of every row; parts are kept beside the output.

    `content` is a hash of the file. It only invalidates the cache: a changed file is scored again.
    """
    from review_sentiment.arms.version_scorer import combined_scorer, version_scorer
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.scoring.bulk_scoring import score_file as scores_of
    from steps.version_download import downloaded

    with downloaded(request) as (files, student):
        plan, combination = plan_compute(request.model.device, request.model.precision), request.combination
        computed = request.identity(f"{plan.device}, {plan.precision}")
        if combination is None or student is None:
            return scores_of(request.job(files), computed, lambda: version_scorer(files, plan))
        return scores_of(
            request.job(files), computed, lambda: combined_scorer(files, student, combination, plan)
        )
