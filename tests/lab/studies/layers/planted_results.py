"""Results of a study of layers with planted answers."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames.lab.robustness.robustness_game import POLICIES
from neurogames.lab.studies.layers.course import COURSE
from neurogames.lab.studies.layers.settings import CHOICES, FREEZING, LAYERS, NETWORKS, WAYS, LayersSettings
from neurogames.lab.studies.layers.tuning import SHIFTS
from neurogames.lab.studies.study import RESULTS_FORMAT

PLANTED = LayersSettings(seeds=5, checkpoints=(0, 20))
SINGLE = (0.70, 0.90, 0.60, 0.80)
ALL = 0.85


def planted_results() -> xr.Dataset:
    """The second layer is right and has the largest gain; freezing saves time; curvature predicts steps."""
    rng = np.random.default_rng(0)
    seeds, nets, shifts, points = PLANTED.seeds, len(NETWORKS), len(SHIFTS), len(PLANTED.checkpoints)

    def noisy(values, *shape):
        return np.broadcast_to(values, shape) + 1e-3 * rng.standard_normal(shape)

    tuned = noisy((*SINGLE, ALL), seeds, nets, shifts, len(CHOICES))
    ratio = np.exp(rng.uniform(0.2, 1.0, (seeds, nets, points)))
    together = np.full((seeds, nets, points, 2), 0.1)
    frozen = np.ones((seeds, nets, len(FREEZING), LAYERS))
    frozen[:, :, 1, 0] = 0.5
    course = noisy(0.5, seeds, len(WAYS), points)
    by_layer, by_rule = ("seed", "network", "shift", "layer"), ("seed", "network", "rule")
    chances = {"defender": [0.25, 0.75, 0.0], "attack": [0.5, 0.5]}
    fresh = np.array([[0.8, 0.7], [0.75, 0.6], [0.7, 0.5]])
    return xr.Dataset(
        {
            "tuned_accuracy": (("seed", "network", "shift", "choice"), tuned),
            "stopped_accuracy": (("seed", "network", "shift", "choice"), tuned),
            "check_loss": (("seed", "network", "shift", "choice"), 1 - tuned),
            "tuning_gain": (by_layer, noisy([1.0, 2.0, 1.0, 1.5], seeds, nets, shifts, LAYERS)),
            "tuning_held_out_gain": (by_layer, noisy([0.1, 0.2, 0.1, 0.4], seeds, nets, shifts, LAYERS)),
            "relative_gradient": (by_layer, noisy([3.0, 1.0, 1.0, 1.0], seeds, nets, shifts, LAYERS)),
            "untuned_accuracy": (("seed", "network", "shift"), noisy(0.5, seeds, nets, shifts)),
            "freezing_accuracy": (by_rule, noisy([0.95, 0.951, 0.94, 0.95, 0.93], seeds, nets, len(FREEZING))),
            "freezing_loss": (by_rule, noisy(0.2, seeds, nets, len(FREEZING))),
            "freezing_seconds": (by_rule, noisy([2.0, 1.0, 1.5, 1.5, 0.9], seeds, nets, len(FREEZING))),
            "rule_seconds": (by_rule, np.broadcast_to([0.0, 0.1, 0.0, 0.0, 0.0], (seeds, nets, len(FREEZING)))),
            "frozen_at": (("seed", "network", "rule", "layer"), frozen),
            "largest_together": (("seed", "network", "point", "sweeps"), together),
            "largest_in_turn": (("seed", "network", "point", "sweeps"), together * ratio[..., None]),
            "predicted_ratio": (("seed", "network", "point"), ratio * 1.05),
            "eigenvalue_ratio": (("seed", "network", "point"), np.full(ratio.shape, 5.0)),
            "predicted_together": (("seed", "network", "point"), np.full(ratio.shape, 0.1)),
            "eigenvalue_step": (("seed", "network", "point"), np.full(ratio.shape, 0.05)),
            **{f"course_{name}": (("seed", "way", "checkpoint"), course) for name in COURSE},
            "deviator": (("seed", "way", "checkpoint"), np.full(course.shape, 4.0)),
            "payoff": (("seed", "defender", "attack"), noisy([[0.9, 0.6], [0.6, 0.7], [0.5, 0.5]], seeds, 3, 2)),
            **{
                f"{place}_{kind}": (("seed", place), np.tile(np.array(values) * scale, (seeds, 1)))
                for place, values in chances.items()
                for kind, scale in {"probability": 1.0, "stderr": 0.1}.items()
            },
            **{
                name: ("seed", [value] * seeds)
                for name, value in {"game_value": 0.675, "game_low": 0.65, "game_high": 0.7}.items()
            },
            "fresh_accuracy": (("seed", "policy", "fresh"), noisy(fresh, seeds, 3, 2)),
        },
        coords={
            "seed": np.arange(seeds),
            "network": list(NETWORKS),
            "shift": list(SHIFTS),
            "choice": list(CHOICES),
            "layer": np.arange(1, LAYERS + 1),
            "rule": list(FREEZING),
            "point": list(PLANTED.checkpoints),
            "sweeps": [1, 10],
            "way": list(WAYS),
            "checkpoint": list(PLANTED.checkpoints),
            "defender": ["a", "b", "c"],
            "attack": ["noise", "blur"],
            "policy": list(POLICIES),
            "fresh": ["rotation", "translation"],
        },
        attrs={
            "study": "layers",
            "format": RESULTS_FORMAT,
            "settings": PLANTED.to_dict(),
            "versions": {"python": "3"},
        },
    )
