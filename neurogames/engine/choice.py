"""Choice rules: how likely a revising player is to accept a change that pays d more than what it does.

A rule is a frozen value with one method, ``logs(difference, spread, progress)``, giving the logarithms of the
probabilities to accept and to decline. Two families:

- rules that compare a player's own two actions (logit, best response): d is the game's gain or its negative;
- rules that copy (imitation, replicator; ``copies`` is True): a model is drawn from the other players, and if it acts
  differently, d is what the model earns more.

A third family, of reproduction, is in :mod:`neurogames.engine.strategies.reproduction`.
Parameters are numbers or schedules. A payoff difference of exactly 0 is what a player sees that gets no feedback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames.engine.schedules import Parameter, Range

Logs = tuple[NDArray[np.float64], NDArray[np.float64]]

SAME = 1e-12  # payoffs are sums: differences below this share of the greatest term are rounding

_TEMPERATURE = Range("temperature", "a temperature > 0", lambda value: value > 0)
_INTENSITY = Range("intensity", "an intensity of selection >= 0", lambda value: value >= 0)


class Choice(Protocol):
    """How a revising player answers a payoff difference."""

    copies: ClassVar[bool]

    @property
    def constant(self) -> bool:
        """Whether no parameter is a schedule."""
        ...

    def logs(self, difference: NDArray[np.float64], spread: float, progress: ArrayLike) -> Logs:
        """Log probabilities to accept and to decline a change.

        Args:
            difference: (K,) payoff differences d in favour of the change.
            spread: the game's greatest payoff minus its least.
            progress: any shape (...).

        Returns:
            Two arrays (..., K).
        """
        ...


@dataclass(frozen=True)
class Logit:
    """Accept with probability 1 / (1 + exp(-d / tau)); see :func:`logit`."""

    temperature: Parameter
    copies: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", _TEMPERATURE.check(self.temperature))

    @property
    def constant(self) -> bool:
        """Whether the temperature is a number."""
        return not callable(self.temperature)

    def logs(self, difference: NDArray[np.float64], spread: float, progress: ArrayLike) -> Logs:  # noqa: ARG002
        """Log probabilities to accept and to decline, exact in both tails."""
        tau = _TEMPERATURE.at(self.temperature, progress)[..., None]
        with np.errstate(over="ignore"):
            return _log_sigmoids(difference / tau)

    def log_answers(self, payoffs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log probability of each of several strategies, softmax(f / tau) along the last axis; constant temperature."""
        with np.errstate(over="ignore"):
            behind = np.nan_to_num((payoffs - payoffs.max(axis=-1, keepdims=True)) / self.temperature)
        return np.asarray(behind - np.log(np.exp(behind).sum(axis=-1, keepdims=True)))


@dataclass(frozen=True)
class BestResponse:
    """Accept what pays more, decline what pays less, toss a coin between equals; see :func:`best_response`."""

    copies: ClassVar[bool] = False
    constant: ClassVar[bool] = True

    def logs(self, difference: NDArray[np.float64], spread: float, progress: ArrayLike) -> Logs:  # noqa: ARG002
        """Log probabilities 0, -inf, or log(1/2) for both."""
        with np.errstate(divide="ignore"):
            accept = np.log(0.5 * (1.0 + np.sign(difference)))
            decline = np.log(0.5 * (1.0 - np.sign(difference)))
        shape = np.shape(progress) + difference.shape
        return np.broadcast_to(accept, shape), np.broadcast_to(decline, shape)

    def log_answers(self, payoffs: NDArray[np.float64], terms: float = 0.0) -> NDArray[np.float64]:
        """Log probability of each of several strategies: those that pay most, to rounding, share it equally.

        Args:
            payoffs: (..., n) what the strategies pay.
            terms: size of the greatest term of a payoff, where terms may cancel; rounding is a share of it.

        Returns:
            (..., n) log probabilities.
        """
        rounding = SAME * np.maximum(np.abs(payoffs).max(axis=-1, keepdims=True), terms)
        best = payoffs >= payoffs.max(axis=-1, keepdims=True) - rounding
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(best / best.sum(axis=-1, keepdims=True)))


@dataclass(frozen=True)
class Imitation:
    """Copy the model with probability 1 / (1 + exp(-beta d)); see :func:`imitation`."""

    intensity: Parameter
    copies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "intensity", _INTENSITY.check(self.intensity))

    @property
    def constant(self) -> bool:
        """Whether the intensity is a number."""
        return not callable(self.intensity)

    def logs(self, difference: NDArray[np.float64], spread: float, progress: ArrayLike) -> Logs:  # noqa: ARG002
        """Log probabilities to copy and not to copy, exact in both tails."""
        beta = _INTENSITY.at(self.intensity, progress)[..., None]
        with np.errstate(over="ignore"):
            return _log_sigmoids(difference * beta)


@dataclass(frozen=True)
class Replicator:
    """Copy the model with probability max(0, d) / (greatest payoff - least payoff); see :func:`replicator`."""

    copies: ClassVar[bool] = True
    constant: ClassVar[bool] = True

    def logs(self, difference: NDArray[np.float64], spread: float, progress: ArrayLike) -> Logs:
        """Log probabilities to copy and not to copy."""
        part = np.maximum(difference, 0.0) / spread if spread > 0 else np.zeros_like(difference)
        with np.errstate(divide="ignore"):
            accept, decline = np.log(part), np.log1p(-np.minimum(part, 1.0))
        shape = np.shape(progress) + difference.shape
        return np.broadcast_to(accept, shape), np.broadcast_to(decline, shape)


def logit(temperature: Parameter) -> Choice:
    """Logit choice: act with probability 1 / (1 + exp(-f(k) / tau)).

    Args:
        temperature: tau > 0 in payoff units, or a schedule of it.

    Returns:
        The rule.

    Raises:
        ValueError: if the temperature is not positive.

    >>> accept, decline = logit(1.0).logs(np.array([0.0, np.log(3.0)]), 1.0, 0.0)
    >>> np.exp(accept).round(6), np.exp(decline).round(6)
    (array([0.5 , 0.75]), array([0.5 , 0.25]))

    Reference: L. Blume, The statistical mechanics of strategic interaction, Games and Economic Behavior 5 (1993).
    """
    return Logit(temperature)


def best_response() -> Choice:
    """Best response: act if that pays more, rest if it pays less, toss a fair coin between equals.

    Returns:
        The rule, the limit of :func:`logit` as the temperature falls to 0.

    >>> accept, _ = best_response().logs(np.array([-2.0, 0.0, 0.1]), 1.0, 0.0)
    >>> np.exp(accept)
    array([0. , 0.5, 1. ])
    """
    return BestResponse()


def imitation(intensity: Parameter) -> Choice:
    """Pairwise comparison by Fermi's function: copy a random other player with probability 1 / (1 + exp(-beta d)).

    Args:
        intensity: beta >= 0 per payoff unit, or a schedule of it; d is what the model earns more.

    Returns:
        The rule. Nobody invents an action, so all-rest and all-act are absorbing.

    Raises:
        ValueError: if the intensity is negative.

    >>> accept, _ = imitation(2.0).logs(np.array([0.0, np.log(3.0) / 2]), 1.0, 0.0)
    >>> np.exp(accept).round(6)
    array([0.5 , 0.75])

    Reference: A. Traulsen, M. Nowak and J. Pacheco, Stochastic dynamics of invasion and fixation, Physical Review E 74
    (2006), 011909, eq. 1.
    """
    return Imitation(intensity)


def replicator() -> Choice:
    """Proportional imitation: copy a random other player with probability proportional to what it earns more.

    The factor is 1 over the game's payoff range, the largest that keeps it a probability. Its large-population limit
    is the replicator equation.

    Returns:
        The rule.

    >>> accept, _ = replicator().logs(np.array([-1.0, 0.5, 2.0]), 4.0, 0.0)
    >>> np.exp(accept)
    array([0.   , 0.125, 0.5  ])

    Reference: K. Schlag, Why imitate, and if so, how?, Journal of Economic Theory 78 (1998), section 4.
    """
    return Replicator()


def _log_sigmoids(x: NDArray[np.float64]) -> Logs:
    """Log of 1 / (1 + exp(-x)) and of its complement."""
    x = np.nan_to_num(x)  # beyond the largest float it is that float, so that nothing possible becomes impossible
    tail = np.log1p(np.exp(-np.abs(x)))
    return np.minimum(x, 0.0) - tail, np.minimum(-x, 0.0) - tail
