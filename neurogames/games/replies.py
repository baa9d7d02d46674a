"""What a mixed profile of a normal form game is worth, and what deviating from it would be worth.

For a profile p = (p_1, ..., p_n), u_i(a, p) is player i's expected payoff when i plays the action a and the others play
p. The gain of player i is max_a u_i(a, p) - u_i(p); the profile is a Nash equilibrium iff no gain is positive. The
regret of the profile is the greatest gain, its exploitability (NashConv) the sum of them. All of it is read off the
payoff tensors, so it certifies the answer of any solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import invalid_argument, number, numbers
from neurogames.games.normal_form import NormalFormGame, check_game

Profile = tuple[NDArray[np.float64], ...]

_ROUNDING = 1e-9


def mixed_profile(game: NormalFormGame, profile: Sequence[ArrayLike]) -> Profile:
    """Return ``profile`` as a tuple of float arrays of shape (..., a_i), or refuse it.

    Args:
        game: the game.
        profile: n arrays, the i-th of shape (..., a_i), whose last axes are probability vectors (to 1e-9).

    Returns:
        The arrays, not renormalised.

    Raises:
        ValueError: if the number of arrays, a length, a sign or a sum is wrong, or leading axes do not agree.
    """
    check_game(game)
    if not isinstance(profile, Sequence | np.ndarray) or len(profile) != game.n_players:
        got = f"{len(profile)} strategies" if isinstance(profile, Sequence | np.ndarray) else profile
        raise invalid_argument("profile", got, f"strategies, one for each of {game.n_players} players")
    strategies = tuple(
        numbers(f"profile[{i}]", strategy, "probabilities that sum to 1") for i, strategy in enumerate(profile)
    )
    for i, (strategy, actions) in enumerate(zip(strategies, game.n_actions, strict=True)):
        name = f"profile[{i}]"
        if strategy.ndim == 0 or strategy.shape[-1] != actions:
            raise invalid_argument(name, f"shape {strategy.shape}", f"a last axis of {actions} actions")
        if not (strategy >= -_ROUNDING).all() or not (np.abs(strategy.sum(axis=-1) - 1.0) <= _ROUNDING).all():
            raise invalid_argument(name, strategy, "probabilities that sum to 1")
    try:
        np.broadcast_shapes(*(strategy.shape[:-1] for strategy in strategies))
    except ValueError:
        raise invalid_argument(
            "profile", f"shapes {[each.shape for each in strategies]}", "leading axes that agree"
        ) from None
    return strategies


def _action_payoffs(payoffs: Sequence[NDArray[np.float64]], strategies: Profile) -> Profile:
    """Expected payoff of each action: for player i, contract the tensor with every strategy but i's."""
    n = len(payoffs)
    if all(strategy.ndim == 1 for strategy in strategies):
        result = []
        for i, tensor in enumerate(payoffs):
            value = tensor
            for j in range(n - 1, i, -1):
                value = value @ strategies[j]
            for j in range(i):
                value = np.tensordot(strategies[j], value, axes=1)
            result.append(value)
        return tuple(result)
    axes = ascii_letters[:n]
    return tuple(
        np.einsum(
            ",".join([axes] + [f"...{axes[j]}" for j in range(n) if j != i]) + f"->...{axes[i]}",
            tensor,
            *(strategies[j] for j in range(n) if j != i),
            optimize=n > 2,
        )
        for i, tensor in enumerate(payoffs)
    )


def action_payoffs(game: NormalFormGame, profile: Sequence[ArrayLike]) -> Profile:
    """Expected payoff u_i(a, p) of each action of each player when the others play the profile.

    Args:
        game: the game.
        profile: n strategies of shape (..., a_i).

    Returns:
        n arrays of shape (..., a_i).

    >>> game = NormalFormGame.zero_sum([[2.0, -1.0], [-1.0, 1.0]])
    >>> action_payoffs(game, ([0.4, 0.6], [0.0, 1.0]))
    (array([-1.,  1.]), array([-0.2, -0.2]))
    """
    return _action_payoffs(game.payoffs, mixed_profile(game, profile))


def gains(game: NormalFormGame, profile: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """What each player would gain by the best deviation, max_a u_i(a, p) - u_i(p).

    Args:
        game: the game.
        profile: n strategies of shape (..., a_i).

    Returns:
        (..., n) gains, none of them negative but for rounding.

    >>> gains(NormalFormGame.zero_sum([[2.0, -1.0], [-1.0, 1.0]]), ([0.4, 0.6], [0.0, 1.0]))
    array([0.8, 0. ])
    """
    return certified_gains(game, profile)[0]


def certified_gains(
    game: NormalFormGame, profile: Sequence[ArrayLike]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gains of the best deviations, and the greatest share of its stake that a deviation gains.

    The share of a deviation is its gain over its stake. Where no share exceeds 1e-9 all gains are zero but for
    rounding, whatever the units and levels of the payoffs: that is how solvers judge their answers.

    Args:
        game: the game.
        profile: n strategies of shape (..., a_i).

    Returns:
        Gains (..., n) and shares (..., n), those in [0, 1].

    >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
    >>> certified_gains(pennies, ([0.75, 0.25], [0.5, 0.5]))
    (array([0. , 0.5]), array([0. , 0.5]))
    """
    strategies = mixed_profile(game, profile)
    n = game.n_players
    batch, rows = _rows(strategies)
    gain, share = np.zeros((len(rows[0]), n)), np.zeros((len(rows[0]), n))
    for i, tensor in enumerate(game.compared_payoffs):
        own_first = np.moveaxis(tensor, i, 0).reshape(game.n_actions[i], -1)
        for k in range(len(gain)):
            others = _product([rows[j][k] for j in range(n) if j != i])
            # Relative to the action played most, so that what all payoffs share costs no digits.
            ahead = own_first - own_first[rows[i][k].argmax()]
            ahead = ahead - rows[i][k] @ ahead
            values = ahead @ others
            stakes = np.abs(ahead) @ others
            gain[k, i] = values.max()
            share[k, i] = (values / np.where(stakes > 0, stakes, 1.0)).max(initial=0.0)
    return gain.reshape(*batch, n), share.reshape(*batch, n)


def _rows(strategies: Profile) -> tuple[tuple[int, ...], list[NDArray[np.float64]]]:
    """Leading axes of a profile, and its strategies with those axes joined to one."""
    batch = np.broadcast_shapes(*(strategy.shape[:-1] for strategy in strategies))
    return batch, [np.broadcast_to(s, (*batch, s.shape[-1])).reshape(-1, s.shape[-1]) for s in strategies]


def _product(strategies: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Probabilities of all profiles of some players, the last one's action running fastest."""
    result = np.ones(1)
    for strategy in strategies:
        result = (result[:, None] * strategy).reshape(-1)
    return result


def regret(game: NormalFormGame, profile: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """The most a player could gain by deviating alone; zero iff the profile is a Nash equilibrium.

    Args:
        game: the game.
        profile: n strategies of shape (..., a_i).

    Returns:
        (...) regrets in payoff units.

    Reference: J. Nash, Non-cooperative games, Annals of Mathematics 54 (1951).

    >>> float(regret(NormalFormGame.zero_sum([[2.0, -1.0], [-1.0, 1.0]]), ([0.4, 0.6], [0.4, 0.6])).round(12))
    0.0
    """
    return np.asarray(gains(game, profile).max(axis=-1))


def exploitability(game: NormalFormGame, profile: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Sum over the players of what each could gain by deviating alone (NashConv).

    Args:
        game: the game.
        profile: n strategies of shape (..., a_i).

    Returns:
        (...) exploitabilities in payoff units. In a zero-sum game it is max_a u(a, y) - min_b u(x, b).

    >>> exploitability(NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]]), ([1.0, 0.0], [0.5, 0.5]))
    array(1.)

    Reference: M. Lanctot et al., A unified game-theoretic approach to multiagent reinforcement learning, NeurIPS 2017.
    """
    return np.asarray(gains(game, profile).sum(axis=-1))


def best_replies(
    game: NormalFormGame, profile: Sequence[ArrayLike], *, tolerance: float = _ROUNDING
) -> tuple[NDArray[np.bool_], ...]:
    """Mark each player's pure best replies to what the others play.

    Args:
        game: the game.
        profile: n strategies of shape (..., a_i).
        tolerance: an action a is as good as the best one b if it pays less by at most this share of
            sum_s p(s) |u_i(a, s) - u_i(b, s)|. Against pure strategies ties are therefore exact.

    Returns:
        n boolean arrays of shape (..., a_i).

    Raises:
        ValueError: if the profile does not fit the game, or the tolerance is negative.

    >>> best_replies(NormalFormGame.symmetric([[2.0, 0.0], [0.0, 1.0]]), ([1.0, 0.0], [1 / 3, 2 / 3]))
    (array([ True,  True]), array([ True, False]))
    """
    tolerance = number("tolerance", tolerance, "a tolerance >= 0", lambda value: value >= 0)
    strategies = mixed_profile(game, profile)
    n = game.n_players
    batch, rows = _rows(strategies)
    marks = []
    for i, tensor in enumerate(game.compared_payoffs):
        own_first = np.moveaxis(tensor, i, 0).reshape(game.n_actions[i], -1)
        mark = np.empty((len(rows[0]), len(own_first)), dtype=bool)
        for k in range(len(mark)):
            others = _product([rows[j][k] for j in range(n) if j != i])
            behind = own_first[int((own_first @ others).argmax())] - own_first
            # Large payoffs may have hidden the best one from the first sums; it shows in the differences.
            behind = behind - behind[int((behind @ others).argmin())]
            mark[k] = behind @ others <= tolerance * (np.abs(behind) @ others)
        marks.append(mark.reshape(*batch, len(own_first)))
    return tuple(marks)


def pure_equilibria(game: NormalFormGame) -> NDArray[np.intp]:
    """All pure Nash equilibria, ties decided exactly by the numbers that payoffs stand for (``exact``).

    Args:
        game: the game.

    Returns:
        (k, n) action numbers in lexicographic order.

    >>> pure_equilibria(NormalFormGame.symmetric([[2.0, 0.0], [0.0, 1.0]]))
    array([[0, 0],
           [1, 1]])
    """
    check_game(game)
    stable = np.ones(game.n_actions, dtype=bool)
    for i, tensor in enumerate(game.compared_payoffs):
        stable &= tensor == tensor.max(axis=i, keepdims=True)
    return np.argwhere(stable)
