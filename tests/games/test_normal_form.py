from __future__ import annotations

import numpy as np
import pytest

from neurogames.games.normal_form import Labels, NormalFormGame, restrict

rng = np.random.default_rng(3)
GAME = NormalFormGame([rng.integers(-5, 6, (2, 3, 4)) for _ in range(3)])


def test_pairs_of_payoffs_are_refused_and_what_is_meant_is_said():
    with pytest.raises(ValueError, match="the payoffs of both players at one profile"):
        NormalFormGame([[(1, 2), (3, 4)], [(5, 6), (7, 8)]])


def test_payoffs_are_a_read_only_copy():
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]])
    game = NormalFormGame((matrix, matrix))
    matrix[0, 0] = 99.0
    assert game.payoffs[0][0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        game.payoffs[0][0, 0] = 5.0


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        ([], "payoffs: got 'no tensor'"),
        ([[[1.0, 2.0]]], r"payoffs\[0\]: got 'shape \(1, 2\)'"),
        ([[[1.0, 2.0]], [[1.0], [2.0]]], r"payoffs\[1\]: got 'shape \(2, 1\)', expected the shape of payoffs\[0\]"),
        ([[[1.0, np.nan]], [[1.0, 2.0]]], r"payoffs\[0\]: got '1 entries that are not finite'"),
        ([np.zeros((0, 2)), np.zeros((0, 2))], "none of them empty"),
    ],
)
def test_payoffs_that_are_no_game_are_refused(payoffs, message):
    with pytest.raises(ValueError, match=message):
        NormalFormGame(payoffs)


def test_labels_must_fit_the_shape():
    with pytest.raises(ValueError, match=r"labels: got '2 players with \(1, 1\) actions'"):
        NormalFormGame([np.zeros((2, 1))] * 2, Labels("", "", ("a", "b"), (("x",), ("y",))))


def test_a_restricted_game_keeps_payoffs_and_names():
    small = restrict(GAME, ([1], [0, 2], [3, 0]))
    assert small.n_actions == (1, 2, 2)
    assert small.payoffs[2][0, 1, 0] == GAME.payoffs[2][1, 2, 3]
    assert small.labels.actions == (("2",), ("1", "3"), ("4", "1"))


def test_symmetric_and_zero_sum_games_are_what_they_say():
    matrix = rng.random((3, 3))
    assert np.array_equal(NormalFormGame.symmetric(matrix).payoffs[1], matrix.T)
    assert np.array_equal(NormalFormGame.zero_sum(matrix).payoffs[1], -matrix)
    with pytest.raises(ValueError, match="a square matrix"):
        NormalFormGame.symmetric(np.zeros((2, 3)))


def test_nashpy_knows_games_of_two_players_only():
    with pytest.raises(ValueError, match="3 players"):
        GAME.to_nashpy()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((5,), "payoffs: got 5"), (([[1.0, 2.0]], "names"), "labels: got 'names', expected Labels")],
)
def test_what_are_no_payoffs_and_no_labels_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NormalFormGame(*arguments)
