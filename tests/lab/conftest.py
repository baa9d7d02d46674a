"""A comparison small enough to be made for real, and results with planted answers."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurogames.lab.studies.comparison.page import COMPARISON
from neurogames.lab.studies.comparison.sensitivity import PLAYS, VARIATIONS
from neurogames.lab.studies.comparison.settings import PREDICTIONS, TRAININGS, ComparisonSettings
from neurogames.lab.studies.study import FinishedStudy, run_study

TINY = ComparisonSettings(
    keep_probs=(0.3, 0.6, 1.0),
    target_noises=("none", "stable"),
    seeds=2,
    hidden=(6, 5),
    epochs=3,
    levels=(0.0, 0.5, 1.0),
    noise_repeats=1,
    snapshots=(0.0, 1.0),
    sweeps=20,
    replicas=20,
)


@pytest.fixture(scope="session")
def tiny() -> ComparisonSettings:
    return TINY


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    """A finished comparison of the tiny settings; not to be written to."""
    return run_study(COMPARISON, TINY, tmp_path_factory.mktemp("runs") / "tiny", workers=1)


@pytest.fixture
def planted() -> xr.Dataset:
    """Results in which a control explains everything: area and clean error depend on the work done, and nothing else.

    Work is keep for each way of training, so the curves of all three coincide but for a little noise of each run; so do
    those of the law.
    """
    rng = np.random.default_rng(0)
    keeps, seeds = np.linspace(0.1, 1.0, 10), 8
    levels = np.array([0.0, 1.0, 2.0])
    shape = (1, seeds, 1, 3, 10)
    base, area = (np.array(keeps + 0.003 * rng.standard_normal(shape)) for _ in range(2))
    for values in (base, area):
        values[..., 1:, -1] = values[..., :1, -1]  # at keep 1 there is one network
    clean = 2.0 - base
    curve = clean[..., None, None] + area[..., None, None] * levels
    grid = ("dataset", "seed", "target_noise", "training", "keep_prob")
    masks = ["hold, one at a time", "hold, all at once", "blind, one at a time"]
    # Draws of their own, so that those above stay what they were.
    off = 0.003 * np.random.default_rng(1).standard_normal((2, 1, seeds, 1, 2, 10))
    off[..., -1] = 0.0
    predicted_base, predicted_area = base[..., :1, :] * 0 + keeps + off[0], area[..., :1, :] * 0 + keeps + off[1]
    predicted_base[..., -1], predicted_area[..., -1] = base[..., :1, -1], area[..., :1, -1]
    predicted_curve = 2.0 - predicted_base[..., None, None] + predicted_area[..., None, None] * levels
    forecast = ("dataset", "seed", "target_noise", "prediction", "keep_prob")
    exact = np.stack([keeps, keeps[::-1], (keeps * 7) % 1])[..., None]
    time = np.linspace(0.0, 1.0, 5)
    wobble = 0.01 * np.random.default_rng(2).standard_normal((1, seeds, 1))
    courses = {"plain": 0.8 - 0.4 * time + wobble, "law": 0.8 - 0.2 * time + wobble}
    courses["dropout"] = courses["law"] + 0.01 * np.random.default_rng(3).standard_normal((1, seeds, 1))
    varied = np.repeat(np.concatenate([exact, exact[:1, ::-1]])[:, None, :, 0], len(VARIATIONS), axis=1)
    return xr.Dataset(
        {
            "curve": ((*grid, "metric", "level"), curve),
            "area": ((*grid, "metric"), area[..., None]),
            "slope": ((*grid, "metric"), area[..., None]),
            "composition": ((*grid, "share"), base[..., None]),
            "steps": (grid, np.full(base.shape, 10.0)),
            "diverged": (grid, np.zeros(base.shape, dtype=bool)),
            "baseline_curve": (("dataset", "seed", "baseline", "metric", "level"), np.ones((1, seeds, 2, 1, 3))),
            "baseline_area": (("dataset", "seed", "baseline", "metric"), np.zeros((1, seeds, 2, 1))),
            "predicted_curve": ((*forecast, "metric", "level"), predicted_curve),
            "predicted_area": ((*forecast, "metric"), predicted_area[..., None]),
            "predicted_slope": ((*forecast, "metric"), predicted_area[..., None]),
            "predicted_composition": ((*forecast, "share"), predicted_base[..., None]),
            "predicted_steps": (forecast, np.full(predicted_base.shape, 10.0)),
            "predicted_diverged": (forecast, np.zeros(predicted_base.shape, dtype=bool)),
            **{f"composing_{way}": (("dataset", "seed", "time"), course) for way, course in courses.items()},
            "exact": (("mask", "keep_prob", "sweep"), exact),
            "varied": (("play", "variation", "keep_prob"), varied),
        },
        coords={
            "dataset": ["planted"],
            "seed": np.arange(seeds),
            "target_noise": ["none"],
            "training": list(TRAININGS),
            "prediction": list(PREDICTIONS),
            "keep_prob": keeps,
            "metric": ["mse"],
            "level": levels,
            "share": [1.0],
            "time": time,
            "baseline": ["constant", "linear"],
            "mask": masks,
            "sweep": [20],
            "play": list(PLAYS),
            "variation": list(VARIATIONS),
        },
        attrs={"task": "regression"},
    )
