"""The grid that the cells of a sweep fill, and the results of all cells put together along it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurogames._arguments import invalid_argument

Cell = Mapping[str, Any]


def checked_grid(cells: Sequence[Cell]) -> tuple[list[dict[str, Any]], dict[str, list[Any]]]:
    """Cells in plain types, and the sorted values of each key, if they fill a grid.

    Raises:
        ValueError: if they do not, or a setting is no text, boolean or finite number.

    >>> checked_grid([{"seed": np.int64(1)}, {"seed": 0}])
    ([{'seed': 1}, {'seed': 0}], {'seed': [0, 1]})
    """
    for cell in cells:
        if not isinstance(cell, Mapping):
            raise invalid_argument("cells", cell, "a mapping of settings")
    plain = [{str(key): _plain_setting(key, value) for key, value in cell.items()} for cell in cells]
    if not plain or not plain[0]:
        raise invalid_argument("cells", f"{len(plain)} cells", "at least one cell with at least one setting")
    keys = list(plain[0])
    for cell in plain:
        if set(cell) != set(keys):
            raise invalid_argument(
                "cells", f"a cell with {', '.join(cell)}", f"the settings {', '.join(keys)} in every cell"
            )
    values: dict[str, list[Any]] = {}
    for key in keys:
        kinds = {_kind(cell[key]) for cell in plain}
        if len(kinds) > 1:
            raise invalid_argument(f"cells: {key}", f"{' and '.join(sorted(kinds))} mixed", "values of one kind")
        values[key] = sorted({cell[key] for cell in plain})
    different = {tuple(cell[key] for key in keys) for cell in plain}
    size = int(np.prod([len(choices) for choices in values.values()]))
    if len(different) < len(plain):
        raise invalid_argument("cells", f"{len(plain)} cells, {len(different)} of them different", "each cell once")
    if size != len(plain):
        shape = " x ".join(f"{len(choices)} {key}" for key, choices in values.items())
        raise invalid_argument("cells", f"{len(plain)} cells", f"the whole grid of {size} cells ({shape})")
    return [{key: cell[key] for key in keys} for cell in plain], values


def combined(results: list[xr.Dataset], cells: list[dict[str, Any]], values: dict[str, list[Any]]) -> xr.Dataset:
    """All cells as one data set, its leading dimensions sorted.

    Args:
        results: one data set per cell, with the settings of the cell as leading dimensions of length 1.
        cells: the cells in the same order.
        values: sorted values of each setting, as from ``checked_grid``.

    Raises:
        ValueError: if the results differ in shape or labels.
    """
    by_cell = {tuple(cell.values()): result for cell, result in zip(cells, results, strict=True)}
    shape = [len(choices) for choices in values.values()]
    grid = np.empty(len(results), dtype=object)
    for place, combination in enumerate(itertools.product(*values.values())):
        grid[place] = by_cell[combination]
    dimensions = list(values)
    try:
        whole_grid = xr.combine_nested(
            grid.reshape(shape).tolist(),
            concat_dim=dimensions,
            compat="equals",
            data_vars="all",
            coords="different",
            join="exact",
            combine_attrs="drop_conflicts",
        )
    except ValueError as error:
        why = str(error).splitlines()[0]
        raise invalid_argument(
            "measure", f"results that differ in shape or labels ({why})", "results alike in all cells"
        ) from None
    rest = [dimension for dimension in whole_grid.dims if dimension not in values]
    ordered: xr.Dataset = whole_grid.transpose(*dimensions, *rest)
    ordered.attrs.pop("cell", None)
    known = [json.loads(text) for text in sorted({json.dumps(result.attrs["versions"]) for result in grid})]
    ordered.attrs["versions"] = known[0] if len(known) == 1 else known
    return ordered


def _plain_setting(key: object, value: Any) -> Any:
    """One setting of a cell in a plain type."""
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (str, bool, int, float)) or (isinstance(value, float) and not np.isfinite(value)):
        raise invalid_argument(f"cells: {key}", value, "a text, a boolean, or a finite number")
    return value


def _kind(value: object) -> str:
    """Kind of a setting, for the rule that a dimension has one."""
    if isinstance(value, str):
        return "texts"
    return "booleans" if isinstance(value, bool) else "numbers"
