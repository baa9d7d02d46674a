"""Long-run laws of chains with several classes that are never left, against linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from neurogames.engine.repeated.long_run import mean_law


@pytest.mark.parametrize("seed", range(6))
def test_classes_are_entered_with_their_chances(seed):
    """Five states that are left for good sooner or later, a class of two and a class of three."""
    rng = np.random.default_rng(seed)
    chain = np.zeros((10, 10))
    chain[:5] = rng.random((5, 10)) * (rng.random((5, 10)) < 0.7)
    chain[:5, [5, 7]] += 0.05
    chain[5:7, 5:7], chain[7:, 7:] = rng.random((2, 2)), rng.random((3, 3))
    chain /= chain.sum(axis=1, keepdims=True)
    visits = np.linalg.inv(np.eye(5) - chain[:5, :5])[0]
    entered = visits @ chain[:5, 5:]
    expected = np.zeros(10)
    for states, chance in ((slice(5, 7), entered[:2].sum()), (slice(7, 10), entered[2:].sum())):
        own = chain[states, states]
        system = np.vstack([own.T - np.eye(len(own)), np.ones(len(own))])
        expected[states] = chance * np.linalg.lstsq(system, np.eye(len(own) + 1)[-1], rcond=None)[0]
    np.testing.assert_allclose(mean_law(csr_array(chain)), expected, atol=1e-12)
