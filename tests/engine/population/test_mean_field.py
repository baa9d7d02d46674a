"""The large-population limit: closed forms against scans, and all equilibria found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine import Process, best_response, imitation, logit, mean_field, replicator
from neurogames.games import PublicGoodsGame, SymmetricGame, ThresholdGood

GAME = PublicGoodsGame(20, 0.4, 1.0)


def disguised(game, points=20_001):
    """The same limit as a plain vector, of which no closed form is known."""
    return SymmetricGame(game.limit_gain(np.linspace(0, 1, points)))


@given(
    cost=st.floats(0.05, 0.95),
    tau=st.floats(0.02, 0.5),
    keep=st.floats(0.1, 1.0),
    masked=st.sampled_from(["hold", "blind"]),
)
def test_closed_form_and_scan_find_the_same_equilibria(cost, tau, keep, masked):
    game, process = PublicGoodsGame(20, cost, 1.0), Process(logit(tau), "one", keep, masked)
    closed, scanned = (mean_field(g, process).equilibria() for g in (game, disguised(game)))
    assert [e.stable for e in closed] == [e.stable for e in scanned]
    np.testing.assert_allclose([e.share for e in closed], [e.share for e in scanned], atol=1e-9)
    assert max(e.residual for e in closed) < 1e-14


@given(gain=st.lists(st.floats(-1, 1), min_size=2, max_size=8), tau=st.floats(0.05, 1.0))
def test_stable_and_unstable_equilibria_take_turns(gain, tau):
    found = mean_field(SymmetricGame(gain), Process(logit(tau))).equilibria()
    crossings = [e.stable for e in found if e.kind == "crossing"]
    if len(crossings) == len(found):
        assert crossings == [i % 2 == 0 for i in range(len(crossings))]
        assert len(crossings) % 2 == 1


def test_at_a_fold_two_equilibria_are_one_tangent():
    process = Process(logit(0.1), keep_prob=0.8, masked="blind")
    fold = mean_field(GAME, process).folds()[1]
    found = mean_field(PublicGoodsGame(20, fold, 1.0), process).equilibria()
    assert [e.kind for e in found] == ["crossing", "tangent"]
    assert [e.stable for e in found] == [True, False]
    assert abs(found[1].slope) < 1e-6


def test_two_equilibria_closer_than_the_grid_are_both_found_by_the_scan():
    process = Process(logit(0.1), keep_prob=0.8, masked="blind")
    fold = mean_field(GAME, process).folds()[1]
    near = PublicGoodsGame(20, fold - 1e-10, 1.0)

    class Disguised:
        n_players, gain, baseline = near.n_players, near.gain, near.baseline
        limit_gain, limit_payoff_advantage = staticmethod(near.limit_gain), staticmethod(near.limit_payoff_advantage)

    closed, scanned = (mean_field(game, process).equilibria() for game in (near, Disguised()))
    assert len(closed) == len(scanned) == 3
    assert closed[2].share - closed[1].share < 1 / 4096
    np.testing.assert_allclose([e.share for e in scanned], [e.share for e in closed], atol=1e-8)


def test_imitation_and_replicator_rest_at_the_corners_and_at_equal_payoffs():
    for choice in (imitation(3.0), replicator()):
        found = mean_field(GAME, Process(choice)).equilibria()
        np.testing.assert_allclose([e.share for e in found], [0.0, 0.4, 1.0], atol=1e-12)
        assert [e.stable for e in found] == [True, False, True]


def test_best_response_jumps_at_the_tipping_share():
    found = mean_field(GAME, Process(best_response())).equilibria()
    np.testing.assert_allclose([e.share for e in found], [0.0, 0.4, 1.0], atol=1e-12)
    assert [e.kind for e in found] == ["crossing", "jump", "crossing"]
    assert [e.stable for e in found] == [True, False, True]
    congested = SymmetricGame(np.linspace(1.0, -1.0, 101))
    (middle,) = mean_field(congested, Process(best_response())).equilibria()
    assert (middle.kind, middle.stable) == ("jump", True)


def test_where_nothing_moves_the_ends_of_the_interval_are_named():
    found = mean_field(GAME, Process(imitation(0.0))).equilibria()
    assert [(e.share, e.kind) for e in found] == [(0.0, "edge"), (1.0, "edge")]
    still = mean_field(SymmetricGame([0.0, 0.0, 0.0]), Process(replicator())).equilibria()
    assert [(e.share, e.kind) for e in still] == [(0.0, "edge"), (1.0, "edge")]


def test_all_at_once_an_equilibrium_can_be_lost_by_overshooting():
    congested = SymmetricGame(np.linspace(1.0, -1.0, 101))
    one, all_ = (mean_field(congested, Process(logit(0.1), revision)).equilibria() for revision in ("one", "all"))
    assert one[0].stable
    assert not all_[0].stable
    damped = mean_field(congested, Process(logit(0.1), "all", 0.2)).equilibria()
    assert damped[0].stable


def test_velocity_keeps_shares_between_zero_and_one():
    for process in (Process(logit(0.1), "all", 0.7, "blind"), Process(imitation(2.0)), Process(best_response())):
        ends = mean_field(GAME, process).velocity([[0.0, 1.0]])
        assert ends.shape == (1, 2)
        assert ends[0, 0] >= 0 >= ends[0, 1]


@pytest.mark.parametrize("cost", [0.3, 0.4, 0.49])
def test_critical_keep_by_root_finding_agrees_with_the_closed_form(cost):
    game, process = PublicGoodsGame(20, cost, 1.0), Process(logit(0.08), masked="blind")
    closed = mean_field(game, process).critical_keep_prob()
    searched = mean_field(disguised(game, 200_001), process).critical_keep_prob()
    np.testing.assert_allclose(searched, closed, atol=1e-7)


def test_critical_keep_does_not_depend_on_who_revises():
    game = disguised(PublicGoodsGame(20, 0.4, 1.0))
    one, all_ = (
        mean_field(game, Process(logit(0.08), revision, masked="blind")).critical_keep_prob()
        for revision in ("one", "all")
    )
    assert one == all_


def test_critical_keep_of_best_responses_lifts_the_coin_tossers_to_the_tipping_share():
    searched = mean_field(GAME, Process(best_response(), masked="blind")).critical_keep_prob()
    np.testing.assert_allclose(searched, 0.2, atol=1e-9)


@pytest.mark.parametrize(
    ("game", "process"),
    [
        (GAME, Process(logit(0.08))),
        (GAME, Process(imitation(1.0), masked="blind")),
        (PublicGoodsGame(20, 0.6, 1.0), Process(best_response(), masked="blind")),
        (PublicGoodsGame(20, 0.6, 1.0, ThresholdGood(0.5)), Process(logit(0.1), masked="blind")),
    ],
    ids=["hold", "copying", "masking favours the detour", "no second equilibrium"],
)
def test_critical_keep_is_none_where_masking_removes_nothing(game, process):
    assert mean_field(game, process).critical_keep_prob() is None


def test_folds_without_a_closed_form_are_refused():
    with pytest.raises(ValueError, match="expected logit choice in a club game for folds"):
        mean_field(GAME, Process(imitation(1.0))).folds()
    assert mean_field(GAME, Process(logit(0.3))).folds() == ()


@pytest.mark.parametrize("temperature", [1e-17, 1e-50, 1e-300])
def test_the_mean_field_near_temperature_zero_is_that_of_best_response(temperature):
    game = PublicGoodsGame(20, 0.4, 1.0)
    cold = mean_field(game, Process(logit(temperature))).equilibria()
    limit = mean_field(game, Process(best_response())).equilibria()
    np.testing.assert_allclose([each.share for each in cold], [each.share for each in limit], atol=1e-9)
    assert [each.stable for each in cold] == [each.stable for each in limit]
