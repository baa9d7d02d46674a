"""The compiled generator against plain Python integers, and its binomials against their law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from neurogames.engine.population import generator

MASK = 2**64 - 1


def words(state):
    """Words as compiled code takes them; it hands them back as Python integers."""
    return tuple(np.uint64(word) for word in state)


def python_draw(state):
    """xoshiro256++ as its authors define it, on Python integers."""

    def rotate(x, k):
        return ((x << k) | (x >> (64 - k))) & MASK

    s = list(state)
    bits = (rotate((s[0] + s[3]) & MASK, 23) + s[0]) & MASK
    shifted = (s[1] << 17) & MASK
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = rotate(s[3], 45)
    return bits, tuple(s)


def test_draws_are_those_of_xoshiro():
    twin = (1, 2, 3, 2**63 + 5)
    state = twin
    for _ in range(200):
        bits, state = generator.draw(words(state))
        expected, twin = python_draw(twin)
        assert int(bits) == expected
    assert state == twin


@pytest.mark.parametrize("trials", [0, 1, 20, 63, 64, 65, 1000])
@pytest.mark.parametrize("chance", [0.0, 1e-3, 0.3, 0.5, 0.999, 1.0])
def test_successes_are_binomial(trials, chance):
    threshold = generator.thresholds(np.log(np.array([max(chance, 1e-300)])))[0]
    state = tuple(generator.states(1, np.random.default_rng(2))[0])
    seen = np.empty(3000, dtype=int)
    for i in range(seen.size):
        seen[i], state = generator.successes(trials, threshold, words(state))
    law = stats.binom(trials, chance)
    assert seen.min() >= 0
    assert seen.max() <= trials
    if chance in (0.0, 1.0):
        assert (seen == trials * chance).all()
        return
    spread = np.sqrt(max(law.var(), 1e-9) / seen.size)
    assert abs(seen.mean() - law.mean()) < 5 * spread + 1e-12
    if law.var() > 1:
        assert abs(seen.var() / law.var() - 1) < 6 * np.sqrt((2 + law.stats("k")) / seen.size)


def test_thresholds_are_probabilities_to_sixty_four_bits():
    chance = np.array([2.0**-64, 2.0**-65, 0.25, 1 - 2.0**-53])
    assert generator.thresholds(np.log(chance))[0] in (0, 1)
    assert generator.thresholds(np.log(chance))[1] == 0
    np.testing.assert_allclose(generator.thresholds(np.log(chance))[2:] / 2.0**64, chance[2:], rtol=1e-15)
    assert generator.thresholds(np.array([-np.inf, 0.0])).tolist() == [0, MASK]


@pytest.mark.parametrize("size", [1, 2, 10, 10**7, 2**31 - 1])
def test_numbers_below_a_size_are_the_words_of_a_product(size):
    twin = (1, 2, 3, 2**63 + 5)
    for _ in range(100):
        bits, twin = python_draw(twin)
        number, rest = generator.split(np.uint64(bits), size)
        assert (int(number), int(rest)) == divmod(bits * size, 2**64)
