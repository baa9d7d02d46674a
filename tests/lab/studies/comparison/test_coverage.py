from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurogames.lab.studies.comparison.coverage import LEVELS, coverage_table
from neurogames.lab.studies.comparison.settings import DROPOUT, LAW, LAW_AND_NOISE, PREDICTIONS


def _drawn(scale: float, *, seeds: int = 40, tables: int = 30) -> xr.Dataset:
    """Courses in which mask and normal noise differ from the law by equal draws, the mask's ``scale`` times as wide."""
    rng = np.random.default_rng(0)
    keeps = [0.2, 0.5, 1.0]
    shape = (tables, seeds, 1, len(keeps))
    law = rng.standard_normal(shape)
    noisy, masked = law + rng.standard_normal(shape), law + scale * rng.standard_normal(shape)
    grid = ("dataset", "seed", "target_noise")
    predicted, trained = np.stack([law, noisy], axis=3), masked[:, :, :, None]
    variables = {}
    for name, dims in (("area", ("metric",)), ("curve", ("metric", "level")), ("composition", ("share",))):
        tail = (1,) * len(dims)
        variables[f"predicted_{name}"] = (
            (*grid, "prediction", "keep_prob", *dims),
            predicted.reshape(*predicted.shape, *tail).copy(),
        )
        variables[name] = ((*grid, "training", "keep_prob", *dims), trained.reshape(*trained.shape, *tail).copy())
    coords = {
        "dataset": [f"table {number}" for number in range(tables)],
        "seed": np.arange(seeds),
        "target_noise": ["none"],
        "prediction": list(PREDICTIONS),
        "training": [DROPOUT],
        "keep_prob": keeps,
        "metric": ["mse"],
        "level": [0.0],
        "share": [1.0],
    }
    return xr.Dataset(variables, coords=coords, attrs={"task": "regression"})


def test_bands_of_the_right_noise_hold_what_they_promise() -> None:
    table = coverage_table(_drawn(1.0))
    assert len(table) == 3 * len(LEVELS)
    assert set(table["settings"]) == {60}
    assert set(table["networks"]) == {2400}
    np.testing.assert_allclose(table["networks_inside"], table["level"], atol=0.03)
    np.testing.assert_allclose(table["means_inside"], table["level"], atol=0.15)


def test_bands_of_too_little_noise_hold_too_little() -> None:
    table = coverage_table(_drawn(3.0)).set_index(["quantity", "level"])
    assert table.loc[("area", 0.9), "networks_inside"] < 0.6
    assert table.loc[("area", 0.9), "means_inside"] < 0.7


@pytest.mark.parametrize("name", ["area", "predicted_area"])
def test_what_diverged_is_left_out(name: str) -> None:
    results = _drawn(1.0)
    results[name].loc[{"seed": 0}] = np.nan
    table = coverage_table(results).set_index("quantity")
    assert set(table.loc["area", "networks"]) == {2340}
    assert set(table.loc["composition", "networks"]) == {2400}


def test_few_repetitions_have_no_band_for_single_networks() -> None:
    table = coverage_table(_drawn(1.0, seeds=5, tables=3))
    row = table[(table["quantity"] == "area") & (table["level"] == 0.9)].iloc[0]
    assert row["networks"] == 0
    assert np.isnan(row["networks_inside"])
    assert row["settings"] == 6


def test_the_law_itself_is_not_taken_for_its_noise() -> None:
    results = _drawn(1.0)
    law = results["predicted_area"].sel(prediction=LAW).values
    results["predicted_area"].loc[{"prediction": LAW_AND_NOISE}] = law
    table = coverage_table(results).set_index("quantity")
    assert (table.loc["area", "networks_inside"] == 0.0).all()
