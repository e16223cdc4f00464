"""The model that MLflow loads for a registered version: reviews in, labels and probabilities out."""

from __future__ import annotations

import logging
import os
import shutil
from functools import cache
from importlib.metadata import version
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.pyfunc import PythonModel, PythonModelContext

from review_sentiment.arms.catalogue import packages_of
from review_sentiment.errors import DataError
from review_sentiment.models.compute import plan_compute
from review_sentiment.scoring.answers import POSSIBLE, UNSURE, doubt_columns, probability_columns
from review_sentiment.scoring.version_files import SERVING_FILE, load_rule
from review_sentiment.tracking.mlflow_store import temporary_directory

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

    from review_sentiment.decision.rule import DecisionRule

SOURCES = Path(__file__).resolve().parents[2]
"""The directory with our package."""
VERSION_VARIABLE = "REVIEW_SENTIMENT_MODEL_VERSION"
"""Tells a served model which version it is: a model's files do not contain their version number."""
FILES_DIRECTORY = "adapter"
"""The directory of a version's files among MLflow's artifacts, whatever kind of model it is."""
RUNTIME_PACKAGES = (
    "mlflow",
    "torch",
    "transformers",
    "scikit-learn",
    "pandas",
    "pydantic",
    "rapidfuzz",
    "nvidia-ml-py",
)
LANGUAGE_MODEL_PACKAGES = ("peft", "bitsandbytes", "accelerate", "gguf")
"""Further packages that a language model needs; `arms.catalogue.packages_of` has those of other kinds."""


class ServedModel(PythonModel):  # type: ignore[misc]
    """A registered version behind MLflow's pyfunc interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the version's model: a language model with its adapter, or another kind."""
        from review_sentiment.arms.version_scorer import version_scorer

        self._scorer = version_scorer(Path(context.artifacts[FILES_DIRECTORY]), plan_compute())

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return label, its probability, and p_<label> for every row of `text` and, optionally, `title`.

        A row that cannot be scored has the reason in a column `error`, which is there only if it is needed.

        Raises:
            DataError: there is no column `text`.
        """
        if "text" not in model_input:
            raise DataError(
                f"The input needs a column 'text'; it has: {', '.join(map(str, model_input.columns))}."
            )
        import pandas as pd

        rows: Any = model_input.to_dict("records")
        answers = self._scorer.answer_each([(row, "") for row in rows])
        errors = ["error"] if any("error" in answer for answer in answers) else []
        frame = pd.DataFrame(answers, model_input.index, [*self._scorer.columns, *errors])
        return frame.assign(model_version=os.environ.get(VERSION_VARIABLE, ""))


def log_served_model(run_id: str, files: Path) -> str:
    """Log a version's files and the code that it needs as a model of the run; return the model's id."""
    with (
        mlflow.start_run(run_id=run_id, log_system_metrics=False),
        temporary_directory() as scratch,
    ):
        model = mlflow.pyfunc.log_model(
            name="model",
            python_model=ServedModel(),
            artifacts={FILES_DIRECTORY: str(files)},
            code_paths=[str(_copied_code(Path(scratch)))],
            signature=_signature(load_rule(files)),
            pip_requirements=_requirements(files),
        )
    return str(model.model_id)


def _copied_code(directory: Path) -> Path:
    """Copy the modules that a served model can import, so that it loads without this checkout.

    They are less than half of our modules, and MLflow uploads each file with a request of its own.
    """
    for file in _imported_files():
        copy = directory / Path(file).relative_to(SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return directory / __package__.partition(".")[0]


@cache
def _imported_files() -> list[str]:
    """Return the files of our modules that a served model can import: the search takes 1.5 s."""
    finder = ModuleFinder([str(SOURCES)])
    finder.import_hook(ServedModel.__module__)
    files = [vars(module)["__file__"] for module in finder.modules.values()]
    return [file for file in files if file]  # Python's own have none


def _signature(rule: DecisionRule) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    text, number = DataType.string, DataType.double
    doubts = {UNSURE: DataType.boolean, POSSIBLE: text}
    outputs = [
        ColSpec(text, "label"),
        ColSpec(number, "probability"),
        *(ColSpec(number, column) for column in probability_columns(rule.labels)),
        *(ColSpec(doubts[column], column) for column in doubt_columns(rule)),
        ColSpec(text, "model_version"),
    ]
    inputs = [ColSpec(text, "text"), ColSpec(text, "title", required=False)]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _requirements(files: Path) -> list[str]:
    """Pin what a version needs to run, without the local label of a CPU build of torch."""
    # MLflow would log these lines. Given explicitly, they spare its own inference, which loads the model.
    logging.getLogger("mlflow.utils.requirements_utils").setLevel(logging.ERROR)
    own = LANGUAGE_MODEL_PACKAGES if (files / SERVING_FILE).is_file() else packages_of(files)
    return [f"{package}=={version(package).split('+')[0]}" for package in (*RUNTIME_PACKAGES, *own)]
