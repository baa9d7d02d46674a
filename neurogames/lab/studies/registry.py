"""The studies that can be run by name; a new one joins by one line.

A study has settings (a frozen dataclass with defaults, ``quick()`` for a first look), a function
``run(settings, folder, workers=, on_progress=)`` whose result has a ``folder`` and ``verdicts``, and a function that
writes the report of a finished folder again and returns something with a ``page``. They are named as "module:name" and
loaded when they are asked for, since they load torch.
"""

from __future__ import annotations

import pkgutil
from typing import Any, NamedTuple

from neurogames._arguments import invalid_argument


class Study(NamedTuple):
    """Where the parts of a study are found."""

    settings: str
    run: str
    page: str

    def load(self) -> tuple[Any, Any, Any]:
        """Return the class of the settings, the function that runs, and the one that writes the report."""
        settings, run, page = (pkgutil.resolve_name(f"neurogames.lab.{part}") for part in self)
        return settings, run, page


STUDIES = {
    "pruning": Study(
        "studies.pruning.settings:PruningSettings",
        "studies.pruning.study:run_pruning",
        "studies.pruning.page:write_pruning_page",
    ),
    "neurogame": Study(
        "studies.coalition_filter.settings:NeurogameSettings",
        "studies.coalition_filter.study:run_neurogame",
        "studies.coalition_filter.page:write_neurogame_page",
    ),
}


def named_study(name: object) -> Study:
    """Find a study by its name.

    Raises:
        ValueError: if there is none of this name.

    >>> named_study("pruning").run
    'studies.pruning.study:run_pruning'
    """
    if name not in STUDIES:
        raise invalid_argument("study", name, f"one of {', '.join(STUDIES)}")
    return STUDIES[str(name)]
