"""Agents: revisions a second of three strategies and of Moran's process on a graph, an exact chain, and ten million."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import networkx as nx
import numpy as np
import pytest

from neurogames.engine import Process, imitation, moran, simulate_on_graph, simulate_strategies, strategy_chain
from neurogames.games import GraphGame, PopulationGame
from tests.benchmarks.timing import medians

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]

MATRIX = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])


@pytest.mark.parametrize("players", [100, 1000])
def test_three_strategies_well_mixed_beside_egttools(players):
    egttools = pytest.importorskip("egttools", reason="EGTtools comes with the extra `test`")
    pytest.importorskip("egttools.numerical", reason="EGTtools comes with the extra `test`")
    holder = egttools.games.Matrix2PlayerGameHolder(3, MATRIX)
    theirs = egttools.numerical.PairwiseComparisonNumerical(players, holder, 100_000)
    game, process = PopulationGame.from_matrix(MATRIX, players), Process(imitation(0.1), mutation=1 / players)
    start = [players - 2 * (players // 3), players // 3, players // 3]
    sweeps, rng, ends = 10**7 // players, np.random.default_rng(0), {}

    def ours():
        ends["ours"] = simulate_strategies(game, process, start=start, sweeps=sweeps, every=sweeps, rng=rng).count

    def peer():
        ends["peer"] = theirs.run_with_mutation(200_000, 0.1, 1 / players, np.array(start))

    mine, other = medians({f"simulate_strategies, N = {players}": ours, "EGTtools, 1/50 as many": peer}).values()
    print(f"  simulate_strategies {10 / mine:.1f} M/s, EGTtools {0.2 / other:.2f} M/s: {50 * other / mine:.0f} times")
    assert (ends["ours"].sum(axis=-1) == players).all()


def plain_moran(graph, s, intensity, revisions, rng):
    """What one would write first: the fitness of all, a parent, one of its neighbours."""
    for _ in range(revisions):
        paid = [np.mean([MATRIX[s[i], s[j]] for j in graph[i]]) for i in graph]
        fitness = np.exp(intensity * np.array(paid))
        parent = rng.choice(len(s), p=fitness / fitness.sum())
        s[rng.choice(list(graph[parent]))] = s[parent]
    return s


def plain_moran_by_sums(graph, s, intensity, revisions, rng):
    """The same with fitness kept, and parents drawn by rejection."""

    def fitness(i):
        return float(np.exp(intensity * sum(MATRIX[s[i], s[j]] for j in graph[i]) / len(graph[i])))

    kept, most = [fitness(i) for i in graph], float(np.exp(intensity))
    for _ in range(revisions):
        parent = int(rng.integers(len(s)))
        while rng.random() * most >= kept[parent]:
            parent = int(rng.integers(len(s)))
        around = list(graph[parent])
        child = around[int(rng.integers(len(around)))]
        if s[child] != s[parent]:
            s[child] = s[parent]
            for i in (child, *graph[child]):
                kept[i] = fitness(i)
    return s


def test_moran_on_a_graph_beside_python_loops():
    graph = nx.random_regular_graph(8, 10_000, seed=0)
    game, process, start = GraphGame(MATRIX, graph), Process(moran(0.1)), np.arange(10_000) % 3
    rng, ends = np.random.default_rng(0), {}

    def ours():
        ends["ours"] = simulate_on_graph(game, process, start=start, sweeps=200, every=200, rng=rng).strategies[0]

    def kept():
        ends["kept"] = plain_moran_by_sums(graph, start.copy(), 0.1, 10_000, rng)

    def plain():
        ends["plain"] = plain_moran(graph, start.copy(), 0.1, 2, rng)

    names = "simulate_on_graph, 2 M revisions", "Python, fitness kept, 10,000", "Python, fitness of all, 2"
    mine, better, worst = medians(dict(zip(names, (ours, kept, plain), strict=True)), repeats=3).values()
    rate = 2e6 / mine
    print(f"  {rate / 1e6:.1f} M revisions/s: {rate * better / 1e4:.0f} and {rate * worst / 2:.0f} times Python's")
    assert all(end.shape == (10_000,) and set(end) <= {0, 1, 2} for end in ends.values())


def test_the_exact_chain_of_a_hundred_players():
    egttools = pytest.importorskip("egttools", reason="EGTtools comes with the extra `test`")
    holder, laws = egttools.games.Matrix2PlayerGameHolder(3, MATRIX), {}

    def chain(players):
        game = PopulationGame.from_matrix(MATRIX, players)
        laws[players] = strategy_chain(game, Process(imitation(1.0), mutation=0.01)).stationary()

    def peer():
        matrix = egttools.analytical.PairwiseComparison(20, holder).calculate_transition_matrix(1.0, 0.01)
        laws["peer"] = egttools.utils.calculate_stationary_distribution(matrix.transpose().toarray())

    names = "strategy_chain, N = 20, stationary law", "EGTtools, dense, N = 20", "strategy_chain, N = 100"
    medians(dict(zip(names, (lambda: chain(20), peer, lambda: chain(100)), strict=True)), repeats=3)
    assert laws[100].residual < 1e-10
    np.testing.assert_allclose(np.sort(laws["peer"]), np.sort(laws[20].probability), atol=1e-10)


TEN_MILLION = """
    import json, resource, time
    import numpy as np
    from scipy.sparse import csr_array
    from neurogames.engine import Process, logit, simulate_on_graph
    from neurogames.games import GraphGame

    m, sweeps, rng = 10**7, 100, np.random.default_rng(0)
    ends = np.empty((m, 8), dtype=np.int32)  # four random cycles through all agents
    for k in range(4):
        order = rng.permutation(m).astype(np.int32)
        ends[order, 2 * k], ends[order, 2 * k + 1] = np.roll(order, 1), np.roll(order, -1)
    ends.sort(axis=1)
    weights = np.ones(8 * m, dtype=np.int8)
    graph = csr_array((weights, ends.ravel(), np.arange(0, 8 * m + 1, 8, dtype=np.int32)), shape=(m, m))
    game = GraphGame([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], graph)
    del graph, ends, order, weights
    start = (np.arange(m) % 3).astype(np.int8)
    begun = time.process_time()
    path = simulate_on_graph(game, Process(logit(0.5), {how!r}), start=start, sweeps=sweeps, every=sweeps, rng=rng)
    took = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([took, peak, path.count[0, -1].tolist()]))
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["one", "all"])
def test_ten_million_agents(how):
    code = textwrap.dedent(TEN_MILLION).format(how=how)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    took, peak, count = json.loads(found)
    print(f"\n  10^7 agents, 100 sweeps of logit, {how}: {took:.0f} s of one processor, {peak:.2f} GiB at most")
    assert sum(count) == 10**7
    assert peak < 2
