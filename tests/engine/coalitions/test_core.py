"""Core, least core and nucleolus against whole linear programs, brute lexicographic search and their certificates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from neurogames.engine.coalitions import nucleolus as nucleolus_module
from neurogames.engine.coalitions.core import core_violation, least_core
from neurogames.engine.coalitions.lexicographic import Span, minimise_by_rows, minimise_lexicographically
from neurogames.engine.coalitions.normalised import without_additive_part
from neurogames.engine.coalitions.nucleolus import kohlberg_objection, nucleolus, prenucleolus
from neurogames.engine.coalitions.transforms import coalition_rows, coalition_sizes, coalition_table, subset_sums
from neurogames.games.coalition import TabularCoalitionGame
from neurogames.games.coalition_families import AirportGame, BankruptcyGame, GloveMarketGame, WeightedVotingGame


def sorted_excesses(table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """All excesses but those of nobody and everybody, the greatest first."""
    return np.sort((table - subset_sums(x))[1:-1])[::-1]


def lexicographically_less(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    """Whether vector a comes before b, differences up to the tolerance left out."""
    differs = np.flatnonzero(np.abs(a - b) > tolerance)
    return bool(differs.size and a[differs[0]] < b[differs[0]])


@st.composite
def tables(draw, least=2, most=6):
    """Games of several kinds: generic, full of ties, convex, and with an empty core."""
    n = draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["normal", "whole numbers", "convex", "vote", "large"]))
    if kind == "normal":
        table = rng.normal(size=1 << n)
    elif kind == "whole numbers":
        table = rng.integers(0, 3, size=1 << n).astype(float)
        table[-1] += n
    elif kind == "convex":
        table = subset_sums(rng.random(n)) ** 2
    elif kind == "vote":
        weights = rng.integers(1, 5, size=n).astype(float)
        table = (subset_sums(weights) > weights.sum() / 2).astype(float)
    else:
        table = 1e6 * rng.normal(size=1 << n) + 1e7 * subset_sums(rng.normal(size=n))
    table[0] = 0.0
    return table


@settings(max_examples=25)
@given(tables())
def test_the_nucleolus_is_certified_and_no_nearby_allocation_is_lexicographically_less(table):
    game = TabularCoalitionGame(table)
    scale = np.abs(table).max() + 1.0
    n = game.n_players
    rng = np.random.default_rng(0)
    for solve, floor in ((prenucleolus, -np.inf), (nucleolus, table[1 << np.arange(n)])):
        result = solve(game)
        if result.status == "no imputation":
            assert table[-1] < table[1 << np.arange(n)].sum()
            continue
        x = result.allocation
        assert result.status == "ok"
        assert result.objection < 1e-7
        assert (x >= floor - 1e-9 * scale).all()
        assert (np.diff(result.excesses) <= 1e-8 * scale).all()
        np.testing.assert_allclose(x.sum(), table[-1], atol=1e-10 * scale)
        here = sorted_excesses(table, x)
        for size in 10.0 ** np.arange(-5, 1):
            for _ in range(12):
                shift = rng.normal(size=n) if rng.random() < 0.5 else rng.permutation([1.0, -1.0] + [0.0] * (n - 2))
                other = x + scale * size * (shift - shift.mean())
                if (other >= floor).all():
                    assert not lexicographically_less(sorted_excesses(table, other), here, 1e-9 * scale)


@given(tables())
def test_the_least_core_is_the_optimum_of_the_whole_program(table):
    n = table.size.bit_length() - 1
    rows = coalition_rows(np.arange(1, table.size - 1), n)
    whole = linprog(
        np.append(np.zeros(n), 1.0),
        -np.column_stack([rows, np.ones(len(rows))]),
        -table[1:-1],
        np.append(np.ones(n), 0.0)[None],
        table[-1:],
        (None, None),
    )
    result = least_core(TabularCoalitionGame(table))
    scale = np.abs(table).max() + 1.0
    assert result.status == "ok"
    np.testing.assert_allclose(result.excess, whole.fun, atol=1e-8 * scale)
    np.testing.assert_allclose(result.bound, result.excess, atol=1e-10 * scale)
    np.testing.assert_allclose(result.allocation.sum(), table[-1], atol=1e-10 * scale)
    # the proof, from its parts: no weight negative, everybody covered alike
    assert (result.weights > 0).all()
    np.testing.assert_allclose(result.weights.sum(), 1.0)
    cover = result.weights @ result.coalitions
    np.testing.assert_allclose(cover, cover.mean(), atol=1e-8)


@settings(max_examples=25)
@given(tables(), st.floats(-3, 3))
def test_values_follow_a_change_of_scale_and_of_what_players_are_worth_alone(table, level):
    n = table.size.bit_length() - 1
    shift = level * np.arange(n)
    moved = TabularCoalitionGame(7.0 * table + subset_sums(shift))
    scale = np.abs(moved.values).max() + 1.0
    for solve in (nucleolus, prenucleolus, least_core):
        before, after = solve(TabularCoalitionGame(table)), solve(moved)
        assert before.status == after.status
        if before.status == "ok":
            np.testing.assert_allclose(after.allocation, 7.0 * before.allocation + shift, atol=1e-8 * scale)


@pytest.mark.parametrize("n", [9, 11])
def test_players_who_are_alike_get_alike_and_a_null_player_nothing(n):
    weights = np.array([3.0, 3.0, *np.ones(n - 3), 0.0])
    result = prenucleolus(WeightedVotingGame(weights, quota=weights.sum() // 2 + 1))
    np.testing.assert_allclose(result.allocation[0], result.allocation[1], atol=1e-10)
    np.testing.assert_allclose(np.ptp(result.allocation[2:-1]), 0.0, atol=1e-10)
    np.testing.assert_allclose(result.allocation[-1], 0.0, atol=1e-10)
    assert result.objection < 1e-8


@pytest.mark.parametrize(
    "game",
    [
        BankruptcyGame(np.arange(1.0, 14.0), 40.0),
        AirportGame(np.arange(1.0, 14.0) ** 2),
        GloveMarketGame(6, 7),
        TabularCoalitionGame(subset_sums(np.random.default_rng(6).random(13)) ** 2),
        TabularCoalitionGame(np.concatenate([[0.0], np.random.default_rng(7).random((1 << 13) - 1)])),
    ],
    ids=["bankruptcy", "airport", "gloves", "convex", "random"],
)
def test_thirteen_players_are_solved_by_few_rows_and_certified_on_all(game):
    result = prenucleolus(game)
    assert result.status == "ok"
    assert result.objection < 1e-7
    assert result.programs < 120
    core = least_core(game)
    np.testing.assert_allclose(core.excess, core.bound, atol=1e-8 * (1 + abs(core.excess)))
    np.testing.assert_allclose(core.excess, result.excesses[0], atol=1e-8 * (1 + abs(core.excess)))


def test_coalitions_tight_in_one_optimum_only_are_not_fixed():
    # the least core of a random game is a face; what a vertex of it makes tight must not end the search
    for seed in range(20):
        table = np.random.default_rng(seed).random(64) + 0.3 * coalition_sizes(6)
        table[0], table[-1] = 0.0, 6.0
        x = prenucleolus(TabularCoalitionGame(table)).allocation
        rows = coalition_rows(np.arange(1, 63), 6)
        vertex = linprog(
            np.append(np.zeros(6), 1.0),
            -np.column_stack([rows, np.ones(62)]),
            -table[1:-1],
            np.append(np.ones(6), 0.0)[None],
            table[-1:],
            (None, None),
        ).x[:6]
        assert not lexicographically_less(sorted_excesses(table, vertex), sorted_excesses(table, x), 1e-8)


@settings(max_examples=25)
@given(tables(most=5))
def test_kohlberg_refutes_every_other_allocation(table):
    alone, rest = without_additive_part(table)
    scale = np.abs(rest).max() or 1.0
    rest = rest / scale
    n = alone.size
    x = (prenucleolus(TabularCoalitionGame(table)).allocation - alone) / scale
    assert kohlberg_objection(rest, x) < 1e-7
    for i in range(n):
        other = x + 0.01 * (np.arange(n) == i)
        assert kohlberg_objection(rest, other - 0.01 / n) > 1e-3


@given(tables(), st.integers(0, 1000))
def test_core_violation_is_the_loop_over_coalitions_and_a_batch_equals_its_rows(table, seed):
    game = TabularCoalitionGame(table)
    n = game.n_players
    allocations = np.random.default_rng(seed).normal(size=(2, 3, n))
    before = allocations.copy()
    batch = core_violation(game, allocations)
    np.testing.assert_array_equal(allocations, before)
    for place in np.ndindex(2, 3):
        x = allocations[place]
        excess = max(table[s] - sum(x[i] for i in range(n) if s >> i & 1) for s in range(1, (1 << n) - 1))
        row = core_violation(game, x)
        np.testing.assert_allclose(batch.excess[place], excess, atol=1e-9 * (1 + np.abs(table).max()))
        assert row.excess == batch.excess[place]
        np.testing.assert_array_equal(row.coalition, batch.coalition[place])
        found = batch.coalition[place]
        np.testing.assert_allclose(game.value(found) - x[found].sum(), excess, atol=1e-9 * (1 + np.abs(table).max()))
        assert batch.efficiency[place] == pytest.approx(x.sum() - table[-1], abs=1e-12 * (1 + np.abs(table).max()))


@given(st.integers(2, 6), st.integers(0, 10_000))
def test_the_span_knows_exactly_its_combinations(n, seed):
    rng = np.random.default_rng(seed)
    members = rng.random((rng.integers(1, n), n)) < 0.5
    span = Span.of_everybody(n)
    for member in members.astype(float):
        span = span.with_row(member)
    system = np.vstack([np.ones(n), members])
    rank = np.linalg.matrix_rank(system)
    assert span.rank == rank
    for s, row in enumerate(coalition_rows(np.arange(1 << n), n)):
        assert span.covers[s] == (np.linalg.matrix_rank(np.vstack([system, row])) == rank)


def test_games_without_a_choice():
    single = prenucleolus(TabularCoalitionGame([0.0, 5.0]))
    assert single.allocation.tolist() == [5.0]
    additive = nucleolus(TabularCoalitionGame(subset_sums(np.array([1.0, -2.0, 3.0]))))
    np.testing.assert_allclose(additive.allocation, [1.0, -2.0, 3.0], atol=1e-12)
    poor = nucleolus(TabularCoalitionGame([0.0, 1.0, 1.0, 1.0]))
    assert (poor.status, np.isnan(poor.allocation).all()) == ("no imputation", True)
    assert core_violation(TabularCoalitionGame([0.0, 5.0]), [5.0]).excess == -np.inf


def test_wrong_games_and_allocations_are_refused():
    with pytest.raises(ValueError, match=r"^game: got 'v\(empty\) = 1.0'"):
        nucleolus(TabularCoalitionGame([1.0, 1.0]))
    with pytest.raises(ValueError, match="^game: got '1 player'"):
        least_core(TabularCoalitionGame([0.0, 1.0]))
    with pytest.raises(ValueError, match="^game: got '23 players'"):
        prenucleolus(AirportGame(np.ones(23)))
    for wrong in ([1.0], 1.0, [np.nan, 1.0]):
        with pytest.raises(ValueError, match="^allocation: got"):
            core_violation(TabularCoalitionGame([0.0, 1.0, 1.0, 2.0]), wrong)
    assert coalition_table(GloveMarketGame(1, 1)).tolist() == [0, 0, 0, 1]


@settings(max_examples=40)
@given(tables())
def test_stages_by_pivots_equal_those_of_whole_programs(table):
    for imputations in (False, True):
        part, rest = without_additive_part(table)
        n = part.size
        scale = np.abs(rest).max() or 1.0
        rest = rest / scale
        if imputations and rest[1 << np.arange(n)].sum() > rest[-1]:
            continue
        floor = rest[1 << np.arange(n)] if imputations else np.full(n, -np.inf)
        fast, slow = minimise_lexicographically(rest, floor), minimise_by_rows(rest, floor)
        np.testing.assert_allclose(fast.allocation, slow.allocation, atol=1e-8)
        assert fast.stages[0].excess == pytest.approx(slow.stages[0].excess, abs=1e-8)


@settings(max_examples=40)
@given(tables(), st.integers(0, 1000))
def test_witnesses_of_the_stages_balance_the_nucleolus_and_nothing_else(table, seed):
    part, rest = without_additive_part(table)
    rest = rest / (np.abs(rest).max() or 1.0)
    floor = np.full(part.size, -np.inf)
    answer = minimise_lexicographically(rest, floor)
    right = nucleolus_module._imbalance(rest, answer, floor)
    assert right <= 1e-9 or kohlberg_objection(rest, answer.allocation) < 1e-7
    shift = np.random.default_rng(seed).normal(size=part.size)
    wrong = replace(answer, allocation=answer.allocation + 0.01 * (shift - shift.mean()))
    assert nucleolus_module._imbalance(rest, wrong, floor) > 1e-9
