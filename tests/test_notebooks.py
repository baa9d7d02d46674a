"""Every notebook runs from top to bottom, and is stored without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@by_name
# The kernel client of Jupyter warns about its own use of the event loop, which is not ours to mend.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_notebook_runs(path):
    client = pytest.importorskip("nbclient", reason="notebooks need the extra `notebooks`")
    notebook = nbformat.read(path, as_version=4)
    client.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()


@by_name
def test_notebook_is_stored_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


def test_there_are_notebooks():
    assert NOTEBOOKS
