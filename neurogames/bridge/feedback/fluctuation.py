"""What the coins of gradient dropout add to their mean: stationary laws near a minimum, and the best next step.

A parameter vector x takes steps x <- x - e M (H x + xi), with curvature H, learning rate e, gradient noise xi of
covariance S and a diagonal matrix M of coins. Parameters of one block (the incoming weights of a unit) share a coin;
coins of different blocks are independent, each 1 with probability p, else 0. So, with K_ij = E[M_ii M_jj]::

    mean step     - e diag(E M) H x,        second moment of a step's coins    K_ij = p in a block, p^2 between blocks

The masks of several hidden layers multiply (see ``law``); what is said here is exact for one layer of masked blocks.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, given_array, invalid_argument, number, numbers, probability

Array = NDArray[np.float64]


class Curvature(Protocol):
    """A symmetric matrix (n, n) of which only products with (n, k) arrays are asked."""

    def __matmul__(self, columns: Array, /) -> Array:
        """Return the product."""
        ...


def stationary_variance(
    curvature: float,
    noise_variance: float,
    *,
    learning_rate: float,
    keep_prob: float = 1.0,
    optimizer: Literal["sgd", "adam"] = "sgd",
    rescale: bool = False,
) -> float:
    """Variance in the long run of one masked parameter with a quadratic loss.

    With curvature h, noise variance s^2, learning rate e and keep probability p::

        SGD             e s^2 / (2 h - e h^2)          for every p: a mask is pure time dilation
        SGD, rescaled   e s^2 / (2 p h - e h^2)
        Adam            e s / (2 h sqrt(p))            to first order in e, rescaled or not: drift sqrt(p), noise 1

    Args:
        curvature: h > 0, second derivative of the loss.
        noise_variance: s^2 >= 0, variance of a step's gradient around its mean.
        learning_rate: e > 0, small enough that the variance is finite.
        keep_prob: p in (0, 1].
        optimizer: "sgd" or "adam".
        rescale: whether masked gradients are divided by p.

    Returns:
        The variance.

    Raises:
        ValueError: an argument is out of range, or the step is so large that the variance is not finite.

    Reference: Liu, Ziyin and Ueda, arXiv 2012.03636 (SGD with finite steps, without masks).

    >>> [round(stationary_variance(1.0, 1.0, learning_rate=0.1, keep_prob=p), 4) for p in (1.0, 0.2)]
    [0.0526, 0.0526]
    >>> round(stationary_variance(1.0, 1.0, learning_rate=0.1, keep_prob=0.2, rescale=True), 4)
    0.3333
    >>> round(stationary_variance(1.0, 1.0, learning_rate=0.01, keep_prob=0.25, optimizer="adam"), 4)
    0.01
    """
    curvature = number("curvature", curvature, "a curvature > 0", lambda value: value > 0)
    noise_variance = number("noise_variance", noise_variance, "a variance >= 0", lambda value: value >= 0)
    rate = number("learning_rate", learning_rate, "a learning rate > 0", lambda value: value > 0)
    keep = probability("keep_prob", keep_prob)
    if optimizer not in ("sgd", "adam"):
        raise invalid_argument("optimizer", optimizer, "'sgd' or 'adam'")
    if optimizer == "adam":
        return float(rate * np.sqrt(noise_variance / keep) / (2 * curvature))
    drift = 2 * curvature * (keep if rescale else 1.0)
    if rate * curvature**2 >= drift:
        raise invalid_argument("learning_rate", learning_rate, f"a rate below {drift / curvature**2:g}")
    return float(rate * noise_variance / (drift - rate * curvature**2))


def stationary_covariance(
    hessian: ArrayLike,
    noise_covariance: ArrayLike,
    *,
    learning_rate: float,
    keep_prob: float = 1.0,
    blocks: ArrayLike | None = None,
) -> Array:
    """Covariance in the long run of the parameters under SGD near a minimum, with and without masks.

    The covariance V solves, with m = diag(E M) and * entry by entry::

        m H V + V H m - e K * (H V H) = e K * S

    Without masks that is H V + V H - e H V H = e S. It is solved by repeating V <- L^-1[e K * (S + H V H)], L the
    Lyapunov operator of the mean step, until V changes by less than 1e-13 of itself.

    Args:
        hessian: (n, n), positive definite.
        noise_covariance: S, (n, n), of a step's gradient around its mean.
        learning_rate: e > 0, small enough that the covariance is finite.
        keep_prob: p in (0, 1].
        blocks: (n,) integers: which coin silences which parameter, -1 for one that is never silenced. Without it
            all parameters share one coin, which then changes nothing.

    Returns:
        V, (n, n).

    Raises:
        ValueError: a matrix is not as said, an argument is out of range, or there is no finite covariance.

    Reference: Liu, Ziyin and Ueda, arXiv 2012.03636 (SGD with finite steps, without masks).

    >>> stationary_covariance(np.diag([1.0, 2.0]), np.eye(2), learning_rate=0.1).diagonal().round(4).tolist()
    [0.0526, 0.0278]
    """
    hessian = _symmetric("hessian", hessian)
    noise = _symmetric("noise_covariance", noise_covariance)
    rate = number("learning_rate", learning_rate, "a learning rate > 0", lambda value: value > 0)
    keep = probability("keep_prob", keep_prob)
    n = len(hessian)
    if noise.shape != hessian.shape:
        raise invalid_argument("noise_covariance", f"shape {noise.shape}", f"shape {hessian.shape}")
    labels = np.zeros(n, dtype=np.int64) if blocks is None else _labels(blocks, n)
    masked = labels >= 0
    mean = np.where(masked, keep, 1.0)
    both = np.outer(mean, mean)
    both[(labels[:, None] == labels) & masked] = keep
    root = np.sqrt(mean)
    values, vectors = np.linalg.eigh(root[:, None] * hessian * root)
    if values[0] <= 0:
        raise invalid_argument("hessian", f"smallest eigenvalue {values[0]:.2g}", "a positive definite matrix")
    into, out = vectors / root[:, None], vectors * root[:, None]
    covariance = np.zeros_like(hessian)
    with np.errstate(over="ignore", invalid="ignore"):  # a covariance that grows without end is refused below
        for _ in range(10_000):
            previous = covariance
            source = rate * both * (noise + hessian @ covariance @ hessian)
            covariance = out @ ((into.T @ source @ into) / (values[:, None] + values)) @ out.T
            if np.abs(covariance - previous).max() <= 1e-13 * np.abs(covariance).max():
                return np.asarray((covariance + covariance.T) / 2)
            if not np.isfinite(covariance).all():
                break
    raise invalid_argument("learning_rate", learning_rate, "a rate at which the covariance of the parameters is finite")


def expected_loss_change(
    gradient: ArrayLike, hessian: ArrayLike | Curvature, *, learning_rate: float, keep_prob: float, blocks: ArrayLike
) -> float:
    """Mean change of a quadratic loss in one SGD step with masks.

    With gradient g, its part g_j in block j, all masked parts together g_m and the part never masked g_0::

        E[L' - L] = - e (|g_0|^2 + p |g_m|^2) + e^2/2 [(g_0 + p g_m)' H (g_0 + p g_m) + p (1-p) sum_j g_j' H g_j]

    Args:
        gradient: (n,).
        hessian: (n, n) array, or anything that can be multiplied (``hessian @ columns``) by an array (n, k).
        learning_rate: e > 0.
        keep_prob: p in [0, 1].
        blocks: (n,) integers: which coin silences which parameter, -1 for one that is never silenced.

    Returns:
        The mean change.

    Raises:
        ValueError: an argument is out of range or of another shape.

    >>> round(expected_loss_change([1.0, 1.0], np.eye(2), learning_rate=0.5, keep_prob=0.5, blocks=[0, 1]), 4)
    -0.375
    """
    keep = number("keep_prob", keep_prob, "a probability in [0, 1]", lambda value: 0 <= value <= 1)
    return float(np.polyval(_change(gradient, hessian, learning_rate, blocks), keep))


def best_keep_prob(
    gradient: ArrayLike, hessian: ArrayLike | Curvature, *, learning_rate: float, blocks: ArrayLike
) -> float:
    """Keep probability in [0, 1] that lowers a quadratic loss most, on average, in the next SGD step.

    The mean change (``expected_loss_change``) is quadratic in p. Where all parameters are masked it is least at::

        p* = (|g|^2 / e - S / 2) / (g' H g - S),   S = sum_j g_j' H g_j

    if g' H g > S, that is, if the units' steps add to each other's curvature; else p* is 0 or 1. Below 1 it lies only
    for large steps and coupled units: the congestion of players who all revise at once.

    Args:
        gradient: (n,).
        hessian: (n, n) array, or anything that can be multiplied (``hessian @ columns``) by an array (n, k).
        learning_rate: e > 0.
        blocks: (n,) integers: which coin silences which parameter, -1 for one that is never silenced.

    Returns:
        p*; 1 where masks make no difference.

    Raises:
        ValueError: an argument is out of range or of another shape.

    >>> coupled = np.ones((4, 4))  # four units with the same effect: one would do
    >>> [round(best_keep_prob(np.ones(4), coupled, learning_rate=rate, blocks=range(4)), 3) for rate in (0.1, 0.5)]
    [1.0, 0.5]
    """
    square, linear, _ = _change(gradient, hessian, learning_rate, blocks)
    candidates = [1.0, 0.0]
    if square > 0:
        candidates.insert(0, min(1.0, max(0.0, -linear / (2 * square))))
    return min(candidates, key=lambda keep: (square * keep + linear) * keep)


def _change(
    gradient: ArrayLike, hessian: ArrayLike | Curvature, learning_rate: float, blocks: ArrayLike
) -> tuple[float, float, float]:
    """Coefficients, of p^2, p and 1, of the mean change of the loss."""
    slope = finite_array("gradient", gradient, ndim=1)
    rate = number("learning_rate", learning_rate, "a learning rate > 0", lambda value: value > 0)
    labels = _labels(blocks, len(slope))
    if not hasattr(hessian, "__matmul__"):
        hessian = numbers("hessian", hessian, "numbers, or an operator with @")
    if isinstance(hessian, np.ndarray):
        hessian = _symmetric("hessian", hessian)
        if len(hessian) != len(slope):
            raise invalid_argument("hessian", f"shape {hessian.shape}", f"shape {(len(slope), len(slope))}")
    coins = np.unique(labels[labels >= 0])
    parts = np.stack([np.where(labels == coin, slope, 0.0) for coin in (-1, *coins)], axis=1)
    bent = parts.T @ (hessian @ parts)
    own, free, free_masked, masked = bent.diagonal()[1:].sum(), bent[0, 0], bent[0, 1:].sum(), bent[1:, 1:].sum()
    never, sometimes = (parts[:, 0] ** 2).sum(), (parts[:, 1:] ** 2).sum()
    half = rate**2 / 2
    return (
        float(half * (masked - own)),
        float(half * (2 * free_masked + own) - rate * sometimes),
        float(half * free - rate * never),
    )


def _symmetric(name: str, value: ArrayLike) -> Array:
    """A finite symmetric matrix, or refuse it."""
    matrix = finite_array(name, value, ndim=2)
    if matrix.shape[0] != matrix.shape[1]:
        raise invalid_argument(name, f"shape {matrix.shape}", "a square matrix")
    if np.abs(matrix - matrix.T).max() > 1e-8 * np.abs(matrix).max():
        raise invalid_argument(name, "a matrix that is not symmetric", "a symmetric matrix")
    return matrix


def _labels(blocks: ArrayLike, n: int) -> NDArray[np.int64]:
    """One block label >= -1 for each parameter, or refuse it."""
    labels = given_array("blocks", blocks)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer) or (labels < -1).any():
        raise invalid_argument("blocks", f"{labels.dtype} of shape {labels.shape}", f"{n} integers >= -1")
    return labels.astype(np.int64)
