"""Rules by which a player learns a game that is played again and again; see :mod:`neurogames.engine.learning.play`.

In round t = 1, 2, ... player i plays s_i and is paid u_i(s). Two rules look at what every action would have paid
against the others' actions (fictitious play, regret matching), two see only the own payoff (EXP3, Q-learning).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurogames._arguments import invalid_argument, number, one_of


@dataclass(frozen=True)
class FictitiousPlay:
    """Fictitious play: an action that would have paid most on average against what the others have played.

    All actions that are best share the probability equally, so the first round is uniform. What is averaged is the
    others' joint play; for two players that is Brown's rule. Its frequencies converge to an equilibrium in zero-sum and
    potential games of two players, and need not elsewhere.

    >>> FictitiousPlay()
    FictitiousPlay()

    Reference: G. Brown, Iterative solution of games by fictitious play, in Activity Analysis of Production and
    Allocation (1951); J. Robinson, An iterative method of solving a game, Annals of Mathematics 54 (1951).
    """


@dataclass(frozen=True)
class RegretMatching:
    """Regret matching: actions in proportion to the regret, as far as it is positive, of not having played them.

    With "conditional" regret, after action j in the last round, k != j is played with probability
    max(D_t(j, k), 0) / mu, D_t(j, k) being the mean over rounds of 1[s_i = j] (u_i(k, s_-i) - u_i(j, s_-i)), and mu =
    inertia (a_i - 1) times the most that a change of the own action can make; j is played again otherwise. If all play
    so, the empirical law of profiles converges to the correlated equilibria. With "external" regret, k is played with
    probability in proportion to max(0, mean of u_i(k, s_-i) - u_i(s)), uniformly if none is positive; the law converges
    to the coarse ones.

    Args:
        regret: "conditional" or "external".
        inertia: > 1, for conditional regret: the greater, the more seldom actions change.

    Raises:
        ValueError: if an argument is not one of these.

    >>> RegretMatching("external").regret
    'external'

    Reference: S. Hart and A. Mas-Colell, A simple adaptive procedure leading to correlated equilibrium, Econometrica 68
    (2000), eq. 2.2 and theorem A, and section 4 for external regret.
    """

    regret: Literal["conditional", "external"] = "conditional"
    inertia: float = 2.0

    def __post_init__(self) -> None:
        one_of("regret", self.regret, ("conditional", "external"))
        number("inertia", self.inertia, "a number > 1", lambda value: value > 1)


@dataclass(frozen=True)
class Exp3:
    """EXP3: exponential weights of importance-weighted losses, of which only the played one is seen.

    Losses are payoffs behind the player's best payoff in the game, over the range R of his payoffs. With K actions and
    eta_t = sqrt(ln K / (t K)), action a is played with probability in proportion to exp(-eta_t L_{t-1}(a)). Whatever
    the others do, the expected regret against any fixed action after T rounds is at most 2 R sqrt(T K ln K).

    >>> Exp3()
    Exp3()

    Reference: P. Auer, N. Cesa-Bianchi, Y. Freund and R. Schapire, The nonstochastic multiarmed bandit problem, SIAM
    Journal on Computing 32 (2002); S. Bubeck and N. Cesa-Bianchi, Regret analysis of stochastic and nonstochastic
    multi-armed bandit problems (2012), theorem 3.1, arXiv 1204.5721.
    """


@dataclass(frozen=True)
class QLearning:
    """Stateless Q-learning with Boltzmann choice: softmax(Q / tau), and Q(a) += step (u - Q(a)) for the played a.

    The step of round t is ``step_size * t ** -decay``, over the probability of the action if ``frequency_adjusted``,
    and at most 1. Q starts in the middle of the player's payoffs. Where Q equals the expected payoffs, the choices are
    a logit equilibrium of precision 1 / tau; adjusted, with decay in (1/2, 1], they converge to one in zero-sum and
    partnership games of two players. With decay 0 they go on moving around it.

    Args:
        temperature: tau > 0 in payoff units.
        step_size: in (0, 1].
        decay: in [0, 1].
        frequency_adjusted: False for the plain rule, which learns the values of rare actions more slowly.

    Raises:
        ValueError: if an argument is out of range.

    >>> QLearning(0.2, step_size=0.5, decay=0.75).frequency_adjusted
    True

    Reference: D. Leslie and E. Collins, Individual Q-learning in normal form games, SIAM Journal on Control and
    Optimization 44 (2005), eq. 3.2 and theorem 4.1; M. Kaisers and K. Tuyls, Frequency adjusted multi-agent Q-learning,
    AAMAS 2010.
    """

    temperature: float
    step_size: float = 0.1
    decay: float = 0.0
    frequency_adjusted: bool = True

    def __post_init__(self) -> None:
        number("temperature", self.temperature, "a temperature > 0", lambda value: value > 0)
        number("step_size", self.step_size, "a step in (0, 1]", lambda value: 0 < value <= 1)
        number("decay", self.decay, "a power in [0, 1]", lambda value: 0 <= value <= 1)
        if not isinstance(self.frequency_adjusted, bool):
            raise invalid_argument("frequency_adjusted", self.frequency_adjusted, "True or False")


LearningRule = FictitiousPlay | RegretMatching | Exp3 | QLearning
