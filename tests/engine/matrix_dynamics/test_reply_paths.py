"""Best responses in continuous time: beside plain steps of the inclusion, and where the path is known."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from neurogames.engine import (
    Process,
    best_response,
    imitation,
    logit,
    polymatrix_mean_field,
    solve_nash,
    stable_strategies,
    strategy_mean_field,
    two_population_mean_field,
)
from neurogames.games import NormalFormGame, PolymatrixGame, PopulationGame, PublicGoodsGame, TwoPopulationGame

REPLY = Process(best_response())


def field_of(matrix, process=REPLY):
    return strategy_mean_field(PopulationGame.from_matrix(matrix, 50), process)


def cyclic(win, loss):
    return np.array([[0, -loss, win], [win, 0, -loss], [-loss, win, 0]], dtype=float)


@pytest.mark.parametrize(
    "process",
    [REPLY, Process(best_response(), "one", 0.7, "blind", 0.1), Process(best_response(), "one", 0.6, "hold", 0.2)],
    ids=["all feedback", "blind", "hold"],
)
def test_a_path_is_that_of_many_small_steps(process):
    rng, step = np.random.default_rng(4), 2e-3
    for n in (2, 3, 3, 4):
        field = field_of(rng.normal(size=(n, n)), process)
        starts = rng.dirichlet(np.ones(n), size=8)
        path = field.path(starts, [0.0, 0.5, 1.0, 3.0])
        assert path.status == "ok"
        assert path.off < 1e-12
        x, seen = starts, (0, 250, 500, 1500)
        for k in range(1501):
            if k in seen:
                place = seen.index(k)
                # A step may be wrong for as long as it takes; steps chatter across a tie along which a path slides.
                assert np.abs(x - path.states[0][place]).max() < 20 * step
            x = x + step * field.velocity(x)


def test_the_best_payoff_fades_at_its_known_speed():
    # Towards pure replies with a zero diagonal, m = max A x obeys m' = -m; J. Hofbauer 1995.
    times = np.linspace(0, 3, 7)
    bad = cyclic(1, 2)
    states = field_of(bad).path([0.4, 0.35, 0.25], times).states[0]
    best = (states @ bad.T).max(axis=1)
    np.testing.assert_allclose(best, best[0] * np.exp(-times), atol=1e-12)
    # The good game reaches its equilibrium, which pays 1/3, after a finite time and infinitely many switches.
    good = cyclic(2, 1)
    best = float((good @ [0.4, 0.35, 0.25]).max())
    end = np.log(3 * best)
    path = field_of(good).path([0.4, 0.35, 0.25], [0.5 * end, 0.999 * end, 1.001 * end, 50.0])
    away = np.abs(path.states[0] - 1 / 3).max(axis=1)
    assert away[1] > 1e-6 > away[2]
    assert away[3] < 1e-9


def test_pennies_come_to_rest_exponentially():
    matrix = np.array([[1.0, -1.0], [-1.0, 1.0]])
    field = two_population_mean_field(TwoPopulationGame(matrix, -matrix, (9, 9)), REPLY)
    times = np.arange(9.0)
    path = field.path(([0.9, 0.1], [0.7, 0.3]), times)
    x, y = path.states
    # J. Hofbauer and S. Sorin 2006: in a zero-sum game max_i (A y)_i - min_j (x A)_j falls as exp(-t).
    gap = (y @ matrix.T).max(axis=1) - (x @ matrix).min(axis=1)
    np.testing.assert_allclose(gap, gap[0] * np.exp(-times), atol=2e-4)
    assert "faster" in path.status
    (point,) = field.rest_points()
    assert point.kind == "stable"


def test_hawks_and_doves_meet_the_tie_and_stay():
    path = field_of([[-1, 2], [0, 1]]).path([0.1, 0.9], [0.0, 0.2, np.log(1.8), 2.0])
    np.testing.assert_allclose(path.states[0][:, 0], [0.1, 1 - 0.9 * np.exp(-0.2), 0.5, 0.5], atol=1e-12)


def test_rest_points_are_the_symmetric_equilibria():
    rng = np.random.default_rng(6)
    for _ in range(25):
        matrix = rng.normal(size=(3, 3))
        found = field_of(matrix).rest_points()
        game = NormalFormGame.symmetric(matrix)
        expected = [x for x, y in solve_nash(game).profiles if np.abs(x - y).max() < 1e-9]
        assert found.complete
        assert len(found) == len(expected)
        for point in found:
            assert min(np.abs(point.share - x).max() for x in expected) < 1e-9
            assert point.residual < 1e-9
        stable = [point.share for point in found if point.kind == "stable"]
        for strategy in stable_strategies(game).strategies:
            assert min(np.abs(strategy - share).max() for share in stable) < 1e-9


def test_what_is_near_a_point_goes_as_its_kind_says():
    rng = np.random.default_rng(8)
    kinds = set()
    for k in range(40):
        process = Process(best_response(), mutation=0.1) if k % 2 else REPLY
        field = field_of(rng.normal(size=(3, 3)), process)
        for point in field.rest_points():
            kinds.add(point.kind)
            near = 0.99 * point.share + 0.01 * rng.dirichlet(np.ones(3), size=6)
            after = field.path(near, [0.0, 60.0]).states[0][-1]
            far = np.abs(after - point.share).max(axis=1)
            if point.kind == "stable":
                assert far.max() < 1e-6
            if point.kind == "unstable":
                assert far.max() > 0.01
    assert kinds >= {"stable", "unstable"}


def test_two_populations_rest_at_equilibria():
    game = TwoPopulationGame([[2, 0], [0, 1]], [[1, 0], [0, 2]], (9, 9))
    found = two_population_mean_field(game, REPLY).rest_points()
    assert [point.kind for point in found] == ["stable", "unstable", "stable"]
    np.testing.assert_allclose(found.points[1].share, [2 / 3, 1 / 3, 1 / 3, 2 / 3])
    # Where feedback is lost at different rates each population has its own speed.
    slow = Process(best_response(), keep_prob=0.5)
    path = two_population_mean_field(game, (slow, REPLY)).path(([0.9, 0.1], [0.8, 0.2]), [0.0, 1.0])
    np.testing.assert_allclose(path.states[0][1, 1], 0.1 * np.exp(-0.5))
    np.testing.assert_allclose(path.states[1][1, 1], 0.2 * np.exp(-1.0))


def test_several_paths_from_a_tie_are_said_or_refused():
    resting = field_of(np.diag([2.0, 1.0])).path([1 / 3, 2 / 3], [0.0, 5.0])
    np.testing.assert_allclose(resting.states[0][1], [1 / 3, 2 / 3])
    assert "one of several paths" in resting.status
    alike = field_of([[1, 1, 0], [1, 1, 0], [0, 0, 0.5]]).path([0.5, 0.3, 0.2], [0.0, 40.0])
    np.testing.assert_allclose(alike.states[0][1], [0.5, 0.5, 0.0], atol=1e-9)  # a coin among those that are the same
    with pytest.raises(ValueError, match="start: got 'a tie at time 0 from which several paths lead on'"):
        field_of(np.diag([2.0, 1.0, 1.0])).path([0.25, 0.5, 0.25], [0.0, 1.0])
    continuum = field_of([[1, 1, 0], [1, 1, 0], [0, 0, 0.5]]).rest_points()
    assert not continuum.complete
    assert "continuum" in continuum.status


def test_payoffs_that_are_linear_are_found_out():
    club = PopulationGame.from_two_actions(PublicGoodsGame(20, 0.4, 1.0))
    found = strategy_mean_field(club, REPLY).rest_points()
    np.testing.assert_allclose([point.share[1] for point in found], [1.0, 0.4, 0.0], atol=1e-12)
    curved = PopulationGame(lambda others: np.stack([others[..., 0] ** 2, others[..., 1]], axis=-1), 2, 5)
    field = strategy_mean_field(curved, REPLY)
    for ask in (field.rest_points, lambda: field.path([0.5, 0.5], [0.0, 1.0])):
        with pytest.raises(ValueError, match=r"process: got 'best_response\(\)', expected payoffs linear"):
            ask()
    matrix = Process(best_response(), mutation=np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="mutation matrix"):
        field_of(np.eye(2), matrix).path([0.5, 0.5], [0.0, 1.0])
    game = TwoPopulationGame(np.eye(2), np.eye(2), (5, 5))
    with pytest.raises(ValueError, match="in one population"):
        two_population_mean_field(game, (REPLY, Process(imitation(1.0)))).path(([0.5, 0.5], [0.6, 0.4]), [0.0, 1.0])


def test_all_at_once_only_a_coin_rests():
    together = Process(best_response(), "all")
    hawks, coordination = field_of([[-1, 2], [0, 1.5]], together), field_of(np.diag([2.0, 1.0]), together)
    assert len(hawks.rest_points()) == 0
    found = coordination.rest_points()
    assert [point.share.tolist() for point in found] == [[0.0, 1.0], [1.0, 0.0]]
    for point in found:
        np.testing.assert_array_equal(coordination.velocity(point.share), 0.0)


def test_players_on_a_graph_reply_as_logit_at_a_low_temperature():
    rng, graph = np.random.default_rng(2), nx.cycle_graph(4)
    for i, j in graph.edges:
        graph.edges[i, j]["payoffs"] = (lambda table: table + table.T)(rng.normal(size=(2, 2)))
    game = PolymatrixGame(graph)
    start, times = rng.dirichlet(np.ones(2), size=4), [0.0, 1.0, 4.0]
    path = polymatrix_mean_field(game, REPLY).path(list(start), times)
    cool = polymatrix_mean_field(game, Process(logit(0.002))).path(list(start), times)
    for state, near in zip(path.states, cool.states, strict=True):
        np.testing.assert_allclose(state, near, atol=0.02)
