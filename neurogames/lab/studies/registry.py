"""The studies that can be run by name; a new one joins by one line.

A study is found as "module:name" and loaded when it is asked for, since most studies load torch.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neurogames._arguments import invalid_argument
from neurogames.lab.runs.store import read_dataset

if TYPE_CHECKING:
    from neurogames.lab.studies.study import Study


class Entry(NamedTuple):
    """Where a study is found, and what it asks."""

    place: str
    question: str


_ROOM = "neurogames.lab.studies"
_STUDIES = {
    "comparison": Entry(f"{_ROOM}.comparison.page:COMPARISON", "Does gradient dropout do more than less work does?"),
    "gradient-dropout": Entry(
        f"{_ROOM}.gradient_dropout.page:GRADIENT_DROPOUT", "Does the noise of the mask let units leave a detour?"
    ),
    "pruning": Entry(f"{_ROOM}.pruning.page:PRUNING", "Which units stay in a network where taking part has a price?"),
    "neurogame": Entry(f"{_ROOM}.coalition_filter.page:NEUROGAME", "Do layers that keep strong coalitions only help?"),
    "layers": Entry(
        f"{_ROOM}.layers.page:LAYERS_STUDY",
        "Which layer to fine-tune, which is finished, and how large a step do they bear?",
    ),
    "dgnopt": Entry(
        f"{_ROOM}.dgnopt.page:DGNOPT", "Does training as a game of layers do more than its curvature and its rate do?"
    ),
    "paper-protocol": Entry(
        f"{_ROOM}.comparison.paper.page:PAPER_PROTOCOL", "What does the gradient dropout paper's own protocol give?"
    ),
}


def list_studies() -> dict[str, str]:
    """Return what each study asks, by its name."""
    return {name: entry.question for name, entry in _STUDIES.items()}


def register_study(name: str, place: str, question: str) -> None:
    """Let a study of one's own be run by name.

    Args:
        name: the name of the study.
        place: "module:name" of its :class:`~neurogames.lab.studies.study.Study`.
        question: what it asks, in a line.

    Raises:
        ValueError: if another study has the name.
    """
    if _STUDIES.get(name, Entry(place, question)).place != place:
        raise invalid_argument("name", name, f"a name other than {', '.join(_STUDIES)}")
    _STUDIES[name] = Entry(place, question)


def load_study(name: str) -> Study[Any]:
    """Find a study by its name, and load it.

    Raises:
        ValueError: if there is none of this name.

    >>> load_study("pruning").settings().data
    'mnist'
    """
    if name not in _STUDIES:
        raise invalid_argument("study", name, f"one of {', '.join(_STUDIES)}")
    study: Study[Any] = pkgutil.resolve_name(_STUDIES[name].place)
    return study


def study_of(folder: str | Path) -> Study[Any]:
    """Load the study that has left its results in a folder.

    Raises:
        ValueError: if there are no results, or not of a study.
    """
    name = read_dataset(Path(folder) / "results.nc").attrs.get("study")
    if not isinstance(name, str) or name not in _STUDIES:
        got = f"{folder}, with results of {'no study' if name is None else name}"
        raise invalid_argument("folder", got, f"the results of one of {', '.join(_STUDIES)}")
    return load_study(name)
