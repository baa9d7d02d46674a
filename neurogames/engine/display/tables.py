"""Results as labelled arrays and as tables with one row for each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SHOWN = 4


def dataset(variables: Mapping[str, tuple[Sequence[str], ArrayLike]], coords: Mapping[str, ArrayLike]) -> Any:
    """An ``xarray.Dataset`` of arrays by name, each with its dimensions."""
    import xarray as xr

    return xr.Dataset(
        {name: (list(dims), np.asarray(value)) for name, (dims, value) in variables.items()}, dict(coords)
    )


def paths_dataset(time: NDArray[np.float64], count: NDArray[Any], share: NDArray[Any], labels: Sequence[str]) -> Any:
    """Paths of a simulation, (replicas, T, n), as an ``xarray.Dataset``."""
    dims = ("replica", "time", "strategy")
    coords: dict[str, Any] = {"replica": np.arange(len(count)), "time": time, "strategy": list(labels)}
    return dataset({"count": (dims, count), "share": (dims, share)}, coords)


def actor_paths_dataset(time: NDArray[np.float64], count: NDArray[Any], share: NDArray[Any]) -> Any:
    """Paths of a simulation of two actions, (replicas, T), as an ``xarray.Dataset``."""
    dims = ("replica", "time")
    return dataset({"count": (dims, count), "share": (dims, share)}, {"replica": np.arange(len(count)), "time": time})


def tidy(labelled: Any) -> Any:
    """A ``pandas.DataFrame`` with one row for each entry of an ``xarray.Dataset``, its labels as columns."""
    return labelled.to_dataframe().reset_index()


def frame(columns: Mapping[str, Any]) -> Any:
    """A ``pandas.DataFrame`` of columns by name."""
    import pandas as pd

    return pd.DataFrame(dict(columns))


def stacked(tables: Sequence[Any]) -> Any:
    """Tables below each other as one."""
    import pandas as pd

    return pd.concat(tables, ignore_index=True)


def pure_profiles(name: str, values: NDArray[np.float64]) -> Any:
    """An ``xarray.Dataset`` of a number for each pure profile, the actions of each player counted from 1."""
    dims = tuple(f"action_{p + 1}" for p in range(values.ndim))
    return dataset(
        {name: (dims, values)}, {dim: np.arange(1, size + 1) for dim, size in zip(dims, values.shape, strict=True)}
    )


def mixed_profiles(profiles: Sequence[Sequence[NDArray[np.float64]]], **each: Sequence[Any]) -> Any:
    """A ``pandas.DataFrame`` with a row for each profile, player and action, counted from 1.

    Args:
        profiles: the profiles, each a strategy for every player.
        **each: by name of a column, a value for each profile.

    Returns:
        The table; its last column is the probability.
    """
    rows: dict[str, list[Any]] = {name: [] for name in ("profile", *each, "player", "action", "probability")}
    for k, profile in enumerate(profiles):
        for p, strategy in enumerate(profile):
            for action, probability in enumerate(strategy.tolist()):
                told = {name: values[k] for name, values in each.items()}
                row = {"profile": k + 1, **told, "player": p + 1, "action": action + 1, "probability": probability}
                for name, value in row.items():
                    rows[name].append(value)
    return frame(rows)


def shares_in_words(labels: Sequence[str], share: NDArray[np.float64]) -> str:
    """The greatest shares with their names, for a line.

    >>> shares_in_words(("bold", "shy"), np.array([0.25, 0.75]))
    'shy 0.75, bold 0.25'
    """
    order = np.argsort(-share, kind="stable")[:_SHOWN]
    more = ", ..." if share.size > _SHOWN else ""
    return ", ".join(f"{labels[k]} {share[k]:.3g}" for k in order) + more
