"""The linear-quadratic game against its definition, written out stage by stage."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.games.dynamic import LinearQuadraticGame, LinearQuadraticStage


def random_game(seed, widths=(3, 2, 4), controls=((2, 1), (1, 2)), convex=True):
    """A game whose state and controls change their widths."""
    rng = np.random.default_rng(seed)
    players = len(controls[0])
    stages = []
    for n, after, sizes in zip(widths[:-1], widths[1:], controls, strict=True):
        width = n + sum(sizes)
        root = rng.normal(size=(players, width, width)) * 0.5
        hessian = root @ root.swapaxes(-1, -2) + 0.5 * np.eye(width) if convex else root + root.swapaxes(-1, -2)
        stages.append(
            LinearQuadraticStage(
                rng.normal(size=(after, n)) * 0.5,
                [rng.normal(size=(after, m)) for m in sizes],
                0.5 * (hessian + hessian.swapaxes(-1, -2)),
                rng.normal(size=(players, width)),
                rng.normal(size=after),
            )
        )
    root = rng.normal(size=(players, widths[-1], widths[-1]))
    hessian = root @ root.swapaxes(-1, -2)
    return LinearQuadraticGame(
        stages, 0.5 * (hessian + hessian.swapaxes(-1, -2)), rng.normal(size=(players, widths[-1]))
    )


def test_costs_are_the_formula_and_batches_are_their_rows():
    game, rng = random_game(0), np.random.default_rng(1)
    starts, controls = rng.normal(size=(5, 3)), [rng.normal(size=(5, 3)), rng.normal(size=(5, 3))]
    batch = game.costs(starts, controls)
    assert batch.shape == (5, 2)
    for r in range(5):
        x, expected = starts[r], np.zeros(2)
        for stage, u in zip(game.stages, controls, strict=True):
            z = np.concatenate([x, u[r]])
            for i in range(2):
                expected[i] += 0.5 * z @ stage.hessian[i] @ z + stage.gradient[i] @ z
            moved = stage.transition @ x + stage.drift
            for i in range(2):
                moved = moved + stage.controls[i] @ u[r][stage.parts[i]]
            x = moved
        for i in range(2):
            expected[i] += 0.5 * x @ game.terminal_hessian[i] @ x + game.terminal_gradient[i] @ x
        np.testing.assert_allclose(batch[r], expected, rtol=1e-12)


def test_one_control_goes_with_many_starts():
    game, rng = random_game(0), np.random.default_rng(1)
    starts, controls = rng.normal(size=(2, 5, 3)), [rng.normal(size=3), rng.normal(size=3)]
    together = game.costs(starts, controls)
    assert together.shape == (2, 5, 2)
    for place in np.ndindex(2, 5):
        np.testing.assert_allclose(together[place], game.costs(starts[place], controls))


def test_one_start_goes_with_many_controls():
    game, rng = random_game(0), np.random.default_rng(2)
    controls = [rng.normal(size=(4, 3)), rng.normal(size=(4, 3))]
    assert game.costs(np.ones(3), controls).shape == (4, 2)


def stage(**change):
    arguments = {"transition": np.eye(2), "controls": [np.ones((2, 1))], "hessian": np.eye(3)[None]} | change
    return LinearQuadraticStage(**arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transition": [1.0]}, "transition: got 'shape"),
        ({"controls": []}, "controls: got 'no players'"),
        ({"controls": [np.ones((3, 1))]}, r"controls\[0\]: got 'shape \(3, 1\)'"),
        ({"controls": [np.full((2, 1), np.nan)]}, r"controls\[0\]"),
        ({"hessian": np.eye(2)[None]}, "hessian: got 'shape"),
        ({"hessian": np.triu(np.ones((3, 3)))[None]}, "symmetric matrices"),
        ({"gradient": [[1.0]]}, "gradient: got 'shape"),
        ({"drift": [0.0]}, "drift: got 'shape"),
    ],
)
def test_wrong_stage_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        stage(**change)


def test_stages_that_do_not_fit_are_refused():
    other = LinearQuadraticStage(np.ones((3, 3)), [np.ones((3, 1))], np.eye(4)[None])
    with pytest.raises(ValueError, match=r"stages\[1\]: got '1 players and a state of width 3'"):
        LinearQuadraticGame((stage(), other), np.eye(3)[None])
    with pytest.raises(ValueError, match="stages: got 'none'"):
        LinearQuadraticGame((), np.eye(2)[None])
    with pytest.raises(ValueError, match="terminal_hessian: got 'shape"):
        LinearQuadraticGame((stage(),), np.eye(3)[None])
    with pytest.raises(ValueError, match="controls: got '2 of them'"):
        LinearQuadraticGame((stage(),), np.eye(2)[None]).costs([0.0, 0.0], [np.zeros(1)] * 2)
