"""EXP3++: one bandit algorithm for stochastic and adversarial losses.

K arms, rounds t = 1, 2, ..., losses in [0, 1], of which only the played one is seen. With importance-weighted losses
L_t(a) = sum_{s <= t} loss_s 1[A_s = a] / played_s(a),

    eta_t     = sqrt(ln K / (t K)) / 2                                              learning rate
    Delta_t(a) = min(1, (L_{t-1}(a) - min_b L_{t-1}(b)) / (t - 1))                  estimated gap
    xi_t(a)   = c (ln t)^2 / (t Delta_t(a)^2)
    eps_t(a)  = min(1 / (2K), eta_t, xi_t(a))                                       exploration
    rho_t(a)  = exp(-eta_t L_{t-1}(a)) / sum_b exp(-eta_t L_{t-1}(b))
    played_t  = (1 - sum_b eps_t(b)) rho_t + eps_t.

What is guaranteed: adversarial regret at most 4 sqrt(K t ln K), for any c; with c = 18, stochastic regret of order
(ln t)^3 / Delta once t is so large that xi_t < eta_t. That is late: two arms with Delta = 0.2 take t near 10^12.
Before, exploration is eta_t and regret grows as sqrt(t) even where losses are stochastic. A smaller c brings the
logarithmic regime forward and gives the proof up, not the adversarial guarantee.

A state is a frozen value with leading axes for independent replicas; playing and learning are functions of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import integer, invalid_argument, number

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BanditState:
    """What a bandit has learnt.

    Attributes:
        round: t, number of the round to be played, from 1.
        loss: (..., K) importance-weighted losses L_{t-1}.
    """

    round: int
    loss: Array


@dataclass(frozen=True)
class Exp3PlusPlus:
    """The algorithm EXP3++.

    Args:
        n_arms: K >= 2.
        exploration: c > 0 in xi_t; 18 is what the proof takes.

    Raises:
        ValueError: if an argument is out of range.

    >>> bandit, rng = Exp3PlusPlus(2), np.random.default_rng(0)
    >>> state = bandit.start()
    >>> for _ in range(2000):
    ...     arm = bandit.draw(state, rng=rng)
    ...     state = bandit.learn(state, arm, loss=np.where(arm == 0, 0.9, 0.1))
    >>> bool(bandit.probabilities(state)[1] > 0.95)
    True

    Reference: Y. Seldin and A. Slivkins, One practical algorithm for both stochastic and adversarial bandits, ICML
    2014, algorithm 1 and theorem 1; (ln t)^2 by another gap estimate: Y. Seldin and G. Lugosi, COLT 2017.
    """

    n_arms: int
    exploration: float = 18.0

    def __post_init__(self) -> None:
        integer("n_arms", self.n_arms, minimum=2)
        number("exploration", self.exploration, "a constant > 0", lambda value: value > 0)

    def start(self, replicas: tuple[int, ...] = ()) -> BanditState:
        """The state before the first round, with leading axes ``replicas``."""
        return BanditState(1, np.zeros((*replicas, self.n_arms)))

    def probabilities(self, state: BanditState) -> Array:
        """played_t, (..., K): each at least eps_t(a), their sum 1."""
        K, t = self.n_arms, state.round
        rate = 0.5 * np.sqrt(np.log(K) / (t * K))
        ahead = state.loss - state.loss.min(axis=-1, keepdims=True)
        weight = np.exp(-rate * ahead)
        weight /= weight.sum(axis=-1, keepdims=True)
        most, needed = min(0.5 / K, rate), self.exploration * np.log(t) ** 2 / t
        square = np.minimum(1.0, ahead / max(t - 1, 1)) ** 2
        clear = square * most > needed
        explored = np.where(clear, needed / np.where(clear, square, 1.0), most)
        return np.asarray((1.0 - explored.sum(axis=-1, keepdims=True)) * weight + explored)

    def draw(self, state: BanditState, *, rng: np.random.Generator) -> NDArray[np.intp]:
        """Arms A_t, (...), drawn independently for all replicas."""
        edges = np.cumsum(self.probabilities(state), axis=-1)
        point = rng.random(edges.shape[:-1])[..., None] * edges[..., -1:]
        return np.asarray((point >= edges[..., :-1]).sum(axis=-1))

    def learn(self, state: BanditState, arm: ArrayLike, loss: ArrayLike) -> BanditState:
        """The state after a round.

        Args:
            state: the state in which the arms were drawn.
            arm: (...) arms played.
            loss: (...) their losses, in [0, 1]; a reward r is the loss 1 - r.

        Returns:
            The next state.

        Raises:
            ValueError: if an arm or a loss is out of range.
        """
        lead = state.loss.shape[:-1]
        arms, losses = np.asarray(arm), np.asarray(loss, dtype=np.float64)
        if arms.dtype.kind not in "iu" or arms.shape != lead or (arms < 0).any() or (arms >= self.n_arms).any():
            raise invalid_argument("arm", arm, f"integers in [0, {self.n_arms - 1}] of shape {lead}")
        if losses.shape != lead or not ((losses >= 0.0) & (losses <= 1.0)).all():
            raise invalid_argument("loss", loss, f"losses in [0, 1] of shape {lead}")
        place = arms[..., None]
        chance = np.take_along_axis(self.probabilities(state), place, axis=-1)
        total = state.loss.copy()
        now = np.take_along_axis(total, place, axis=-1) + losses[..., None] / chance
        np.put_along_axis(total, place, now, axis=-1)
        return BanditState(state.round + 1, total)
