"""Every game of several strategies under every process: three views, each beside a slow twin, and the views agree."""

from __future__ import annotations

from itertools import product
from math import exp

import numpy as np
import pytest

from neurogames.engine import Process, simulate_strategies, strategy_chain, strategy_mean_field
from neurogames.engine.choice import BestResponse, Imitation, Logit
from neurogames.engine.strategies import simulate
from neurogames.engine.strategies.best_replies import linear_payoffs
from neurogames.engine.strategies.reproduction import Reproduction
from neurogames.games import PopulationGame
from tests.engine.strategies.strategy_laws import GAMES, PLAYERS, PROCESSES

CASES = [pytest.param(GAMES[g], PROCESSES[p], id=f"{g}; {p}") for g, p in product(GAMES, PROCESSES)]
FEW = [pytest.param(GAMES["any matrix"], process, id=name) for name, process in PROCESSES.items()]


def earned(game, agents, agent, strategy):
    """What a strategy would pay to one agent beside all others."""
    others = np.bincount(np.delete(agents, agent), minlength=game.n_strategies)
    return float(game.payoffs(others)[strategy])


def fitness(choice, payoff):
    return exp(choice.intensity * payoff) if choice.fitness == "exponential" else 1 + choice.intensity * (payoff - 1)


def answer(game, choice, agents, agent, blind=False):
    """Law of the next strategy of one agent, from the definition, agent by agent."""
    n, players = game.n_strategies, len(agents)
    law = np.zeros(n)
    if isinstance(choice, Logit | BestResponse):
        offers = [0.0 if blind else earned(game, agents, agent, j) for j in range(n)]
        if isinstance(choice, Logit):
            law[:] = [exp(offer / choice.temperature) for offer in offers]
        else:
            law[:] = [offer >= max(offers) - 1e-9 for offer in offers]
        return law / law.sum()
    if isinstance(choice, Reproduction):
        for parent in range(players):
            if not (choice.among_others and parent == agent):
                law[agents[parent]] += fitness(choice, earned(game, agents, parent, agents[parent]))
        return law / law.sum()
    least, most = game.payoff_range()
    for model in range(players):
        if model == agent:
            continue
        ahead = earned(game, agents, model, agents[model]) - earned(game, agents, agent, agents[agent])
        ahead = 0.0 if blind else ahead
        if isinstance(choice, Imitation):
            copy = 1 / (1 + exp(-choice.intensity * ahead))
        else:
            copy = max(0.0, ahead) / (most - least)
        law[agents[model]] += copy / (players - 1)
        law[agents[agent]] += (1 - copy) / (players - 1)
    return law


def revision(game, process, agents, agent):
    """The same with mask and mutation."""
    n = game.n_strategies
    law = answer(game, process.choice, agents, agent)
    hold = np.eye(n)[agents[agent]]
    masked = hold if process.masked == "hold" else None
    if process.keep_prob < 1:
        masked = answer(game, process.choice, agents, agent, blind=True) if masked is None else masked
        law = process.keep_prob * law + (1 - process.keep_prob) * masked
    rate = process.mutation
    matrix = np.array(rate) if isinstance(rate, tuple) else np.full((n, n), rate / (n - 1))
    np.fill_diagonal(matrix, matrix.diagonal() if isinstance(rate, tuple) else 1 - rate)
    if isinstance(process.choice, Reproduction):
        return law @ matrix
    own = matrix[agents[agent]].copy()
    stays, own[agents[agent]] = own[agents[agent]], 0.0
    return own + stays * law


def next_law(game, process, composition):
    """Law of the next composition, by its definition: a dictionary."""
    agents = np.repeat(np.arange(len(composition)), composition)
    rows = [revision(game, process, agents, agent) for agent in range(len(agents))]
    law = {}
    if process.revision == "one":
        for agent, row in enumerate(rows):
            for j, probability in enumerate(row):
                after = np.array(composition)
                after[agents[agent]] -= 1
                after[j] += 1
                law[tuple(after)] = law.get(tuple(after), 0.0) + probability / len(agents)
        return law
    law[(0,) * len(composition)] = 1.0
    for row in rows:
        grown = {}
        for before, weight in law.items():
            for j, probability in enumerate(row):
                after = (*before[:j], before[j] + 1, *before[j + 1 :])
                grown[after] = grown.get(after, 0.0) + weight * probability
        law = grown
    return law


@pytest.mark.parametrize(("game", "process"), CASES)
def test_the_chain_moves_as_its_definition_says(game, process):
    chain = strategy_chain(game, process)
    matrix = chain.transition_matrix().toarray()
    states = [tuple(map(int, state)) for state in chain.states]
    for place in (0, 5, 11, 16, 27):
        expected = next_law(game, process, states[place])
        row = [expected.get(state, 0.0) for state in states]
        np.testing.assert_allclose(matrix[place], row, atol=1e-13)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize(("game", "process"), CASES)
def test_the_stationary_law_is_that_of_linear_algebra(game, process):
    chain = strategy_chain(game, process)
    law = chain.stationary()
    matrix = chain.transition_matrix().toarray()
    eigenvalues = np.linalg.eigvals(matrix)
    unique = int((np.abs(eigenvalues - 1) < 1e-10).sum()) == 1
    assert unique == (law.status == "ok")
    if not unique:
        assert np.isnan(law.probability).all()
        assert "not unique" in law.status
        return
    system = np.vstack([matrix.T - np.eye(len(matrix)), np.ones(len(matrix))])
    expected = np.linalg.lstsq(system, np.eye(len(matrix) + 1)[-1], rcond=None)[0]
    np.testing.assert_allclose(law.probability, expected, atol=1e-9)
    assert law.residual < 1e-11


@pytest.mark.parametrize(("game", "process"), FEW)
def test_absorption_and_escape_are_those_of_linear_algebra(game, process):
    chain = strategy_chain(game, process)
    matrix = chain.transition_matrix().toarray()
    ends = np.flatnonzero(chain.states.max(axis=1) == PLAYERS)
    inner = np.setdiff1d(np.arange(len(matrix)), ends)
    system = np.eye(inner.size) - matrix[np.ix_(inner, inner)]
    hits = np.linalg.solve(system, matrix[np.ix_(inner, ends)])[:, ::-1]  # states are in lexicographic order
    times = np.linalg.solve(system, np.ones(inner.size)) / (PLAYERS if process.revision == "one" else 1)
    for k in (0, 7, inner.size - 1):
        found = chain.absorption(chain.states[inner[k]])
        np.testing.assert_allclose(found.probability, hits[k], rtol=1e-8, atol=1e-12)
        assert found.escape.sweeps == pytest.approx(times[k], rel=1e-8)
        assert found.residual < 1e-11
        time = chain.escape_time(chain.states[inner[k]], lambda states: states.max(axis=1) == PLAYERS)
        assert time.sweeps == pytest.approx(times[k], rel=1e-8)


@pytest.mark.parametrize("tables", [True, False], ids=["tables", "rows"])
@pytest.mark.parametrize(("game", "process"), CASES)
def test_simulated_shares_are_those_of_the_chain(game, process, tables, monkeypatch):
    if not tables:
        if game.matrix is None:
            pytest.skip("only matrix games are played without tables")
        monkeypatch.setattr(simulate, "_SMALL_TABLE", 0)
    replicas, start = 4000, [3, 2, 1]
    path = simulate_strategies(
        game, process, start=start, sweeps=3, replicas=replicas, every=3, rng=np.random.default_rng(7)
    )
    chain = strategy_chain(game, process)
    exact = chain.transient(start, 3)
    assert exact.residual < 1e-12
    seen = np.array([(path.count[:, -1] == state).all(axis=1).mean() for state in chain.states])
    error = np.sqrt(exact.probability * (1 - exact.probability) / replicas)
    # 28 compositions in each of about a hundred cases: five standard errors, and a few counts for the rarest.
    assert (np.abs(seen - exact.probability) <= 5 * error + 3 / replicas).all()


@pytest.mark.parametrize("name", PROCESSES)
def test_a_large_population_follows_the_mean_field(name):
    players, sweeps = 50_000, 3
    game = PopulationGame.from_matrix(GAMES["any matrix"].matrix, players)
    start = np.array([20_000, 20_000, 10_000])
    path = simulate_strategies(game, PROCESSES[name], start=start, sweeps=sweeps, rng=np.random.default_rng(3))
    field = strategy_mean_field(game, PROCESSES[name]).path(start / players, np.arange(sweeps + 1))
    assert field.status == "ok"
    assert np.abs(path.share[0] - field.states[0]).max() < 5 / np.sqrt(players)


@pytest.mark.parametrize(("game", "process"), CASES)
def test_rest_points_rest(game, process):
    field = strategy_mean_field(game, process)
    replying = isinstance(process.choice, BestResponse)
    if replying and linear_payoffs(game) is None:
        with pytest.raises(ValueError, match="payoffs linear in the shares"):
            field.rest_points()
        return
    found = field.rest_points(grid=6)
    assert len(found) >= (0 if replying and process.revision == "all" else 1)
    assert found.complete == (replying or (game.matrix is not None and process.choice.copies and process.mutation == 0))
    for point in found:
        assert point.residual < 1e-10
        assert point.share.sum() == pytest.approx(1.0)
        if point.kind == "stable":  # what is near comes nearer
            near = np.maximum(point.share + 1e-3 * np.array([1, -0.5, -0.5]), 0)
            near /= near.sum()
            after = field.path(near, [0.0, 200.0]).states[0][-1]
            assert np.abs(after - point.share).max() < 1e-4


def test_paths_depend_neither_on_other_replicas_nor_on_threads():
    game, process, start = GAMES["any matrix"], Process(Logit(0.3)), [2, 2, 2]
    few = simulate_strategies(game, process, start=start, sweeps=9, replicas=2, rng=np.random.default_rng(1))
    many = simulate_strategies(
        game, process, start=start, sweeps=9, replicas=5, rng=np.random.default_rng(1), threads=2
    )
    np.testing.assert_array_equal(few.count, many.count[:2])
    assert (many.count.sum(axis=2) == PLAYERS).all()
