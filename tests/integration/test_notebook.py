"""The Colab notebook, as it stands, on a tiny model: cell by cell in a fresh kernel, then once more."""

from __future__ import annotations

import ast
from typing import Any

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from tests.front_door import Project
from tests.notebook import NOTEBOOK, execute, shown_by

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def executed(project: Project, first_run: dict[str, Any]) -> nbformat.NotebookNode:
    """Run it as after a disconnect: what the first run has finished is there, the training is not."""
    changed = project.with_settings(
        tracking={"experiment": "notebook"}, registry={"model_name": "notebook"}, training={"max_steps": 16}
    )
    changed.write_config()
    return execute(str(changed.config), changed.environment)


def test_it_runs_the_pipeline_and_shows_what_came_of_it(executed: nbformat.NotebookNode) -> None:
    progress = shown_by(executed, "run")
    assert "cached   split_reviews" in progress
    assert "done     finetune" in progress
    assert "tuned" in shown_by(executed, "results")
    assert "accuracy on held-out reviews" in shown_by(executed, "card")
    for picture in ("curves", "probabilities"):
        assert "image/png" in shown_by(executed, picture)
    assert "srcdoc" in shown_by(executed, "samples")
    assert "results.tex" in shown_by(executed, "paper")
    assert "p_positive" in shown_by(executed, "use")


def test_it_says_what_it_has_chosen_and_whether_it_fits(executed: nbformat.NotebookNode) -> None:
    assert "--stack local" in shown_by(executed, "settings")
    assert "this machine" in shown_by(executed, "estimate")
    assert "T4" in shown_by(executed, "estimate")
    assert "directory" in shown_by(executed, "access")


def test_it_defines_nothing_and_keeps_no_outputs() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        assert cell.outputs == []
        assert cell.execution_count is None
        tree = ast.parse(TransformerManager().transform_cell(cell.source))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
