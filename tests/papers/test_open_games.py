"""Worked examples of compositional game theory (arXiv 1603.04641), with answers known from game theory's textbooks."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.equilibria.nash import solve_nash
from neurogames.games import PublicGoodsGame
from neurogames.games.open import parallel
from neurogames.games.open_pieces import function, identity, player
from neurogames.games.replies import pure_equilibria

# Hands its observation on, and to whoever observes it as well; that one owes no utility in return.
SHOW = function(lambda x: (x, x), lambda _, r: r[0])


def leader_and_follower(moves, replies):
    """The leader moves, the follower observes it; closed by a function of both moves."""
    return player("leader", moves) >> SHOW >> (identity | player("follower", replies, observations=moves))


def credible(follower, utility, moves, reply):
    """Whether a follower's strategy is a best response after every move, so that no threat is empty."""
    return all(follower.best_response(x, lambda y, x=x: utility(x, y)[1], (reply,), (reply,)) for x in moves)


def test_entry_deterrence_has_one_credible_and_one_incredible_equilibrium():
    """Selten's chain store: entry brings (2, 2) or, if fought, (0, 0); staying out brings (1, 5)."""
    outcome = {("in", "share"): (2.0, 2.0), ("in", "fight"): (0.0, 0.0)}
    moves, replies = ["in", "out"], ["share", "fight"]

    def utility(x, y):
        return outcome.get((x, y), (1.0, 5.0))

    closed = leader_and_follower(moves, replies).close(lambda y: utility(*y))
    found = closed.equilibria()
    assert found == [
        (("in",), ("share", "share")),
        (("in",), ("share", "fight")),
        (("out",), ("fight", "share")),
        (("out",), ("fight", "fight")),
    ]
    follower = player("follower", replies, observations=moves)
    assert [credible(follower, utility, moves, profile[1]) for profile in found] == [True, True, False, False]
    normal = closed.to_normal_form()
    assert len(pure_equilibria(normal)) == 4
    # After staying out nothing matters: the game is degenerate, and its solver says so.
    assert solve_nash(normal).degenerate


def test_ultimatum_game_has_33_pure_equilibria_of_which_two_offers_are_credible():
    """A pie of 4, offers 0..4. Offer o, accepted, needs every smaller offer to be refused: 2^(4-o) strategies, 31 in
    all; and nothing is shared where only 0 is offered and all but perhaps 4 are refused, 2 more."""
    pie, offers = 4, range(5)

    def utility(x, y):
        return (float(pie - x), float(x)) if y else (0.0, 0.0)

    closed = leader_and_follower(offers, [True, False]).close(lambda y: utility(*y))
    found = closed.equilibria()
    assert len(found) == 33
    shares = {profile[0][0] for profile in found if profile[1][profile[0][0]]}
    assert shares == {0, 1, 2, 3, 4}
    responder = player("follower", [True, False], observations=offers)
    honest = [profile for profile in found if credible(responder, utility, offers, profile[1])]
    assert honest == [((0,), (True,) * 5), ((1,), (False, True, True, True, True))]
    np.testing.assert_array_equal(pure_equilibria(closed.to_normal_form()).shape, (33, 2))


@pytest.mark.parametrize("good", ["club", "linear", "threshold", "sigmoid"])
@pytest.mark.parametrize("n", [2, 4])
def test_players_and_a_pool_make_the_public_goods_game(n, good):
    formula = PublicGoodsGame(n, 0.4, 1.0, good)

    def shared(moves, _):
        count = sum(moves)
        return tuple(
            formula.baseline[count - 1] + formula.gain[count - 1] if moves[i] else formula.baseline[count]
            for i in range(n)
        )

    pool = function(lambda _: (), shared)
    contributors = parallel(*(player(f"player {i}", [False, True]) for i in range(n)))
    closed = (contributors >> pool).close(lambda _: (), start=((),) * n)
    normal = closed.to_normal_form()
    for profile in np.ndindex(*(2,) * n):
        count = sum(profile)
        for i in range(n):
            produced = formula.good.produced(np.array(count / n))
            received = produced if profile[i] or not formula.good.excludable else 0.0
            assert normal.payoffs[i][profile] == pytest.approx(received - 0.4 * profile[i])
    counts = {sum(acts for (acts,) in profile) for profile in closed.equilibria()}
    assert set(formula.strict_equilibria()) <= counts


def test_a_public_goods_game_of_three_has_its_tipping_point():
    closed = (
        parallel(*(player(str(i), [False, True]) for i in range(3)))
        >> function(lambda _: (), lambda y, _: tuple((sum(y) / 3 - 0.5) * acts for acts in y))
    ).close(lambda _: (), start=((),) * 3)
    assert closed.equilibria() == [((False,),) * 3, ((True,),) * 3]
