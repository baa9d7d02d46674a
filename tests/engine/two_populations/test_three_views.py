"""Every game between two populations under every process: three views, each beside a slow twin, and the views agree."""

from __future__ import annotations

from itertools import product
from math import comb, exp

import matplotlib as mpl
import numpy as np
import pytest

from neurogames.engine import (
    Process,
    best_response,
    imitation,
    logit,
    replicator,
    simulate_two_populations,
    two_population_chain,
    two_population_mean_field,
)
from neurogames.engine.choice import BestResponse, Imitation, Logit
from neurogames.engine.strategies.reproduction import Reproduction
from neurogames.games import NormalFormGame, TwoPopulationGame
from tests.engine.two_populations.pair_laws import GAMES, PROCESSES, SIZES, fits

CASES = [
    pytest.param(GAMES[g], PROCESSES[p], id=f"{g}; {p}")
    for g, p in product(GAMES, PROCESSES)
    if fits(GAMES[g], PROCESSES[p])
]
START = ([2, 1], [1, 3])


def start_of(game):
    return START[0], START[1] + [0] * (game.n_strategies[1] - 2)


def pays(game, agents, place, strategy):
    """What a strategy pays in a population, from the definition: the mean over all players of the other one."""
    against = agents[1 - place]
    table = game.first if place == 0 else game.second.T
    return sum(table[strategy, other] for other in against) / len(against)


def revision(game, process, agents, place, agent):
    """Law of the next strategy of one agent, mask and mutation included, from the definition."""
    choice, own = process.choice, agents[place]
    n, mine = game.n_strategies[place], own[agent]

    def answer(seen):
        law = np.zeros(n)
        pay = [seen * pays(game, agents, place, k) for k in range(n)]
        if isinstance(choice, Logit):
            law[:] = [exp(each / choice.temperature) for each in pay]
        elif isinstance(choice, BestResponse):
            law[:] = [each >= max(pay) - 1e-9 for each in pay]
        elif isinstance(choice, Reproduction):
            for parent, strategy in enumerate(own):
                if not (choice.among_others and parent == agent):
                    law[strategy] += exp(choice.intensity * pay[strategy])
        else:
            table = game.first if place == 0 else game.second
            for model, strategy in enumerate(own):
                if model != agent:
                    ahead = pay[strategy] - pay[mine]
                    copy = max(0.0, ahead) / np.ptp(table)
                    if isinstance(choice, Imitation):
                        copy = 1 / (1 + exp(-choice.intensity * ahead))
                    law[strategy] += copy
                    law[mine] += 1 - copy
        return law / law.sum()

    law = answer(1.0)
    keep = process.keep_prob
    law = keep * law + (1 - keep) * (np.eye(n)[mine] if process.masked == "hold" else answer(0.0))
    rate = process.mutation
    matrix = np.array(rate) if isinstance(rate, tuple) else np.full((n, n), rate / (n - 1))
    np.fill_diagonal(matrix, matrix.diagonal() if isinstance(rate, tuple) else 1 - rate)
    if isinstance(choice, Reproduction):
        return law @ matrix
    return matrix[mine] * (np.arange(n) != mine) + matrix[mine, mine] * law


def next_law(game, process, counts):
    """Law of the next pair of compositions: a dictionary."""
    pair = process if isinstance(process, tuple) else (process, process)
    agents = [np.repeat(np.arange(len(count)), count).tolist() for count in counts]
    rows = [(p, a, revision(game, pair[p], agents, p, a)) for p in range(2) for a in range(len(agents[p]))]
    law = {}
    if pair[0].revision == "one":
        for place, agent, row in rows:
            for j, chance in enumerate(row):
                after = [np.array(count) for count in counts]
                after[place][agents[place][agent]] -= 1
                after[place][j] += 1
                key = tuple(np.concatenate(after))
                law[key] = law.get(key, 0.0) + chance / len(rows)
        return law
    law[(0,) * sum(map(len, counts))] = 1.0
    for place, _, row in rows:
        grown = {}
        for (before, weight), (j, chance) in product(law.items(), enumerate(row)):
            after = np.array(before)
            after[j + place * len(counts[0])] += 1
            grown[tuple(after)] = grown.get(tuple(after), 0.0) + weight * chance
        law = grown
    return law


@pytest.mark.parametrize(("game", "process"), CASES)
def test_the_chain_moves_as_its_definition_says_and_rests_as_linear_algebra_says(game, process):
    chain = two_population_chain(game, process)
    matrix = chain.transition_matrix().toarray()
    first, second = chain.states
    states = [tuple(map(int, state)) for state in np.concatenate([first, second], axis=1)]
    for place in (0, 6, len(states) - 2):
        expected = next_law(game, process, (first[place], second[place]))
        np.testing.assert_allclose(matrix[place], [expected.get(state, 0.0) for state in states], atol=1e-13)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)
    law = chain.stationary()
    unique = int((np.abs(np.linalg.eigvals(matrix) - 1) < 1e-10).sum()) == 1
    assert unique == (law.status == "ok")
    if unique:
        np.testing.assert_allclose(law.probability @ matrix, law.probability, atol=1e-12)
        assert law.residual < 1e-11


@pytest.mark.parametrize(("game", "process"), CASES)
def test_simulated_counts_are_those_of_the_chain(game, process):
    replicas, start = 3000, start_of(game)
    path = simulate_two_populations(
        game, process, start=start, sweeps=3, replicas=replicas, every=3, rng=np.random.default_rng(7)
    )
    exact = two_population_chain(game, process).transient(start, 3)
    assert exact.residual < 1e-12
    ends = np.concatenate([count[:, -1] for count in path.count], axis=1)
    states = np.concatenate(exact.states, axis=1)
    seen = (ends[:, None, :] == states[None]).all(axis=2).mean(axis=0)
    error = np.sqrt(exact.probability * (1 - exact.probability) / replicas)
    # Up to 60 states in each of 31 cases: five standard errors, and a few counts for the rarest.
    assert (np.abs(seen - exact.probability) <= 5 * error + 3 / replicas).all()


@pytest.mark.parametrize("name", PROCESSES)
def test_large_populations_follow_the_mean_field(name):
    sizes, sweeps = (40_000, 60_000), 3
    game = TwoPopulationGame(GAMES["2 x 3"].first, GAMES["2 x 3"].second, sizes)
    start = np.array([24_000, 16_000]), np.array([30_000, 20_000, 10_000])
    path = simulate_two_populations(game, PROCESSES[name], start=start, sweeps=sweeps, rng=np.random.default_rng(3))
    field = two_population_mean_field(game, PROCESSES[name]).path(
        (start[0] / sizes[0], start[1] / sizes[1]), np.arange(sweeps + 1)
    )
    assert field.status == "ok"
    for seen, state, size in zip(path.share, field.states, sizes, strict=True):
        assert np.abs(seen[0] - state).max() < 5 / np.sqrt(size)


@pytest.mark.parametrize("name", [name for name in PROCESSES if name != "two processes"])
@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
def test_rest_points_rest_and_what_is_near_a_stable_one_comes_nearer(game, name):
    field = two_population_mean_field(game, PROCESSES[name])
    found = field.rest_points()
    n = game.n_strategies[0]
    assert len(found) >= 1
    for point in found:
        assert point.residual < 1e-10
        x, y = point.share[:n], point.share[n:]
        if point.kind == "stable":
            near = [0.999 * part + 0.001 / part.size for part in (x, y)]
            after = field.path(near, [0.0, 200.0]).states
            assert max(np.abs(after[0][-1] - x).max(), np.abs(after[1][-1] - y).max()) < 1e-4


def test_pennies_rest_at_their_equilibrium_and_battles_at_theirs():
    pennies = two_population_mean_field(GAMES["pennies"], Process(replicator())).rest_points()
    inner = [point for point in pennies if point.share.min() > 0]
    np.testing.assert_allclose(inner[0].share, 0.5)
    assert inner[0].kind == "neutral"
    np.testing.assert_allclose(sorted(inner[0].eigenvalues.imag), [-0.5, 0.5], atol=1e-8)
    np.testing.assert_allclose(inner[0].eigenvalues.real, 0.0, atol=1e-8)
    battle = two_population_mean_field(GAMES["battle"], Process(replicator())).rest_points()
    mixed = next(point for point in battle if point.share.min() > 0)
    np.testing.assert_allclose(mixed.share, [2 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert [point.kind for point in battle] == ["stable", "unstable", "saddle", "unstable", "stable"]


def test_logit_in_a_game_of_common_interests_has_gibbs_law():
    """With one potential for both populations the law is binomial weights times exp(potential / tau)."""
    common, sizes, tau = np.array([[1.0, 0.2], [0.0, 0.7]]), (3, 3), 0.25
    game = TwoPopulationGame(common, common, sizes)
    law = two_population_chain(game, Process(logit(tau))).stationary()
    weights = []
    for x, y in zip(*law.states, strict=True):
        ways = comb(3, int(x[0])) * comb(3, int(y[0]))
        weights.append(ways * exp(x @ common @ y / 3 / tau))
    np.testing.assert_allclose(law.probability, np.array(weights) / sum(weights), rtol=1e-10)


def test_times_to_a_set_and_paths_are_as_for_linear_algebra_and_one_replica():
    game, process = GAMES["battle"], Process(logit(0.5))
    chain = two_population_chain(game, process)
    matrix = chain.transition_matrix().toarray()
    first, second = chain.states
    inside = (first[:, 0] == 3) & (second[:, 0] == 4)
    outer = np.flatnonzero(~inside)
    times = np.linalg.solve(np.eye(outer.size) - matrix[np.ix_(outer, outer)], np.ones(outer.size)) / sum(SIZES)
    found = chain.escape_time(([0, 3], [0, 4]), lambda x, y: (x[:, 0] == 3) & (y[:, 0] == 4))
    assert found.sweeps == pytest.approx(times[0], rel=1e-9)
    plan = {"start": START, "sweeps": 9}
    few = simulate_two_populations(game, process, replicas=2, rng=np.random.default_rng(1), **plan)
    many = simulate_two_populations(game, process, replicas=5, rng=np.random.default_rng(1), **plan)
    for short, long in zip(few.count, many.count, strict=True):
        np.testing.assert_array_equal(short, long[:2])


@pytest.mark.parametrize(("game", "process"), CASES)
def test_pairs_take_over_as_linear_algebra_says(game, process):
    chain = two_population_chain(game, process)
    matrix = chain.transition_matrix().toarray()
    first, second = chain.states
    ends = np.flatnonzero((first.max(axis=1) == SIZES[0]) & (second.max(axis=1) == SIZES[1]))
    inner = np.setdiff1d(np.arange(len(matrix)), ends)
    system = np.eye(inner.size) - matrix[np.ix_(inner, inner)]
    hits = np.linalg.solve(system, matrix[np.ix_(inner, ends)])[:, ::-1]  # states are in lexicographic order
    pair = process if isinstance(process, tuple) else (process, process)
    times = np.linalg.solve(system, np.ones(inner.size)) / (sum(SIZES) if pair[0].revision == "one" else 1)
    for k in (0, 7, inner.size - 1):
        found = chain.absorption((first[inner[k]], second[inner[k]]))
        np.testing.assert_allclose(found.probability.reshape(-1), hits[k], rtol=1e-8, atol=1e-12)
        assert found.escape.sweeps == pytest.approx(times[k], rel=1e-8)
        assert found.residual < 1e-11
    at_end = chain.absorption((first[ends[1]], second[ends[1]]))
    assert at_end.probability.reshape(-1)[::-1].tolist() == [float(k == 1) for k in range(ends.size)]
    assert at_end.escape.sweeps == 0.0


def test_take_over_is_seen_in_simulations_and_follows_the_mean_field():
    game, process, start = GAMES["battle"], Process(imitation(1.5)), ([2, 1], [1, 3])
    found = two_population_chain(game, process).absorption(start)
    assert found.probability.sum() == pytest.approx(1.0, abs=1e-12)
    replicas = 4000
    path = simulate_two_populations(
        game, process, start=start, sweeps=400, replicas=replicas, rng=np.random.default_rng(11)
    )
    ended = [count.max(axis=-1) == size for count, size in zip(path.count, SIZES, strict=True)]
    together = ended[0] & ended[1]
    assert together[:, -1].all()
    seen = np.zeros((2, 2))
    np.add.at(seen, tuple(count[:, -1].argmax(axis=-1) for count in path.count), 1 / replicas)
    assert (
        np.abs(seen - found.probability) < 5 * np.sqrt(found.probability * (1 - found.probability) / replicas)
    ).all()
    # A path is recorded after each sweep, and ends within the one before.
    sweeps = together.argmax(axis=1) - 0.5
    assert abs(sweeps.mean() - found.escape.sweeps) < 5 * sweeps.std() / np.sqrt(replicas) + 0.5
    # From where the mean field leads to a pair, larger populations are ever more certain to go there.
    chances = []
    for size in (5, 10, 20):
        larger = TwoPopulationGame(game.first, game.second, (size, size))
        begin = [4 * size // 5, size - 4 * size // 5]
        chances.append(
            two_population_chain(larger, Process(imitation(2.0))).absorption((begin, begin)).probability[0, 0]
        )
    field = two_population_mean_field(game, Process(imitation(2.0))).path(([0.8, 0.2], [0.8, 0.2]), [0.0, 60.0])
    assert min(state[-1, 0] for state in field.states) > 0.999
    assert 0.7 < chances[0] < chances[1] < chances[2]


def test_results_carry_names_and_are_drawn():
    mpl.use("agg")
    from matplotlib import pyplot as plt

    form = NormalFormGame(([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]))
    assert TwoPopulationGame.from_normal_form(form, (5, 6)).labels == form.labels.actions
    game, process = GAMES["battle"], Process(logit(0.5))
    path = simulate_two_populations(game, process, start=START, sweeps=4, replicas=3, rng=np.random.default_rng(0))
    law = two_population_chain(game, process).stationary()
    field = two_population_mean_field(game, process)
    wide = two_population_chain(GAMES["2 x 3"], process).stationary()
    for result in (path, law, field, wide):
        assert result.plot().figure is not None
    table = path.to_dataframe()
    row = table[(table.population == "she") & (table.replica == 2) & (table.time == 4) & (table.strategy == "b")]
    assert row["count"].item() == path.count[1][2, 4, 1]
    assert list(law.to_dataframe().columns) == ["he: a", "he: b", "she: a", "she: b", "log_probability"]
    assert path.to_xarray()["count_2"].sel(strategy_2="b").shape == (3, 5)
    assert law.to_xarray()["log_probability"].size == 20
    course = field.path(([0.5, 0.5], [0.25, 0.75]), [0.0, 1.0])
    rows = course.to_dataframe()
    assert rows[(rows.population == "she") & (rows.action == "b") & (rows.time == 0)]["share"].item() == 0.75
    assert "she: b" in field.rest_points().to_dataframe().columns
    assert " | " in repr(path)
    assert " | " in repr(law)
    plt.close("all")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda: TwoPopulationGame([[1, 2]], [[1, 2]], SIZES), "first: got"),
        (lambda: TwoPopulationGame(np.eye(2), np.eye(3), SIZES), "second: got"),
        (lambda: TwoPopulationGame(np.eye(2), np.eye(2), (5, 1)), "n_players: got 1"),
        (lambda: TwoPopulationGame(np.eye(2), np.eye(2), SIZES, labels=(("a",), ())), "labels: got"),
        (
            lambda: two_population_chain(TwoPopulationGame(np.eye(3), np.eye(3), (99, 99)), Process(logit(1))),
            "game: got",
        ),
        (lambda: two_population_chain(GAMES["battle"], (Process(logit(1)), Process(logit(1), "all"))), "process: got"),
        (lambda: two_population_chain(GAMES["battle"], logit(1)), "process: got"),
        (lambda: two_population_mean_field(GAMES["2 x 3"], Process(replicator())).plot(), "plot: got"),
        (
            lambda: two_population_mean_field(
                GAMES["battle"], (Process(best_response()), Process(logit(1)))
            ).rest_points(),
            "process: got",
        ),
        (lambda: two_population_chain(GAMES["battle"], Process(imitation(1))).stationary().plot(), "plot: got"),
        (
            lambda: simulate_two_populations(
                GAMES["battle"], Process(logit(1)), start=([1, 1], [2, 2]), sweeps=1, rng=np.random.default_rng(0)
            ),
            "start: got",
        ),
    ],
)
def test_what_does_not_fit_is_refused(act, expected):
    with pytest.raises(ValueError, match=expected):
        act()
