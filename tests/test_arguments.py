"""Every error names the argument, what came, and what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames._arguments import finite_array, integer, number, probability


@pytest.mark.parametrize("value", [None, "a", np.nan, np.inf, True, np.bool_(True), [1.0, 2.0]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="cost: got .*expected a finite number"):
        number("cost", value)


@pytest.mark.parametrize("value", [0.0, -0.1, 1.0000001])
def test_probabilities_to_keep_lie_above_zero_and_up_to_one(value):
    with pytest.raises(ValueError, match=r"keep_prob: got .*expected a probability in \(0, 1\]"):
        probability("keep_prob", value)


@pytest.mark.parametrize("value", [1, 2.0, True, "3", 11])
def test_whole_numbers_are_neither_floats_nor_truths(value):
    with pytest.raises(ValueError, match=r"expected an integer in \[2, 10\]"):
        integer("n", value, minimum=2, maximum=10)


def test_accepted_values_come_back_plain():
    assert integer("n", np.int64(3), minimum=2) == 3
    assert type(number("c", np.float32(0.5))) is float
    assert not finite_array("gain", [1.0], ndim=1).flags.writeable
