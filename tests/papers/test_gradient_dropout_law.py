"""The law of gradient dropout, statement by statement: time dilation of the mean, and what the coins add to it.

Each statement is checked by a simulation of the masked steps themselves, or by the mean over all masks.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.ensembles.ensemble import train_ensemble
from neurogames.bridge.feedback.fluctuation import (
    best_keep_prob,
    expected_loss_change,
    stationary_covariance,
    stationary_variance,
)
from neurogames.bridge.feedback.law import feedback_factors

COPIES, CURVATURE, RATE = 4000, 1.0, 0.1


def spread_of_sgd(keep: float, *, rescale: bool = False, rate: float = RATE, steps: int = 400) -> float:
    """Variance of many copies of one parameter with a quadratic loss and gradient noise 1, over the last steps."""
    rng = np.random.default_rng(0)
    x, seen = np.zeros(COPIES), []
    for step in range(steps):
        masks = (rng.random(COPIES) < keep) / (keep if rescale else 1.0)
        x = x - rate * masks * (CURVATURE * x + rng.standard_normal(COPIES))
        if step >= steps // 2:
            seen.append((x**2).mean())
    return float(np.mean(seen))


@pytest.mark.parametrize("keep", [1.0, 0.5, 0.2])
def test_3_1_stationary_variance_of_sgd_does_not_depend_on_keep(keep):
    predicted = stationary_variance(CURVATURE, 1.0, learning_rate=RATE, keep_prob=keep)
    assert predicted == stationary_variance(CURVATURE, 1.0, learning_rate=RATE)
    assert spread_of_sgd(keep) == pytest.approx(predicted, rel=0.03)


def test_3_1_learning_rate_times_keep_cools_and_rescaled_masks_heat():
    reduced = stationary_variance(CURVATURE, 1.0, learning_rate=0.2 * RATE)
    rescaled = stationary_variance(CURVATURE, 1.0, learning_rate=RATE, keep_prob=0.2, rescale=True)
    assert spread_of_sgd(1.0, rate=0.2 * RATE, steps=1000) == pytest.approx(reduced, rel=0.03)
    assert spread_of_sgd(0.2, rescale=True) == pytest.approx(rescaled, rel=0.03)
    assert reduced < stationary_variance(CURVATURE, 1.0, learning_rate=RATE) < rescaled


def spreads_of_adam(keeps: list[float], *, rate: float, rescale: bool = False) -> list[float]:
    """As ``spread_of_sgd``, by torch's own Adam, for several keep probabilities side by side."""
    rng = torch.Generator().manual_seed(0)
    x = torch.zeros(len(keeps), 1000, requires_grad=True, dtype=torch.float64)
    optimizer = torch.optim.Adam([x], lr=rate)
    keep = torch.tensor(keeps, dtype=torch.float64)[:, None]
    seen = []
    for step in range(1500):
        noise, uniform = torch.randn(x.shape, generator=rng).double(), torch.rand(x.shape, generator=rng)
        x.grad = (uniform < keep) * (CURVATURE * x.detach() + noise) / (keep if rescale else 1.0)
        optimizer.step()
        if step >= 500:
            seen.append(x.detach().square().mean(dim=1))
    return torch.stack(seen).mean(dim=0).tolist()


def test_3_2_stationary_variance_of_adam_grows_as_one_over_root_keep():
    keeps = [1.0, 0.5, 0.25, 0.1]
    spreads = spreads_of_adam(keeps, rate=0.01)
    assert spreads[0] == pytest.approx(stationary_variance(1.0, 1.0, learning_rate=0.01, optimizer="adam"), rel=0.1)
    assert [spread / spreads[0] for spread in spreads] == pytest.approx([keep**-0.5 for keep in keeps], rel=0.1)
    assert spreads_of_adam(keeps, rate=0.01, rescale=True) == pytest.approx(spreads, rel=1e-5)


def test_3_3_the_masks_own_noise_vanishes_with_the_mean_gradient():
    """Without minibatch noise every copy comes to rest in the minimum, whatever the coins."""
    rng = np.random.default_rng(0)
    x = np.ones(100)
    for _ in range(2000):
        x = x - RATE * (rng.random(100) < 0.2) * x
    assert np.abs(x).max() < 1e-10


def two_layer_linear_net(keep: float, strength: float = 1.0, steps: int = 40_000, rate: float = 1e-3):
    """W1, W2 and the strength learnt so far of the mean flow of a two-layer linear net on whitened inputs."""
    rng = np.random.default_rng(0)
    first, second = 1e-3 * rng.standard_normal((6, 3)), 1e-3 * rng.standard_normal((2, 6))
    wanted = np.zeros((2, 3))
    wanted[0, 0] = strength
    balances, learnt = [], []
    for _ in range(steps):
        error = second @ first - wanted
        balances.append(second.T @ second - first @ first.T / keep)
        learnt.append((second @ first)[0, 0])
        first, second = first - rate * keep * second.T @ error, second - rate * error @ first.T
    return first, second, np.array(balances), np.array(learnt)


@pytest.mark.parametrize("keep", [0.5, 0.2, 0.1])
def test_3_4_the_balance_of_a_linear_net_is_conserved_and_its_layers_end_in_the_ratio_keep(keep):
    first, second, balances, _ = two_layer_linear_net(keep)
    assert np.abs(balances - balances[0]).max() < 2e-3 * np.abs(second).max() ** 2
    assert (first**2).sum() / (second**2).sum() == pytest.approx(keep, rel=0.01)


def test_3_4_modes_of_a_linear_net_learn_at_twice_the_root_of_keep():
    """The logistic course u(t) = s / (1 + (s/u0 - 1) exp(-2 sqrt(keep) s t)): half times stand as 1 / sqrt(keep)."""
    rate = 1e-3
    for keep in (1.0, 0.2):
        *_, learnt = two_layer_linear_net(keep, rate=rate)
        early = int(np.argmax(learnt > 0.01))
        half = int(np.argmax(learnt > 0.5))
        predicted = np.log(1 / learnt[early] - 1) / (2 * np.sqrt(keep))
        assert (half - early) * rate == pytest.approx(predicted, rel=0.01)


def one_step_mean(gradient, hessian, rate, keep, blocks) -> float:
    """Mean over all masks of the change of the quadratic loss, by listing them."""
    coins, total = sorted(set(blocks) - {-1}), 0.0
    for values in itertools.product([0.0, 1.0], repeat=len(coins)):
        weight = np.prod([keep if value else 1 - keep for value in values])
        mask = np.array([1.0 if block == -1 else values[coins.index(block)] for block in blocks])
        step = -rate * mask * gradient
        total += weight * (gradient @ step + step @ hessian @ step / 2)
    return total


@pytest.mark.parametrize("blocks", [[0, 1, 2, 3, 4], [0, 0, 1, 1, 2], [0, 0, 3, -1, -1]])
def test_3_5_one_step_is_the_mean_over_all_masks_and_its_best_keep_the_best_of_a_grid(blocks):
    rng = np.random.default_rng(0)
    gradient, root = rng.standard_normal(5), rng.standard_normal((5, 5))
    for hessian in (root @ root.T, root + root.T, np.ones((5, 5)) + np.eye(5)):
        for rate in (0.01, 0.1, 0.5, 3.0):
            grid = np.linspace(0, 1, 201)
            settings = {"learning_rate": rate, "blocks": blocks}
            changes = [expected_loss_change(gradient, hessian, keep_prob=keep, **settings) for keep in grid]
            assert changes[60] == pytest.approx(one_step_mean(gradient, hessian, rate, grid[60], blocks), rel=1e-9)
            assert best_keep_prob(gradient, hessian, **settings) == pytest.approx(grid[np.argmin(changes)], abs=0.0026)


def test_3_5_the_best_keep_of_equal_units_is_the_formulas():
    """p* = (|g|^2/e - S/2) / (g'Hg - S), and masks help only where the step is large."""
    gradient, hessian, blocks = np.ones(4), np.ones((4, 4)), [0, 1, 2, 3]
    for rate in (0.3, 0.5, 0.8):
        formula = (4 / rate - 4 / 2) / (16 - 4)
        best = best_keep_prob(gradient, hessian, learning_rate=rate, blocks=blocks)
        assert best == pytest.approx(min(1.0, formula))
    assert best_keep_prob(gradient, hessian, learning_rate=0.01, blocks=blocks) == 1.0


def test_3_6_the_law_of_the_parameters_under_sgd_solves_the_lyapunov_equation():
    rng = np.random.default_rng(0)
    root, noise_root = rng.standard_normal((2, 4, 4))
    hessian, noise = root @ root.T + np.eye(4), noise_root @ noise_root.T
    found = stationary_covariance(hessian, noise, learning_rate=0.05)
    left = hessian @ found + found @ hessian - 0.05 * hessian @ found @ hessian
    np.testing.assert_allclose(left, 0.05 * noise, atol=1e-12)
    shared = stationary_covariance(hessian, noise, learning_rate=0.05, keep_prob=0.2)
    np.testing.assert_allclose(shared, found, atol=1e-12)


def test_3_6_the_law_of_masked_blocks_is_that_of_the_simulated_steps():
    """A step's second moment, vectorised: the slow twin of the iteration; and the steps themselves."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    hessian, noise_root, rate, keep = root @ root.T + np.eye(3), rng.standard_normal((3, 3)), 0.1, 0.3
    noise = noise_root @ noise_root.T
    blocks = np.array([0, 1, -1])
    found = stationary_covariance(hessian, noise, learning_rate=rate, keep_prob=keep, blocks=blocks)
    square, source = np.zeros((9, 9)), np.zeros((3, 3))
    for values in itertools.product([0.0, 1.0], repeat=2):
        weight = np.prod([keep if value else 1 - keep for value in values])
        mask = np.diag([*values, 1.0])
        step = np.eye(3) - rate * mask @ hessian
        square += weight * np.kron(step, step)
        source += weight * rate**2 * mask @ noise @ mask
    exact = np.linalg.solve(np.eye(9) - square, source.ravel()).reshape(3, 3)
    np.testing.assert_allclose(found, exact, rtol=1e-9)
    x, seen = np.zeros((4000, 3)), []
    for step in range(400):
        masks = np.where(blocks < 0, 1.0, rng.random((len(x), 3)) < keep)
        x = x - rate * masks * (x @ hessian + rng.standard_normal(x.shape) @ noise_root.T)
        if step >= 200:
            seen.append(x.T @ x / len(x))
    np.testing.assert_allclose(np.mean(seen, axis=0), exact, atol=0.04 * exact.max())


def test_3_6_a_step_too_large_has_no_law():
    with pytest.raises(ValueError, match="learning_rate: got 3"):
        stationary_covariance(np.eye(2), np.eye(2), learning_rate=3.0)
    with pytest.raises(ValueError, match="learning_rate: got 0.5, expected a rate below 0.4"):
        stationary_variance(1.0, 1.0, learning_rate=0.5, keep_prob=0.2, rescale=True)


def masked_gradients(model, inputs, targets, masks):
    """Gradients with a given mask on each hidden layer of a chain Linear, activation, ..., Linear."""
    values, masks = inputs, iter(masks)
    for position, module in enumerate(model):
        values = module(values)
        if isinstance(module, nn.Linear) and position < len(model) - 1:
            values.register_hook(next(masks).mul)
    loss = (values - targets).square().mean()
    return torch.autograd.grad(loss, list(model.parameters()))


def chain():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).double()
    inputs = torch.randn(7, 3, dtype=torch.float64)
    return model, inputs, inputs.prod(dim=1, keepdim=True)


def test_1_the_mean_over_all_masks_has_the_factors_of_sgd_layer_by_layer():
    model, inputs, targets = chain()
    keep, mean = 0.3, None
    plain = masked_gradients(model, inputs, targets, [torch.ones(3).double(), torch.ones(2).double()])
    for coins in itertools.product([0.0, 1.0], repeat=5):
        weight = float(np.prod([keep if coin else 1 - keep for coin in coins]))
        one = masked_gradients(model, inputs, targets, torch.tensor(coins).double().split([3, 2]))
        mean = [weight * g for g in one] if mean is None else [m + weight * g for m, g in zip(mean, one, strict=True)]
    factors = feedback_factors(model, keep, optimizer="sgd")
    for k, (averaged, gradient) in enumerate(zip(mean, plain, strict=True)):
        torch.testing.assert_close(averaged, factors[k // 2] * gradient, rtol=1e-10, atol=1e-14)


def test_1_the_second_moment_has_adams_factor_in_the_last_hidden_layer_and_more_below():
    model, inputs, targets = chain()
    keep, second = 0.3, None
    plain = masked_gradients(model, inputs, targets, [torch.ones(3).double(), torch.ones(2).double()])
    for coins in itertools.product([0.0, 1.0], repeat=5):
        weight = float(np.prod([keep if coin else 1 - keep for coin in coins]))
        one = masked_gradients(model, inputs, targets, torch.tensor(coins).double().split([3, 2]))
        one = [weight * g.square() for g in one]
        second = one if second is None else [s + g for s, g in zip(second, one, strict=True)]
    lower, upper, output = feedback_factors(model, keep, optimizer="adam")
    torch.testing.assert_close(second[2], (keep / upper) ** 2 * plain[2].square(), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(second[4], plain[4].square() / output, rtol=1e-10, atol=1e-14)
    assert (second[0] - (keep**2 / lower) ** 2 * plain[0].square()).abs().max() > 0.1 * second[0].max()


def planted_table(rows: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs[:, :1] * inputs[:, 1:2] + inputs[:, 2:3]).tanh()


@pytest.mark.parametrize("keep", [0.5, 0.2])
def test_1_measured_rates_of_the_layers_of_relu_networks_are_the_laws(keep):
    """How far masked networks move along the path of the same networks without masks, in a few small steps."""
    inputs, targets = planted_table()
    snapshots = []
    common = {"seeds": range(3000), "hidden": (12, 12), "optimizer": "sgd", "learning_rate": 5e-4, "epochs": 4}
    for probability in (keep, 1.0):
        train_ensemble(
            inputs, targets, keep_prob=probability, record_at=[0, 1],
            on_record=lambda _, networks: snapshots.append(networks), **common,
        )  # fmt: skip
    start, masked, _, plain = (networks.weights for networks in snapshots)
    for factor, a, b, c in zip(feedback_factors(2, keep, optimizer="sgd"), start, masked, plain, strict=True):
        along = ((b - a) * (c - a)).sum() / (c - a).square().sum()
        assert along.item() == pytest.approx(factor, rel=0.03)


def test_2_what_is_left_beside_the_law_falls_as_the_root_of_the_step():
    """Root mean square difference of predictions to the twin over a decade of learning rates, at equal time."""
    inputs, targets = planted_table()
    rates = [0.1, 0.0316, 0.01]
    left = []
    for rate in rates:
        trained = train_ensemble(
            inputs, targets, seeds=[*range(16)] * 2, feedback=["dropout"] * 16 + ["mean"] * 16, keep_prob=0.3,
            hidden=(16, 16), optimizer="sgd", learning_rate=rate, epochs=1.0 / rate,
        )  # fmt: skip
        masked, twin = trained.ensemble(inputs).split(16)
        left.append((masked - twin).square().mean().sqrt().item())
    assert np.polyfit(np.log(rates), np.log(left), 1)[0] == pytest.approx(0.5, abs=0.1)
