"""One repetition of the pruning study: what is trained, pruned and measured for one seed.

The controls have the same budget of epochs as the corrected rule, the same schedule of the learning rate and the same
decay of the weights. "from scratch" trains a small network of the shape that the rule found from its first step.
"magnitude", "Taylor" and "random" train the whole network for half of the epochs, keep as many units as the rule did,
and train those for the other half. With "matched layer widths" they keep as many of each layer as the rule did, so
that no difference is due to how units are shared out over layers.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.gates.gates import insert_gates
from neurogames.bridge.participation.certificate import FeeCertificate
from neurogames.bridge.participation.joint_training import train_participation
from neurogames.bridge.participation.price_path import LEAST_STEPS, UnitBudget
from neurogames.bridge.pruning.importance import magnitude_importance, taylor_importance
from neurogames.bridge.pruning.prune import Pruned, prune
from neurogames.bridge.pruning.work import multiply_adds
from neurogames.bridge.training.train import train
from neurogames.engine.schedules import Schedule, piecewise
from neurogames.lab.data.images import Images, grey_images
from neurogames.lab.studies.pruning.profiles import best_of_all, best_of_layers
from neurogames.lab.studies.pruning.settings import PAPER_CONFIGURATIONS, PruningSettings, draw_weights, untrained

MATCHED_WIDTHS = {f"{order}, matched layer widths": order for order in ("magnitude", "Taylor")}
"""Controls that keep as many units of each layer as the rule did, and the order that they choose them by."""
CONTROLS = ("from scratch", "magnitude", "Taylor", "random", *MATCHED_WIDTHS)
METHODS = ("equilibrium", *CONTROLS)
ABSENT = 0.01
"""Share below which the paper removes a unit."""
_FALLS_FROM = 0.5


def check_data(settings: PruningSettings) -> None:
    """Refuse data with fewer rows than a batch, and trainings too short for a price to clear.

    Raises:
        ValueError: naming the setting.
    """
    rows = len(grey_images(settings.data, rows=settings.rows).inputs)
    if rows < settings.batch_size:
        raise invalid_argument(
            "batch_size", settings.batch_size, f"at most the {rows} training rows of {settings.data}"
        )
    steps = settings.epochs * (rows // settings.batch_size)
    if steps < LEAST_STEPS:
        raise invalid_argument("epochs", f"{settings.epochs}, {steps} steps in all", f"at least {LEAST_STEPS} steps")


def measure_paper(seed: int, *, settings: PruningSettings) -> xr.Dataset:
    """Train the paper's four configurations from one start and follow them epoch by epoch.

    Returns:
        ``paper_accuracy`` on test rows, ``paper_units`` taking part, ``paper_loss``, ``paper_residual`` and
        ``paper_fraction_off_best_response``, all over (configuration, paper_epoch).
    """
    images, rng = grey_images(settings.data, rows=settings.rows), torch.Generator().manual_seed(seed)
    accuracy: list[Tensor] = []

    def look(_: int, networks: Callable[[Tensor], Tensor]) -> None:
        accuracy.append(_scores(networks, images)[0])

    ridge, price = zip(*PAPER_CONFIGURATIONS.values(), strict=True)
    trained = train_participation(
        draw_weights(untrained(settings, images.shape, images.n_classes, settings.hidden), rng),
        images.inputs,
        images.targets,
        rule="paper",
        ridge=ridge,
        price=price,
        epochs=settings.paper_epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.paper_learning_rate,
        rng=rng,
        on_epoch=look,
    )
    parts = {
        "accuracy": torch.stack(accuracy).numpy(),
        "units": (trained.participation >= ABSENT).sum(axis=2),
        "loss": trained.loss,
        "residual": trained.residual,
        "fraction_off_best_response": trained.fraction_off_best_response,
    }
    dims = ("configuration", "paper_epoch")
    return xr.Dataset(
        {f"paper_{name}": (dims, np.asarray(values).T) for name, values in parts.items()},
        {"configuration": list(PAPER_CONFIGURATIONS), "paper_epoch": np.arange(1, settings.paper_epochs + 1)},
    )


def measure_sizes(seed: int, *, settings: PruningSettings) -> xr.Dataset:
    """Train the corrected rule with smaller and smaller budgets of units, and every control at each of its sizes.

    Returns:
        ``accuracy``, ``test_loss``, ``units`` and ``multiply_adds`` over (method, unit_budget), and
        ``layer_units`` over (method, unit_budget, layer); of the rule, over unit_budget, the ``clearing_price``, the
        ``residual`` of its end by its certificate, the share ``fraction_off_best_response`` by the running estimate,
        and ``worth_over_fee``, the smallest ratio of exact worth to fee; and accuracy, units and multiply-adds of
        the dense network.
    """
    images, rng = grey_images(settings.data, rows=settings.rows), torch.Generator().manual_seed(seed)
    start = draw_weights(untrained(settings, images.shape, images.n_classes, settings.hidden), rng)
    trained = train_participation(
        start,
        images.inputs,
        images.targets,
        price=(0.0, *map(UnitBudget, settings.unit_budgets)),
        congestion=settings.congestion,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=falling_rate(settings),
        weight_decay=settings.weight_decay,
        check_rows=settings.game_rows,
        rng=rng,
    )
    found = [_pruned(*pair, images).model for pair in zip(trained.models[1:], trained.profile[1:], strict=True)]
    ours = [_measured(small, images) for small in found]
    shapes = [one["layer_units"] for one in ours]
    rows = {"equilibrium": ours, **_measure_controls(start, shapes, images, settings, rng)}
    dims = {"layer_units": ("method", "unit_budget", "layer")}
    result = xr.Dataset(
        {
            name: (
                dims.get(name, ("method", "unit_budget")),
                [[one[name] for one in rows[method]] for method in METHODS],
            )
            for name in ours[0]
        },
        {"method": list(METHODS), "unit_budget": list(settings.unit_budgets)},
    )
    certificates = trained.certificate[1:]
    whole = _measured(trained.models[0], images)
    return result.assign(
        residual=("unit_budget", [np.nan if one is None else one.residual for one in certificates]),
        fraction_off_best_response=("unit_budget", trained.fraction_off_best_response[-1, 1:]),
        worth_over_fee=("unit_budget", [_worth_over_fee(one) for one in certificates]),
        clearing_price=("unit_budget", trained.price[-1, 1:]),
        dense_accuracy=whole["accuracy"],
        dense_units=whole["units"],
        dense_multiply_adds=whole["multiply_adds"],
    )


def _measure_controls(
    start: nn.Module, shapes: list[tuple[int, ...]], images: Images, settings: PruningSettings, rng: torch.Generator
) -> dict[str, list[dict[str, Any]]]:
    """Every control at each of the shapes that the rule has found."""
    half = settings.epochs // 2
    dense = train_plainly(start, images, settings, half, falling_rate(settings, end=half / settings.epochs), rng)
    data = images.inputs[: settings.game_rows], images.targets[: settings.game_rows]
    orders = {
        "magnitude": magnitude_importance(dense),
        "Taylor": taylor_importance(dense, nn.functional.cross_entropy, data),
        "random": torch.rand(sum(settings.hidden), generator=rng).numpy(),
    }
    rows: dict[str, list[dict[str, Any]]] = {control: [] for control in CONTROLS}

    def train_on(profile: np.ndarray) -> dict[str, Any]:
        small, rate = _pruned(dense, profile, images).model, falling_rate(settings, start=half / settings.epochs)
        return _measured(train_plainly(small, images, settings, settings.epochs - half, rate, rng), images)

    for shape in shapes:
        scratch = draw_weights(untrained(settings, images.shape, images.n_classes, shape), rng)
        trained = train_plainly(scratch, images, settings, settings.epochs, falling_rate(settings), rng)
        rows["from scratch"].append(_measured(trained, images))
        for name, importance in orders.items():
            rows[name].append(train_on(best_of_all(importance, sum(shape), settings.hidden)))
    for shape in shapes:
        for control, name in MATCHED_WIDTHS.items():
            rows[control].append(train_on(best_of_layers(orders[name], shape, settings.hidden)))
    return rows


def falling_rate(settings: PruningSettings, *, start: float = 0.0, end: float = 1.0) -> Schedule:
    """Return the part of the study's learning rate between two shares of training.

    >>> rate = falling_rate(PruningSettings(learning_rate=1.0), start=0.5)
    >>> [round(float(rate(x)), 3) for x in (0.0, 0.5, 1.0)]
    [1.0, 0.505, 0.01]
    """
    whole = piecewise(
        [(0.0, settings.learning_rate), (_FALLS_FROM, settings.learning_rate), (1.0, settings.learning_rate / 100)]
    )
    corner = [_FALLS_FROM] if start < _FALLS_FROM < end else []
    return piecewise([((x - start) / (end - start), float(whole(x))) for x in (start, *corner, end)])


def train_plainly(
    model: nn.Module, images: Images, settings: PruningSettings, epochs: int, rate: Schedule, rng: torch.Generator
) -> nn.Module:
    """Train a copy of a network without a price, on the rows that the rule sees."""
    return train(
        model,
        nn.functional.cross_entropy,
        (images.inputs, images.targets),
        optimizer=functools.partial(torch.optim.Adam, weight_decay=settings.weight_decay, fused=True),
        learning_rate=rate,
        epochs=epochs,
        batch_size=settings.batch_size,
        drop_last=True,
        rng=rng,
    ).model


def _worth_over_fee(certificate: FeeCertificate | None) -> float:
    """The smallest ratio over units; NaN for a run that diverged, infinite where no unit is left."""
    if certificate is None:
        return np.nan
    with np.errstate(divide="ignore", invalid="ignore"):  # where the price that cleared is 0
        return float(np.nanmin(certificate.worth / certificate.fee, initial=np.inf))


def _pruned(model: nn.Module, profile: np.ndarray, images: Images) -> Pruned:
    return prune(model, profile, images.inputs[:32])


@torch.no_grad()
def _measured(model: nn.Module, images: Images) -> dict[str, Any]:
    """What a network is worth, and what it costs."""
    model.eval()
    outputs = torch.cat([model(rows) for rows in images.test_inputs.split(2000)])
    gates = insert_gates(copy.deepcopy(model))
    return {
        "accuracy": float((outputs.argmax(dim=1) == images.test_targets).double().mean()),
        "test_loss": float(nn.functional.cross_entropy(outputs, images.test_targets)),
        "units": float(gates.n_players),
        "layer_units": gates.sizes,
        "multiply_adds": float(multiply_adds(model, images.test_inputs[:1])),
    }


@torch.no_grad()
def _scores(networks: Callable[[Tensor], Tensor], images: Images) -> Tensor:
    """(1, runs) accuracy on the test rows."""
    outputs = torch.cat([networks(rows) for rows in images.test_inputs.split(2000)], dim=1)
    return (outputs.argmax(dim=2) == images.test_targets).double().mean(dim=1).unsqueeze(0)
