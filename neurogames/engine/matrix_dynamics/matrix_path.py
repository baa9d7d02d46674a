"""Paths of the shares of one or several populations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.display.paths import plot_paths
from neurogames.engine.display.tables import dataset, stacked

States = tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, eq=False)
class MatrixPath:
    """Paths of populations.

    Attributes:
        time: (T,) times, or numbers of steps.
        states: for each population, (T, ..., a) the state at those times.
        off: how far the worst state is outside the simplex: its most negative entry, or its sum's distance from 1.
        status: "ok", or why the path ends early; what was not reached is NaN.
        players: names of the populations; empty where there are none.
        labels: for each population the names of its actions; empty where there are none.
    """

    time: NDArray[np.float64]
    states: States
    off: float
    status: str
    players: tuple[str, ...] = ()
    labels: tuple[tuple[str, ...], ...] = ()

    def plot(self, axis: Any = None) -> Any:
        """Draw the shares over time, one line for each action of each population; the first start of a batch.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        shares = [state.reshape(len(self.time), -1, state.shape[-1])[:, 0] for state in self.states]
        players = self.players or [str(p + 1) for p in range(len(shares))]
        labels = self.labels or [[str(k + 1) for k in range(x.shape[-1])] for x in shares]
        if len(shares) == 1:
            names = list(labels[0])
        else:
            names = [f"{player}: {name}" for player, own in zip(players, labels, strict=True) for name in own]
        return plot_paths(axis, self.time, np.concatenate(shares, axis=-1)[None], names, "share")

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` with the states of each population over time."""
        found: dict[str, Any] = {}
        for p, state in enumerate(self.states):
            batch = (f"batch_{k}" for k in range(state.ndim - 2))
            found[f"population_{p + 1}"] = (("time", *batch, f"action_{p + 1}"), state)
        names = {f"action_{p + 1}": list(own) for p, own in enumerate(self.labels)}
        return dataset(found, {"time": self.time, **names})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each time, population, action and start."""
        parts = [self.to_xarray()[name] for name in self.to_xarray()]
        tables = [part.rename("share").to_dataframe().reset_index() for part in parts]
        named = [table.rename(columns={f"action_{p + 1}": "action"}) for p, table in enumerate(tables)]
        players = self.players or range(1, len(named) + 1)
        return stacked([table.assign(population=player) for player, table in zip(players, named, strict=True)])

    def __repr__(self) -> str:
        sizes = " and ".join(str(state.shape[-1]) for state in self.states)
        return f"MatrixPath({len(self.time)} times up to {self.time[-1]:g}, {sizes} actions; {self.status})"
