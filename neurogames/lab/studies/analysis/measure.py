"""Every number of the analysis of a network, as one labelled data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from torch import nn

from neurogames.bridge.extraction.affine_players import loss_kind
from neurogames.bridge.extraction.nash_gap import NashCost, nash_gap
from neurogames.bridge.extraction.nash_verdict import NashGap
from neurogames.bridge.extraction.player_loss import player_loss
from neurogames.bridge.extraction.public_goods_game import LayerGame, public_goods_game
from neurogames.bridge.modules.adapted_model import Forward
from neurogames.bridge.modules.data import Loss
from neurogames.bridge.modules.hooks import known_module
from neurogames.bridge.modules.units import UNIT_KINDS, layers_of, output_layers, unit_count
from neurogames.lab.studies.analysis.settings import AnalysisSettings
from neurogames.lab.studies.analysis.units import participation_of

PREDICTIONS = ("own", "alike", "additive", "context")
"""How many stay at a fee, predicted in four ways."""
MOST_UNITS = 128
"""Above, exact removal takes more coalitions than are asked for by default."""

STAGES = 5
"""Those of the measurement, and the page."""

_FEES = np.geomspace(0.03, 10.0, 11)  # in units of the mean worth of a unit
_FIELDS = ("gradient", "relative_gradient", "smallest_curvature", "largest_curvature", "strict_curvature", "gain")


def measure_network(
    model: nn.Module,
    loss: Loss,
    data: Any,
    *,
    held_out: Any = None,
    settings: AnalysisSettings,
    forward: Forward | None = None,
    on_estimate: Callable[[NashCost], object] | None = None,
    on_progress: Callable[[str, int, int], object] | None = None,
) -> xr.Dataset:
    """Measure gains and curvatures of the players, and the games of the units of one layer.

    Args:
        model: any module; it stays as it is.
        loss: maps (outputs, targets) to the mean loss over rows.
        data: inputs and targets.
        held_out: further rows.
        settings: what is asked.
        forward: calls the model with its inputs.
        on_estimate: called with what the work will take, before it starts.
        on_progress: called as ``on_progress(stage, done, total)`` with counts of stages.

    Returns:
        Labelled numbers; attributes say what is not a number.

    Raises:
        ValueError: as ``nash_gap`` and ``public_goods_game``.
    """
    tell = on_progress or _silent
    if settings.layer is not None:
        known_module(model, settings.layer)
    tell("gains and curvatures", 0, STAGES)
    found = nash_gap(
        model,
        loss,
        data,
        settings.players,
        held_out=held_out,
        epsilon=settings.epsilon,
        starts=settings.starts,
        steps=settings.steps,
        budget=settings.budget,
        rng=np.random.default_rng(settings.seed),
        forward=forward,
        on_estimate=on_estimate,
    )
    results = _of_players(found)
    with player_loss(model, loss, data, forward) as given:
        outputs = given.outputs({}, given.inputs[:1].to(given.device))
        known = loss_kind(given.loss, outputs, given.targets) != "other"
    layer, why = _hidden_layer(model, settings)
    if not known:
        layer, why = None, "the loss is neither cross-entropy of class ids nor squared error"
    if layer is None:
        return results.assign_attrs(layer="", no_layer=why)
    rng = np.random.default_rng(settings.seed)
    tell("coalitions of units", 1, STAGES)
    game = public_goods_game(model, layer, data, metric="loss", budget=settings.coalitions, forward=forward, rng=rng)
    tell("dominated units", 2, STAGES)
    shares = participation_of(model, layer, loss, data, outputs=outputs[0].numel(), forward=forward)
    tell("predicted and exact removal", 3, STAGES)
    units = _of_layer(game, rng).merge(shares, combine_attrs="no_conflicts")
    return results.merge(units, combine_attrs="no_conflicts")


def _silent(*_: object) -> None:
    """Progress that nobody asked for."""


def _of_players(found: NashGap) -> xr.Dataset:
    values: dict[str, Any] = {name: ("player", getattr(found, name)) for name in (*_FIELDS, "bound")}
    values["method"] = ("player", list(found.method))
    if found.held_out_gain is not None:
        values["held_out_gain"] = ("player", found.held_out_gain)
        values["held_out_stderr"] = ("player", found.held_out_stderr)
    values |= {name: getattr(found, name) for name in ("loss", "joint_gain", "joint_curvature")}
    about = {"epsilon": found.epsilon, "symmetries": list(found.symmetries), "status": found.status}
    return xr.Dataset(values, {"player": list(found.players)}, about)


def nash_gap_of(results: xr.Dataset) -> NashGap:
    """The result of ``nash_gap`` that a data set holds."""
    held_out = "held_out_gain" in results
    return NashGap(
        players=tuple(map(str, results["player"].values)),
        loss=float(results["loss"]),
        epsilon=float(results.attrs["epsilon"]),
        **{name: results[name].values for name in (*_FIELDS, "bound")},
        method=tuple(map(str, results["method"].values)),  # type: ignore[arg-type]
        held_out_gain=results["held_out_gain"].values if held_out else None,
        held_out_stderr=results["held_out_stderr"].values if held_out else None,
        joint_gain=float(results["joint_gain"]),
        pair_gain={},
        joint_curvature=float(results["joint_curvature"]),
        symmetries=tuple(results.attrs["symmetries"]),
        status=str(results.attrs["status"]),
    )


def _hidden_layer(model: nn.Module, settings: AnalysisSettings) -> tuple[str | None, str]:
    """The layer whose units play, or why there is none."""
    if settings.layer is not None:
        return settings.layer, ""
    last, most = output_layers(model), (settings.coalitions + 2) // 4
    layers = layers_of(model, UNIT_KINDS["neurons"] + UNIT_KINDS["filters"])
    hidden = [name for name, module in layers.items() if name and name not in last and 1 < unit_count(module) <= most]
    return (hidden[-1], "") if hidden else (None, f"no hidden layer of 2 to {most} units was found")


def _of_layer(game: LayerGame, rng: np.random.Generator) -> xr.Dataset:
    curves = game.curves
    mean = float(np.abs(curves.gain).mean())
    fees = _FEES * (mean if mean > 0 else 1.0)
    paths = [game.predicted(players, rng=rng) for players in PREDICTIONS]  # type: ignore[arg-type]
    values: dict[str, Any] = {
        "size_gain": ("others", curves.gain),
        "size_gain_stderr": ("others", curves.stderr),
        "unit_gain": (("unit", "others"), curves.curves),
        "unit_value": ("unit", curves.values),
        "predicted_staying": (("prediction", "fee"), [[path.staying(fee) for fee in fees] for path in paths]),
        "heterogeneity": curves.heterogeneity,
        "synergy": game.synergy[0],
        "synergy_stderr": game.synergy[1],
    }
    if curves.n_players <= MOST_UNITS:
        removed = game.removed()
        values["staying"] = ("fee", [removed.staying(fee) for fee in fees])
    if game.fits:
        values["good_gain"] = (("good", "others"), [fit.gain for fit in game.fits])
        for name in ("chi2", "criterion", "probability", "explained"):
            values[f"good_{name}"] = ("good", [getattr(fit, name) for fit in game.fits])
    places = {"others": np.arange(curves.n_players), "unit": np.arange(curves.n_players), "fee": fees}
    goods = {"good": [fit.good for fit in game.fits]} if game.fits else {}
    about = {"layer": game.layer, "coalitions": curves.budget, "good": game.good.good if game.good is not None else ""}
    return xr.Dataset(values, {**places, **goods, "prediction": list(PREDICTIONS)}, about)
