"""Least squares with a ridge chosen by leaving rows out, beside a fit without each row at each ridge."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.coalitions.ridge import fit_ridge


def solved(y, free, penalised, weights, ridge):
    """Coefficients by one least-squares problem with a row for each penalised coefficient."""
    q, p = free.shape[1], penalised.shape[1]
    if np.isinf(ridge):
        a = np.linalg.lstsq(free * np.sqrt(weights)[:, None], y * np.sqrt(weights), rcond=1e-11)[0]
        return a, np.zeros(p)
    rows = np.concatenate([np.concatenate([free, penalised], axis=1) * np.sqrt(weights)[:, None], np.zeros((p, q + p))])
    rows[len(y) :, q:] = np.sqrt(ridge) * np.eye(p)
    found = np.linalg.lstsq(rows, np.concatenate([y * np.sqrt(weights), np.zeros(p)]), rcond=1e-11)[0]
    return found[:q], found[q:]


def left_out(y, free, penalised, weights, ridge):
    errors = []
    for row in range(len(y)):
        others = np.arange(len(y)) != row
        a, b = solved(y[others], free[others], penalised[others], weights[others], ridge)
        errors.append(y[row] - free[row] @ a - penalised[row] @ b)
    return np.array(errors)


def problem(seed, m, q, p, signal):
    rng = np.random.default_rng(seed)
    free, penalised = rng.normal(size=(m, q)), rng.normal(size=(m, p))
    y = free @ rng.normal(size=q) + signal * penalised @ rng.normal(size=p) + rng.normal(size=m)
    return y, free, penalised, rng.uniform(0.5, 2.0, m), rng.uniform(0.0, 3.0, m)


@pytest.mark.parametrize(("m", "q", "p"), [(14, 2, 5), (12, 1, 20), (9, 3, 1)])
@pytest.mark.parametrize("signal", [0.0, 0.3, 5.0])
def test_the_ridge_is_that_of_the_least_error_of_rows_left_out(m, q, p, signal):
    y, free, penalised, weights, importance = given = problem(3, m, q, p, signal)
    found = fit_ridge(*given)
    ridges = np.append(weights.sum() * 10.0 ** (np.arange(31) / 4 - 5), np.inf)
    errors = [importance @ left_out(y, free, penalised, weights, ridge) ** 2 for ridge in ridges]
    ridge = ridges[int(np.argmin(errors))]
    assert found.ridge == pytest.approx(ridge)
    a, b = solved(y, free, penalised, weights, ridge)
    np.testing.assert_allclose(found.free, a, atol=1e-8)
    np.testing.assert_allclose(found.penalised, b, atol=1e-8)
    np.testing.assert_allclose(found.residual, y - free @ a - penalised @ b, atol=1e-8)
    np.testing.assert_allclose(found.left_out, left_out(y, free, penalised, weights, ridge), atol=1e-7)


def test_the_cases_choose_small_large_and_infinite_ridges():
    chosen = [fit_ridge(*problem(3, 14, 2, 5, signal)) for signal in (0.0, 0.3, 5.0)]
    sizes = [fit.ridge / problem(3, 14, 2, 5, 0.0)[3].sum() for fit in chosen]
    assert np.isinf(sizes[0])
    assert sizes[2] < 0.1


def test_without_penalised_columns_it_is_plain_least_squares():
    y, free, _, weights, importance = problem(1, 8, 3, 1, 0.0)
    found = fit_ridge(y, free, np.zeros((8, 0)), weights, importance)
    a, _ = solved(y, free, np.zeros((8, 0)), weights, np.inf)
    np.testing.assert_allclose(found.free, a, atol=1e-12)
    np.testing.assert_allclose(found.left_out, left_out(y, free, np.zeros((8, 0)), weights, np.inf), atol=1e-10)
    assert found.penalised.shape == (0,)


def test_of_columns_that_depend_on_each_other_the_shortest_coefficients_are_taken():
    y, free, penalised, weights, importance = problem(2, 10, 2, 3, 1.0)
    twice = np.concatenate([free, free[:, :1]], axis=1)
    once, found = (
        fit_ridge(y, free, penalised, weights, importance),
        fit_ridge(y, twice, penalised, weights, importance),
    )
    assert found.ridge == pytest.approx(once.ridge)
    np.testing.assert_allclose(found.free, [once.free[0] / 2, once.free[1], once.free[0] / 2], atol=1e-10)
    np.testing.assert_allclose(found.residual, once.residual, atol=1e-10)
    # Penalised columns that the free ones span already are of no use, and are not used.
    spanned = fit_ridge(y, free, np.concatenate([penalised, free[:, :1]], axis=1), weights, importance)
    np.testing.assert_allclose(spanned.residual, once.residual, atol=1e-8)
    assert spanned.penalised[-1] == pytest.approx(0.0, abs=1e-8)


def test_a_row_that_alone_determines_a_coefficient_keeps_its_plain_residual():
    y, free, penalised, weights, importance = problem(5, 9, 1, 2, 1.0)
    own = np.concatenate([free, np.eye(9)[:, :1]], axis=1)
    found = fit_ridge(y, own, penalised, weights, importance)
    assert found.residual[0] == pytest.approx(0.0, abs=1e-10)
    assert found.left_out[0] == pytest.approx(0.0, abs=1e-10)
    assert abs(found.left_out[1:]).max() > abs(found.residual[1:]).max()
