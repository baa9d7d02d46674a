"""Participation games side by side with OSQP on the dense problem, and a game of a million players."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.participation.complementarity import solve_participation
from neurogames.games.participation import ParticipationGame
from tests.benchmarks.timing import medians

pytestmark = pytest.mark.benchmark


@pytest.mark.parametrize(("ridge", "competition"), [(1.0, 0.1), (0.1, 0.1), (1.0, 1.0), (0.55, 1.0)])
def test_two_thousand_players_in_784_dimensions(ridge, competition):
    osqp = pytest.importorskip("osqp")
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(2000, 784)) / 28
    game = ParticipationGame(rng.normal(size=2000), factors, ridge, 0.05, competition)
    upper = sparse.csc_matrix(np.triu(game.matrix()))
    found = {}

    def ours():
        found["ours"] = solve_participation(game).profile

    def peer():
        solver = osqp.OSQP()
        solver.setup(
            upper,
            -game.drive,
            sparse.eye(2000, format="csc"),
            np.zeros(2000),
            np.ones(2000),
            eps_abs=1e-6,
            eps_rel=1e-6,
            max_iter=100_000,
            verbose=False,
        )
        found["peer"] = np.clip(solver.solve(raise_error=True).x, 0.0, 1.0)

    medians({"solve_participation, residual 1e-9": ours, "one product with the factors": lambda: factors @ factors[0]})
    medians({"solve_participation, residual 1e-9": ours, "OSQP 1e-6, M given": peer}, repeats=1)
    print(f"  residuals: ours {game.residual(found['ours']):.1e}, OSQP {game.residual(found['peer']):.1e}")
    assert game.residual(found["ours"]) <= 1e-9
    np.testing.assert_allclose(found["ours"], found["peer"], atol=1e-3)


@pytest.mark.parametrize("players", [100_000, 1_000_000])
def test_a_million_players_in_256_dimensions(players):
    """Float32 factors of 1 GB, not copied."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((players, 256), dtype=np.float32)
    factors /= 16
    factors.flags.writeable = False
    game = ParticipationGame(rng.normal(size=players), factors, 1.0, 0.05, 1.0)
    found = []
    medians({f"{players} players": lambda: found.append(solve_participation(game))}, repeats=1)
    assert found[-1].status == "ok"
