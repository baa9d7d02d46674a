"""Values of players: what each is worth by itself, averaged over the coalitions it could join.

    phi_i = sum over S without i of w(|S|) (v(S + i) - v(S))

with w(s) = s! (n-s-1)! / n! for the Shapley value, where every size is equally likely, and w(s) = 2^(1-n) for the
Banzhaf value, where every coalition is. The interaction of i and j is the same mean of the second difference
v(S+i+j) - v(S+i) - v(S+j) + v(S) over coalitions S without both, with n - 1 in the place of n.

Without a budget every coalition is asked for and the answer is exact. With one it is estimated by a regression on
pairs of coalitions (``value_estimates``); the Shapley value of a mean of many games by orders drawn for each of them
(``values_by_components``). Two plainer estimators are in ``value_sampling``. A budget of 2^n or more is exact again.
Votes of more than 22 players are counted by their weights instead (``power``).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.coalitions.power import power_index
from neurogames.engine.coalitions.transforms import (
    MOST_PLAYERS,
    Vector,
    coalition_table,
    contributions,
    pair_contributions,
    size_weights,
)
from neurogames.engine.coalitions.valuation import Values, covers, required
from neurogames.engine.coalitions.value_estimates import regress_interactions, regress_values
from neurogames.engine.coalitions.values_by_components import least_budget, shapley_by_components
from neurogames.games.coalition import CoalitionFunction, CoalitionGame, MeanCoalitionGame, coalition_game
from neurogames.games.coalition_families import MultipleMajorityGame, WeightedVotingGame

# Measured with 64 hidden units and 2,000 to 20,000 coalitions: the regression, which uses every worth for every player,
# was surer at 50 rows and fewer for accuracy, at 2 for the loss; own orders were at 540, by factors of 2 and 7. The
# number stands between, and is not measured itself.
_MANY_PARTS = 100


def shapley(
    game: CoalitionGame | CoalitionFunction,
    budget: int | None = None,
    *,
    n_players: int | None = None,
    rng: np.random.Generator | None = None,
) -> Values:
    """Shapley values, exact or estimated.

    Args:
        game: the game, or a function from coalitions (m, n) to worths (m,). Exact values ask for all 2^n coalitions and
            stop at 22 players, but for weighted votes.
        budget: most coalitions to ask for; all of them when left out. Of a mean of 100 games or more each is asked for
            as many, but coalitions of its own.
        n_players: n, where the game is a function.
        rng: source of the draws, needed with a budget below 2^n.

    Returns:
        Values (n,) that add up to v(N) - v(empty).

    Raises:
        ValueError: if there are too many players, or a budget below the least that the regression needs (the message
            says how much that is), or no ``rng`` to go with it.

    >>> from neurogames.games.coalition_families import WeightedVotingGame
    >>> shapley(WeightedVotingGame([2, 1, 1], quota=3)).values.round(3)
    array([0.667, 0.167, 0.167])

    Reference: L. Shapley, A value for n-person games (1953).
    """
    game = coalition_game(game, n_players)
    if budget is None or covers(game, budget):
        return _certain(_exact_values(game, True), "Shapley")
    if (
        isinstance(game, MeanCoalitionGame)
        and game.n_components >= _MANY_PARTS
        and budget >= least_budget(game.n_players)
    ):
        return shapley_by_components(game, budget, rng=required(rng))
    return regress_values(game, budget, rng=required(rng), index="Shapley")


def banzhaf(
    game: CoalitionGame | CoalitionFunction,
    budget: int | None = None,
    *,
    n_players: int | None = None,
    rng: np.random.Generator | None = None,
) -> Values:
    """Banzhaf values, exact or estimated.

    Args:
        game: as for :func:`shapley`.
        budget: most coalitions to ask for; all of them when left out.
        n_players: n, where the game is a function.
        rng: source of the draws, needed with a budget below 2^n.

    Returns:
        Values (n,), which need not add up to v(N) - v(empty).

    Raises:
        ValueError: as :func:`shapley`.

    >>> from neurogames.games.coalition_families import WeightedVotingGame
    >>> banzhaf(WeightedVotingGame([2, 1, 1], quota=3)).values
    array([0.75, 0.25, 0.25])

    Reference: J. Banzhaf, Weighted voting doesn't work (1965).
    """
    game = coalition_game(game, n_players)
    if budget is None or covers(game, budget):
        return _certain(_exact_values(game, False), "Banzhaf")
    return regress_values(game, budget, rng=required(rng), index="Banzhaf")


def interactions(
    game: CoalitionGame | CoalitionFunction,
    budget: int | None = None,
    *,
    n_players: int | None = None,
    rng: np.random.Generator | None = None,
    index: Literal["Shapley", "Banzhaf"] = "Shapley",
) -> Values:
    """Interactions of all pairs of players, exact or estimated.

    Positive where two players are worth more together than apart.

    Args:
        game: as for :func:`shapley`, of n >= 2 players.
        budget: most coalitions to ask for; all of them when left out.
        n_players: n, where the game is a function.
        rng: source of the draws, needed with a budget below 2^n.
        index: "Shapley" or "Banzhaf".

    Returns:
        Values (n, n), symmetric with a zero diagonal.

    Raises:
        ValueError: as :func:`shapley`, or if there is one player or another index.

    >>> from neurogames.games.coalition_families import GloveMarketGame
    >>> interactions(GloveMarketGame(1, 2)).values
    array([[ 0. ,  0.5,  0.5],
           [ 0.5,  0. , -0.5],
           [ 0.5, -0.5,  0. ]])

    Reference: M. Grabisch and M. Roubens, An axiomatic approach to the concept of interaction among players in
    cooperative games (1999).
    """
    if index not in ("Shapley", "Banzhaf"):
        raise invalid_argument("index", index, "'Shapley' or 'Banzhaf'")
    game = coalition_game(game, n_players)
    n = integer("game.n_players", game.n_players, minimum=2)
    name = f"{index} interaction"
    if budget is None or covers(game, budget):
        return _certain(pair_contributions(coalition_table(game), size_weights(n - 1, index == "Shapley")), name)
    return regress_interactions(game, budget, rng=required(rng), index=name)


def _exact_values(game: CoalitionGame, shapley: bool) -> Vector:
    """Values (n,) from all coalitions."""
    if game.n_players > MOST_PLAYERS and isinstance(game, WeightedVotingGame | MultipleMajorityGame):
        return power_index(game, shapley)
    return contributions(coalition_table(game), size_weights(game.n_players, shapley))


def _certain(values: Vector, index: str) -> Values:
    """A result without error, for which every coalition was asked."""
    return Values(values, np.zeros_like(values), 1 << len(values), index, "exact")
