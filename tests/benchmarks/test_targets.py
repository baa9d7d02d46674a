"""Stable noise against scipy's sampler."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from neurogames.bridge.feedback.target_noise import StableNoise, sample_noise
from tests.benchmarks.timing import medians


@pytest.mark.benchmark
@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 0.0), (1.5, 0.5), (1.0, 0.0), (1.0, 0.5), (1.8, 0.0)])
def test_stable_noise(alpha, beta):
    torch.set_num_threads(1)
    count, noise = 10**6, StableNoise(alpha, beta, factor=1.0)
    rng, reference = torch.Generator().manual_seed(0), np.random.default_rng(0)
    print(f"\nstable noise, alpha {alpha}, beta {beta}, {count} draws, one thread")
    medians(
        {
            "scipy levy_stable.rvs": lambda: scipy.stats.levy_stable.rvs(
                alpha, beta, size=count, random_state=reference
            ),
            "StableNoise, 32 bits": lambda: sample_noise(noise, (count,), deviation=1.0, rng=rng),
            "StableNoise, 64 bits": lambda: sample_noise(noise, (count,), deviation=1.0, rng=rng, dtype=torch.float64),
        },
        repeats=7,
    )
    assert sample_noise(noise, (count,), deviation=1.0, rng=rng).isfinite().all()
