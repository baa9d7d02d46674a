"""Public goods games with more than two actions: levels of contribution, punishment, staying out.

Groups of d players are drawn at random from the population; what is contributed is multiplied by r and shared equally
in the group. The games are :class:`~neurogames.games.population.PopulationGame` and can be played by every process.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, integer, invalid_argument, number
from neurogames.games.population import PopulationGame

Array = NDArray[np.float64]


def contribution_game(
    contributions: ArrayLike,
    *,
    group_size: int,
    n_players: int,
    multiplier: float,
    threshold: float = 0.0,
    labels: tuple[str, ...] = (),
) -> PopulationGame:
    """A public good to which each player contributes one of several amounts.

    In a group of d players with contributions c_j, whoever contributes c_i gets r sum_j c_j / d - c_i; below the
    threshold nothing is produced, and contributions are lost.

    Args:
        contributions: (n,) amounts >= 0, one for each strategy; n >= 2.
        group_size: d, from 2 to N.
        n_players: N.
        multiplier: r > 0.
        threshold: least sum of contributions that produces anything.
        labels: names of the strategies; the amounts when left out.

    Returns:
        The game.

    Raises:
        ValueError: if an argument is out of range.

    >>> game = contribution_game([0, 1, 2], group_size=2, n_players=3, multiplier=1.5)
    >>> game.labels, game.payoffs([0, 0, 2])
    (('0', '1', '2'), array([1.5 , 1.25, 1.  ]))

    Reference: M. Isaac and J. Walker, Group size effects in public goods provision, Quarterly Journal of Economics 103
    (1988).
    """
    amounts = finite_array("contributions", contributions, ndim=1)
    if amounts.size < 2 or (amounts < 0).any():
        raise invalid_argument("contributions", amounts, "at least two amounts >= 0")
    multiplier = number("multiplier", multiplier, "a number > 0", lambda value: value > 0)
    threshold = number("threshold", threshold, "a sum of contributions >= 0", lambda value: value >= 0)
    payoff = partial(_levels, amounts=amounts, multiplier=multiplier, threshold=threshold)
    names = tuple(labels) or tuple(f"{amount:g}" for amount in amounts)
    return PopulationGame.from_groups(payoff, group_size, amounts.size, n_players, names)


def punishment_game(
    *,
    group_size: int,
    n_players: int,
    multiplier: float,
    cost: float = 1.0,
    fine: float,
    fee: float,
    outside: float | None = None,
) -> PopulationGame:
    """A public good whose defectors can be punished, and that one may stay out of.

    Strategies: contributes, defects, punishes (contributes too), and stays out if ``outside`` is given. Among m who
    take part, x of them contributors, y defectors and w punishers,

        defects       r c (x + w) / m - fine w
        contributes   r c (x + w) / m - c
        punishes      r c (x + w) / m - c - fee y
        stays out     outside, which one who is alone in taking part gets as well.

    Args:
        group_size: d, from 2 to N.
        n_players: N.
        multiplier: r > 0.
        cost: c > 0 of contributing.
        fine: what each punisher takes from a defector, >= 0.
        fee: what that costs a punisher for each defector, >= 0.
        outside: payoff of those who stay out; nobody may when left out.

    Returns:
        The game.

    Raises:
        ValueError: if an argument is out of range.

    >>> game = punishment_game(group_size=3, n_players=9, multiplier=1.8, fine=1.0, fee=0.3)
    >>> game.labels, game.payoffs([4, 0, 4]).round(3)
    (('contributes', 'defects', 'punishes'), array([0.8, 0.2, 0.8]))

    Reference: C. Hauert, A. Traulsen, H. Brandt, M. Nowak and K. Sigmund, Via freedom to coercion: the emergence of
    costly punishment, Science 316 (2007); K. Sigmund, C. Hauert and M. Nowak, Reward and punishment, PNAS 98 (2001).
    """
    integer("group_size", group_size, minimum=2)
    multiplier = number("multiplier", multiplier, "a number > 0", lambda given: given > 0)
    cost = number("cost", cost, "a number > 0", lambda given: given > 0)
    fine = number("fine", fine, "a number >= 0", lambda given: given >= 0)
    fee = number("fee", fee, "a number >= 0", lambda given: given >= 0)
    names: tuple[str, ...] = ("contributes", "defects", "punishes")
    if outside is not None:
        outside = number("outside", outside, "a payoff", np.isfinite)
        names = (*names, "stays out")
    payoff: Callable[[Array], Array] = partial(
        _punished, multiplier=multiplier, cost=cost, fine=fine, fee=fee, outside=outside
    )
    return PopulationGame.from_groups(payoff, group_size, len(names), n_players, names)


def _levels(group: Array, *, amounts: Array, multiplier: float, threshold: float) -> Array:
    """Payoffs in whole groups (K, n)."""
    given = group @ amounts
    share = np.where(given >= threshold, multiplier * given / group.sum(axis=1), 0.0)
    return np.asarray(share[:, None] - amounts)


def _punished(group: Array, *, multiplier: float, cost: float, fine: float, fee: float, outside: float | None) -> Array:
    """Payoffs in whole groups (K, 3) or (K, 4)."""
    gives, takes, fines = group[:, 0], group[:, 1], group[:, 2]
    taking_part = gives + takes + fines
    share = multiplier * cost * (gives + fines) / np.maximum(taking_part, 1)
    pays = np.stack([share - cost, share - fine * fines, share - cost - fee * takes], axis=1)
    if outside is None:
        return pays
    pays = np.where(taking_part[:, None] <= 1, outside, pays)
    return np.column_stack([pays, np.full(len(group), outside)])
