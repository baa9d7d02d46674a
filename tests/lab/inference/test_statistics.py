from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from neurogames.lab.inference.statistics import aggregate_units, paired_difference


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Units.


def test_runs_become_one_row_per_setting():
    rng = generator(60)
    rows = [
        {"dataset": name, "keep": keep, "seed": seed, "error": rng.normal(), "level": rng.normal()}
        for name, keep, seed in itertools.product(("wine", "iris"), (0.5, 0.1), range(5))
    ]
    runs = pd.DataFrame(rows)
    before = runs.copy()
    units = aggregate_units(runs, unit=["dataset", "keep"], value=["error", "level"])
    pd.testing.assert_frame_equal(runs, before)
    assert units[["dataset", "keep"]].values.tolist() == [["iris", 0.1], ["iris", 0.5], ["wine", 0.1], ["wine", 0.5]]
    assert units["runs"].tolist() == [5] * 4
    chosen = runs[(runs["dataset"] == "iris") & (runs["keep"] == 0.5)]
    assert units["error"][1] == chosen["error"].median()
    means = aggregate_units(runs, unit=["dataset", "keep"], value="level", how="mean")
    assert means["level"][1] == pytest.approx(chosen["level"].mean())
    shuffled = aggregate_units(runs.sample(frac=1, random_state=1), unit=["dataset", "keep"], value=["error", "level"])
    pd.testing.assert_frame_equal(units, shuffled)


def test_missing_runs_are_counted_and_a_heavy_tail_does_not_rule_the_median():
    runs = pd.DataFrame({"keep": [1, 1, 1, 2, 2], "error": [1.0, 3.0, np.inf, np.nan, np.nan]})
    units = aggregate_units(runs, unit=["keep"], value="error")
    assert units["error"].iloc[0] == 3.0
    assert math.isnan(units["error"].iloc[1])
    assert units["missing"].tolist() == [0, 2]


def test_wrong_columns_are_refused():
    runs = pd.DataFrame({"keep": [1], "error": [1.0]})
    with pytest.raises(ValueError, match="unit, value: got 'keeps', expected a column of keep, error"):
        aggregate_units(runs, unit=["keeps"], value="error")
    with pytest.raises(ValueError, match="how: got 'max'"):
        aggregate_units(runs, unit=["keep"], value="error", how="max")
    with pytest.raises(ValueError, match="at least one of each"):
        aggregate_units(runs, unit=[], value="error")


# Differences over pairs.


def test_inputs_of_a_difference_stay_as_they_are():
    a, b = generator(4).normal(size=(2, 10))
    before = a.copy(), b.copy()
    paired_difference(a, b, rng=generator())
    np.testing.assert_array_equal((a, b), before)


def test_a_paired_difference_is_student_s_interval_of_the_pairs():
    a, b = generator(80).normal(size=(2, 7))
    a = a + 1.0
    found = paired_difference(a, b, rng=generator())
    peer = scipy.stats.ttest_rel(a, b).confidence_interval()
    assert found.estimate == pytest.approx(np.mean(a - b))
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high))
    slow = [
        abs(sum(s * d for s, d in zip(signs, a - b, strict=True))) >= abs((a - b).sum()) - 1e-12
        for signs in itertools.product((-1, 1), repeat=7)
    ]
    assert found.p_value == pytest.approx(np.mean(slow))


def test_paired_intervals_cover_and_their_p_values_are_uniform():
    rng, covered, p_values, times = generator(90), 0, [], 500
    for _ in range(times):
        found = paired_difference(rng.normal(size=14), rng.normal(size=14), rng=rng, flips=400)
        covered += found.low <= 0 <= found.high
        p_values.append(found.p_value)
    assert abs(covered / times - 0.95) < 4 * math.sqrt(0.95 * 0.05 / times)
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 1e-3


def test_pairs_without_spread_have_no_interval():
    same = paired_difference([1.1, 2.1, 3.1], [1.0, 2.0, 3.0], rng=generator())
    assert same.estimate == pytest.approx(0.1)
    assert math.isnan(same.low)
    assert same.reason == "the same difference in all 3 pairs"
    assert paired_difference([1.0], [0.5], rng=generator()).reason == "one pair only"
    with pytest.raises(ValueError, match="in pairs"):
        paired_difference([1.0, 2.0], [1.0], rng=generator())
