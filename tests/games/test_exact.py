"""Which rational number a float stands for, and arrays of which differences can be taken."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.games.exact import common_integers, comparable, rational


@given(st.integers(-(10**6), 10**6), st.integers(0, 6))
def test_what_was_typed_in_decimals_is_meant(digits, places):
    assert rational(float(f"{digits}e-{places}")) == Fraction(digits, 10**places)


@given(st.integers(-50, 50), st.integers(1, 97))
def test_ratios_of_small_numbers_are_meant(above, below):
    assert rational(above / below) == Fraction(above, below)


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_what_is_meant_is_the_float_again(number):
    assert float(rational(number)) == pytest.approx(number, rel=1e-15, abs=1e-300)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_lower_precision_has_its_own_digits(kind):
    assert rational(kind(0.1)) == Fraction(1, 10)


@given(st.lists(st.fractions(max_denominator=60), min_size=1, max_size=6))
def test_common_integers_have_the_least_unit(values):
    multiples, unit = common_integers(values)
    assert [Fraction(k, unit) for k in multiples] == values
    assert all(any((value * unit / p).denominator > 1 for value in values) for p in (2, 3, 5, 7) if unit % p == 0)


def test_a_level_far_above_the_differences_is_taken_off():
    """Of up to 100 values always, of up to 2,000 only where the level is the greater part."""
    steps = np.arange(150) / 10
    shifted = comparable(1e8 + steps)
    np.testing.assert_array_equal(shifted, [float(Fraction(k - 75, 10)) for k in range(150)])
    np.testing.assert_array_equal(comparable(1e8 + steps[:90]), [float(Fraction(k - 45, 10)) for k in range(90)])
    many = 1e8 + np.arange(2001) / 10
    assert comparable(many) is many


def test_many_values_around_zero_keep_their_level():
    """The least gap shows rounding, but differences of the middle half are greater than the middle value."""
    values = np.sort(np.concatenate([np.linspace(-9, 11, 148), [3.0, 3.0 + 1e-7]]))
    assert np.spacing(values[75]) > 1e-10 * np.diff(values).min()
    np.testing.assert_array_equal(comparable(values), values)


def test_ties_are_joined_whatever_else_there_is():
    values = np.concatenate([np.linspace(-10, 10, 3000), [0.3, 0.1 + 0.2]])
    found = comparable(values)
    assert found[-1] == found[-2] == 0.3
    np.testing.assert_array_equal(found[:3000], values[:3000])


def test_one_value_and_clean_values_are_returned_as_they_are():
    for values in (np.full(5, 0.1), np.array([0.0, 0.5, 1.0])):
        assert comparable(values) is values
