"""Two games of 16 players on which estimators of the Shapley value are set side by side."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from neurogames.engine.coalitions.transforms import coalition_rows, coalition_table
from neurogames.games.coalition import TabularCoalitionGame, UnanimityGame


def random_unanimity_game(n_players: int, carriers: int, rng: np.random.Generator) -> UnanimityGame:
    """Sum of unanimity games with normal coefficients, the size of each carrier uniform."""
    members = np.zeros((carriers, n_players), dtype=bool)
    for row in members:
        row[rng.permutation(n_players)[: rng.integers(1, n_players + 1)]] = True
    return UnanimityGame(members, rng.normal(size=carriers))


def digits_masking_game(hidden: int, seed: int) -> TabularCoalitionGame:
    """Test accuracy of a small network on the digits when the hidden units outside the coalition are set to zero."""
    inputs, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(inputs / 16.0, labels, test_size=0.3, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network = MLPClassifier((hidden,), random_state=seed).fit(train_x, train_y)
    units = np.maximum(test_x @ network.coefs_[0] + network.intercepts_[0], 0.0).astype(np.float32)
    weights, bias = (parameter[1].astype(np.float32) for parameter in (network.coefs_, network.intercepts_))
    by_unit = (units.T[:, :, None] * weights[:, None, :]).reshape(hidden, -1)
    table = np.empty(1 << hidden)
    for first in range(0, table.size, 128):
        masks = coalition_rows(np.arange(first, first + 128), hidden).astype(np.float32)
        scores = (masks @ by_unit).reshape(128, len(test_y), -1) + bias
        table[first : first + 128] = (scores.argmax(axis=2) == test_y).mean(axis=1)
    return TabularCoalitionGame(table)


def tabulated(game: UnanimityGame) -> TabularCoalitionGame:
    """The same game as a table, so that evaluating it costs next to nothing."""
    return TabularCoalitionGame(coalition_table(game))
