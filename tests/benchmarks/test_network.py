"""Logit revisions a second on a random regular graph, beside QuantEcon's local interaction."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from neurogames.engine import Process, best_response, logit
from neurogames.engine.graphs.network_dynamics import simulate_network
from neurogames.games.network import NetworkPublicGoodsGame
from tests.benchmarks.timing import medians

pytestmark = pytest.mark.benchmark

N, DEGREE = 10_000, 8


@pytest.fixture(scope="module")
def graph():
    return nx.random_regular_graph(DEGREE, N, seed=0)


@pytest.mark.parametrize("temperature", [0.08, 0.3], ids=["cool", "warm"])
@pytest.mark.parametrize("revision", ["one", "all"])
def test_logit_revisions_per_second(graph, temperature, revision):
    """Warm players switch in every fifth revision, and every switch moves eight neighbours."""
    sweeps, unlike = 1000, 20
    rng = np.random.default_rng(0)
    alike = NetworkPublicGoodsGame(graph, 0.4, 1.0)
    costs = 0.4 + 0.001 * (np.arange(N) % unlike)
    games = {"players alike": alike, f"{unlike} costs": NetworkPublicGoodsGame(graph, costs, 1.0)}
    start, process = np.arange(N) % 2 == 0, Process(logit(temperature), revision)
    ends = {}

    def play(name):
        ends[name] = simulate_network(games[name], process, start=start, sweeps=sweeps, every=sweeps, rng=rng)

    seconds = medians({name: lambda name=name: play(name) for name in games})
    for name, value in seconds.items():
        print(f"  {name:<48} {N * sweeps / value / 1e6:12.1f} M revisions/s")
    assert all(0 <= end.count[0, -1] <= N for end in ends.values())


@pytest.mark.filterwarnings("ignore")
def test_revisions_per_second_beside_quantecon(graph):
    """QuantEcon revises by best response to a matrix game with each neighbour, one at a time."""
    theory = pytest.importorskip("quantecon.game_theory", reason="quantecon is a peer here")
    matrix = np.array([[0.5, 0.5], [0.0, 1.0]])
    local = theory.LocalInteraction(matrix, nx.to_scipy_sparse_array(graph).astype(float))
    game = NetworkPublicGoodsGame(graph, 0.5, 1.0)
    start = np.arange(N) % 2 == 0
    actions = tuple(start.astype(int).tolist())
    ours, theirs, at_once = 2_000_000, 200, 20 * N
    rng = np.random.default_rng(0)
    ends = {}

    def simulate():
        ends["ours"] = simulate_network(
            game, Process(best_response()), start=start, sweeps=ours // N, every=ours // N, rng=rng
        )

    def one_at_a_time():
        order = rng.integers(N, size=theirs)
        ends["theirs"] = local.play(
            revision="asynchronous", actions=actions, player_ind_seq=order.tolist(), num_reps=theirs
        )

    def all_at_once():
        ends["all"] = local.play(revision="simultaneous", actions=actions, num_reps=at_once // N)

    seconds = medians(
        {"simulate_network": simulate, "quantecon one at a time": one_at_a_time, "quantecon all at once": all_at_once},
        3,
    )
    rates = dict(zip(seconds, (ours, theirs, at_once), strict=True))
    for name, value in seconds.items():
        print(f"  {name:<48} {rates[name] / value / 1e6:14.4f} M revisions/s")
    assert len(ends["theirs"]) == N
