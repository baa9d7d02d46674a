"""Every notebook runs from top to bottom, prints what is stored in it, and uses public names only."""

from __future__ import annotations

import ast

import nbformat
import numpy as np
import pytest

pytest.importorskip("nbclient", reason="notebooks need the extra `notebooks`")

from tests.notebooks import NOTEBOOKS, printed, run, words_and_numbers

by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
PUBLIC = ("neurogames", "neurogames.bridge", "neurogames.engine", "neurogames.games", "neurogames.lab")


@by_name
# The kernel client of Jupyter warns about its own use of the event loop, which is not ours to mend.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_a_notebook_runs_and_prints_what_is_stored(path):
    """Words exactly, numbers to a thousandth: the last digits belong to the machine."""
    stored = nbformat.read(path, as_version=4)
    for expected, found in zip(printed(stored), printed(run(path)), strict=True):
        words, numbers = words_and_numbers(found)
        expected_words, expected_numbers = words_and_numbers(expected)
        assert words == expected_words, "run `python -m tests.notebooks` to store the new outputs"
        np.testing.assert_allclose(numbers, expected_numbers, rtol=1e-3, atol=1e-9)


@by_name
def test_a_notebook_is_stored_with_the_outputs_of_one_run(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)


@by_name
def test_a_notebook_imports_public_names_only(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for node in ast.walk(ast.parse("\n".join(cell.source for cell in cells))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            assert not name.startswith("neurogames") or name in PUBLIC


def test_there_are_notebooks():
    assert NOTEBOOKS
