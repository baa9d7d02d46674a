"""Laws of open games by extensional equality on finite sets, and closed games against their definitions."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogames.engine.equilibria.nash import solve_nash
from neurogames.games.open import Agent, OpenGame, parallel
from neurogames.games.open_pieces import function, identity, player
from neurogames.games.replies import pure_equilibria

TWO = (0, 1)


@st.composite
def atoms(draw):
    """Any game at all from {0, 1} to {0, 1} with utilities in {0, 1}: P, C and B are tables."""
    size = draw(st.integers(1, 2))
    bits = st.integers(0, 1)
    play = draw(st.lists(bits, min_size=2 * size, max_size=2 * size))
    coplay = draw(st.lists(bits, min_size=4 * size, max_size=4 * size))
    response = draw(st.lists(st.booleans(), min_size=8 * size**2, max_size=8 * size**2))

    def best_response(x, k, profile, reply):
        return response[(x * 4 + k(0) * 2 + k(1)) * size**2 + profile[0] * size + reply[0]]

    return OpenGame(
        (Agent("any", tuple(range(size))),),
        lambda profile, x: play[2 * profile[0] + x],
        lambda profile, x, r: coplay[4 * profile[0] + 2 * x + r],
        best_response,
        lambda profile, x, k: (k(play[2 * profile[0] + x]),),
    )


def profiles(game):
    return list(product(*(agent.strategies for agent in game.agents)))


def contexts(moves, utilities):
    """Every function from moves to utilities."""
    for values in product(utilities, repeat=len(moves)):
        yield dict(zip(moves, values, strict=True)).__getitem__


def same(left, right, observations=TWO, moves=TWO, utilities=TWO, order=None, some=None):
    """Whether two games are equal as functions; ``order`` says where each agent of the right one stands in the left."""
    place = order or list(range(len(left.agents)))
    assert [left.agents[i] for i in place] == list(right.agents)
    everyone = profiles(left)

    def moved(profile):
        return tuple(profile[i] for i in place)

    questions = list(contexts(moves, utilities)) if some is None else some
    for x in observations:
        for profile in everyone:
            twin = moved(profile)
            assert left.play(profile, x) == right.play(twin, x)
            assert all(left.coplay(profile, x, r) == right.coplay(twin, x, r) for r in utilities)
            for k in questions:
                assert moved(left.received(profile, x, k)) == right.received(twin, x, k)
                for reply in everyone:
                    assert left.best_response(x, k, profile, reply) == right.best_response(x, k, twin, moved(reply))


@given(atoms(), atoms(), atoms())
def test_one_after_the_other_is_associative(g, h, i):
    same((g >> h) >> i, g >> (h >> i))


@given(atoms())
def test_the_identity_is_a_unit_on_both_sides(g):
    same(identity >> g, g)
    same(g >> identity, g)


@settings(max_examples=20)
@given(atoms(), atoms(), atoms(), atoms(), st.randoms(use_true_random=False))
def test_rows_of_columns_are_columns_of_rows(g, h, g2, h2, random):
    """Interchange: (G >> H) | (G' >> H') is (G | G') >> (H | H'), agents in another order."""
    pairs = tuple(product(TWO, TWO))
    some = [dict(zip(pairs, random.choices(pairs, k=4), strict=True)).__getitem__ for _ in range(3)]
    same((g >> h) | (g2 >> h2), (g | g2) >> (h | h2), pairs, pairs, pairs, order=[0, 2, 1, 3], some=some)


@given(atoms(), atoms(), st.randoms(use_true_random=False))
def test_side_by_side_the_identities_are_the_identity(g, h, random):
    pairs = tuple(product(TWO, TWO))
    some = [dict(zip(pairs, random.choices(pairs, k=4), strict=True)).__getitem__ for _ in range(6)]
    same((identity | identity) >> (g | h), g | h, pairs, pairs, pairs, some=some)


@given(atoms(), atoms(), atoms(), st.randoms(use_true_random=False))
def test_side_by_side_is_associative_up_to_brackets(g, h, i, random):
    triples = tuple(product(TWO, TWO, TWO))
    some = [dict(zip(triples, random.choices(triples, k=8), strict=True)).__getitem__ for _ in range(4)]
    bracket = function(lambda x: ((x[0], x[1]), x[2]), lambda _, r: (r[0][0], r[0][1], r[1]))
    flatten = function(lambda y: (y[0][0], y[0][1], y[1]), lambda _, r: ((r[0], r[1]), r[2]))
    same(bracket >> ((g | h) | i) >> flatten, parallel(g, h, i), triples, triples, triples, some=some)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=2), st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_functions_compose_as_functions_do(forward, backward):
    one = function(lambda x: forward[x], lambda x, r: backward[2 * x + r])
    twice = function(lambda x: forward[forward[x]], lambda x, r: backward[2 * x + backward[2 * forward[x] + r]])
    same(one >> one, twice)


def test_the_definition_of_sequential_composition_holds_word_by_word():
    """A first mover whose utility is what the second one's coplay hands back."""
    first = player("first", [0, 1, 2])
    second = OpenGame(
        (Agent("second", (0, 1)),),
        lambda profile, x: x + 10 * profile[0],
        lambda profile, x, r: r - 3 * profile[0] * x,
        lambda x, k, profile, reply: k(x + 10 * reply[0]) >= k(x + 10 * profile[0]),
        lambda profile, x, k: (k(x + 10 * profile[0]),),
    )
    game = first >> second
    profile = ((2,), 1)
    assert game.play(profile, ()) == 12
    assert game.coplay(profile, (), 5.0) == ()
    assert game.received(profile, (), float) == (12.0 - 6.0, 12.0)
    # With the second at 1, a move y brings y + 10 - 3 y: the first wants 0; at 0 it brings y: the first wants 2.
    assert game.best_response((), float, profile, ((0,), 1))
    assert not game.best_response((), float, profile, ((2,), 1))
    assert game.best_response((), float, ((0,), 0), ((2,), 1))


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3))
def test_players_side_by_side_play_the_normal_form_game(seed, rows, columns):
    payoffs = np.random.default_rng(seed).integers(0, 3, (rows, columns, 2)).astype(float)
    game = parallel(player("row", range(rows)), player("column", range(columns)))
    closed = game.close(lambda moves: tuple(payoffs[moves]), start=((), ()))
    normal = closed.to_normal_form()
    np.testing.assert_array_equal(normal.payoffs[0], payoffs[..., 0])
    np.testing.assert_array_equal(normal.payoffs[1], payoffs[..., 1])
    assert [(i, j) for (i,), (j,) in closed.equilibria()] == list(map(tuple, pure_equilibria(normal).tolist()))


def test_a_closed_game_is_solved_by_the_engine():
    payoffs = {"HH": (1.0, -1.0), "HT": (-1.0, 1.0), "TH": (-1.0, 1.0), "TT": (1.0, -1.0)}
    game = parallel(player("even", "HT"), player("odd", "HT"))
    closed = game.close(lambda moves: payoffs["".join(moves)], start=((), ()))
    assert closed.equilibria() == []
    found = solve_nash(closed.to_normal_form())
    np.testing.assert_allclose(found[0], np.full((2, 2), 0.5))
    assert closed.to_normal_form().labels.players == ("even", "odd")
    assert closed.to_normal_form().labels.actions == (("H", "T"), ("H", "T"))


def test_a_reply_counts_where_it_is_asked_and_nowhere_else():
    game = player("a", ["x", "y"], observations=[0, 1])
    closed = game.close({"x": 1.0, "y": 0.0}.get, start=1)
    assert closed.equilibria() == [(("x", "x"),), (("y", "x"),)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: player("a", []), "0 actions, 1 observations"),
        (lambda: player("a", [1], []), "1 actions, 0 observations"),
        (lambda: identity.close(lambda y: y).to_normal_form(), "no agent"),
        (lambda: player("a", range(2), range(30)).close(float, 0).profiles(), r"strategies of \['a'\] that are not"),
        (lambda: parallel(*[player(str(i), TWO) for i in range(21)]).close(lambda y: y, ((),) * 21).profiles(), "2097"),
        (
            lambda: OpenGame((Agent("net", None),), *(lambda *_: None,) * 4).close(float).equilibria(),
            r"strategies of \['net'\] that are not listed",
        ),
    ],
)
def test_what_cannot_be_listed_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
