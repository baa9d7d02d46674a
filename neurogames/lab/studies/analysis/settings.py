"""Everything that the analysis of a network depends on, besides the network and its rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args

from neurogames._arguments import integer, invalid_argument, number
from neurogames.bridge.extraction.network_players import PlayerKind


@dataclass(frozen=True)
class AnalysisSettings:
    """Settings of the analysis.

    Args:
        players: "layer", "unit" or "block".
        epsilon: gains up to here do not count, in units of the loss.
        starts: random starts of each search.
        steps: most steps from each start.
        budget: seconds for gains and curvatures.
        layer: module whose units play the public goods game; the last hidden layer that is found if ``None``.
        coalitions: most coalitions for it.
        seed: of all draws.

    Raises:
        ValueError: naming the first argument that is out of range.

    >>> AnalysisSettings(players="neuron")
    Traceback (most recent call last):
    ...
    ValueError: players: got 'neuron', expected 'layer', 'unit' or 'block'
    """

    players: PlayerKind = "layer"
    epsilon: float = 1e-3
    starts: int = 3
    steps: int = 50
    budget: float = 150.0
    layer: str | None = None
    coalitions: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if self.players not in get_args(PlayerKind):
            raise invalid_argument("players", self.players, "'layer', 'unit' or 'block'")
        number("epsilon", self.epsilon, "a gain > 0", lambda value: value > 0)
        integer("starts", self.starts, minimum=0)
        integer("steps", self.steps, minimum=1)
        number("budget", self.budget, "seconds > 0", lambda value: value > 0)
        integer("coalitions", self.coalitions, minimum=6)
        integer("seed", self.seed, minimum=0)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)
