"""The Colab notebook from top to bottom, in a fresh kernel: `python -m tests.notebook configs/smoke.yaml`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.front_door import ROOT

NOTEBOOK = ROOT / "notebooks" / "finetune_colab.ipynb"
SECONDS_OF_A_CELL = 900


def execute(config: str, environment: Mapping[str, str]) -> nbformat.NotebookNode:
    """Return the notebook with its outputs; each cell runs once, in order.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source = f"CONFIG = {config!r}"
    client = NotebookClient(
        notebook, timeout=SECONDS_OF_A_CELL, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute(env=dict(environment))
    return notebook


def shown_by(notebook: nbformat.NotebookNode, cell_id: str) -> str:
    """Return what a cell has printed, and its result as text, HTML or Markdown."""
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    found: list[Any] = []
    for output in cell.outputs:
        found.append(output.get("text", ""))
        data = output.get("data", {})
        found += [value for kind, value in data.items() if kind.startswith("text/")]
        found += [kind for kind in data if kind.startswith("image/")]
    return "\n".join(map(str, found))


if __name__ == "__main__":
    done = execute(sys.argv[1], os.environ)
    print(shown_by(done, "results"))
