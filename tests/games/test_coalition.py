"""Coalition games: worths against plain loops over sets, refusals, and the laws of a batch."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame, UnanimityGame
from neurogames.games.coalition_families import AirportGame, BankruptcyGame, GloveMarketGame, WeightedVotingGame
from neurogames.games.pairwise_energy import PairwiseEnergyGame, spin_energy_game

PAIRS = np.array([[0.0, 2.0, -1.0, 0.5], [2.0, 0.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 3.0], [0.5, 1.0, 3.0, 0.0]])
CARRIERS = [{0, 1}, {2}, {0, 2, 3}, {0, 1, 2, 3}]
COEFFICIENTS = [2.0, -1.0, 0.5, 4.0]
VECTOR = [3.0, 1.0, 2.0, 1.0]


def rows(sets: list[set[int]], n: int) -> np.ndarray:
    return np.array([[i in members for i in range(n)] for members in sets])


# each game beside its worth of one set, written as its definition says
GAMES = {
    "function": (
        FunctionCoalitionGame(4, lambda coalitions: (coalitions @ np.array(VECTOR)) ** 2),
        lambda s: sum(VECTOR[i] for i in s) ** 2,
    ),
    "table": (TabularCoalitionGame(np.arange(16.0) ** 1.5), lambda s: sum(2**i for i in s) ** 1.5),
    "unanimity": (
        UnanimityGame(rows(CARRIERS, 4), COEFFICIENTS),
        lambda s: sum(c for c, carrier in zip(COEFFICIENTS, CARRIERS, strict=True) if carrier <= s),
    ),
    "voting": (WeightedVotingGame(VECTOR, quota=4), lambda s: float(sum(VECTOR[i] for i in s) >= 4)),
    "airport": (AirportGame(VECTOR), lambda s: -max((VECTOR[i] for i in s), default=0.0)),
    "bankruptcy": (
        BankruptcyGame(VECTOR, estate=5.0),
        lambda s: max(0.0, 5.0 - sum(VECTOR[i] for i in range(4) if i not in s)),
    ),
    "gloves": (GloveMarketGame(1, 3), lambda s: float(min(len(s & {0}), len(s & {1, 2, 3})))),
    "energy": (
        PairwiseEnergyGame(VECTOR, PAIRS),
        lambda s: sum(VECTOR[i] for i in s) + sum(PAIRS[i, j] for i, j in combinations(sorted(s), 2)),
    ),
    "spins": (
        spin_energy_game([[1, -1], [-1, -1]], alpha=2.0, beta=0.5),
        lambda s: (
            sum(2.0 * q for i, j, q in [(0, 1, -1), (2, 3, 1), (0, 2, -1), (1, 3, 1)] if {i, j} <= s)
            + sum(0.5 * [1, -1, -1, -1][i] for i in s)
        ),
    ),
}
every_game = pytest.mark.parametrize(("game", "worth"), GAMES.values(), ids=GAMES)
ALL_SETS = [set(s) for s in chain.from_iterable(combinations(range(4), size) for size in range(5))]


@every_game
def test_worths_are_those_of_the_definition(game, worth):
    np.testing.assert_allclose(game.value(rows(ALL_SETS, 4)), [worth(s) for s in ALL_SETS], atol=1e-12)


@every_game
def test_a_batch_of_coalitions_equals_its_rows_and_is_left_alone(game, worth):
    coalitions = np.random.default_rng(0).random((3, 5, game.n_players)) < 0.5
    before = coalitions.copy()
    batch = game.value(coalitions)
    assert batch.shape == (3, 5)
    for place in np.ndindex(3, 5):
        assert game.value(coalitions[place]).shape == ()
        assert game.value(coalitions[place]) == batch[place]
    assert game.value(coalitions[:0]).shape == (0, 5)
    np.testing.assert_array_equal(coalitions, before)


@every_game
@pytest.mark.parametrize("wrong", [[0, 1, 0, 1], [True, False], True, np.zeros((2, 3, 5), dtype=bool)])
def test_coalitions_of_numbers_or_of_a_wrong_length_are_refused(game, worth, wrong):
    with pytest.raises(ValueError, match="coalitions: got .* expected booleans"):
        game.value(np.array(wrong))


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_closed_forms_hold_for_unanimity_games_of_one_carrier(n, seed):
    rng = np.random.default_rng(seed)
    carrier = np.zeros(n, dtype=bool)
    carrier[rng.permutation(n)[: rng.integers(1, n + 1)]] = True
    game = UnanimityGame(carrier, 3.0)
    np.testing.assert_allclose(game.shapley_values(), 3.0 * carrier / carrier.sum())
    np.testing.assert_allclose(game.banzhaf_values(), 3.0 * carrier / 2.0 ** (carrier.sum() - 1))


def test_a_map_of_spins_is_the_same_game_as_its_list_with_an_adjacency():
    spins = np.random.default_rng(1).normal(size=(3, 4))
    edges = np.zeros((12, 12))
    for row, column in np.ndindex(3, 4):
        for down, right in ((0, 1), (1, 0)):
            if row + down < 3 and column + right < 4:
                i, j = 4 * row + column, 4 * (row + down) + column + right
                edges[i, j] = edges[j, i] = 1.0
    game = spin_energy_game(spins, alpha=0.7, beta=-0.2)
    same = spin_energy_game(spins.ravel(), alpha=0.7, beta=-0.2, adjacency=edges)
    np.testing.assert_array_equal(game.pairs, same.pairs)
    np.testing.assert_array_equal(game.linear, same.linear)


def test_games_keep_copies_and_cannot_be_written_into():
    table = np.arange(4.0)
    game = TabularCoalitionGame(table)
    table[3] = 100.0
    assert game.value(np.array([True, True])) == 3.0
    with pytest.raises(ValueError, match="read-only"):
        game.values[0] = 1.0


@pytest.mark.parametrize(
    ("build", "argument"),
    [
        (lambda: FunctionCoalitionGame(0, len), "n_players"),
        (lambda: TabularCoalitionGame([1.0, 2.0, 3.0]), "values"),
        (lambda: TabularCoalitionGame([1.0]), "values"),
        (lambda: TabularCoalitionGame([1.0, np.nan]), "values"),
        (lambda: UnanimityGame([[True, False], [False, False]]), "carriers"),
        (lambda: UnanimityGame([[1, 0]]), "carriers"),
        (lambda: UnanimityGame([[True, False]], [1.0, 2.0]), "coefficients"),
        (lambda: WeightedVotingGame([1.0, -1.0], 1), "weights"),
        (lambda: WeightedVotingGame([1.0, 1.0], 0), "quota"),
        (lambda: AirportGame([-1.0]), "costs"),
        (lambda: BankruptcyGame([1.0, 2.0], 4.0), "estate"),
        (lambda: GloveMarketGame(0, 2), "left"),
        (lambda: PairwiseEnergyGame([1.0], [[1.0]]), "pairs"),
        (lambda: PairwiseEnergyGame([1.0, 2.0], [[0.0, 1.0], [2.0, 0.0]]), "pairs"),
        (lambda: PairwiseEnergyGame([1.0, 2.0], [[0.0]]), "pairs"),
        (lambda: spin_energy_game([1, -1], alpha=1.0, beta=0.0), "spins"),
        (lambda: spin_energy_game([[1, -1]], alpha=1.0, beta=0.0, adjacency=np.zeros((2, 2))), "spins"),
        (lambda: spin_energy_game([1, -1], alpha=1.0, beta=0.0, adjacency=np.zeros((3, 3))), "adjacency"),
        (lambda: spin_energy_game([[1, -1]], alpha=np.inf, beta=0.0), "alpha"),
    ],
)
def test_what_is_no_game_is_refused_by_name(build, argument):
    with pytest.raises(ValueError, match=f"^{argument}: got "):
        build()


@pytest.mark.parametrize("function", [lambda c: c, lambda c: np.full(len(c), np.nan), lambda c: float(len(c))])
def test_a_function_that_answers_wrongly_is_refused(function):
    with pytest.raises(ValueError, match="^function: got "):
        FunctionCoalitionGame(2, function).value(np.array([[True, False]]))
