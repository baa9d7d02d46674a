"""The units of a layer in two games more: who is dominated as a participant, and who is worth what in coalitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import nn

from neurogames.bridge.extraction.participation_game import participation_game
from neurogames.bridge.modules.adapted_model import Forward
from neurogames.bridge.modules.data import Loss
from neurogames.bridge.modules.units import UNIT_KINDS, layers_of
from neurogames.engine.participation.rationalizable import rationalizable_box

OUT = 1e-8
"""Greatest share of a unit that stays out."""
_MOST_OUTPUTS = 100


def participation_of(
    model: nn.Module, layer: str, loss: Loss, data: Any, *, outputs: int, forward: Forward | None
) -> xr.Dataset:
    """Shares that survive the elimination of dominated ones, in the game of the loss to second order.

    Args:
        model: any module; it stays as it is.
        layer: the module whose units take part.
        loss: maps (outputs, targets) to the mean loss over rows.
        data: inputs and targets.
        outputs: numbers that the model returns for a row: the game takes as many passes.
        forward: calls the model with its inputs.

    Returns:
        The least and the greatest share of each unit, or an attribute that says why there is no game.
    """
    if layer not in layers_of(model, UNIT_KINDS["neurons"] + UNIT_KINDS["filters"]):
        return _no_game("it is no Linear layer or convolution")
    if outputs > _MOST_OUTPUTS:
        return _no_game(f"it takes a pass for each of {outputs} outputs")
    try:
        box = rationalizable_box(participation_game(model, loss, data, modules=[layer], forward=forward))
    except ValueError as error:
        return _no_game(str(error))
    return xr.Dataset({"least_share": ("unit", box.lower), "greatest_share": ("unit", box.upper)})


def _no_game(reason: str) -> xr.Dataset:
    return xr.Dataset(attrs={"no_participation": reason})


def unit_table(results: xr.Dataset) -> pd.DataFrame:
    """One row for each unit, the most valuable first."""
    columns = {"unit": results["unit"].values, "shapley_value": results["unit_value"].values}
    if "least_share" in results:
        columns |= {name: results[name].values for name in ("least_share", "greatest_share")}
        columns["dominated"] = results["greatest_share"].values <= OUT
    return pd.DataFrame(columns).sort_values("shapley_value", ascending=False, kind="stable", ignore_index=True)


def unit_sentences(results: xr.Dataset) -> list[str]:
    """What both games say."""
    values, layer = results["unit_value"].values, results.attrs["layer"]
    best = np.sort(values)[::-1]
    half = int(np.searchsorted(np.cumsum(best), 0.5 * values.sum())) + 1 if values.sum() > 0 else 0
    said = [
        f"In coalitions, units of {layer!r} are worth {best[-1]:.2g} to {best[0]:.2g} of the loss"
        + (f"; {half} of {len(best)} have half of the whole." if half else ".")
    ]
    if "no_participation" in results.attrs:
        said.append(f"Participation in {layer!r} was not analysed: {results.attrs['no_participation']}.")
    if "least_share" in results:
        leave = int((results["greatest_share"].values <= OUT).sum())
        stay = int((results["least_share"].values > OUT).sum())
        said.append(
            f"As participants, to second order of the loss and without a price, {leave} of {len(best)} units are "
            f"dominated: they do best to leave whatever the others do; {stay} take part whatever the others do."
        )
    return said
