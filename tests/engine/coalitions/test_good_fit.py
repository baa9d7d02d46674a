"""Which public good a measured gain is: each fit beside a general solver, and the true good found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.special import gammaincc

from neurogames.engine.coalitions.good_fit import best_good, fit_goods
from neurogames.games.public_goods import ClubGood, LinearGood, PublicGoodsGame, SigmoidGood, ThresholdGood

PARAMETERS = {"club": 2, "linear": 1, "threshold": 3, "sigmoid": 4}


def shape(name, parameters, n):
    """What the good adds at each size for kappa 1."""
    k = np.arange(n)
    if name == "sigmoid":
        good = SigmoidGood(**parameters)
        return np.array([good.produced((size + 1) / n) - good.produced(size / n) for size in k])
    return {"club": (k + 1) / n, "linear": np.zeros(n), "threshold": (k + 1 == parameters.get("size")) * 1.0}[name]


@pytest.mark.parametrize("scale", [0.02, 1.0, 50.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_each_fit_is_the_weighted_least_squares_of_a_general_solver(scale, sign):
    """At ``sign`` -1 the gain falls, which no good does: kappa is at its bound."""
    rng = np.random.default_rng(7)
    n = 9
    errors = scale * rng.uniform(0.5, 2.0, n)
    gain = sign * np.arange(n) / n + rng.normal(size=n) / 5
    mean = np.average(gain, weights=errors**-2)
    total = (((gain - mean) / errors) ** 2).sum()
    fits = fit_goods(gain, errors)
    for fit in fits:
        added = shape(fit.good, fit.parameters, n)
        design = np.stack([added, -np.ones(n)], axis=1) / errors[:, None]
        if fit.good == "linear":
            design = design[:, 1:]
        bounds = ([0.0, -np.inf][-design.shape[1] :], np.inf)
        twin = lsq_linear(design, gain / errors, bounds=bounds, tol=1e-14)
        *kappa, cost = twin.x
        if fit.good == "linear":
            assert np.isnan(fit.multiplier)
        else:
            assert fit.multiplier == pytest.approx(kappa[0], abs=1e-6)
        assert fit.cost == pytest.approx(cost, abs=1e-6)
        np.testing.assert_allclose(fit.gain, design @ twin.x * errors, atol=1e-6)
        assert fit.chi2 == pytest.approx(2 * twin.cost, rel=1e-6)
        free = n - PARAMETERS[fit.good]
        assert fit.criterion == pytest.approx(fit.chi2 + PARAMETERS[fit.good] * np.log(n), rel=1e-12)
        assert fit.probability == pytest.approx(gammaincc(free / 2, fit.chi2 / 2), rel=1e-9)
        assert fit.explained == pytest.approx(1 - fit.chi2 / total, abs=1e-12)
    assert [fit.criterion for fit in fits] == sorted(fit.criterion for fit in fits)


def test_the_pivotal_size_and_the_logistic_are_the_best_of_all():
    rng = np.random.default_rng(3)
    n = 8
    gain, errors = rng.normal(size=n), rng.uniform(0.5, 2.0, n)

    def chi2(added):
        design = np.stack([added, -np.ones(n)], axis=1) / errors[:, None]
        return 2 * lsq_linear(design, gain / errors, bounds=([0.0, -np.inf], np.inf)).cost

    fits = {fit.good: fit for fit in fit_goods(gain, errors)}
    assert fits["threshold"].chi2 == pytest.approx(min(chi2(np.eye(n)[m]) for m in range(n)), rel=1e-6)
    grid = [
        chi2(shape("sigmoid", {"midpoint": midpoint, "steepness": steepness}, n))
        for midpoint in np.linspace(0, 1, 21)
        for steepness in (0.5, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
    ]
    assert fits["sigmoid"].chi2 <= min(grid) + 1e-6


def test_of_a_gain_without_any_difference_nothing_is_explained():
    for fit in fit_goods(np.full(7, 0.25), np.ones(7)):
        assert fit.explained == 0.0
        assert fit.cost == pytest.approx(-0.25)
        assert fit.probability == 1.0


def test_a_misfit_that_errors_make_once_in_a_hundred_times_is_still_a_good():
    fits = fit_goods(np.cos(np.arange(8.0)), np.ones(8))
    for probability, found in ((0.01, True), (0.0099, False)):
        first = replace(fits[0], probability=probability)
        assert best_good((first, *fits[1:])) is (first if found else None)


@pytest.mark.parametrize(
    ("name", "good", "parameters"),
    [
        ("club", ClubGood(), {}),
        ("linear", LinearGood(), {}),
        ("threshold", ThresholdGood(0.6), {"size": 12}),
        ("sigmoid", SigmoidGood(0.4, 12.0), {"midpoint": 0.4, "steepness": 12.0}),
    ],
)
def test_the_good_behind_a_noisy_gain_is_found_with_its_parameters(name, good, parameters):
    gain = PublicGoodsGame(20, cost=0.3, multiplier=4.0, good=good).gain
    errors = np.full(20, 0.01)
    hits = 0
    for seed in range(4):
        fits = fit_goods(gain + errors * np.random.default_rng(seed).standard_normal(20), errors)
        hits += fits[0].good == name and best_good(fits) is not None
        mine = next(fit for fit in fits if fit.good == name)
        for each, value in parameters.items():
            assert mine.parameters[each] == pytest.approx(value, rel=0.1)
    assert hits >= 3


def test_a_gain_like_none_of_the_goods_is_called_none_and_bad_input_is_refused():
    assert best_good(fit_goods(np.sin(np.arange(20.0)), np.full(20, 0.01))) is None
    with pytest.raises(ValueError, match="^gain: got '3 sizes', expected at least 6"):
        fit_goods(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="^stderr: got"):
        fit_goods(np.ones(6), np.zeros(6))
