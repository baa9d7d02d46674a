"""Target noises: their laws against scipy's, the formula against many digits, and finiteness everywhere."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch

from neurogames.bridge.feedback.target_noise import GaussianNoise, NoNoise, StableNoise, UniformNoise, sample_noise

EVERY = [NoNoise(), UniformNoise(), GaussianNoise(), StableNoise(1.5), StableNoise(0.8, 1.0), StableNoise(1.0, -0.5)]
PAIRS = [
    (2.0, 0.0),
    (2.0, 0.7),
    (1.75, 0.0),
    (1.5, 0.5),
    (1.2, -1.0),
    (1.01, 0.5),
    (1.0, 0.0),
    (1.0, 0.5),
    (1.0, -1.0),
    (0.99, 1.0),
    (0.7, -0.3),
    (0.5, 1.0),
    (0.3, 0.0),
]


def draws(noise, count=20_000, dtype=torch.float32, seed=0):
    """Unit draws as a float64 array."""
    rng = torch.Generator().manual_seed(seed)
    first, second = torch.rand((2, count), generator=rng, dtype=dtype)
    return noise.transform(first, second).double().numpy()


def chambers_mallows_stuck(alpha, beta, first, second):
    """The published formula with 40 digits."""
    with mpmath.workdps(40):
        angle, exponential = mpmath.pi * (mpmath.mpf(first) - 0.5), -mpmath.log(second)
        if alpha == 1:
            half = mpmath.pi / 2
            skew = half + beta * angle
            inner = half * exponential * mpmath.cos(angle) / skew
            return float((skew * mpmath.tan(angle) - beta * mpmath.log(inner)) / half)
        tilt = beta * mpmath.tan(mpmath.pi * alpha / 2)
        shift, size = mpmath.atan(tilt) / alpha, (1 + tilt**2) ** (1 / (2 * mpmath.mpf(alpha)))
        bent = alpha * (angle + shift)
        ratio = mpmath.cos(angle - bent) / exponential
        tail = mpmath.cos(angle) ** (1 / mpmath.mpf(alpha))
        return float(size * mpmath.sin(bent) / tail * ratio ** ((1 - alpha) / mpmath.mpf(alpha)))


@pytest.mark.parametrize(("alpha", "beta"), PAIRS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_transform_equals_the_published_formula_with_many_digits(alpha, beta, dtype):
    rng = torch.Generator().manual_seed(1)
    first, second = torch.rand((2, 200), generator=rng, dtype=dtype)
    found = StableNoise(alpha, beta).transform(first, second).double().numpy()
    exact = np.array(
        [chambers_mallows_stuck(alpha, beta, u, w) for u, w in zip(first.tolist(), second.tolist(), strict=True)]
    )
    # S1 adds beta tan(pi alpha / 2): what is lost to that sum cannot be had back.
    shift = 1 if alpha == 1 else 1 + abs(beta * math.tan(math.pi * alpha / 2))
    error = np.abs(found - exact) / (shift + np.abs(exact))
    assert error.max() < 400 * torch.finfo(dtype).eps / min(alpha, 1)


@pytest.mark.parametrize(("alpha", "beta"), PAIRS)
def test_stable_law_is_that_of_scipy(alpha, beta):
    reference = scipy.stats.levy_stable.rvs(alpha, beta, size=20_000, random_state=5)
    assert scipy.stats.ks_2samp(draws(StableNoise(alpha, beta)), reference).pvalue > 1e-3


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 0.5), (1.2, -1.0), (1.0, 0.5), (0.7, -0.3)])
def test_stable_quantiles_are_those_of_the_distribution_function(alpha, beta):
    values = draws(StableNoise(alpha, beta))
    for part in (0.02, 0.25, 0.5, 0.75, 0.98):
        below = scipy.stats.levy_stable.cdf(np.quantile(values, part), alpha, beta)
        assert abs(below - part) < 4.5 * math.sqrt(part * (1 - part) / len(values))


def test_special_cases_are_normal_cauchy_and_levy():
    assert scipy.stats.kstest(draws(StableNoise(2.0)), scipy.stats.norm(scale=math.sqrt(2)).cdf).pvalue > 1e-3
    assert scipy.stats.kstest(draws(StableNoise(1.0)), scipy.stats.cauchy.cdf).pvalue > 1e-3
    assert scipy.stats.kstest(draws(StableNoise(0.5, 1.0)), scipy.stats.levy.cdf).pvalue > 1e-3
    assert scipy.stats.kstest(draws(GaussianNoise()), scipy.stats.norm.cdf).pvalue > 1e-3
    assert scipy.stats.kstest(draws(UniformNoise()), scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_stable_noise_with_alpha_two_is_gaussian_noise_times_root_two():
    stable, normal = (draws(noise, dtype=torch.float64) for noise in (StableNoise(2.0), GaussianNoise()))
    np.testing.assert_allclose(stable, math.sqrt(2) * normal, rtol=1e-9, atol=1e-12)


def test_beta_turns_round_with_the_sign():
    first, second = torch.rand((2, 1000), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for alpha in (0.6, 1.0, 1.4):
        left = StableNoise(alpha, -0.8).transform(1 - first, second)
        torch.testing.assert_close(left, -StableNoise(alpha, 0.8).transform(first, second), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 0.5, 1 - 1e-6, 1.0, 1 + 1e-6, 1.5, 2 - 1e-9, 2.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_draws_are_finite_at_the_ends_of_the_unit_interval(alpha, dtype):
    ends = torch.tensor([0, 1e-30, 1e-8, 1e-3, 0.5, 1 - 1e-3, 1 - 6e-8, 1], dtype=dtype)
    first, second = torch.meshgrid(ends, ends, indexing="ij")
    for beta in (-1.0, -0.5, 0.0, 0.5, 1.0):
        unit = StableNoise(alpha, beta).transform(first, second)
        assert unit.dtype == dtype
        assert unit.isfinite().all()
        if alpha < 1 and beta == 1:
            assert (unit >= 0).all()  # the law lives on the positive half-line


@pytest.mark.parametrize("noise", EVERY, ids=str)
def test_every_noise_is_elementwise_and_leaves_its_input_alone(noise):
    first, second = torch.rand((2, 3, 4, 5), generator=torch.Generator().manual_seed(3))
    before = first.clone(), second.clone()
    unit = noise.transform(first, second)
    assert unit.shape == first.shape
    assert torch.equal(first, before[0])
    assert torch.equal(second, before[1])
    torch.testing.assert_close(unit[1, 2], noise.transform(first[1, 2], second[1, 2]))


@pytest.mark.parametrize("noise", EVERY, ids=str)
def test_samples_repeat_with_the_generator_and_scale_with_the_amplitude(noise):
    one, two = (
        sample_noise(noise, (50,), deviation=size, rng=torch.Generator().manual_seed(4), dtype=torch.float64)
        for size in (1.0, 3.0)
    )
    torch.testing.assert_close(3 * one, two)
    assert (
        sample_noise(noise, (2, 3), deviation=1.0, rng=torch.Generator(), dtype=torch.bfloat16).dtype == torch.bfloat16
    )


def test_huge_amplitudes_stay_finite():
    noise = StableNoise(0.2, factor=1e30)
    assert sample_noise(noise, (1000,), deviation=1e8, rng=torch.Generator().manual_seed(0)).isfinite().all()


def test_amplitude_follows_the_deviation_or_the_variance():
    assert UniformNoise().amplitude(2.0) == pytest.approx(0.06)
    assert StableNoise(1.5, scale="variance").amplitude(2.0) == pytest.approx(0.12)
    assert GaussianNoise(0.5, "variance").amplitude(3.0) == pytest.approx(4.5)
    assert NoNoise().amplitude(2.0) == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StableNoise(0.0), r"alpha: got 0.0, expected a stability in \(0, 2\]"),
        (lambda: StableNoise(2.1), "alpha: got 2.1"),
        (lambda: StableNoise(math.nan), "alpha: got nan"),
        (lambda: StableNoise(1.5, 1.5), r"beta: got 1.5, expected a skewness in \[-1, 1\]"),
        (lambda: UniformNoise(-0.1), "factor: got -0.1"),
        (lambda: GaussianNoise(scale="sd"), "scale: got 'sd', expected 'std' or 'variance'"),
        (lambda: UniformNoise().amplitude(-1.0), "deviation: got -1.0"),
        (lambda: NoNoise().amplitude(math.inf), "deviation: got inf"),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
