"""Zero-sum games, beside quantecon's minmax and HiGHS."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.games.normal_form import NormalFormGame
from tests.benchmarks.timing import medians


def highs(matrix):
    """One program, both strategies from it."""
    rows, columns = matrix.shape
    return linprog(
        -np.ones(columns), A_ub=matrix - matrix.min() + 1, b_ub=np.ones(rows), bounds=(0, None), method="highs"
    )


@pytest.mark.benchmark
@pytest.mark.parametrize(("size", "repeats"), [(10, 50), (50, 50), (200, 5), (500, 3)])
def test_random_matrices(size, repeats):
    optimize = pytest.importorskip("quantecon.optimize")
    rng = np.random.default_rng(size)
    game = NormalFormGame.zero_sum(rng.random((size, size)))
    matrix = game.payoffs[0].copy()
    medians(
        {
            f"neurogames {size} x {size}": lambda: solve_zero_sum(game),
            "quantecon minmax": lambda: optimize.minmax(matrix),
            "HiGHS": lambda: highs(matrix),
        },
        repeats,
    )
    found = solve_zero_sum(game)
    assert found.status == "ok"
    assert found.exploitability <= 1e-11
