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


def shares_in_words(labels: Sequence[str], share: NDArray[np.float64]) -> str:
    """The greatest shares with their names, for a line.

    >>> shares_in_words(("bold", "shy"), np.array([0.25, 0.75]))
    'shy 0.75, bold 0.25'
    """
    order = np.argsort(-share, kind="stable")[:_SHOWN]
    more = ", ..." if share.size > _SHOWN else ""
    return ", ".join(f"{labels[k]} {share[k]:.3g}" for k in order) + more
