"""The curvature of single layers step by step, against averages and eigenbases in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurogames.bridge.curvature.layer_curvature import EKFACCurvature, KFACCurvature
from neurogames.bridge.dgnopt.layer_rules import (
    DiagonalCurvature,
    EKFACRule,
    IdentityRule,
    KFACRule,
    damped_factors,
)
from neurogames.bridge.dgnopt.rows import Rows

OUT, IN, ROWS, DAMPING = 4, 3, 6, 0.2


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch(seed, rows=ROWS, shared=2):
    """Inputs and slopes of a layer, row by row, and the slope of the mean cost."""
    a, g = draws(rows, shared, IN, seed=seed), draws(rows, shared, OUT, seed=seed + 100)
    return Rows(a, g.unsqueeze(0)), torch.einsum("rso,rsi->oi", g, a) / rows, a.numpy(), g.numpy()


def observed(rule, memory, steps, shared=2, **given):
    """Take some batches, and give what came out of the last."""
    for step in range(steps):
        rows, slope, _, _ = batch(step, shared=shared)
        taken = given.get("taken")
        out = rule.observe(memory, slope, rows, taken, damping=DAMPING, needed=given.get("needed", True))
    return (*out, rows, slope)


def matrix(metric):
    """The matrix (OUT IN, OUT IN) of a curvature."""
    units = torch.eye(OUT * IN, dtype=torch.float64).view(-1, OUT, IN)
    return torch.stack([metric.curve(unit).reshape(-1) for unit in units]).T.numpy()


def factors(rule, steps):
    """A and B, averages over all places: plain means of batches at first."""
    parts = []
    for step in range(steps):
        _, _, a, g = batch(step)
        flat_a, flat_g = a.reshape(-1, IN), g.reshape(-1, OUT)
        parts.append((flat_a.T @ flat_a / len(flat_a), flat_g.T @ flat_g / ROWS))
    return tuple(np.mean([part[k] for part in parts], axis=0) for k in range(2))


def test_the_identity_moves_n_players_n_times_as_far():
    rows, slope, _, _ = batch(0)
    found, seen = IdentityRule().observe({}, slope, rows, None, damping=DAMPING, needed=True)
    assert found is slope
    assert seen is rows
    for players in (1, 2, 3):
        metric = IdentityRule().metric({}, damping=DAMPING, players=players)
        np.testing.assert_allclose(matrix(metric), np.eye(OUT * IN) / players, rtol=1e-12)


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("slope_decay", [0.0, 0.9])
def test_the_diagonal_is_adam_or_rmsprop(correction, slope_decay):
    rule = DiagonalCurvature(decay=0.7, eps=0.01, slope_decay=slope_decay, bias_correction=correction)
    memory, square, mean = {}, 0.0, 0.0
    for step in range(1, 4):
        slope = draws(OUT, IN, seed=step)
        square = 0.7 * square + 0.3 * slope.numpy() ** 2
        mean = slope_decay * mean + (1 - slope_decay) * slope.numpy()
        found = rule.smooth(memory, slope)
        np.testing.assert_allclose(found, mean / (1 - slope_decay**step if correction else 1.0), rtol=1e-10)
        v = square / (1 - 0.7**step) if correction else square
        for players in (1, 3):
            metric = rule.metric(memory, damping=DAMPING, players=players)
            np.testing.assert_allclose(np.diag(matrix(metric)), (np.sqrt(v) + 0.01).ravel() / players, rtol=1e-10)


def test_what_the_value_has_lost_is_taken_off_the_slope_before_it_is_averaged():
    rows, slope, _, _ = batch(0)
    taken = draws(ROWS, 1, seed=5)
    found, _ = IdentityRule().observe({}, slope, rows, taken, damping=DAMPING, needed=True)
    np.testing.assert_allclose(found, slope - torch.einsum("rjoi,rj->oi", rows.slopes(), taken) / ROWS, rtol=1e-10)
    assert IdentityRule().observe({}, None, rows, taken, damping=DAMPING, needed=True)[0] is None


def test_settings_of_the_diagonal_at_the_ends_of_their_ranges():
    DiagonalCurvature(decay=0.0, eps=1e-300, slope_decay=0.0)
    for wrong in ({"decay": 1.0}, {"slope_decay": 1.0}, {"decay": -1e-9}, {"eps": 0.0}, {"bias_correction": 1}):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: got"):
            DiagonalCurvature(**wrong)
    assert DiagonalCurvature() == DiagonalCurvature(decay=0.99, eps=1e-8, slope_decay=0.0, bias_correction=False)


@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("rule", [KFACRule(KFACCurvature(factor_interval=3, refresh=7)), EKFACRule(EKFACCurvature())])
def test_slopes_come_out_in_the_coordinates_of_the_metric(rule, shared):
    for taken in (None, draws(ROWS, 1, seed=5)):
        memory = {}
        found, seen, rows, slope = observed(rule, memory, 3, shared=shared, taken=taken)
        left = slope if taken is None else slope - torch.einsum("rjoi,rj->oi", rows.slopes(), taken) / ROWS
        expected = memory["output_basis"].T @ left @ memory["input_basis"]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        assert seen.turned
        assert memory["step"] == 3
        out, _ = rule.observe(memory, None, rows, taken, damping=DAMPING, needed=False)
        assert out is None
        assert memory["step"] == 4


@pytest.mark.parametrize("players", [1, 2, 3])
def test_kfac_of_several_players_shares_the_curvature_and_adds_the_damping_once(players):
    """(C + (N - 1) B x A) / N, C with the damping."""
    rule, memory = KFACRule(KFACCurvature(factor_interval=1, refresh=1)), {}
    observed(rule, memory, 3)
    A, B = factors(rule, 3)
    np.testing.assert_allclose(memory["inputs"], A, rtol=1e-9)
    balance = np.sqrt((A.trace() / IN) / (B.trace() / OUT))
    damped = np.kron(B + np.sqrt(DAMPING) / balance * np.eye(OUT), A + np.sqrt(DAMPING) * balance * np.eye(IN))
    expected = (damped + (players - 1) * np.kron(B, A)) / players
    np.testing.assert_allclose(matrix(rule.metric(memory, damping=DAMPING, players=players)), expected, rtol=1e-8)


def test_kfac_counts_every_step_and_renews_its_basis_when_it_is_time():
    rule, memory = KFACRule(KFACCurvature(factor_interval=3, refresh=5)), {}
    refreshed, averaged = [], []
    for step in range(12):
        rows, slope, _, _ = batch(step)
        before = memory.get("input_basis")
        rule.observe(memory, slope, rows, None, damping=DAMPING, needed=True)
        assert memory["step"] == step + 1
        averaged.append(memory["averaged"])
        if memory["input_basis"] is not before:
            refreshed.append(step)
            assert memory["refreshed"] == step + 1
    assert refreshed == [0, 1, 2, 4, 5, 10]  # every fifth step, and powers of two before the first of them
    assert np.flatnonzero(np.diff([0, *averaged])).tolist() == [0, 1, 2, 3, 4, 5, 6, 9, 10]  # every third, and those


@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("players", [1, 3])
def test_ekfac_has_the_second_moments_of_the_slopes_in_its_basis(players, shared):
    rule, memory = EKFACRule(EKFACCurvature(refresh=1)), {}
    _, _, rows, _ = observed(rule, memory, 2, shared=shared)
    U_A, U_B = memory["input_basis"], memory["output_basis"]
    moments = (U_B.T @ rows.slopes()[:, 0] @ U_A).square().mean(dim=0)
    np.testing.assert_allclose(memory["moments"], moments, rtol=1e-9)
    basis = np.kron(U_B, U_A)
    expected = basis @ np.diag((moments + DAMPING / players).numpy().ravel()) @ basis.T
    np.testing.assert_allclose(
        matrix(rule.metric(memory, damping=DAMPING, players=players)), expected, rtol=1e-8, atol=1e-12
    )


def test_ekfac_averages_moments_at_its_interval_and_begins_anew_with_a_basis():
    rule, memory = EKFACRule(EKFACCurvature(factor_interval=4, refresh=4, moment_interval=2, moment_decay=0.6)), {}
    counts, refreshed, kept = [], [], None
    for step in range(10):
        rows, slope, _, _ = batch(step)
        rule.observe(memory, slope, rows, None, damping=DAMPING, needed=step % 3 == 0)
        U_A, U_B = memory["input_basis"], memory["output_basis"]
        squares = (U_B.T @ rows.slopes()[:, 0] @ U_A).square().mean(dim=0)
        counts.append(memory["moments_averaged"])
        refreshed.append(memory["refreshed"])
        if step in (0, 1, 2, 4, 8):  # a new basis
            kept = squares
        elif step % 2 == 0:
            decay = min(0.6, 1 - 1 / counts[-1])  # plain means at first
            kept = decay * kept + (1 - decay) * squares
        np.testing.assert_allclose(memory["moments"], kept, rtol=1e-9)
        assert memory["step"] == step + 1
    assert refreshed == [1, 2, 3, 3, 5, 5, 5, 5, 9, 9]
    assert counts == [1, 1, 1, 1, 1, 1, 2, 2, 1, 1]


def test_the_congruence_turns_the_factored_curvature_into_that_of_the_moments():
    rule, memory = EKFACRule(EKFACCurvature()), {}
    observed(rule, memory, 2)
    damped = draws(OUT, IN, seed=3).square() + 0.1
    root = rule.congruence(memory, damped, damping=DAMPING).weights
    np.testing.assert_allclose(root * damped * root, memory["moments"] + DAMPING, rtol=1e-10)


@pytest.mark.parametrize("zero", [0, 1])
def test_factors_that_are_zero_are_damped_alike(zero):
    given = [torch.eye(IN).double(), torch.eye(OUT).double()]
    given[zero] = torch.zeros_like(given[zero])
    for factor, was in zip(damped_factors(*given, 0.04), given, strict=True):
        np.testing.assert_allclose(factor, was.numpy() + 0.2 * np.eye(len(was)), rtol=1e-12)
