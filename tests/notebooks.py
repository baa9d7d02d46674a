"""Notebooks are stored with their outputs; ``python -m tests.notebooks`` runs them all and stores what comes out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def run(path: Path) -> Any:
    """Run a notebook from top to bottom in a fresh kernel."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", record_timing=False).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def printed(notebook: Any) -> list[str]:
    """The text of each code cell: what it prints and shows, images left out."""
    return ["".join(map(_text, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"]


def _text(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    data = output.get("data", {})
    return "" if any(kind.startswith("image/") for kind in data) else str(data.get("text/plain", ""))


def words_and_numbers(text: str) -> tuple[list[str], list[float]]:
    """What stands around the numbers of a text, blanks aside, and the numbers."""
    return "".join(_NUMBER.sub("#", text).split()).split("#"), [float(each) for each in _NUMBER.findall(text)]


if __name__ == "__main__":
    for place in NOTEBOOKS:
        nbformat.write(run(place), place)
        print(f"wrote {place}")
