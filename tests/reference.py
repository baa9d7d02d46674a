"""The page of all public names, docs/reference.md; ``python -m tests.reference`` writes it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

from neurogames import bridge, engine, games

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

# Heading -> the folders or modules of a floor whose names stand under it, as its stub gives them.
GAMES = {
    "Games of two actions": "base symmetric public_goods network",
    "Games of several strategies": "population public_goods_levels graph_game two_populations polymatrix",
    "Repeated games": "repeated repeated_classics",
    "Games in normal form": "normal_form nfg replies dominance",
    "Games in extensive form": "extensive efg",
    "Coalition games": "coalition coalition_families pairwise_energy",
    "Participation": "participation",
    "Dynamic games": "dynamic",
    "Open games": "open open_pieces",
}
ENGINE = {
    "Processes and schedules": "choice process schedules solution",
    "Populations": "population",
    "Populations with several strategies": "strategies",
    "Two populations": "two_populations",
    "Players on a graph": "graphs polymatrix",
    "Dynamics of matrix games": "matrix_dynamics",
    "Equilibria": "equilibria",
    "Values and the core of coalition games": "coalitions",
    "Equilibria of participation": "participation",
    "Linear-quadratic games": "linear_quadratic",
    "Repeated games": "repeated",
    "Learning": "learning",
}
BRIDGE = {
    "Public goods": "feedback",
    "Ensembles": "ensembles",
    "Measures": "measures",
    "Participation": "gates participation",
    "Games out of networks": "extraction",
    "Curvature": "curvature",
    "Pruning": "pruning",
    "Layers as players": "dgnopt",
    "Coalitions": "coalitions",
    "Coalition filter": "coalition_filter",
    "Modules and training": "modules training",
}
FLOORS = {
    "Games": (games, "`neurogames` or `neurogames.games`: what is played.", GAMES),
    "Engine": (engine, "`neurogames` or `neurogames.engine`: how games are solved and how they move.", ENGINE),
    "Bridge": (bridge, "`neurogames.bridge`: games and torch networks.", BRIDGE),
}

_IMPORT = re.compile(r"^from \.(\w+)[\w.]* import (\w+) as \2$", re.MULTILINE)
_NO_DOC = {
    "identity": "The open game that hands on what it gets: the unit of `>>`.",
    "Schedule": "A function of progress in [0, 1].",
    "CoalitionFunction": "A function from coalitions (m, n) to worths (m,).",
    "CLASSIFICATION_METRICS": "Measures for `noise_curve` where targets are classes.",
    "REGRESSION_METRICS": "Measures for `noise_curve` where targets are numbers.",
}


def stub(floor: ModuleType) -> str:
    """The text of a floor's stub."""
    assert floor.__file__ is not None
    return Path(floor.__file__).with_suffix(".pyi").read_text(encoding="utf-8")


def by_folder(floor: ModuleType) -> dict[str, list[str]]:
    """Public names of a floor by the folder or module that they come from."""
    found: dict[str, list[str]] = {}
    for folder, name in _IMPORT.findall(stub(floor)):
        found.setdefault(folder, []).append(name)
    return found


def first_line(name: str, value: object) -> str:
    """What a name is, in a sentence: the first paragraph of its docstring."""
    if name in _NO_DOC:
        return _NO_DOC[name]
    paragraph = (inspect.getdoc(value) or "").split("\n\n")[0]
    plain = re.sub(r":\w+:`([\w.]*\.)?(\w+)`", r"`\2`", paragraph.replace("``", "`"))
    return " ".join(plain.split())


def reference() -> str:
    """The whole page."""
    lines = [
        "# Reference",
        "",
        "Every public name, with the first line of its docstring; `help(name)` tells the rest. This page is written by "
        "`python -m tests.reference`, and a test compares it with the code.",
    ]
    for title, (floor, about, groups) in FLOORS.items():
        lines += ["", f"## {title}", "", f"From {about}"]
        names = by_folder(floor)
        for heading, folders in groups.items():
            lines += ["", f"### {heading}", ""]
            listed = [name for folder in folders.split() for name in names.get(folder, [])]
            lines += [f"- `{name}`: {first_line(name, getattr(floor, name))}" for name in listed]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE}")
