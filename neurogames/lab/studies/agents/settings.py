"""Everything that a simulation of agents depends on, and how values are typed at a command line."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from neurogames._arguments import integer, invalid_argument, number, one_of, probability
from neurogames.lab.studies.settings import LARGEST_COUNT, LARGEST_SEED

PROCESSES = ("logit", "best-response", "imitation", "replicator", "moran", "death-birth", "wright-fisher")
_MOST_CELLS = 10_000
_USED_BY = {
    "temperature": ("logit",),
    "intensity": ("imitation", "moran", "death-birth", "wright-fisher"),
    "keep_prob": ("logit", "best-response", "imitation", "replicator"),
}


@dataclass(frozen=True)
class AgentsSettings:
    """Settings of a simulation of agents.

    Args:
        game: "pgg", the public goods game, or a file: a matrix (.csv) or a game of Gambit's (.nfg, .efg). One that is
            not symmetric is played between two populations of N players each.
        graph: who plays whom: "" for everybody, a file, or a name such as "regular:8"; see ``read_graph``. A file of
            lines NODE NODE [WEIGHT] is read by ``read_edge_list``.
        process: one of ``PROCESSES``.
        players: N; on a lattice and in a file the graph says how many there are, and this is not used.
        temperature: tau > 0 of logit choice.
        intensity: of selection, >= 0.
        mutation: rate in [0, 1).
        keep_prob: probability in (0, 1] that a revising player gets its feedback.
        cost: of acting in the public goods game.
        multiplier: of the public goods game.
        revision: "one" or "all".
        masked: "hold" or "blind".
        start: share of each strategy at time 0, in the second population after those in the first; equal if empty.
        sweeps: length.
        replicas: independent populations.
        seed: of all draws.

    The values from ``players`` to ``multiplier`` are tuples; more than one of them is a sweep.

    Raises:
        ValueError: naming the first argument that is out of range.

    >>> len(AgentsSettings(temperature=(0.1, 0.2), mutation=(0.0, 0.1, 0.2)).cells())
    6
    """

    game: str = "pgg"
    graph: str = ""
    process: str = "logit"
    players: tuple[int, ...] = (20,)
    temperature: tuple[float, ...] = (0.1,)
    intensity: tuple[float, ...] = (1.0,)
    mutation: tuple[float, ...] = (0.0,)
    keep_prob: tuple[float, ...] = (1.0,)
    cost: tuple[float, ...] = (0.4,)
    multiplier: tuple[float, ...] = (1.0,)
    revision: str = "one"
    masked: str = "hold"
    start: tuple[float, ...] = ()
    sweeps: int = 100
    replicas: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        one_of("process", self.process, PROCESSES)
        one_of("revision", self.revision, ("one", "all"))
        one_of("masked", self.masked, ("hold", "blind"))
        for size in self.players:
            integer("players", size, minimum=2, maximum=LARGEST_COUNT)
        for value in self.temperature:
            number("temperature", value, "a temperature > 0", lambda each: each > 0)
        for name in ("cost", "multiplier"):
            for value in getattr(self, name):
                number(name, value, "a number in (0, 1e100]", lambda each: 0 < each <= 1e100)
        for value in self.intensity:
            number("intensity", value, "an intensity of selection >= 0", lambda each: each >= 0)
        for value in self.mutation:
            number("mutation", value, "a rate in [0, 1)", lambda each: 0 <= each < 1)
        for value in self.keep_prob:
            probability("keep_prob", value)
        for name in SWEPT:
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise invalid_argument(name, list(values), "at least one value, each once")
            if len(values) > 1 and not self.uses(name):
                why = f"the graph {self.graph} says it" if name == "players" else f"{self.process} has no use for it"
                raise invalid_argument(name, f"{len(values)} values", f"one, since {why}")
        combinations = int(np.prod([float(len(getattr(self, name))) for name in SWEPT]))
        if combinations > _MOST_CELLS:
            raise invalid_argument("sweep", f"{combinations} combinations of values", f"at most {_MOST_CELLS}")
        share = np.array(self.start)
        if self.start and ((share < 0).any() or min(abs(share.sum() - 1.0), abs(share.sum() - 2.0)) > 1e-9):
            raise invalid_argument("start", list(self.start), "shares >= 0 that sum to 1 in each population")
        for name in ("sweeps", "replicas"):
            integer(name, getattr(self, name), minimum=1, maximum=LARGEST_COUNT)
        integer("seed", self.seed, minimum=0, maximum=LARGEST_SEED)

    def uses(self, name: str) -> bool:
        """Whether the game, the graph and the process leave this parameter open."""
        if name == "players":
            return not (self.graph.startswith("lattice:") or (self.graph and Path(self.graph).is_file()))
        if name in ("cost", "multiplier") and self.game != "pgg":
            return False
        return self.process in _USED_BY.get(name, PROCESSES)

    def swept(self) -> tuple[str, ...]:
        """Names of what has more than one value."""
        return tuple(name for name in SWEPT if len(getattr(self, name)) > 1)

    def cells(self) -> list[dict[str, Any]]:
        """The combinations of values of what is swept, each with the seed."""
        names = self.swept()
        every = itertools.product(*(getattr(self, name) for name in names))
        return [{**dict(zip(names, values, strict=True)), "seed": self.seed} for values in every]

    def at(self, cell: dict[str, Any]) -> dict[str, Any]:
        """One value of each of the parameters."""
        return {name: cell.get(name, getattr(self, name)[0]) for name in SWEPT}

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


SWEPT = tuple(
    field.name
    for field in fields(AgentsSettings)
    if field.name in ("players", "temperature", "intensity", "mutation", "keep_prob", "cost", "multiplier")
)
"""What a sweep can be over."""


def read_values(name: str, text: str, whole: bool = False) -> tuple[Any, ...]:
    """Read one number, several with commas, or "first:last:count", numbers at equal distances.

    Args:
        name: of the option.
        text: as typed.
        whole: whether only whole numbers are meant.

    Returns:
        The numbers.

    Raises:
        ValueError: if the text is nothing of this.

    >>> read_values("temperature", "0.05:0.5:4"), read_values("players", "10,20", whole=True)
    ((0.05, 0.2, 0.35, 0.5), (10, 20))
    """
    expected = f"{'whole numbers' if whole else 'numbers'}: one, several with commas, or first:last:count"
    try:
        if ":" in text:
            first, last, count = text.split(":")
            size = int(count)
            if not 2 <= size <= _MOST_CELLS:
                raise invalid_argument(name, text, f"a count from 2 to {_MOST_CELLS}")
            values = [float(f"{value:.12g}") for value in np.linspace(float(first), float(last), size)]
        else:
            values = [float(part) for part in text.split(",")]
    except ValueError as error:
        if str(error).startswith(f"{name}:"):
            raise
        raise invalid_argument(name, text, expected) from None
    if not np.isfinite(values).all() or (whole and any(value % 1 for value in values)):
        raise invalid_argument(name, text, expected)
    return tuple(int(value) for value in values) if whole else tuple(values)
