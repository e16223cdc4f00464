"""Register a version in MLflow, with its tags and its card; delete one that could not be completed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from review_sentiment.tracking.mlflow_store import client
from review_sentiment.tracking.model_versions import MODEL_SCHEME, NATURAL_REVIEWS_TAG

if TYPE_CHECKING:
    from review_sentiment.evaluation.natural import NaturalMetrics

MODEL_DESCRIPTION = """\
Fine-tuned language models that label customer reviews. **champion** is the version in use, \
**challenger** the newest version that did not pass the gate. A version's description is its model card, \
its tags hold its lineage, its run has the training, and the tag `evaluation_run` names the child run \
with the evaluation.
"""
"""Description of a registered model, unless somebody wrote another."""
DESCRIPTION_LIMIT = 5_000
"""Characters that MLflow's database keeps of a version's description."""


def natural_tags(natural: NaturalMetrics) -> dict[str, str]:
    """Return the tags with a version's accuracy in production, and its interval."""
    return {
        "natural_accuracy": f"{natural.accuracy:.6f}",
        "natural_interval": f"{natural.low['accuracy']:.3f}-{natural.high['accuracy']:.3f}",
        NATURAL_REVIEWS_TAG: str(natural.n),
    }


def register_version(name: str, run_id: str, model_id: str, tags: Mapping[str, str]) -> str:
    """Register a logged model as a new version that belongs to the run; return its number."""
    registered = client().search_registered_models(filter_string=f"name='{name}'")
    if not registered:
        client().create_registered_model(name, description=MODEL_DESCRIPTION)
    elif not registered[0].description:
        client().update_registered_model(name, MODEL_DESCRIPTION)
    created = client().create_model_version(
        name,
        source=f"{MODEL_SCHEME}{model_id}",
        run_id=run_id,
        tags=dict(tags),
        model_id=model_id,
    )
    return str(created.version)


def set_version_tag(name: str, version: str, tag: str, value: str) -> None:
    """Set a tag of a version."""
    client().set_model_version_tag(name, version, tag, value)


def describe_version(name: str, version: str, card: str) -> None:
    """Make the card the version's description in MLflow."""
    client().update_model_version(name, version, description=_shortened(card))


def _shortened(description: str) -> str:
    """Return as many whole lines as MLflow keeps, and a pointer to the rest."""
    if len(description) <= DESCRIPTION_LIMIT:
        return description
    rest = "\n\nThe rest is in `evidence/model_card.md` of the version's files.\n"
    return description[: DESCRIPTION_LIMIT - len(rest)].rpartition("\n")[0] + rest


@contextmanager
def deleted_on_failure(name: str, version: str) -> Iterator[None]:
    """Delete a version if the block cannot give it its card and alias: nothing would tell what it is.

    What the block raised is raised again, with a note if the version could not be deleted either.
    """
    try:
        yield
    except BaseException as error:
        try:
            client().delete_model_version(name, version)
        except MlflowException as second:
            error.add_note(
                f"Version {version} of '{name}' stays without an alias ({second}). Once MLflow can be "
                f"reached, delete it there, or use it: `python run_pipeline.py promote {version}`."
            )
        raise
