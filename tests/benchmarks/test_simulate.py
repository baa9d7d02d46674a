"""Single revisions a second, beside EGTtools and beside a plain compiled loop with a table of probabilities."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from neurogames.engine import Process, imitation, logit, simulate
from neurogames.engine.process import switching
from neurogames.games import PublicGoodsGame
from tests.benchmarks.timing import medians
from tests.peers.test_egttools import pairwise

pytestmark = pytest.mark.benchmark


@numba.njit
def plain_loop(on, off, count, revisions, seed):
    """What one would write first: draw a player, draw a number, compare."""
    np.random.seed(seed)  # noqa: NPY002
    players = on.size
    for _ in range(revisions):
        if np.random.random() * players < count:  # noqa: NPY002
            count -= np.random.random() < off[count - 1]  # noqa: NPY002
        else:
            count += np.random.random() < on[count]  # noqa: NPY002
    return count


@pytest.mark.parametrize("players", [20, 1000])
@pytest.mark.parametrize("revision", ["one", "all"])
def test_revisions_per_second(players, revision):
    game, process = PublicGoodsGame(players, 0.4, 1.0), Process(logit(0.08), revision)
    sweeps = 4 * 10**6 // players
    rates = switching(game, Process(logit(0.08)))
    on, off = np.exp(rates.log_on), np.exp(rates.log_off)
    rng = np.random.default_rng(0)
    ends = {}

    def ours():
        ends["ours"] = simulate(game, process, start=0, sweeps=sweeps, every=sweeps, rng=rng).count[0, -1]

    def plain():
        ends["plain"] = plain_loop(on, off, 0, sweeps * players, 1)

    seconds = medians({f"simulate, {revision}, N = {players}": ours, "plain compiled loop, one at a time": plain})
    for name, value in seconds.items():
        print(f"  {name:<48} {sweeps * players / value / 1e6:12.1f} M revisions/s")
    assert 0 <= ends["ours"] <= players


@pytest.mark.parametrize("players", [100, 1000])
@pytest.mark.filterwarnings("ignore")
def test_revisions_per_second_beside_egttools(players):
    egttools = pytest.importorskip("egttools", reason="EGTtools comes with the extra `test`")
    pytest.importorskip("egttools.numerical", reason="EGTtools comes with the extra `test`")
    payoff = np.array([[2.0, 1.0], [0.0, 3.0]])
    holder = egttools.games.Matrix2PlayerGameHolder(2, payoff)
    theirs = egttools.numerical.PairwiseComparisonNumerical(players, holder, 100_000)
    game, process = pairwise(payoff, players), Process(imitation(0.1))
    revisions = 200_000
    sweeps = revisions // players
    half = np.array([players // 2, players // 2])
    rng = np.random.default_rng(0)
    seconds = medians(
        {
            f"simulate, N = {players}": lambda: simulate(
                game, process, start=players // 2, sweeps=20 * sweeps, every=20 * sweeps, rng=rng
            ),
            "EGTtools run_with_mutation": lambda: theirs.run_with_mutation(revisions, 0.1, 1 / players, half),
        }
    )
    end = simulate(game, process, start=players // 2, sweeps=20 * sweeps, every=20 * sweeps, rng=rng).count[0, -1]
    assert 0 <= end <= players
    ours, peer = seconds.values()
    print(f"  simulate {20 * revisions / ours / 1e6:.1f} M/s, EGTtools {revisions / peer / 1e6:.2f} M/s")
    print(f"  {20 * peer / ours:.0f} times the revisions a second of EGTtools")
