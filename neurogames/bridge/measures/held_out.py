"""What a training is followed by: loss, predictions, robustness and composition on rows it does not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurogames._arguments import instance, integer, invalid_argument
from neurogames.bridge.ensembles.networks import Ensemble
from neurogames.bridge.measures.ablation import ablation_composition, quantile_groups
from neurogames.bridge.measures.robustness import area_from_clean, checked_levels, noise_curve

N_GROUPS = 5  # quantile groups of a numeric target, over which an ablated unit's effect may be spread


def held_out_measures(
    inputs: Tensor, targets: Tensor, *, levels: Sequence[float], rng: torch.Generator, repeats: int = 4
) -> dict[str, Callable[[Ensemble], NDArray[np.float64]]]:
    """Measures of an ensemble on held-out rows, by name, to be followed through a training.

    "loss" is the mean squared error, or the cross-entropy for class ids; "predictions" are the outputs
    (networks, rows, outputs); "robustness" is the area between the loss under noisy inputs and the loss without noise
    (``noise_curve``, ``area_from_clean``: 0 is a flat curve); "composition" is the share of units that compose
    (``ablation_composition`` over classes, or over five quantile groups of the first target). All ensembles see the
    same noise.

    Args:
        inputs: (rows, features).
        targets: (rows,) or (rows, outputs) numbers, or (rows,) class ids.
        levels: noise levels, starting at 0 and increasing, in standard deviations of each feature.
        rng: generator from which the seed of the noise is taken.
        repeats: draws of the noise per level, at least 1.

    Returns:
        Name -> function that gives (networks, ...) numbers.

    Raises:
        ValueError: shapes do not fit together, or levels or repeats are out of range.

    >>> from neurogames.bridge.ensembles.networks import initial_ensemble
    >>> inputs = torch.linspace(-1, 1, 50)[:, None]
    >>> measures = held_out_measures(inputs, inputs**2, levels=[0, 1], rng=torch.Generator())
    >>> {name: measure(initial_ensemble((1, 8, 1), seeds=[0, 1])).shape for name, measure in measures.items()}
    {'loss': (2,), 'predictions': (2, 50, 1), 'robustness': (2,), 'composition': (2,)}
    """
    instance("inputs", inputs, Tensor, "a tensor")
    instance("targets", targets, Tensor, "a tensor")
    instance("rng", rng, torch.Generator, "a torch.Generator")
    if not isinstance(targets, Tensor) or targets.ndim not in (1, 2) or len(targets) != len(inputs):
        got = f"shape {tuple(getattr(targets, 'shape', ()))}"
        raise invalid_argument("targets", got, f"a tensor with {len(inputs)} rows")
    checked_levels(levels)
    repeats = integer("repeats", repeats, minimum=1)
    numbers = targets.is_floating_point()
    table = targets.reshape(len(targets), -1) if numbers else targets
    groups = quantile_groups(table[:, 0], N_GROUPS) if numbers else targets
    seed = int(torch.randint(2**63 - 1, (), generator=rng, device=rng.device))

    def losses(outputs: Tensor, wanted: Tensor) -> Tensor:
        if numbers:
            return (outputs - wanted).square().mean(dim=(-2, -1))
        logs = outputs.log_softmax(dim=-1)
        return functional.nll_loss(logs.movedim(-1, 1), wanted.expand(logs.shape[:-1]), reduction="none").mean(dim=-1)

    def robustness(ensemble: Ensemble) -> NDArray[np.float64]:
        draws = torch.Generator(inputs.device).manual_seed(seed)
        curve = noise_curve(
            ensemble, inputs, table, levels=levels, metrics={"loss": losses}, rng=draws, repeats=repeats
        )
        return area_from_clean(levels, curve["loss"])

    return {
        "loss": lambda ensemble: losses(ensemble(inputs), table).double().cpu().numpy(),
        "predictions": lambda ensemble: ensemble(inputs).double().cpu().numpy(),
        "robustness": robustness,
        "composition": lambda ensemble: ablation_composition(ensemble, inputs, table, groups).level.cpu().numpy(),
    }
