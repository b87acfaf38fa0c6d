"""The notebook of the docs runs, and shows what it says that it shows."""

import nbformat

from scripts.notebook import NOTEBOOK, run


def shown(notebook):
    """The texts of each cell, and the kinds of what it displays."""
    return [
        [
            (output["output_type"], output["data"]["text/plain"], sorted(output["data"]))
            for output in cell.outputs
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_every_cell_runs_and_shows_what_the_docs_show(tmp_path):
    written = nbformat.read(NOTEBOOK, as_version=4)
    assert shown(run(tmp_path)) == shown(written)
    assert sum("image/png" in kinds for cell in shown(written) for _, _, kinds in cell) == 3
    assert (tmp_path / "build" / "index.html").is_file()
