from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import scipy.stats

from neurogames.lab.inference.association import Correlation, claimed_sign, correlate, verdict
from neurogames.lab.inference.resampling import (
    bootstrap_ends,
    correlation,
    correlation_ends,
    fisher_ends,
    permutation_p,
    rearrangements,
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pair(n: int, rho: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=n)
    return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=n)


# Point values.


@pytest.mark.parametrize("n", [4, 7, 12, 60])
@pytest.mark.parametrize("ties", [False, True])
def test_point_values_are_those_of_scipy(n, ties):
    x, y = pair(n, 0.5, generator(n))
    if ties:
        x, y = np.round(x), np.round(y)
    found = correlate(x, y, rng=generator())
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
    assert found.pearson == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-12)
    assert (found.n, found.dropped) == (n, 0)
    assert not found.reason or n < 12 or ties


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e200])
def test_the_unit_of_a_column_does_not_matter(scale):
    x, y = pair(12, 0.5, generator(3))
    plain, scaled = (correlate(x, y * factor, rng=generator()) for factor in (1.0, scale))
    assert scaled.pearson == pytest.approx(plain.pearson, abs=1e-12)
    assert scaled.pearson_interval == pytest.approx(plain.pearson_interval, abs=1e-9)
    assert (scaled.spearman_p, scaled.pearson_p) == (plain.spearman_p, plain.pearson_p)


def test_a_batch_of_samples_equals_its_rows():
    x, y = generator(1).normal(size=(2, 30, 8)).round(1)
    for ranked in (False, True):
        rows = [correlation(first, second, ranked=ranked) for first, second in zip(x, y, strict=True)]
        np.testing.assert_allclose(correlation(x, y, ranked=ranked), rows, rtol=0, atol=1e-15)


def test_swapping_the_columns_changes_no_value_and_turning_one_changes_the_sign():
    x, y = pair(10, 0.4, generator(4))
    one, other, turned = (
        correlate(x, y, rng=generator()),
        correlate(y, x, rng=generator()),
        correlate(x, -y, rng=generator()),
    )
    assert other.spearman == pytest.approx(one.spearman)
    assert other.pearson_interval == pytest.approx(one.pearson_interval)
    assert turned.spearman == pytest.approx(-one.spearman)
    assert turned.spearman_interval == pytest.approx((-one.spearman_interval[1], -one.spearman_interval[0]), abs=0.02)


def test_inputs_stay_as_they_are():
    x, y = pair(10, 0.4, generator(4))
    before = x.copy(), y.copy()
    correlate(x, y, rng=generator())
    np.testing.assert_array_equal((x, y), before)


# P-values.


@pytest.mark.parametrize("ties", [False, True])
def test_exact_p_values_are_those_of_all_orders_one_by_one(ties):
    x, y = pair(6, 0.6, generator(8))
    if ties:
        x, y = np.round(x), np.round(y)
    found = correlate(x, y, rng=generator())
    assert found.exact
    for function, p_value in ((scipy.stats.spearmanr, found.spearman_p), (scipy.stats.pearsonr, found.pearson_p)):
        here = abs(function(x, y).statistic)
        far = [abs(function(x, y[list(order)]).statistic) >= here - 1e-10 for order in itertools.permutations(range(6))]
        assert p_value == pytest.approx(np.mean(far), abs=1e-12)


def test_random_permutations_come_close_to_all_of_them():
    x, y = pair(8, 0.6, generator(9))
    everything = np.array(list(itertools.permutations(range(8))))
    truth = permutation_p(x, y, everything, exact=True, ranked=True)
    order, exact = rearrangements(8, 20_000, generator())
    assert not exact
    assert (np.sort(order, axis=1) == np.arange(8)).all()
    found = permutation_p(x, y, order, exact=False, ranked=True)
    assert abs(found - truth) < 5 * math.sqrt(truth / 20_000)


def test_p_values_are_uniform_where_nothing_is_associated():
    rng = generator(12)
    p_values = {True: [], False: []}
    order, exact = rearrangements(12, 500, rng)
    for _ in range(600):
        x, y = rng.normal(size=12), rng.standard_cauchy(size=12)
        for ranked, found in p_values.items():
            found.append(permutation_p(x, y, order, exact=exact, ranked=ranked))
    for found in p_values.values():
        assert scipy.stats.kstest(found, "uniform").pvalue > 1e-3
        level = np.mean(np.array(found) <= 0.05)
        assert abs(level - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 600)


def test_a_p_value_is_never_zero():
    x = np.arange(30.0)
    assert correlate(x, x, rng=generator(), permutations=999).pearson_p == pytest.approx(1 / 1000)


# Intervals.


@pytest.mark.parametrize(("rho", "ranked"), [(0.0, True), (0.6, True), (0.0, False), (0.6, False)])
def test_intervals_cover_the_truth_about_as_often_as_they_say(rho, ranked):
    rng = generator(20)
    truth = 6 / math.pi * math.asin(rho / 2) if ranked else rho
    covered, times = 0, 300
    for _ in range(times):
        x, y = pair(15, rho, rng)
        low, high, *_ = correlation_ends(x, y, rng.integers(15, size=(600, 15)), 0.9, ranked=ranked)
        covered += low <= truth <= high
    assert 0.84 < covered / times < 0.96


def test_the_interval_is_that_of_scipy_s_bca():
    x, y = pair(20, 0.5, generator(30))
    found = correlate(x, y, rng=generator(), resamples=20_000)
    peer = scipy.stats.bootstrap(
        (x, y),
        lambda a, b, axis: correlation(np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1), ranked=False),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="BCa",
        axis=-1,
    ).confidence_interval
    assert found.method == ("BCa", "BCa")
    assert found.pearson_interval == pytest.approx((peer.low, peer.high), abs=0.02)


def test_bca_ends_are_those_of_a_loop_over_the_formula():
    sample = generator(2).exponential(size=15)
    drawn = sample[generator(3).integers(15, size=(4000, 15))].mean(axis=1)
    jackknife = np.array([np.delete(sample, i).mean() for i in range(15)])
    normal = scipy.stats.norm
    bias = normal.ppf(np.mean(drawn < sample.mean()))
    top = sum((jackknife.mean() - value) ** 3 for value in jackknife)
    acceleration = top / (6 * sum((jackknife.mean() - value) ** 2 for value in jackknife) ** 1.5)
    ends = []
    for level in (0.05, 0.95):
        z = bias + normal.ppf(level)
        ends.append(np.quantile(drawn, normal.cdf(bias + z / (1 - acceleration * z))))
    low, high, method, reason = bootstrap_ends(sample.mean(), drawn, jackknife, 0.9)
    assert (low, high) == pytest.approx(tuple(ends), abs=1e-12)
    assert (method, reason) == ("BCa", "")


def test_a_perfect_order_is_no_certainty():
    for n, claimed in ((4, False), (5, False), (12, True)):
        x = np.arange(float(n))
        found = correlate(x, np.exp(x), rng=generator())
        assert found.spearman == 1.0
        assert found.method[0] == "Fisher z"
        assert found.spearman_interval[0] < 1.0 == found.spearman_interval[1]
        assert "perfect" in found.reason
        assert verdict(found).startswith("There is a strong positive") == claimed, n
    low, high = fisher_ends(-1.0, 12, 0.95)
    assert (low, round(high, 2)) == (-1.0, -0.97)


def test_fisher_s_end_is_below_what_ordered_samples_of_a_normal_law_allow():
    rng, n = generator(40), 8
    low, _ = fisher_ends(1.0, n, 0.95)
    x = rng.normal(size=(100_000, n))
    y = low * x + math.sqrt(1 - low**2) * rng.normal(size=x.shape)
    perfect = (x.argsort(axis=1) == y.argsort(axis=1)).all(axis=1).mean()
    assert perfect < 0.025


@pytest.mark.parametrize("n", [4, 5, 6])
def test_few_settings_with_ties_give_numbers_or_reasons_but_no_warnings(n):
    for values in itertools.product((0.0, 1.0), repeat=n - 1):
        y = np.array([*values, 0.0])
        if np.ptp(y) > 0:
            found = correlate(np.arange(n), y, rng=generator(), resamples=100, permutations=100)
            low, high = found.spearman_interval
            assert -1 <= low <= high <= 1 or found.reason
            assert "settings" in verdict(found)


# What cannot be said.


def test_constant_columns_give_nan_and_say_which():
    for constant in (np.full(8, 0.1), np.full(8, 1e9) + np.arange(8) * 1e-9):
        found = correlate(np.arange(8.0), constant, rng=generator(), label_x="keep", label_y="error")
        assert math.isnan(found.spearman)
        assert math.isnan(found.pearson_interval[0])
        assert found.reason == "error has one value in all 8 settings"
        assert verdict(found) == "Nothing can be said about keep and error: error has one value in all 8 settings."


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_settings_say_nothing(n):
    found = correlate(np.arange(n), np.arange(n), rng=generator())
    assert math.isnan(found.spearman_p)
    assert "too few settings to say anything" in verdict(found)


def test_values_that_are_not_finite_are_left_out_and_counted():
    x = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0, 7.0])
    y = np.array([2.0, 1.0, 3.0, np.inf, 4.0, 6.0, 5.0])
    keep = [0, 1, 4, 5, 6]
    found = correlate(x, y, rng=generator())
    assert (found.n, found.dropped) == (5, 2)
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(x[keep], y[keep]).statistic)
    assert "(2 more left out, their values not finite)" in verdict(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2, 3, 4], [1, 2, 3]), r"x, y: got 'shapes \(4,\) and \(3,\)'"),
        (([[1, 2], [3, 4]], [[1, 2], [3, 4]]), "two vectors of one length"),
    ],
)
def test_columns_of_other_shapes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        correlate(*arguments, rng=generator())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"resamples": 0}, "resamples: got 0"),
        ({"permutations": 1.5}, r"permutations: got 1\.5"),
        ({"confidence": 95}, "confidence: got 95"),
    ],
)
def test_options_out_of_range_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        correlate(np.arange(8), np.arange(8), rng=generator(), **option)


# Verdicts.


def association(low: float, high: float, p_value: float = 0.001) -> Correlation:
    plain = correlate(*pair(12, 0.3, generator()), rng=generator(), label_x="keep", label_y="flatness")
    middle = np.nan_to_num((low + high) / 2, nan=0.5)
    return dataclasses.replace(plain, spearman=middle, spearman_interval=(low, high), spearman_p=p_value)


@pytest.mark.parametrize(
    ("low", "high", "p_value", "start"),
    [
        (-0.1, 0.9, 0.001, "No association between keep and flatness can be claimed"),
        (0.0, 0.9, 0.001, "No association"),
        (0.5, 0.9, 0.06, "No association"),
        (0.1, 0.9, 0.001, "There is a positive association, of uncertain strength, between keep and flatness"),
        (-0.95, -0.1, 0.001, "There is a negative association, of uncertain strength"),
        (0.05, 0.35, 0.001, "There is a weak positive association"),
        (0.45, 0.9, 0.001, "There is an at least moderate positive association"),
        (-0.95, -0.75, 0.001, "There is a strong negative association"),
        (float("nan"), float("nan"), 0.001, "No association"),
    ],
)
def test_a_verdict_is_no_surer_than_the_interval_and_the_p_value(low, high, p_value, start):
    sentence = verdict(association(low, high, p_value))
    assert sentence.startswith(start)
    assert "over n = 12 settings" in sentence
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
    assert not any(
        word in sentence.lower() for word in ("cause", "because", "effect", "proves", "due to", "significant")
    )


def test_associations_are_seldom_claimed_where_there_are_none():
    rng, claims, times = generator(50), 0, 300
    for _ in range(times):
        found = correlate(*rng.normal(size=(2, 10)), rng=rng, resamples=300, permutations=300)
        claims += verdict(found).startswith("There is")
    assert claims / times < 0.05 + 3 * math.sqrt(0.05 * 0.95 / times)


def test_an_interval_without_the_p_value_claims_no_sign() -> None:
    found = correlate(np.arange(12.0), np.arange(12.0) ** 2, rng=np.random.default_rng(0))
    assert claimed_sign(found) == "positive"
    assert claimed_sign(dataclasses.replace(found, spearman_p=0.06)) == "none"
    assert verdict(dataclasses.replace(found, spearman_p=0.06)).startswith("No association")
    assert claimed_sign(dataclasses.replace(found, spearman_interval=(-0.1, 1.0))) == "none"
    assert claimed_sign(dataclasses.replace(found, spearman_interval=(-1.0, -0.1))) == "negative"
    assert claimed_sign(correlate([1.0, 2.0], [1.0, 2.0], rng=np.random.default_rng(0))) == "none"
