from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurogames.games import PublicGoodsGame
from neurogames.lab.studies.comparison import analysis, sensitivity
from neurogames.lab.studies.comparison.settings import ComparisonSettings
from neurogames.lab.studies.comparison.simulation import MASKS, simulate_composition

DEFAULTS = ComparisonSettings()


@pytest.fixture(scope="module")
def varied() -> xr.Dataset:
    """The variations of the game with the default settings."""
    return sensitivity.vary_game(DEFAULTS)


def test_as_set_it_is_the_simulated_law(varied: xr.Dataset) -> None:
    law = simulate_composition(
        PublicGoodsGame(DEFAULTS.n_players, DEFAULTS.cost, DEFAULTS.multiplier),
        keep_probs=DEFAULTS.keep_probs,
        temperature=DEFAULTS.temperature,
        sweeps=DEFAULTS.sweeps,
        replicas=1,
        rng=np.random.default_rng(0),
    )
    ours = varied["varied"].sel(variation="as set", play=list(MASKS))
    np.testing.assert_allclose(ours, law["exact"].isel(sweep=-1), rtol=1e-9)


def test_by_default_the_sign_of_two_ways_to_play_is_a_choice_of_parameters(varied: xr.Dataset) -> None:
    keeps = np.array(DEFAULTS.keep_probs)
    signs = {}
    for play in varied["play"].values:
        shares = varied["varied"].sel(play=play).round(sensitivity.DECIMALS)
        found = {
            str(name): sensitivity.rank_correlation(shares.sel(variation=name).values, keeps)
            for name in varied["variation"].values
        }
        signs[str(play)] = sensitivity.both_signs(found)
    assert signs == {
        "hold, one at a time": False,
        "hold, all at once": True,
        "blind, one at a time": False,
        "blind, all at once": True,
    }


def test_sixty_settings_of_five_tables_hold_twelve_predictions(varied: xr.Dataset) -> None:
    keeps, names = list(DEFAULTS.keep_probs), [f"table {number}" for number in range(5)]
    rng = np.random.default_rng(0)
    grid = ("dataset", "seed", "target_noise", "training", "keep_prob")
    shape = (5, 2, 1, 1, len(keeps))
    results = xr.Dataset(
        {
            "area": ((*grid, "metric"), rng.random((*shape, 1)) + 1),
            "composition": ((*grid, "share"), rng.random((*shape, 1))),
        },
        coords={
            "dataset": names,
            "seed": [0, 1],
            "target_noise": ["none"],
            "training": ["dropout"],
            "keep_prob": keeps,
            "metric": ["mse"],
            "share": [1.0],
        },
        attrs={"task": "regression"},
    )
    table = sensitivity.sensitivity_table(results.merge(varied))
    assert set(table["settings"]) == {60}
    assert set(table["distinct"]) == {12}
    assert sensitivity.sensitivity_sentence(table) == (
        "The 60 settings hold 12 distinct predictions, since the game knows the keep probability only; the sign of "
        "'hold, all at once', 'blind, all at once' against keep is a choice of the game's parameters."
    )


def test_the_spread_over_parameters_stands_beside_every_correlation(planted: xr.Dataset) -> None:
    planted["varied"].loc[{"variation": "N × 2"}] = planted["varied"].sel(variation="N × 2")[:, ::-1].values
    table = analysis.correlations(planted, rng=np.random.default_rng(0))
    one = table[table["simulated"] == "hold, one at a time"]
    np.testing.assert_allclose(one[["least", "greatest"]].sum(axis=1), 0.0, atol=1e-12)
    assert (one["greatest"] >= one["spearman"].abs() - 1e-12).all()
    assert set(table["distinct"]) == {planted.sizes["keep_prob"]}


def test_of_a_prediction_that_is_constant_there_is_no_correlation() -> None:
    assert np.isnan(sensitivity.rank_correlation(np.ones(5), np.arange(5.0)))
