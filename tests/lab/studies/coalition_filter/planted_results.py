"""Results of a NEUROGAME study with planted answers."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames.lab.studies.coalition_filter.maps import CURVES, GRAD_CAM, MAPS
from neurogames.lab.studies.coalition_filter.settings import NeurogameSettings
from neurogames.lab.studies.study import RESULTS_FORMAT

PLANTED = NeurogameSettings(variants=((2, 0.5, 0.0, 1.0), (3, 0.8, 0.0, 1.0)), seeds=5, epochs=4, explained=10)
ACCURACY = (0.95, 0.97, 0.93, 0.80, 0.94, 0.98)
TEST_LOSS = (0.20, 0.15, 0.30, 0.60, 0.25, 0.10)
TRAIN_LOSS = (0.15, 0.05, 0.10, 0.55, 0.10, 0.02)


def planted_results(*, accuracy=ACCURACY, test_loss=TEST_LOSS, train_loss=TRAIN_LOSS) -> xr.Dataset:
    """The filter in question beats its controls and regularises; plain magnitude explains better."""
    rng = np.random.default_rng(0)
    seeds, arms, epochs = PLANTED.seeds, len(PLANTED.arms), PLANTED.epochs

    def history(ends, scale):
        ends = np.asarray(ends)[None, :, None]
        values = ends + scale * np.linspace(1, 0, epochs) * (1 - ends)
        return values + 1e-3 * rng.standard_normal((seeds, arms, epochs))

    by_arm, by_epoch = ("seed", "arm"), ("seed", "arm", "epoch")
    agreement = np.array([0.3, np.nan, 0.6, 0.0]) + 0.01 * rng.standard_normal((seeds, 2, 4))
    areas = np.array([[0.4, 0.3, 0.3, 0.5], [0.6, 0.7, 0.7, 0.6]])
    scores = np.linspace(1, 0, 29)[None, None, None, None, :] ** np.array([2, 3, 3, 1])[:, None]
    scores = np.broadcast_to(scores, (seeds, 2, 2, 4, 29)).copy()
    scores[:, :, 1] = scores[:, :, 1, :, ::-1]
    return xr.Dataset(
        {
            "test_accuracy": (by_epoch, history(accuracy, -0.5)),
            "train_accuracy": (by_epoch, history(accuracy, -0.4)),
            "test_loss": (by_epoch, history(test_loss, 1.0)),
            "train_loss": (by_epoch, history(train_loss, 1.0)),
            "active": (by_epoch, np.clip(history([0.3] * arms, 0.2), 0, 1)),
            "passed": (by_arm, np.tile([0.4, 0.7, 1.0, 0.4, 0.4, 1.0], (seeds, 1))),
            "parameters": (by_arm, np.full((seeds, arms), 13032)),
            "seconds": (by_arm, np.tile([3.0, 3.0, 2.0, 4.0, 4.0, 1.0], (seeds, 1))),
            "agreement": (("seed", "filter", "map"), agreement),
            "agreed": (("seed", "filter", "map"), np.full((seeds, 2, 4), 10)),
            "area": (
                ("seed", "filter", "curve", "map"),
                areas + 0.001 * rng.standard_normal((seeds, 2, 2, 4)) * np.array([1, 1, 1, 90]),
            ),
            "score": (("seed", "filter", "curve", "map", "share"), scores),
            "example": (("seed", "panel", "image", "y", "x"), rng.standard_normal((seeds, 5, 4, 8, 8))),
            "example_class": (("seed", "image"), np.tile([1, 2, 3, 4], (seeds, 1))),
        },
        coords={
            "seed": np.arange(seeds),
            "arm": list(PLANTED.arms),
            "epoch": np.arange(1, epochs + 1),
            "filter": list(PLANTED.filters),
            "map": list(MAPS),
            "curve": list(CURVES),
            "share": np.linspace(0, 1, 29),
            "panel": ["image", "energy", "Shapley", "strong", GRAD_CAM],
        },
        attrs={
            "study": "neurogame",
            "format": RESULTS_FORMAT,
            "settings": PLANTED.to_dict(),
            "versions": {"python": "3"},
        },
    )
