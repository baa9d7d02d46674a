"""Wide numbers against exact fractions and mpmath."""

from __future__ import annotations

import mpmath as mp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.population import wide

logs = st.floats(-3000, 3000)
anything = logs | st.just(-np.inf)


def exact(m, e):
    return mp.ldexp(mp.mpf(float(m)), int(e) * 256) if m > 0 else mp.mpf(0)


@given(a=anything, b=anything)
def test_sums_and_products_are_exact_to_rounding_at_any_size(a, b):
    with mp.workdps(50):
        left, right = wide.of_log(a), wide.of_log(b)
        for result, expected in (
            (wide.add(*left, *right), exact(*left) + exact(*right)),
            (wide.multiply(*left, *right), exact(*left) * exact(*right)),
        ):
            assert abs(exact(*result) - expected) <= expected * mp.mpf(2) ** -52
            assert result[0] == 0.0 or 2.0**-128 <= result[0] < 2.0**128
            assert result[0] != 0.0 or result[1] == wide.ZERO


@given(a=anything, b=anything, c=anything)
def test_a_sum_with_a_product_is_exact_to_rounding(a, b, c):
    with mp.workdps(50):
        one, two, three = wide.of_log(a), wide.of_log(b), wide.of_log(c)
        result, expected = wide.add_product(*one, *two, *three), exact(*one) + exact(*two) * exact(*three)
        assert abs(exact(*result) - expected) <= expected * mp.mpf(2) ** -51
        assert result[0] == 0.0 or 2.0**-128 <= result[0] < 2.0**128


@given(a=st.floats(-200, 200), b=st.floats(-200, 200), c=st.floats(-200, 200))
def test_a_sum_with_a_product_of_like_size_is_exact_to_rounding(a, b, c):
    with mp.workdps(50):
        one, two, three = wide.of_log(a + b + 60.0 * np.sign(c)), wide.of_log(a), wide.of_log(b)
        result, expected = wide.add_product(*one, *two, *three), exact(*one) + exact(*two) * exact(*three)
        assert abs(exact(*result) - expected) <= expected * mp.mpf(2) ** -51


@given(a=anything, b=logs)
def test_quotients_are_exact_to_rounding(a, b):
    with mp.workdps(50):
        left, right = wide.of_log(a), wide.of_log(b)
        expected = exact(*left) / exact(*right)
        assert abs(exact(*wide.divide(*left, *right)) - expected) <= expected * mp.mpf(2) ** -52


@given(values=st.lists(anything, min_size=1, max_size=5))
def test_logarithms_go_there_and_back(values):
    array = np.array(values)
    np.testing.assert_allclose(wide.to_log(wide.from_log(array)), array, rtol=1e-15, atol=1e-15)
    for value in values:
        np.testing.assert_allclose(wide.log_of(*wide.of_log(value)), value, rtol=1e-15, atol=1e-15)
