"""Runs the notebook of the docs in a kernel of its own, and writes it with its outputs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def run(folder: Path) -> nbformat.NotebookNode:
    """Return the notebook with the outputs that its cells have now.

    Args:
        folder: What the cells write goes there.

    Raises:
        CellExecutionError: If a cell raises an error.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/jpeg", None)  # the same picture as image/png
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        nbformat.write(run(Path(place)), NOTEBOOK)
