"""`benchmarks/rivals.py` on a version and its student, in one run as its docstring shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.front_door import Project
from tests.integration.test_distill import distill

pytestmark = pytest.mark.integration


def test_a_version_its_student_both_an_arm_and_a_pipeline_are_compared(
    project: Project, first_run: dict[str, Any]
) -> None:
    assert distill(project, "champion", model_name="rivals").returncode == 0
    version = f"{first_run['model']['name']}/{first_run['model']['version']}"
    command = [sys.executable, "benchmarks/rivals.py", "--config", str(project.config), "--arms", "tfidf"]
    options = ["--set", "student.model_name=rivals", "--reviews", "12", "--rounds", "1", "--json"]
    done = subprocess.run(
        [*command, *options, "--max-loss", "1", "--vllm", sys.executable],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    rivals = {one["name"]: one for one in found["rivals"]}
    model, pipeline = f"language model {version}", "transformers pipeline, merged weights"
    absent = {one["name"]: one["reason"] for one in found["absent"]}
    assert sum(found["reviews"].values()) == 12
    assert "vLLM, merged weights" in absent
    assert "not installed for" in absent["vLLM, merged weights"]
    assert {model, "student rivals/1 (tfidf)", "arm tfidf", pipeline} <= set(rivals)
    # Whether the two may answer together depends on what the tiny model has learned.
    together = {"cascade with rivals/1", "ensemble with rivals/1"}
    assert together <= set(rivals) | set(absent)
    assert rivals["arm tfidf"]["accuracy"] > 0.8, "its words give a review's label away"
    assert rivals["arm tfidf"]["cost"]["training_seconds"] > 0
    assert rivals[pipeline]["roc_auc"] is None
    assert found["ratios"][f"{model} / {model}"] == {"median": 1, "min": 1, "max": 1}
    assert all(one["cpu_seconds"] > 0 and one["cost"]["megabytes"] > 0 for one in rivals.values())
    assert any(one["pareto_front"] for one in rivals.values())
