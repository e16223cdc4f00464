"""A registered version loads with MLflow alone, from the code that it ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from review_sentiment.config import LoraSettings
from review_sentiment.decision.rule import Band, DecisionRule
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters, save_adapter
from review_sentiment.scoring.version_files import Serving, save_rule
from review_sentiment.tracking import new_version, run_log
from review_sentiment.tracking.served_model import log_served_model
from tests.tiny import prompt_of

LABELS = ("negative", "neutral", "positive")
LOAD_AND_PREDICT = """
import importlib.util, json, pathlib, sys

# The checkout is installed in editable mode; another machine would not have it.
sys.meta_path = [finder for finder in sys.meta_path if "__editable__" not in repr(finder)]
assert importlib.util.find_spec("review_sentiment") is None, sys.path

import mlflow, pandas

model = mlflow.pyfunc.load_model("models:/reviews/1")
answers = model.predict(pandas.DataFrame({"text": ["Runs small and fell apart.", None]}, index=[7, 9]))

import review_sentiment

code = {name: module.__file__ for name, module in sys.modules.items() if name.startswith("review_sentiment")}
shipped = [file.name for file in pathlib.Path(review_sentiment.__file__).parent.iterdir()]
found = {"answers": answers.to_dict("records"), "index": list(answers.index), "code": code}
print(json.dumps(found | {"packages": shipped}))
"""


@pytest.mark.usefixtures("mlflow_uri")
def test_a_version_loads_in_a_fresh_process_outside_the_checkout(
    tiny_model: ModelIdentity, tmp_path: Path
) -> None:
    adapter, elsewhere = tmp_path / "adapter", tmp_path / "elsewhere"
    elsewhere.mkdir()
    base = load_model(tiny_model, plan_compute("cpu", "fp32"))
    save_adapter(add_adapters(base, LoraSettings(rank=2, alpha=4)), tiny_model, adapter)
    Serving(tiny_model, prompt_of(LABELS)).save(adapter)
    rule = DecisionRule.raw(LABELS, (0.3, 0.3, 0.4))
    save_rule(replace(rule, band=Band(1.0, 0.1, 0.9, possible_at=0.0)), adapter)
    run = run_log.open_run("experiment", "run", {}, {})
    new_version.register_version("reviews", run, log_served_model(run, adapter), {})

    finished = subprocess.run(
        [sys.executable, "-I", "-c", LOAD_AND_PREDICT],
        cwd=elsewhere,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout.splitlines()[-1])
    answer, failed = found["answers"]
    assert failed["error"] == "`text` is missing"
    probabilities = {f"p_{label}" for label in LABELS}
    more = {"label", "probability", "unsure", "possible", "model_version", "error"}
    assert set(answer) == probabilities | more
    assert sum(answer[column] for column in probabilities) == pytest.approx(1)
    assert (answer["unsure"], answer["possible"]) == (True, "negative|neutral|positive")
    assert found["index"] == [7, 9]
    checkout = Path(__file__).resolve().parents[4]
    assert "review_sentiment.scoring.scorer" in found["code"]
    assert "scoring" in found["packages"]
    assert "training" not in found["packages"]  # only what a served model imports
    assert not [file for file in found["code"].values() if Path(file).is_relative_to(checkout)]
