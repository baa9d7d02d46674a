"""Every solver under shifts and positive scalings of the payoffs, from 1e-15 to 1e15, player by player.

A solver joins by one line in ``SOLVERS``: what of a game must not change. The suite tries a few games of each;
``pytest -m exhaustive tests/engine/test_invariance.py`` tries 10,000 of each.
"""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.coalitions.core import least_core
from neurogames.engine.coalitions.nucleolus import nucleolus, prenucleolus
from neurogames.engine.coalitions.transforms import subset_sums
from neurogames.engine.equilibria.correlated import correlated_equilibrium
from neurogames.engine.equilibria.dominance import mixed_dominated
from neurogames.engine.equilibria.evolutionary import stable_strategies
from neurogames.engine.equilibria.logit_limit import logit_limit
from neurogames.engine.equilibria.nash import solve_nash
from neurogames.engine.equilibria.potential import is_potential_game
from neurogames.engine.equilibria.quantal import logit_equilibrium
from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.engine.participation.complementarity import solve_participation
from neurogames.engine.participation.participation_equilibria import participation_equilibria
from neurogames.games.coalition import TabularCoalitionGame
from neurogames.games.dominance import dominated, iterated_elimination
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.participation import ParticipationGame
from neurogames.games.replies import best_replies, pure_equilibria


def units(rng, together=False, players=2):
    """A factor and a level for each player: such that the moved payoffs keep the digits of small whole numbers."""
    result = []
    for _ in range(1 if together else players):
        if rng.random() < 0.25:  # whole numbers up to 2^53 are exact at any level
            factor, level = float(rng.integers(1, 50)), float(rng.choice([-1.0, 1.0]) * 10.0 ** rng.integers(0, 16))
        else:
            power = int(rng.integers(-15, 16))
            factor = float(f"{rng.integers(1, 10)}e{power}")
            level = float(f"{rng.integers(-9, 10)}e{min(15, power + int(rng.integers(-3, 9)))}")
        result.append((factor, level))
    return result * players if together else result


def moved(game, changes):
    return NormalFormGame([c * u + h for u, (c, h) in zip(game.payoffs, changes, strict=True)])


def base_game(rng, shape, penalty=True):
    """Small whole numbers, now and then with a huge penalty or prize at one profile of one player."""
    payoffs = [rng.integers(-4, 5, shape).astype(float) for _ in shape]
    if penalty and rng.random() < 0.2:
        tensor = payoffs[rng.integers(len(shape))]
        tensor.flat[rng.integers(tensor.size)] = rng.choice([-1.0, 1.0]) * 10.0 ** rng.integers(3, 7)
    return NormalFormGame(payoffs)


def close(a, b, tolerance=1e-7):
    return np.allclose(a, b, rtol=0, atol=tolerance)


def keys(profiles):
    return sorted(tuple(np.round(np.concatenate(profile), 7) + 0.0) for profile in profiles)


def same_nash(rng, method="auto"):
    shape = tuple(rng.integers(1, 4, 2))
    game = base_game(rng, shape)
    one, other = solve_nash(game, method), solve_nash(moved(game, units(rng)), method)
    assert one.status == other.status == "ok"
    assert one.degenerate == other.degenerate
    assert np.allclose(keys(one), keys(other), atol=1e-6)
    assert len(one) == len(other)
    assert one.complete == other.complete


def same_zero_sum(rng):
    matrix = base_game(rng, tuple(rng.integers(1, 6, 2))).payoffs[0]
    one = solve_zero_sum(NormalFormGame.zero_sum(matrix))
    ((c, h),) = units(rng, players=1)
    other = solve_zero_sum(NormalFormGame.zero_sum(c * matrix + h))
    assert one.status == other.status == "ok"
    stake = np.abs(matrix - one.value)[np.ix_(one.profile[0] > 0, one.profile[1] > 0)].max(initial=1.0)
    assert abs((other.value - h) / c - one.value) <= 1e-7 * stake + 4 * np.spacing(abs(other.value)) / c


def same_correlated(rng, coarse):
    shape = ((2, 2), (2, 3), (3, 3), (2, 2, 2))[rng.integers(4)]
    game = base_game(rng, shape)
    worth = rng.integers(0, 5, shape).astype(float)
    changes = units(rng, players=len(shape))
    ((c, h),) = units(rng, players=1)
    one, other = (
        correlated_equilibrium(game, worth, coarse=coarse),
        correlated_equilibrium(moved(game, changes), c * worth + h, coarse=coarse),
    )
    assert one.status == other.status == "ok"
    assert abs((other.value - h) / c - one.value) <= 1e-7 + 4 * np.spacing(abs(other.value)) / c
    assert one.gap <= 1e-8


def same_dominance(rng):
    shape = ((3, 3), (4, 2), (2, 3, 2))[rng.integers(3)]
    game = base_game(rng, shape)
    other = moved(game, units(rng, players=len(shape)))
    for kind in ("strict", "weak"):
        for find in (dominated, mixed_dominated):
            for a, b in zip(find(game, kind), find(other, kind), strict=True):
                assert np.array_equal(a, b), (kind, find)
    one, two = (iterated_elimination(g, find=mixed_dominated).actions for g in (game, other))
    assert [a.tolist() for a in one] == [a.tolist() for a in two]


def same_replies(rng):
    shape = ((3, 3), (4, 2), (2, 3, 2))[rng.integers(3)]
    game = base_game(rng, shape)
    other = moved(game, units(rng, players=len(shape)))
    assert np.array_equal(pure_equilibria(game), pure_equilibria(other))
    profile = [np.eye(size)[rng.integers(size)] if rng.random() < 0.5 else np.full(size, 1 / size) for size in shape]
    for a, b in zip(best_replies(game, profile), best_replies(other, profile), strict=True):
        assert np.array_equal(a, b)


def same_logit(rng):
    shape = ((2, 2), (3, 3), (2, 2, 2))[rng.integers(3)]
    game = base_game(rng, shape, penalty=False)
    changes = [(units(rng, players=1)[0][0], 0.0)] * len(shape)
    changes = [(c, c * float(rng.integers(-9, 10)) * 10.0 ** rng.integers(-3, 5)) for c, _ in changes]
    precision = float(rng.choice([0.1, 1.0, 5.0]))
    one, other = logit_equilibrium(game, precision), logit_equilibrium(moved(game, changes), precision / changes[0][0])
    assert one.status == other.status == "ok"
    for a, b in zip(one.profile, other.profile, strict=True):
        assert close(a, b, 1e-6)
    assert max(one.residual, other.residual) <= 1e-8


def same_logit_limit(rng):
    shape = ((2, 2), (3, 3), (2, 2, 2))[rng.integers(3)]
    game = NormalFormGame([rng.permutation(np.prod(shape)).reshape(shape) * 1.0 for _ in shape])
    c = units(rng, players=1)[0][0]
    (one, _, first), (other, _, second) = logit_limit(game), logit_limit(moved(game, [(c, c * 7.0)] * len(shape)))
    assert first == second == "ok"
    for a, b in zip(one, other, strict=True):
        assert close(a, b, 1e-6)


def same_stable_strategies(rng):
    matrix = base_game(rng, (3, 3), penalty=False).payoffs[0]
    ((c, h),) = units(rng, players=1)
    one = stable_strategies(NormalFormGame.symmetric(matrix))
    other = stable_strategies(NormalFormGame.symmetric(c * matrix + h))
    assert one.status == other.status == "ok"
    assert one.strategies.shape == other.strategies.shape
    # In the order of their rounded shares, or two that begin alike could change places.
    first, second = (sorted(each.strategies.tolist(), key=lambda x: np.round(x, 6).tolist()) for each in (one, other))
    assert close(first, second)


def same_potential(rng):
    phi, shape = rng.integers(-4, 5, (2, 3)).astype(float), (2, 3)
    dummies = [rng.integers(-4, 5, (1, 3)), rng.integers(-4, 5, (2, 1))]
    payoffs = [phi + dummy for dummy in dummies]
    if rng.random() < 0.5:
        payoffs[0] = payoffs[0] + (np.arange(6).reshape(shape) == 4)
    game = NormalFormGame(payoffs)
    c, _ = units(rng, players=1)[0]
    changes = [(c, c * 10.0 ** rng.integers(0, 6)) for _ in range(2)]
    assert bool(is_potential_game(game)) == bool(is_potential_game(moved(game, changes)))


def same_coalition(rng, solve):
    n = int(rng.integers(2, 6))
    table = rng.integers(-5, 6, 1 << n).astype(float)
    table[0] = 0.0
    if solve is nucleolus:
        table[-1] += 20
    if rng.random() < 0.2:
        table[rng.integers(1, table.size - 1)] = -(10.0 ** rng.integers(3, 13))
    if rng.random() < 0.3:
        c, alone = float(rng.integers(1, 9)), np.round(rng.normal(size=n) * 10.0 ** rng.integers(0, 12))
    else:
        c = units(rng, players=1)[0][0]
        alone = c * rng.integers(-9, 10, n) * 10.0 ** rng.integers(-3, 6)
    one = solve(TabularCoalitionGame(table))
    other = solve(TabularCoalitionGame(c * table + subset_sums(alone)))
    assert one.status == other.status
    if one.status == "no imputation":
        return
    assert one.status == "ok"
    rounding = 1e-6 + 16 * n * np.spacing(np.abs(alone).sum() + c * 50) / c
    assert close((other.allocation - alone) / c, one.allocation, rounding * max(1.0, np.abs(one.allocation).max()))


def same_participation(rng):
    n = int(rng.integers(2, 5))
    benefit, factors = rng.integers(-2, 6, n).astype(float), rng.integers(-2, 3, (n, 2)).astype(float)
    factors[:, 0] += 3
    price, eta = rng.integers(0, 3, n).astype(float), float(rng.integers(-1, 3)) / 4
    c = units(rng, players=1)[0][0]
    one = ParticipationGame(benefit, factors, 0.5, price, eta)
    other = ParticipationGame(c * benefit, factors, 0.5 * c, c * price, c * eta)
    a, b = solve_participation(one), solve_participation(other)
    assert a.status == b.status == "ok"
    assert close(a.profile, b.profile)
    assert a.unique == b.unique
    every, each = participation_equilibria(one), participation_equilibria(other)
    assert every.status == each.status == "ok"
    assert close(sorted(map(tuple, every.profiles)), sorted(map(tuple, each.profiles)))


SOLVERS = {
    "Nash": same_nash,
    "Nash by paths": lambda rng: same_nash(rng, "lemke_howson"),
    "zero-sum": same_zero_sum,
    "correlated": lambda rng: same_correlated(rng, False),
    "coarse correlated": lambda rng: same_correlated(rng, True),
    "dominance": same_dominance,
    "replies": same_replies,
    "logit": same_logit,
    "logit limit": same_logit_limit,
    "stable strategies": same_stable_strategies,
    "potential": same_potential,
    "nucleolus": lambda rng: same_coalition(rng, nucleolus),
    "prenucleolus": lambda rng: same_coalition(rng, prenucleolus),
    "least core": lambda rng: same_coalition(rng, least_core),
    "participation": same_participation,
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_units_and_levels_of_payoffs_change_nothing(solver):
    for seed in range(25):
        SOLVERS[solver](np.random.default_rng(seed))


@pytest.mark.exhaustive
@pytest.mark.parametrize("solver", SOLVERS)
def test_units_and_levels_of_payoffs_change_nothing_in_ten_thousand_games(solver):
    failures = []
    for seed in range(1000, 11_000):
        try:
            SOLVERS[solver](np.random.default_rng(seed))
        except AssertionError as error:
            failures.append((seed, str(error)[:200]))
    assert not failures, (len(failures), failures[:5])
