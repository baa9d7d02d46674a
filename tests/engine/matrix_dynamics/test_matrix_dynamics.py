"""Matrix game dynamics: borders, closed solutions, conserved quantities, and the mean field of the same rule."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.optimize import minimize

from neurogames.engine import Process, imitation, logit, mean_field, replicator
from neurogames.engine.matrix_dynamics.matrix_dynamics import (
    fictitious_play_step,
    integrate_dynamics,
    iterate_dynamics,
    one_population_fitness,
    two_population_fitness,
)
from neurogames.engine.matrix_dynamics.matrix_velocities import (
    best_response_velocity,
    gradient_velocity,
    imitation_velocity,
    logit_velocity,
    project,
    projection_velocity,
    replicator_velocity,
)
from neurogames.engine.process import payoff_spread
from neurogames.games import SymmetricGame
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import exploitability, regret

VELOCITIES = {
    "replicator": replicator_velocity,
    "best response": best_response_velocity,
    "logit": logit_velocity(0.3),
    "cold logit": logit_velocity(1e-9),
    "imitation": imitation_velocity(5.0),
    "projection": projection_velocity,
}
velocities = pytest.mark.parametrize("velocity", VELOCITIES.values(), ids=VELOCITIES)
STAG_HUNT = NormalFormGame.symmetric([[2.0, 1.0], [0.0, 3.0]])
CYCLE = NormalFormGame.symmetric([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])


def border(a):
    """Vertices, middles of edges, the middle, and a point that is barely inside."""
    edges = [(np.eye(a)[i] + np.eye(a)[j]) / 2 for i in range(a) for j in range(i)]
    near = np.full(a, 1e-300)
    near[0] = 1.0
    return np.array([*np.eye(a), *edges, np.full(a, 1 / a), near])


@velocities
@pytest.mark.parametrize("a", [1, 2, 4])
def test_on_the_border_velocities_are_finite_and_lead_inside(velocity, a):
    states = border(a)
    for fitness in (np.zeros(a), np.arange(a) * 1e3, -np.arange(a) * 1e-3, np.ones(a)):
        moves = velocity(states, np.broadcast_to(fitness, states.shape))
        assert np.isfinite(moves).all()
        np.testing.assert_allclose(moves.sum(axis=-1), 0.0, atol=1e-12 * (1 + np.abs(fitness).max()))
        assert (moves[states == 0] >= 0).all()


@velocities
def test_a_batch_equals_its_rows(velocity):
    draws = np.random.default_rng(0)
    states, fitness = draws.dirichlet(np.ones(4), (3, 2)), draws.normal(size=(3, 2, 4))
    states[0, 0] = [0.5, 0.0, 0.5, 0.0]
    together = velocity(states, fitness)
    for index in np.ndindex(3, 2):
        np.testing.assert_allclose(together[index], velocity(states[index], fitness[index]), atol=1e-15)


def test_rules_that_copy_do_not_invent_actions():
    states, fitness = border(3), np.array([1.0, 2.0, 3.0])
    for velocity in (replicator_velocity, imitation_velocity(3.0)):
        assert (velocity(states, np.broadcast_to(fitness, states.shape))[states == 0] == 0).all()
        np.testing.assert_array_equal(velocity(np.eye(3), np.broadcast_to(fitness, (3, 3))), np.zeros((3, 3)))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_projection_on_the_simplex_is_the_nearest_point(values):
    point = np.array(values)
    nearest = project(point)
    assert nearest.sum() == pytest.approx(1.0)
    assert (nearest >= 0).all()
    # Optimality: no vertex lies in the direction of what was cut off.
    assert ((point - nearest) @ (np.eye(point.size) - nearest).T <= 1e-12).all()


@given(st.integers(0, 10**6))
def test_the_projection_dynamic_is_the_nearest_feasible_direction(seed):
    draws = np.random.default_rng(seed)
    a = int(draws.integers(2, 5))
    state = project(draws.normal(size=a))
    fitness = draws.normal(size=a)
    move = projection_velocity(state, fitness)
    bounds = [(None, None) if x > 0 else (0, None) for x in state]
    twin = minimize(
        lambda v: ((v - fitness) ** 2).sum(),
        np.zeros(a),
        jac=lambda v: 2 * (v - fitness),
        bounds=bounds,
        constraints={"type": "eq", "fun": np.sum, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(move, twin.x, atol=1e-6)
    # A small step of projected gradient ascent goes the same way.
    small = 1e-9
    np.testing.assert_allclose((project(state + small * fitness) - state) / small, move, atol=1e-5)


def pairwise_game(matrix, n):
    """N players who meet in pairs; action 1 acts."""
    share = np.arange(n) / (n - 1)
    rests, acts = (matrix[action, 1] * share + matrix[action, 0] * (1 - share) for action in (0, 1))
    return SymmetricGame(acts - rests, rests)


@pytest.mark.parametrize("choice", [logit(0.4), imitation(1.5), replicator()], ids=["logit", "imitation", "replicator"])
def test_velocities_are_the_mean_field_of_the_revising_players(choice):
    game = pairwise_game(STAG_HUNT.payoffs[0], 200_000)
    share = np.linspace(0, 1, 11)
    states = np.stack([1 - share, share], axis=-1)
    (fitness,) = one_population_fitness(STAG_HUNT)((states,))
    velocity = {"Logit": logit_velocity(0.4), "Imitation": imitation_velocity(1.5), "Replicator": replicator_velocity}
    ours = velocity[type(choice).__name__](states, fitness)[:, 1]
    if type(choice).__name__ == "Replicator":
        ours = ours / payoff_spread(game)  # the revising players' clock
    np.testing.assert_allclose(mean_field(game, Process(choice)).velocity(share), ours, atol=1e-4)


def test_replicators_of_constant_fitness_grow_exponentially():
    start, fitness, times = np.array([[0.2, 0.3, 0.5], [0.0, 0.9, 0.1]]), np.array([1.0, 0.0, -0.5]), [0.0, 1.0, 3.0]
    path = integrate_dynamics(
        lambda states: (np.broadcast_to(fitness, states[0].shape),), replicator_velocity, [start], times
    )
    exact = start * np.exp(fitness * np.array(times)[:, None, None])
    exact /= exact.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(path.states[0], exact, atol=1e-7)
    assert path.status == "ok"
    assert path.off < 1e-12


def test_replicators_go_round_in_rock_paper_scissors():
    start = np.random.default_rng(1).dirichlet(np.ones(3), 4)
    path = integrate_dynamics(one_population_fitness(CYCLE), replicator_velocity, [start], np.linspace(0, 10, 6))
    product = path.states[0].prod(axis=-1)
    np.testing.assert_allclose(product, np.broadcast_to(product[0], product.shape), rtol=1e-5)


def test_matching_pennies_conserves_the_product_of_all_shares():
    pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
    path = integrate_dynamics(
        two_population_fitness(pennies), replicator_velocity, [[0.3, 0.7], [0.6, 0.4]], np.linspace(0, 8, 5)
    )
    product = path.states[0].prod(axis=-1) * path.states[1].prod(axis=-1)
    np.testing.assert_allclose(product, product[0], rtol=1e-6)


def test_basins_of_the_stag_hunt_part_at_the_mixed_equilibrium():
    """A = [[2, 1], [0, 3]]: the second action pays more iff its share exceeds 1/2."""
    share = np.array([0.1, 0.45, 0.55, 0.9, 0.0, 1.0])
    start = np.stack([1 - share, share], axis=-1)
    ends = [
        integrate_dynamics(one_population_fitness(STAG_HUNT), v, [start], [0.0, 60.0])
        for v in (replicator_velocity, imitation_velocity(2.0))
    ]
    ends.append(
        iterate_dynamics(
            one_population_fitness(STAG_HUNT), best_response_velocity, [start], 400, step_size=0.1, every=400
        )
    )
    ends.append(
        iterate_dynamics(one_population_fitness(STAG_HUNT), gradient_velocity, [start], 400, step_size=0.1, every=400)
    )
    for path in ends[:2]:
        np.testing.assert_allclose(path.states[0][-1, :, 1], [0, 0, 1, 1, 0, 1], atol=1e-6)
    for path in ends[2:]:
        np.testing.assert_allclose(path.states[0][-1, :, 1], [0, 0, 1, 1, 0, 1], atol=1e-12)


def test_logit_flows_end_where_shares_are_logit_choices():
    path = integrate_dynamics(one_population_fitness(CYCLE), logit_velocity(0.5), [[0.7, 0.2, 0.1]], [0.0, 60.0])
    np.testing.assert_allclose(path.states[0][-1], 1 / 3, atol=1e-6)
    game = NormalFormGame(([[3.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [0.0, 3.0]]))
    x, y = (
        state[-1]
        for state in integrate_dynamics(
            two_population_fitness(game), logit_velocity(0.4), [[0.9, 0.1]] * 2, [0.0, 80.0]
        ).states
    )
    for state, pay in zip((x, y), two_population_fitness(game)((x, y)), strict=True):
        np.testing.assert_allclose(state, np.exp(pay / 0.4) / np.exp(pay / 0.4).sum(), atol=1e-7)


def test_fictitious_play_learns_zero_sum_games():
    """Robinson 1951: the averages approach optimal strategies."""
    game = NormalFormGame.zero_sum(np.random.default_rng(3).normal(size=(4, 5)))
    start = [np.eye(4)[0], np.eye(5)[0]]
    path = iterate_dynamics(
        two_population_fitness(game), best_response_velocity, start, 4000, step_size=fictitious_play_step, every=1000
    )
    gap = exploitability(game, path.states)
    assert gap[-1] < 0.05 * gap[0]


def test_fictitious_play_averages_what_was_played():
    game = NormalFormGame.zero_sum([[1.01, -0.93], [-1.07, 0.96]])  # without ties, which rounding would break
    x, y = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    plays = [(x, y)]
    for _ in range(50):
        x, y = (np.mean([play[i] for play in plays], axis=0) for i in (0, 1))
        plays.append(
            tuple((pay == pay.max()) / (pay == pay.max()).sum() for pay in (y @ game.payoffs[0].T, x @ game.payoffs[1]))
        )
    path = iterate_dynamics(
        two_population_fitness(game), best_response_velocity, [[1, 0], [1, 0]], 50, step_size=fictitious_play_step
    )
    for i in (0, 1):
        np.testing.assert_allclose(path.states[i][-1], np.mean([play[i] for play in plays], axis=0), atol=1e-12)


def test_fictitious_play_cycles_in_shapleys_game():
    """Shapley 1964: the averages do not converge, and the time round the cycle grows geometrically."""
    first = np.eye(3)
    second = np.roll(np.eye(3), 1, axis=1)
    path = iterate_dynamics(
        two_population_fitness(NormalFormGame((first, second))), best_response_velocity, [np.eye(3)[0]] * 2, 20_000,
        step_size=fictitious_play_step,
    )  # fmt: skip
    assert regret(NormalFormGame((first, second)), path.states)[5000:].min() > 0.05
    played = best_response_velocity(path.states[0], path.states[1] @ first.T) + path.states[0]
    changes = np.flatnonzero(np.diff(played.argmax(axis=-1)))
    lengths = np.diff(changes)[-5:]
    assert all(later > 1.2 * earlier for earlier, later in pairwise(lengths))


def test_projected_gradients_end_on_a_dominant_action_exactly():
    game = NormalFormGame.symmetric([[3.0, 0.0], [5.0, 1.0]])
    path = iterate_dynamics(
        two_population_fitness(game), gradient_velocity, [[1.0, 0.0], [0.5, 0.5]], 100, step_size=0.05, every=10
    )
    for state in path.states:
        np.testing.assert_array_equal(state[-1], [0.0, 1.0])
    assert path.off < 1e-12


def test_a_flow_can_be_asked_at_the_start_alone_or_later_only():
    for times in ([0.0], [2.0], [0.5, 2.0]):
        path = integrate_dynamics(one_population_fitness(CYCLE), replicator_velocity, [[0.2, 0.3, 0.5]], times)
        assert path.status == "ok"
        assert path.states[0].shape == (len(times), 3)
        assert np.isfinite(path.states[0]).all()
    np.testing.assert_array_equal(
        integrate_dynamics(one_population_fitness(CYCLE), replicator_velocity, [[0.2, 0.3, 0.5]], [0.0]).states[0][0],
        [0.2, 0.3, 0.5],
    )


def test_actions_and_populations_without_names_are_numbered_from_one():
    one = integrate_dynamics(lambda states: states, lambda x, _: 0.0 * x, [[0.2, 0.3, 0.5]], [0.0, 1.0])
    two = integrate_dynamics(lambda states: states, lambda x, _: 0.0 * x, [[0.2, 0.8], [0.5, 0.5]], [0.0, 1.0])
    drawn = [
        [text.get_text() for text in path.plot(Figure().subplots()).get_legend().get_texts()] for path in (one, two)
    ]
    assert drawn == [["1", "2", "3"], ["1: 1", "1: 2", "2: 1", "2: 2"]]


def test_starts_are_a_batch_and_are_not_written_into():
    draws = np.random.default_rng(4)
    game = NormalFormGame((draws.normal(size=(3, 2)), draws.normal(size=(3, 2))))
    x, y = draws.dirichlet(np.ones(3), 5), draws.dirichlet(np.ones(2), 5)
    kept = x.copy()
    together = iterate_dynamics(two_population_fitness(game), replicator_velocity, [x, y], 20, step_size=0.1)
    alone = iterate_dynamics(two_population_fitness(game), replicator_velocity, [x[3], y[3]], 20, step_size=0.1)
    np.testing.assert_allclose(together.states[0][:, 3], alone.states[0], atol=1e-15)
    np.testing.assert_array_equal(x, kept)
    long = integrate_dynamics(two_population_fitness(game), replicator_velocity, [x, y], [0.0, 1.0])
    short = iterate_dynamics(
        two_population_fitness(game), replicator_velocity, [x, y], 4000, step_size=1 / 4000, every=4000
    )
    np.testing.assert_allclose(long.states[1][-1], short.states[1][-1], atol=2e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one_population_fitness(NormalFormGame.zero_sum([[1, 2], [3, 4]])), "transpose"),
        (lambda: two_population_fitness(NormalFormGame([np.zeros((2, 2, 2))] * 3)), "3 players"),
        (
            lambda: integrate_dynamics(one_population_fitness(CYCLE), replicator_velocity, [[0.5, 0.5, 0.5]], [0, 1]),
            "sum to 1",
        ),
        (
            lambda: integrate_dynamics(
                one_population_fitness(CYCLE), replicator_velocity, [[np.nan, 0.5, 0.5]], [0, 1]
            ),
            "sum to 1",
        ),
        (
            lambda: integrate_dynamics(one_population_fitness(CYCLE), replicator_velocity, [[1, 0, 0]], [1, 0]),
            "increasing times",
        ),
        (
            lambda: integrate_dynamics(
                two_population_fitness(CYCLE), replicator_velocity, [[1, 0, 0], [[1, 0, 0]]], [0, 1]
            ),
            "leading axes",
        ),
        (
            lambda: iterate_dynamics(one_population_fitness(CYCLE), replicator_velocity, [[1, 0, 0]], 5, step_size=0.0),
            "step_size: got 0.0",
        ),
        (
            lambda: iterate_dynamics(
                one_population_fitness(CYCLE), replicator_velocity, [[1, 0, 0]], -1, step_size=0.1
            ),
            "steps: got -1",
        ),
        (lambda: logit_velocity(0.0), "temperature"),
        (lambda: imitation_velocity(-1.0), "intensity"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("fitness", "start", "message"),
    [
        (CYCLE, [[1, 0, 0]], "fitness: got NormalFormGame"),
        (one_population_fitness(CYCLE), 5, "start: got 5"),
        (one_population_fitness(CYCLE), [["a", "b", "c"]], r"start\[0\]: got \['a', 'b', 'c'\]"),
        (one_population_fitness(CYCLE), [[]], r"start: got 'shapes \[\(0,\)\]'"),
        (one_population_fitness(CYCLE), [[1, 0]], r"start: got '1 populations with \(2,\) actions'"),
        (one_population_fitness(CYCLE), [[1, 0, 0]] * 2, "start: got '2 populations"),
        (two_population_fitness(CYCLE), [[1, 0, 0]], "start: got '1 populations"),
    ],
)
def test_starts_that_do_not_fit_the_game_are_refused(fitness, start, message):
    with pytest.raises(ValueError, match=message):
        integrate_dynamics(fitness, replicator_velocity, start, [0.0, 1.0])
    with pytest.raises(ValueError, match=message):
        iterate_dynamics(fitness, replicator_velocity, start, 2, step_size=0.1)
