"""The participation game against its definition, written out player by player."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogames.games.participation import ParticipationGame


def random_game(seed, n=6, d=4, dtype=np.float64, blocks=None):
    rng = np.random.default_rng(seed)
    return ParticipationGame(
        rng.normal(size=n),
        rng.normal(size=(n, d)).astype(dtype),
        ridge=rng.uniform(0.1, 1.0, n),
        price=rng.normal(size=n) * 0.1,
        competition=rng.normal(),
        blocks=blocks,
    )


def slow_utilities(game, s):
    theta = np.asarray(game.factors, dtype=np.float64)
    result = np.zeros(len(s))
    for i in range(len(s)):
        overlap = sum(
            s[j] * (theta[i] @ theta[j]) for j in range(len(s)) if j != i and game.blocks[i] == game.blocks[j]
        )
        result[i] = (
            game.benefit[i] * s[i]
            - game.ridge[i] * (theta[i] @ theta[i]) * s[i] ** 2
            - game.price[i] * s[i]
            - game.competition * s[i] * overlap
        )
    return result


LABELS = {"one block": None, "two in a row": [7, 7, 7, 2, 2, 2], "mixed": [1, 0, 1, 0, 0, 1]}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_utilities_are_the_formula(labels, dtype):
    game = random_game(1, dtype=dtype, blocks=LABELS[labels])
    profiles = np.random.default_rng(2).random((3, 2, 6))
    expected = np.array([[slow_utilities(game, s) for s in row] for row in profiles])
    np.testing.assert_allclose(game.utilities(profiles), expected, atol=1e-12)
    np.testing.assert_allclose(game.welfare(profiles), expected.sum(axis=-1), atol=1e-12)


@given(seed=st.integers(0, 10**6), player=st.integers(0, 5), other=st.floats(0, 1))
def test_a_lone_move_changes_the_potential_by_what_the_mover_gains(seed, player, other):
    game = random_game(seed, blocks=LABELS["mixed"] if seed % 2 else None)
    before = np.random.default_rng(seed).random(6)
    after = before.copy()
    after[player] = other
    gain = slow_utilities(game, after)[player] - slow_utilities(game, before)[player]
    assert game.potential(after) - game.potential(before) == pytest.approx(gain, abs=1e-11)


@given(seed=st.integers(0, 10**6), player=st.integers(0, 5))
@settings(max_examples=20)
def test_best_response_and_gain_agree_with_a_fine_grid(seed, player):
    game = random_game(seed)
    profile = np.random.default_rng(seed + 1).random(6)
    grid = np.linspace(0, 1, 201)
    payoffs = []
    for x in grid:
        moved = profile.copy()
        moved[player] = x
        payoffs.append(slow_utilities(game, moved)[player])
    best = int(np.argmax(payoffs))
    moves, gains = game.deviations(profile)
    assert abs(game.best_response(profile)[player] - grid[best]) <= 0.5e-2 + 1e-9
    assert profile[player] + moves[player] == pytest.approx(game.best_response(profile)[player])
    assert gains[player] >= payoffs[best] - slow_utilities(game, profile)[player] - 1e-11
    assert gains[player] <= payoffs[best] - slow_utilities(game, profile)[player] + 1e-3
    assert game.regret(profile) == gains.max()
    assert game.residual(profile) == np.abs(moves).max()


def test_a_lone_players_reply_is_its_drive_over_its_curvature_whatever_the_size_of_either():
    sizes = np.array([0.01, 0.5, 1.0, 3.0])
    game = ParticipationGame([0.004, 0.2, 0.4, 1.2], np.sqrt(sizes / 2)[:, None], ridge=1.0, blocks=range(4))
    np.testing.assert_allclose(game.curvature, sizes, rtol=1e-15)
    np.testing.assert_allclose(game.best_response(np.zeros(4)), 0.4, rtol=1e-14)
    np.testing.assert_allclose(game.deviations(np.ones(4))[0], -0.6, rtol=1e-14)
    for drive, reply in ((3.1, 1.0), (-0.1, 0.0)):
        ends = ParticipationGame(np.full(4, drive), game.factors, ridge=1.0, blocks=range(4))
        np.testing.assert_array_equal(ends.best_response(np.full(4, 0.5)), reply)


def test_players_without_curvature_are_all_in_all_out_or_indifferent():
    game = ParticipationGame([1.0, -1.0, 0.0], np.zeros((3, 2)), ridge=1.0)
    np.testing.assert_array_equal(game.best_response([0.3, 0.3, 0.3]), [1.0, 0.0, 0.3])
    assert game.regret([1.0, 0.0, 0.3]) == 0.0


@pytest.mark.parametrize("labels", LABELS)
def test_matrix_gives_the_potential(labels):
    game = random_game(5, blocks=LABELS[labels])
    matrix = game.matrix()
    np.testing.assert_array_equal(matrix, matrix.T)
    s = np.random.default_rng(6).random((4, 6))
    quadratic = s @ game.drive - 0.5 * np.einsum("ri,ij,rj->r", s, matrix, s)
    np.testing.assert_allclose(game.potential(s), quadratic, atol=1e-12)


def test_blocks_do_not_feel_each_other():
    game = random_game(8, blocks=[0, 0, 0, 1, 1, 1])
    halves = [
        ParticipationGame(game.benefit[part], game.factors[part], game.ridge[part], game.price[part], game.competition)
        for part in (slice(0, 3), slice(3, 6))
    ]
    s = np.random.default_rng(9).random(6)
    np.testing.assert_allclose(
        game.utilities(s), np.concatenate([halves[0].utilities(s[:3]), halves[1].utilities(s[3:])]), atol=1e-13
    )


def test_only_a_writable_array_is_copied():
    factors = np.ones((3, 2), dtype=np.float32)
    copied = ParticipationGame([1.0, 1.0, 1.0], factors, 1.0)
    factors[0] = 9.0
    assert copied.factors[0, 0] == 1.0
    factors.flags.writeable = False
    kept = ParticipationGame([1.0, 1.0, 1.0], factors, 1.0)
    assert kept.factors is factors
    assert kept.factors.dtype == np.float32


def test_long_games_are_summed_in_chunks(monkeypatch):
    monkeypatch.setattr("neurogames.games.participation._CHUNK_ENTRIES", 8)
    for blocks in LABELS.values():
        game = random_game(3, blocks=blocks)
        s = np.random.default_rng(1).random(6)
        np.testing.assert_allclose(game.utilities(s), slow_utilities(game, s), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"benefit": [1.0]}, "benefit: got '1 entries'"),
        ({"benefit": [1.0, np.nan]}, "benefit: got '1 entries that are not finite'"),
        ({"factors": [1.0, 2.0]}, "factors: got 'shape"),
        ({"factors": [[np.inf], [1.0]]}, "factors: got '1 rows without a finite square'"),
        ({"factors": "many"}, "factors: got 'many'"),
        ({"ridge": -1.0}, "ridge: got -1.0, expected ridges >= 0"),
        ({"ridge": [1.0, 1.0, 1.0]}, "ridge: got '3 entries'"),
        ({"price": np.inf}, "price: got inf"),
        ({"competition": None}, "competition: got None"),
        ({"blocks": [0.5, 1.0]}, "blocks: got 'float64"),
        ({"blocks": [0]}, "blocks: got"),
    ],
)
def test_wrong_input_is_refused(change, words):
    given_arguments = {"benefit": [1.0, 1.0], "factors": [[1.0], [2.0]], "ridge": 1.0} | change
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        ParticipationGame(**given_arguments)


@pytest.mark.parametrize("profile", [[0.5], [0.5, 1.2], [np.nan, 0.0], 0.3, "out"])
def test_wrong_profile_is_refused(profile):
    game = ParticipationGame([1.0, 1.0], [[1.0], [2.0]], 1.0)
    with pytest.raises(ValueError, match="profile: got"):
        game.utilities(profile)
