"""What the coins of gradient dropout do near a minimum, against the mean over all masks, written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from neurogames.bridge.feedback.fluctuation import (
    best_keep_prob,
    expected_loss_change,
    stationary_covariance,
    stationary_variance,
)

HESSIAN = np.array([[2.0, 0.5, -0.3], [0.5, 1.2, 0.4], [-0.3, 0.4, 0.8]])
NOISE = np.array([[1.0, 0.2, 0.1], [0.2, 0.7, -0.3], [0.1, -0.3, 0.5]])
SLOPE = np.array([1.0, -0.5, 2.0])


def masks(keep, blocks):
    """All masks of the parameters, with their probabilities."""
    coins = sorted({block for block in blocks if block >= 0})
    for heads in itertools.product((0.0, 1.0), repeat=len(coins)):
        mask = np.array([1.0 if block < 0 else heads[coins.index(block)] for block in blocks])
        yield mask, math.prod(keep if head else 1.0 - keep for head in heads)


class Products:
    """A matrix of which only products can be asked."""

    def __init__(self, matrix):
        self._matrix = matrix

    def __matmul__(self, columns):
        return self._matrix @ columns


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("keep", [0.3, 1.0])
def test_the_variance_is_the_fixed_point_of_the_mean_square_of_a_step(keep, rescale):
    h, noise, rate, scale = 1.7, 0.6, 0.13, 1.0 / keep if rescale else 1.0
    shrink = 1.0 - keep + keep * (1.0 - rate * scale * h) ** 2
    expected = keep * (rate * scale) ** 2 * noise / (1.0 - shrink)
    found = stationary_variance(h, noise, learning_rate=rate, keep_prob=keep, rescale=rescale)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_variance_under_adam_grows_with_the_root_of_the_noise_and_of_the_steps_that_are_lost():
    """Normal steps (h x / sqrt(p) and xi / sqrt(p), both by s): drift e sqrt(p) h / s, diffusion e^2."""
    h, noise, rate, keep = 1.7, 0.6, 1e-3, 0.3
    drift = rate * math.sqrt(keep) * h / math.sqrt(noise)
    found = stationary_variance(h, noise, learning_rate=rate, keep_prob=keep, optimizer="adam")
    assert found == pytest.approx(rate**2 / (2 * drift), rel=1e-12)


def test_a_rate_at_which_the_variance_is_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"^learning_rate: got 0.5, expected a rate below 0.5"):
        stationary_variance(4.0, 1.0, learning_rate=0.5)
    assert stationary_variance(4.0, 0.0, learning_rate=0.499) == 0.0
    with pytest.raises(ValueError, match=r"^learning_rate: got 0.25, expected a rate below 0.125"):
        stationary_variance(4.0, 1.0, learning_rate=0.25, keep_prob=0.25, rescale=True)
    with pytest.raises(ValueError, match="^learning_rate: got 2.0, expected a rate at which the covariance"):
        stationary_covariance(HESSIAN, NOISE, learning_rate=2.0)
    for wrong in ({"curvature": 0.0}, {"noise_variance": -0.1}, {"learning_rate": 0.0}, {"keep_prob": 0.0}):
        name = next(iter(wrong))
        with pytest.raises(ValueError, match=f"^{name}: got"):
            stationary_variance(**{"curvature": 1.0, "noise_variance": 1.0, "learning_rate": 0.1, **wrong})


@pytest.mark.parametrize("blocks", [[0, 1, 2], [0, 0, -1], [5, 2, 5], [-1, -1, -1]])
def test_the_covariance_is_what_a_step_leaves_as_it_is_on_average(blocks):
    rate, keep = 0.2, 0.4
    found = stationary_covariance(HESSIAN, NOISE, learning_rate=rate, keep_prob=keep, blocks=blocks)
    after = np.zeros_like(found)
    for mask, weight in masks(keep, blocks):
        step = np.eye(3) - rate * mask[:, None] * HESSIAN
        after += weight * (step @ found @ step.T + rate**2 * np.outer(mask, mask) * NOISE)
    np.testing.assert_allclose(after, found, rtol=1e-11, atol=1e-13)
    assert np.linalg.eigvalsh(found)[0] > 0


def test_without_blocks_all_share_one_coin_which_changes_nothing():
    plain = stationary_covariance(HESSIAN, NOISE, learning_rate=0.2)
    np.testing.assert_allclose(stationary_covariance(HESSIAN, NOISE, learning_rate=0.2, keep_prob=0.4), plain)
    np.testing.assert_allclose(
        HESSIAN @ plain + plain @ HESSIAN - 0.2 * HESSIAN @ plain @ HESSIAN, 0.2 * NOISE, atol=1e-12
    )


@pytest.mark.parametrize("hessian", [HESSIAN, HESSIAN.tolist(), Products(HESSIAN)], ids=["array", "list", "products"])
@pytest.mark.parametrize("blocks", [[0, 1, 2], [0, 0, -1], [5, 2, 5], [-1, -1, -1]])
def test_the_mean_change_of_the_loss_is_the_mean_over_all_masks(blocks, hessian):
    for rate, keep in itertools.product((0.1, 0.9), (0.0, 0.4, 1.0)):
        expected = sum(
            weight * (-rate * SLOPE @ (mask * SLOPE) + rate**2 / 2 * (mask * SLOPE) @ HESSIAN @ (mask * SLOPE))
            for mask, weight in masks(keep, blocks)
        )
        found = expected_loss_change(SLOPE, hessian, learning_rate=rate, keep_prob=keep, blocks=blocks)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("rate", [0.1, 0.7, 1.0, 1.6, 5.0])
@pytest.mark.parametrize("blocks", [[0, 1, 2], [0, 0, -1], [-1, -1, -1]])
def test_no_keep_probability_is_better_than_the_best(blocks, rate):
    slope = np.array([1.0, 1.0, 1.0])  # the units' steps add to each other's curvature
    best = best_keep_prob(slope, HESSIAN, learning_rate=rate, blocks=blocks)
    change = [
        expected_loss_change(slope, HESSIAN, learning_rate=rate, keep_prob=keep, blocks=blocks)
        for keep in (best, *np.linspace(0, 1, 201))
    ]
    assert change[0] <= min(change) + 1e-12
    if blocks[-1] == 2:  # all are masked: by the formula
        own = HESSIAN.diagonal().sum()
        expected = (3 / rate - own / 2) / (HESSIAN.sum() - own)
        assert best == pytest.approx(min(1.0, max(0.0, expected)), rel=1e-12)


def test_where_steps_do_not_add_up_the_best_keep_probability_is_an_end():
    """With g' H g <= sum_j g_j' H g_j the mean change is concave in p, so that it is least at 0 or 1."""
    against = np.array([[1.0, -0.9], [-0.9, 1.0]])
    for rate, best in ((0.5, 1.0), (9.9, 1.0), (30.0, 0.0)):
        assert best_keep_prob([1.0, 1.0], against, learning_rate=rate, blocks=[0, 1]) == best
    assert best_keep_prob([1.0, 1.0], against, learning_rate=30.0, blocks=[-1, -1]) == 1.0  # no mask, no difference


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"hessian": [[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}, "hessian"),
        ({"hessian": np.eye(2)}, "hessian"),
        ({"hessian": "flat"}, "hessian"),
        ({"gradient": [[1.0, 2.0, 3.0]]}, "gradient"),
        ({"blocks": [0, 1]}, "blocks"),
        ({"blocks": [0, 1, -2]}, "blocks"),
        ({"blocks": [0.0, 1.0, 2.0]}, "blocks"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"keep_prob": 1.1}, "keep_prob"),
    ],
)
def test_what_is_no_quadratic_loss_with_blocks_is_refused(changed, name):
    given = {"gradient": SLOPE, "hessian": HESSIAN, "learning_rate": 0.1, "keep_prob": 0.5, "blocks": [0, 1, 2]}
    with pytest.raises(ValueError, match=f"^{name}: got"):
        expected_loss_change(**{**given, **changed})


@pytest.mark.parametrize(
    ("hessian", "noise", "name"),
    [
        (np.diag([1.0, 0.0]), np.eye(2), "hessian"),
        (np.eye(2), np.eye(3), "noise_covariance"),
        (np.eye(2), np.array([[1.0, 0.5], [0.0, 1.0]]), "noise_covariance"),
    ],
)
def test_matrices_of_which_there_is_no_covariance_are_refused(hessian, noise, name):
    with pytest.raises(ValueError, match=f"^{name}: got"):
        stationary_covariance(hessian, noise, learning_rate=0.1)
