"""Three classes with neutral, and five stars: from the setting to the answers of the registered version."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.front_door import Project

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("project with runs of its own")]


@pytest.mark.parametrize(
    ("scheme", "labels"), [("neutral", ["negative", "neutral", "positive"]), ("stars", list("12345"))]
)
def test_other_labels_go_through_the_whole_pipeline(
    project: Project, tmp_path: Path, scheme: str, labels: list[str]
) -> None:
    """Real reviews: the made ones have two ratings."""
    import mlflow

    other = replace(
        project,
        settings={key: value for key, value in project.settings.items() if key not in ("data", "split")}
        | {
            "data": {"categories": ["Intimate", "Jackets"], "labels": scheme},
            "split": {"train_per_category": 30, "evaluation_per_category": 40},
            "registry": {"model_name": f"labels-{scheme}"},
            "tracking": {"experiment": f"labels-{scheme}"},
            "robustness": {"samples": 10},
        },
    )
    found = other.result()
    client = mlflow.MlflowClient(found["mlflow"]["tracking_uri"])
    report = Path(client.download_artifacts(found["mlflow"]["evaluation_run_id"], "tuned/metrics.json"))
    confusion = json.loads(report.read_text())["confusion"]
    assert all(len(row) == len(labels) + 1 for row in confusion)
    assert all(sum(row) for row in confusion)  # there are reviews of every label
    assert len(confusion) == len(labels)
    metrics = client.get_run(found["mlflow"]["evaluation_run_id"]).data.metrics
    assert {name for name in metrics if name.startswith("robustness/")} == {
        f"robustness/{change}_change"  # negation is for two labels
        for change in ("label_order", "paraphrase_1", "paraphrase_2", "typos")
    }
    reviews, scored = tmp_path / "reviews.csv", tmp_path / "scored.csv"
    pd.DataFrame({"text": ["I love it", "It tore", "It is a dress"]}).to_csv(reviews, index=False)
    done = other.run("score", str(reviews), "-o", str(scored), "--config", str(other.config))
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(scored, dtype={"label": str})
    assert set(table["label"]) <= set(labels)
    assert table[[f"p_{label}" for label in labels]].sum(axis=1).to_list() == pytest.approx([1.0] * 3)
