"""Which public good a measured gain f(k) looks like: weighted least squares, an information criterion, or none.

The gain of :class:`neurogames.games.public_goods.PublicGoodsGame`, of N players, k others taking part, is

    club       kappa (k+1)/N - c                          2 parameters, kappa > 0
    linear     a constant                                 1 parameter (kappa / N - c)
    threshold  kappa 1[k+1 = m] - c                       3 parameters, the pivotal size m among them
    sigmoid    kappa (S((k+1)/N) - S(k/N)) - c            4 parameters, S logistic with midpoint and steepness

with costs c of any sign, as what is measured is net of nothing. With standard errors se(k), chi2 = sum_k ((f - fit) /
se)^2; the fit with the least chi2 + p log N is the best, and counts as one only if chi2 is not above what errors allow.
Errors of different k are taken for independent.

Reference: G. Schwarz, Estimating the dimension of a model, Annals of Statistics 6 (1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.stats import chi2

from neurogames._arguments import finite_array, invalid_argument
from neurogames.engine.coalitions.transforms import Vector
from neurogames.games.public_goods import SigmoidGood

GoodName = Literal["club", "linear", "threshold", "sigmoid"]

_LEAST_PROBABILITY = 0.01
_STARTS = ((0.0, 3.0), (0.0, 20.0), (0.5, 10.0), (1.0, 10.0), (0.25, 30.0), (0.75, 30.0))
_STEEPEST = 200.0


@dataclass(frozen=True, eq=False)
class GoodFit:
    """One good, fitted.

    Attributes:
        good: its name.
        multiplier: kappa; NaN for the linear good, whose multiplier and cost cannot be told apart.
        cost: c; for the linear good minus the gain.
        parameters: what else the good has: the pivotal size, or midpoint and steepness.
        gain: (n,) the fitted gain.
        chi2: weighted sum of squares.
        criterion: chi2 + p log N.
        probability: of a chi2 at least as large, if the good were the true one.
        explained: share of the weighted variance of the gain that the fit explains.
    """

    good: GoodName
    multiplier: float
    cost: float
    parameters: dict[str, float]
    gain: Vector
    chi2: float
    criterion: float
    probability: float
    explained: float


def fit_goods(gain: ArrayLike, stderr: ArrayLike) -> tuple[GoodFit, ...]:
    """Fit every good to a measured gain.

    Args:
        gain: (n,) f(k), n >= 6.
        stderr: (n,) its standard errors, > 0.

    Returns:
        The fits, the best first by the criterion.

    Raises:
        ValueError: there are fewer than 6 sizes, or an error is not positive.

    >>> from neurogames.games.public_goods import PublicGoodsGame
    >>> fits = fit_goods(PublicGoodsGame(10, cost=0.4, multiplier=1.0).gain, np.full(10, 0.01))
    >>> fits[0].good, round(fits[0].multiplier, 6), round(fits[0].cost, 6), best_good(fits).good
    ('club', 1.0, 0.4, 'club')
    """
    measured = finite_array("gain", gain, ndim=1)
    errors = finite_array("stderr", stderr, ndim=1)
    n = len(measured)
    if n < 6:
        raise invalid_argument("gain", f"{n} sizes", "at least 6")
    if errors.shape != measured.shape or not (errors > 0).all():
        raise invalid_argument("stderr", errors.tolist(), f"{n} numbers > 0")
    shares = np.arange(1, n + 1) / n
    fits = [
        _fitted("linear", np.zeros(n), measured, errors, 1, {}),
        _fitted("club", shares, measured, errors, 2, {}),
        min(
            (
                _fitted("threshold", (np.arange(1, n + 1) == m).astype(np.float64), measured, errors, 3, {"size": m})
                for m in range(1, n + 1)
            ),
            key=lambda fit: fit.chi2,
        ),
        _sigmoid(measured, errors),
    ]
    return tuple(sorted(fits, key=lambda fit: fit.criterion))


def best_good(fits: tuple[GoodFit, ...]) -> GoodFit | None:
    """The best fit, or None where its misfit is more than errors allow (probability below 0.01).

    >>> rough = fit_goods(np.cos(np.arange(12.0)), np.full(12, 0.01))
    >>> best_good(rough) is None
    True
    """
    return fits[0] if fits[0].probability >= _LEAST_PROBABILITY else None


def _fitted(
    good: GoodName, shape: Vector, gain: Vector, errors: Vector, count: int, parameters: dict[str, float]
) -> GoodFit:
    """Weighted least squares of kappa * shape - c, kappa >= 0."""
    weights = errors**-2
    center, middle = np.average(gain, weights=weights), np.average(shape, weights=weights)
    spread = float((weights * (shape - middle) ** 2).sum())
    kappa = max(0.0, float((weights * (shape - middle) * (gain - center)).sum()) / spread) if spread > 0 else 0.0
    fitted = kappa * (shape - middle) + center
    chi = float((weights * (gain - fitted) ** 2).sum())
    total = float((weights * (gain - center) ** 2).sum())
    return GoodFit(
        good=good,
        multiplier=kappa if good != "linear" else np.nan,
        cost=float(kappa * middle - center),
        parameters=parameters,
        gain=np.asarray(fitted),
        chi2=chi,
        criterion=chi + count * float(np.log(len(gain))),
        probability=float(chi2.sf(chi, len(gain) - count)),
        explained=1.0 - chi / total if total > 0 else 0.0,
    )


def _sigmoid(gain: Vector, errors: Vector) -> GoodFit:
    """The best midpoint and steepness, from several starts."""
    edges = np.arange(len(gain) + 1) / len(gain)

    def fit(place: Any) -> GoodFit:
        midpoint, steepness = float(np.clip(place[0], 0.0, 1.0)), float(np.clip(np.exp(place[1]), 0.1, _STEEPEST))
        amounts = SigmoidGood(midpoint, steepness).produced(edges)
        found = {"midpoint": midpoint, "steepness": steepness}
        return _fitted("sigmoid", np.diff(amounts), gain, errors, 4, found)

    def misfit(place: Any) -> float:
        return fit(place).chi2

    starts: list[Any] = [np.array([midpoint, np.log(steepness)]) for midpoint, steepness in _STARTS]
    ends = [minimize(misfit, start, method="Nelder-Mead").x for start in starts]
    return min((fit(end) for end in ends), key=lambda found: found.chi2)
