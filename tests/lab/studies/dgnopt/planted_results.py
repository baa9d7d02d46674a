"""Results of a study of DGNOpt with planted answers."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames.lab.studies.dgnopt.controls import ALIGNMENTS, LARGE_WAYS, PLAYER_CURVATURES
from neurogames.lab.studies.dgnopt.methods import METHODS
from neurogames.lab.studies.dgnopt.settings import DGNOptSettings
from neurogames.lab.studies.study import RESULTS_FORMAT

PLANTED = DGNOptSettings(seeds=6, networks=("residual", "cooperative"), large_rates=(0.1, 1.0, 2.0), target=0.8)
STEPS = [0, 4, 8, 12]
ENDS = {"EKFAC": 0.9, "SOAP": 0.91, "open loop": 0.9, "feedback": 0.93, "cooperation": 0.9, "group rationality": 0.7}
"""Accuracy at the end of some methods in the residual network; that of the others is .85."""
LARGE = {
    "SGD": (0.9, 0.6, 0.2),
    "identity, feedback": (0.9, 0.6, 0.1),
    "SGD as long as identity": (0.9, 0.6, 0.2),
    "ekfac, open loop": (0.9, 0.8, 0.5),
    "ekfac, feedback": (0.9, 0.85, 0.3),
    "SGD as long as ekfac": (0.9, 0.7, 0.3),
}
"""Accuracy at the three rates; that of the other ways is .5."""


def planted_results() -> xr.Dataset:
    """Feedback beats the best opponent by 2 points in the residual network; nothing differs in the cooperative one."""
    rng, seeds, methods = np.random.default_rng(0), PLANTED.seeds, len(METHODS)
    ends = np.full((seeds, 2, methods), 0.85)
    for name, value in ENDS.items():
        ends[:, 0, list(METHODS).index(name)] = value
    ends += 1e-3 * rng.standard_normal(ends.shape)
    # Accuracy rises from .1 at once to .82 after 8 steps, with feedback after 4.
    course = np.stack([np.full_like(ends, 0.1), np.full_like(ends, 0.4), np.full_like(ends, 0.82), ends], axis=-1)
    course[:, 0, list(METHODS).index("feedback"), 1] = 0.81
    course[0, 1, :, 2:] = 0.79
    held_out = np.full((2, methods), 0.8)
    held_out[0, list(METHODS).index("SOAP")] = held_out[0, list(METHODS).index("feedback")] = 0.9
    held_out[1, list(METHODS).index("EKFAC")] = 0.81
    seconds = np.full((seeds, 2, methods), 0.010)
    seconds[..., list(METHODS).index("feedback")] = 0.013
    seconds[..., list(METHODS).index("group rationality")] = 0.050
    pair = ("network", "optimizer")
    large = np.full((seeds, 1, len(LARGE_WAYS), 3), 0.5)
    for name, values in LARGE.items():
        large[:, 0, list(LARGE_WAYS).index(name)] = values
    large += 1e-3 * rng.standard_normal(large.shape)
    by_way = ("seed", "large_network", "way", "large_rate")
    steps = np.tile(np.array([[40.0, 20.0, 12.0, 8.0], [30.0, 30.0, 28.0, np.nan]]), (seeds, 1, 1))
    control = steps.copy()
    control[0, 1, 1] = 31.0
    alignments = np.array([0.9, 0.89, 0.9, 0.9]) + 1e-3 * rng.standard_normal((seeds, 4))
    alignments[:, 2] = alignments[:, 0] + 0.001 * np.resize([1.0, -1.0], seeds)
    variables = {
        "accuracy": (("seed", *pair, "step"), course),
        "step_seconds": (("seed", *pair), seconds),
        "diverged": (("seed", *pair), np.zeros_like(seconds)),
        "clamped": (("seed", *pair), np.full_like(seconds, 0.3)),
        "feedback": (("seed", *pair), np.full_like(seconds, 0.1)),
        "trial_accuracy": ((*pair, "trial"), np.zeros((2, methods, 6))),
        "trial_seconds": ((*pair, "trial"), np.ones((2, methods, 6))),
        "held_out": (pair, held_out),
        "rate": (pair, np.full((2, methods), 0.1)),
        "second": (pair, np.full((2, methods), 0.9)),
        "flops": (pair, np.full((2, methods), 1e6)),
        "state": (pair, np.full((2, methods), 1e3)),
        "parameters": ("network", [5000, 6000]),
        "tests": 400,
        "large_accuracy": (by_way, large),
        **{f"large_{name}": (by_way, np.zeros_like(large)) for name in ("clamped", "feedback", "length", "diverged")},
        "player_steps": (("seed", "player_curvature", "players"), steps),
        "control_steps": (("seed", "player_curvature", "players"), control),
        "player_gap": (("seed", "player_curvature", "players"), np.zeros_like(steps)),
        "alignment_accuracy": (("seed", "alignment"), alignments),
        "alignment_steps": (("seed", "alignment"), np.full((seeds, 4), 8.0)),
        "reward_seconds_share": ("seed", np.full(seeds, 0.1)),
        "arms": ("seed", np.full(seeds, 4)),
    }
    coordinates = {
        "seed": range(seeds),
        "network": list(PLANTED.networks),
        "optimizer": list(METHODS),
        "step": STEPS,
        "large_network": ["cooperative"],
        "way": list(LARGE_WAYS),
        "large_rate": list(PLANTED.large_rates),
        "player_curvature": list(PLAYER_CURVATURES),
        "players": list(PLANTED.players),
        "alignment": list(ALIGNMENTS),
    }
    about = {"study": "dgnopt", "format": RESULTS_FORMAT, "settings": PLANTED.to_dict(), "versions": {}}
    return xr.Dataset(variables, coordinates, about)
