"""A version with a classification head: from the setting to `score`, `serve` and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.front_door import TIMEOUT_SECONDS, Project, steps_that_ran
from tests.served_version import ask, serving

pytestmark = pytest.mark.integration

NAME = "with-head"


def test_a_head_goes_through_the_whole_pipeline_and_serves(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    import mlflow

    other = project.with_settings(
        model={"head": "classification"},
        training={"learning_rate": 0.003},
        registry={"model_name": NAME},
        tracking={"experiment": NAME},
        robustness={"samples": 6},
    )
    planned = other.run("--dry-run")
    assert planned.returncode == 0, planned.stderr
    found = other.result()
    assert {"finetune", "evaluate", "fit_decision", "register_model"} <= steps_that_ran(found)
    # The head changes nothing for the untuned model or the chats: they come from the first run.
    kept = ("evaluate_baseline", "format_chat_train", "evaluate_arm_tfidf")
    assert [found["steps"][name]["status"] for name in kept] == ["cached"] * 3

    client = mlflow.MlflowClient(found["mlflow"]["tracking_uri"])
    assert client.get_run(found["mlflow"]["run_id"]).data.metrics["lora/layers_moved"] == 15
    metrics = client.get_run(found["mlflow"]["evaluation_run_id"]).data.metrics
    assert metrics["tuned/unparsed_rate"] == 0
    assert metrics["tuned/audit_n"] == 0
    assert "classification head generates no text" in client.get_model_version(NAME, "1").description

    reviews, scored = tmp_path / "reviews.csv", tmp_path / "scored.csv"
    texts = ["I love it, perfect and soft", "It tore, awful and cheap", "It is a dress"]
    pd.DataFrame({"text": texts}).to_csv(reviews, index=False)
    precision = ("--set", "model.precision=auto")  # that of the other two
    config = ("--config", str(other.config))
    done = other.run("score", str(reviews), "-o", str(scored), *config, *precision)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(scored)
    with serving(other, "--name", NAME) as address:
        answers = ask(address, [{"text": text} for text in texts])
    by_pyfunc = predicted_by_pyfunc(other, found["mlflow"]["tracking_uri"], reviews)
    for column in ("p_negative", "p_positive"):
        expected = pytest.approx(table[column].to_list(), abs=1e-5)
        assert [answer[column] for answer in answers] == expected
        assert by_pyfunc[column].to_list() == expected

    for options in (("-o", str(tmp_path / "merged")), ("-o", str(tmp_path / "apart"), "--adapter")):
        refused = other.run("export", "1", "--name", NAME, *options)
        assert refused.returncode == 2
        assert "This version answers with a classification head" in refused.stderr
    resolved = json.loads(other.run("--dry-run", "--json").stdout)
    assert "classification" in json.dumps(resolved)


def predicted_by_pyfunc(project: Project, tracking_uri: str, reviews: Path) -> pd.DataFrame:
    """Return what the version answers in a process that knows nothing of this checkout."""
    code = (
        "import mlflow, pandas\n"
        f"mlflow.set_tracking_uri({tracking_uri!r})\n"
        f"model = mlflow.pyfunc.load_model('models:/{NAME}/1')\n"
        f"model.predict(pandas.read_csv({str(reviews)!r})).to_csv('predicted.csv')\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=reviews.parent,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return pd.read_csv(reviews.parent / "predicted.csv")
