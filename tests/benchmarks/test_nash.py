"""All equilibria of a bimatrix game, beside nashpy and quantecon."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from neurogames.engine.equilibria.nash import lemke_howson, solve_nash
from neurogames.games.normal_form import NormalFormGame
from tests.benchmarks.timing import medians

FIRST = """
import time
start = time.perf_counter()
from neurogames.engine.equilibria.nash import solve_nash
from neurogames.games.normal_form import NormalFormGame
imported = time.perf_counter()
solve_nash(NormalFormGame(([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]])))
print(f"import {imported - start:.2f} s, first game {time.perf_counter() - imported:.2f} s")
"""


@pytest.mark.benchmark
@pytest.mark.parametrize("size", [3, 5, 7, 9, 11])
def test_all_equilibria(size):
    theory = pytest.importorskip("quantecon.game_theory")
    rng = np.random.default_rng(size)
    games = [NormalFormGame(rng.random((2, size, size))) for _ in range(5)]
    theirs = [game.to_quantecon() for game in games]
    alternatives = {
        f"neurogames, 5 games {size} x {size}": lambda: [solve_nash(game) for game in games],
        "quantecon vertex_enumeration": lambda: [theory.vertex_enumeration(game) for game in theirs],
    }
    if size <= 4:
        nashpys = [game.to_nashpy() for game in games]
        alternatives["nashpy vertex_enumeration"] = lambda: [list(game.vertex_enumeration()) for game in nashpys]
    medians(alternatives, repeats=15)
    for game, other in zip(games, theirs, strict=True):
        found = solve_nash(game)
        assert found.complete
        assert found.regret.max() <= 1e-12
        assert len(found) == len(theory.vertex_enumeration(other))


@pytest.mark.benchmark
def test_one_equilibrium():
    theory = pytest.importorskip("quantecon.game_theory")
    rng = np.random.default_rng(0)
    game = NormalFormGame(rng.random((2, 30, 30)))
    other = game.to_quantecon()
    medians(
        {
            "neurogames lemke_howson 30 x 30": lambda: lemke_howson(game),
            "quantecon lemke_howson": lambda: theory.lemke_howson(other),
        },
        repeats=15,
    )
    assert lemke_howson(game).regret.max() <= 1e-12


@pytest.mark.benchmark
def test_first_game_of_a_fresh_process():
    for _ in range(3):
        print(subprocess.run([sys.executable, "-c", FIRST], check=True, capture_output=True, text=True).stdout, end="")
