"""Results of a search whose answer is known."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames.lab.studies.gradient_dropout.settings import FIT_TIMES, GradientDropoutSettings

SEEDS = 16
KINDS = ("annealing", "lower fit", "worse", "nothing", "diverged")
SETTINGS = GradientDropoutSettings(
    data=("numbers", "classes"),
    seeds=SEEDS,
    strengths=(0.9,),
    adam_rates=(0.001, 0.01, 0.02, 0.03, 0.04),
    sgd_rates=(0.02,),
    batch_sizes=(16,),
    keep_probs=(0.5,),
)


def planted_search():
    """One recipe for each kind of outcome, and one more in which nothing happens.

    The law's training loss falls from 1 to .1 over the recorded times and its error with the shortcut broken from 1.2
    to .6, at first, and then up to 1.
    """
    rng = np.random.default_rng(0)
    recipes = [recipe.name for recipe in SETTINGS.recipes]
    shape = (2, SEEDS, 1, len(recipes), 1, 1)
    times = len(FIT_TIMES)
    fit = np.linspace(1.0, 0.1, times)
    broken = np.interp(np.arange(times), [0, 3, times - 1], [1.2, 0.6, 1.0])
    noise = rng.normal(0, 0.01, size=shape)
    law_fit = np.broadcast_to(fit, (*shape, times)).copy()
    law_broken = broken + noise[..., None]
    masked_fit, masked_broken = law_fit.copy(), law_broken + rng.normal(0, 0.01, size=shape)[..., None]
    masked_broken[:, :, :, 0, :, :, -1] -= 0.2  # annealing: as low a training loss
    masked_broken[:, :, :, 1, :, :, -1] -= 0.2  # as good as the law when its training loss was .5
    masked_fit[:, :, :, 1, :, :, -1] = 0.5
    masked_broken[:, :, :, 2, :, :, -1] += 0.1
    masked_broken[:, :6, :, 4, :, :, -1] = np.nan
    cell = ("dataset", "seed", "strength", "recipe", "batch_size", "keep_prob")
    share = rng.normal(0.5, 0.02, size=(2, *shape))
    rates = np.array([0.04, 0.2, 1.0])
    distance = 0.02 * np.sqrt(10 ** -np.array([0.0, 0.5, 1.0])) * rng.lognormal(0, 0.02, (2, SEEDS, 2, 3))
    distance[1] = np.nan
    course = np.linspace(0.4, 0.6, 15) + rng.normal(0, 0.01, (2, SEEDS, 1, 15))
    labels = {
        "dataset": list(SETTINGS.data),
        "seed": np.arange(SEEDS),
        "strength": [0.9],
        "recipe": recipes,
        "batch_size": [16],
        "keep_prob": [0.5],
        "fit_time": list(FIT_TIMES),
        "time": np.linspace(0, 1, 15),
        "chain_optimizer": ["sgd", "adam"],
        "step": 10 ** -np.array([0.0, 0.5, 1.0]),
    }
    over = (*cell, "fit_time")
    courses = {
        f"composing_{way}": (("dataset", "seed", "strength", "time"), course) for way in ("plain", "law", "dropout")
    }
    variables = {
        "broken_plain": (("dataset", "seed", "strength", "recipe", "batch_size", "fit_time"), law_broken[..., 0, :]),
        "broken_law": (over, law_broken),
        "fit_law": (over, law_fit),
        "broken_dropout": (over, masked_broken),
        "fit_dropout": (over, masked_fit),
        "broken_gaussian": (over, masked_broken),
        "composing_share_law": (cell, share[0]),
        "composing_share_dropout": (cell, share[1]),
        "layer_rate": (("dataset", "seed", "layer"), rates * rng.normal(1, 0.01, (2, SEEDS, 3))),
        "distance_law": (("dataset", "seed", "chain_optimizer", "step"), distance),
        "distance_plain": (("dataset", "seed", "chain_optimizer", "step"), 10 * distance),
    }
    return xr.Dataset(variables | courses, labels, {"settings": SETTINGS.to_dict()})
