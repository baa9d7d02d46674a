"""How predictions worsen as noise is added to the inputs: curves, their metrics, and two numbers that sum a curve up.

At noise level s a table x is replaced by

    x' = x + s * scale_j * Z,    Z ~ N(0, 1) independent for every row, feature, level and repeat,

with scale_j the standard deviation of feature j, so that a level means the same for every feature; scale 1 is the
protocol of the gradient-dropout game (arXiv 2507.19143) on raw features. All networks see the same noise (common
random numbers), so that differences between them are not differences of draws.

Metrics are pure functions of outputs (..., rows, outputs) and targets, and return (...): one number for every
network of the leading axes. Outputs of classifiers are logits, that is logarithms of probabilities up to a
constant in each row. A network whose outputs hold NaN gets NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from torch import Tensor

from neurogames._arguments import finite_array, instance, integer, invalid_argument, numbers

Metric = Callable[[Tensor, Tensor], Tensor]


def noise_curve(
    predict: Callable[[Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    *,
    levels: Sequence[float],
    metrics: Mapping[str, Metric],
    rng: torch.Generator,
    repeats: int = 1,
    scale: Tensor | float | None = None,
    to_units: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Metrics of predictions from noisy inputs, at every noise level.

    Args:
        predict: takes inputs (rows, features), gives (networks, rows, outputs), or (rows, outputs): an
            ``Ensemble``, a torch module (put into ``eval()`` before), or a function around any other model.
        inputs: (rows, features) without noise, finite floating numbers.
        targets: (rows,) or (rows, outputs) in the unit in which the metrics are wanted, or class ids (rows,).
        levels: noise levels, starting at 0 and increasing.
        metrics: name -> metric, for example ``REGRESSION_METRICS``.
        rng: generator of the noise; numbers are drawn on its device.
        repeats: draws per level; the metric is the mean over them.
        scale: noise per unit of level, (features,) or one number for all, >= 0; default the standard
            deviation of each feature of ``inputs``.
        to_units: applied to predictions before the metrics, for instance to undo a standardisation.

    Returns:
        name -> (networks, levels), or (levels,) if ``predict`` gives no axis of networks.

    Raises:
        ValueError: inputs, levels, scale or repeats out of range, or predictions of another number of rows.

    >>> inputs = torch.linspace(-1, 1, 500)[:, None]
    >>> curve = noise_curve(
    ...     lambda x: 3 * x, inputs, 3 * inputs, levels=[0, 1, 2], scale=1, metrics={"mse": mean_squared_error},
    ...     repeats=20, rng=torch.Generator(),
    ... )
    >>> curve["mse"].round(0)
    array([ 0.,  9., 36.])
    """
    instance("inputs", inputs, Tensor, "a tensor")
    instance("targets", targets, Tensor, "a tensor")
    instance("rng", rng, torch.Generator, "a torch.Generator")
    if not isinstance(metrics, Mapping) or not metrics or not all(map(callable, metrics.values())):
        raise invalid_argument("metrics", metrics, "at least one measure of outputs and targets, by name")
    if not callable(predict):
        raise invalid_argument("predict", predict, "a function from inputs to outputs")
    steps = checked_levels(levels)
    repeats = integer("repeats", repeats, minimum=1)
    if inputs.ndim != 2 or not len(inputs):
        raise invalid_argument("inputs", f"shape {tuple(inputs.shape)}", "shape (rows, features)")
    if not inputs.is_floating_point() or not inputs.isfinite().all():
        got = f"{inputs.dtype}, {int((~inputs.isfinite()).sum())} entries not finite"
        raise invalid_argument("inputs", got, "finite floating numbers")
    spread = inputs.std(dim=0, correction=0)
    if scale is not None:
        given = scale if isinstance(scale, Tensor) else numbers("scale", scale, "numbers >= 0")
        spread = torch.as_tensor(given).to(inputs)
    fits = spread.ndim == 0 or spread.shape == inputs.shape[1:]
    if not fits or not ((spread >= 0) & spread.isfinite()).all():
        raise invalid_argument("scale", scale, f"one finite number >= 0, or one for each of {inputs.shape[1]} features")
    sums: dict[str, list[Tensor]] = {name: [] for name in metrics}
    for level in steps.tolist():
        draws: dict[str, list[Tensor]] = {name: [] for name in metrics}
        for _ in range(repeats if level > 0 else 1):
            noise = torch.randn(inputs.shape, generator=rng, dtype=inputs.dtype, device=rng.device)
            with torch.no_grad():
                outputs = torch.as_tensor(predict(inputs + level * spread * noise.to(inputs.device)))
            if outputs.ndim < 2 or outputs.shape[-2] != len(inputs):
                expected = f"shape (networks, {len(inputs)}, outputs) or ({len(inputs)}, outputs)"
                raise invalid_argument("predict", f"predictions of shape {tuple(outputs.shape)}", expected)
            outputs = outputs if to_units is None else to_units(outputs)
            for name, metric in metrics.items():
                draws[name].append(metric(outputs, targets))
        for name, values in draws.items():
            sums[name].append(torch.stack(values).double().mean(dim=0))
    return {name: torch.stack(values, dim=-1).cpu().numpy() for name, values in sums.items()}


def curve_slope(levels: ArrayLike, curve: ArrayLike) -> NDArray[np.float64]:
    """Change of the metric per unit of noise level: slope of the least-squares line with intercept.

    slope = sum_s (s - mean s)(m(s) - mean m) / sum_s (s - mean s)^2. A curve is flat where the slope is near 0;
    a flat curve may be bad at every level, so read it beside the clean value m(0).

    Args:
        levels: (levels,), starting at 0 and increasing.
        curve: (..., levels) metric at each level.

    Returns:
        (...) slopes, in units of the metric per unit of level.

    Raises:
        ValueError: the levels are out of order, or the shapes do not fit.

    >>> float(curve_slope([0, 1, 2], [5.0, 7.0, 9.0]))
    2.0
    """
    steps, values = _checked_curve(levels, curve)
    centred = steps - steps.mean()
    return np.asarray(values @ centred / (centred @ centred))


def area_from_clean(levels: ArrayLike, curve: ArrayLike) -> NDArray[np.float64]:
    """Mean distance of a curve from its value without noise.

    A = (1 / s_max) * integral from 0 to s_max of abs(m(s) - m(0)) ds, by the trapezoid rule.

    Args:
        levels: (levels,), starting at 0 and increasing.
        curve: (..., levels) metric at each level.

    Returns:
        (...) mean distances, >= 0, in units of the metric.

    Raises:
        ValueError: the levels are out of order, or the shapes do not fit.

    >>> float(area_from_clean([0, 1, 2], [5.0, 7.0, 9.0]))
    2.0
    """
    steps, values = _checked_curve(levels, curve)
    return np.asarray(trapezoid(np.abs(values - values[..., :1]), steps, axis=-1) / steps[-1])


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows and outputs of (output - target)^2.

    >>> mean_squared_error(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0]))
    tensor(2., dtype=torch.float64)
    """
    predictions, truth = _numbers(outputs, targets)
    return (predictions - truth).square().mean(dim=(-2, -1))


def r_squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 - residual / total sum of squares, the mean over outputs; NaN if a target has one value only.

    >>> r_squared(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1.0, 2.0, 4.0])).round(decimals=3)
    tensor(0.7860, dtype=torch.float64)
    """
    predictions, truth = _numbers(outputs, targets)
    total = (truth - truth.mean(dim=-2, keepdim=True)).square().sum(dim=-2)
    total[(truth == truth[:1]).all(dim=-2)] = torch.nan  # the mean of equal numbers may round to another one
    residual = (predictions - truth).square().sum(dim=-2)
    return (1 - residual / total).mean(dim=-1)


def smape(outputs: Tensor, targets: Tensor) -> Tensor:
    """Symmetric mean absolute percentage error, mean of 2 abs(y - f) / (abs(y) + abs(f)), in [0, 2]; 0/0 counts 0.

    It depends on where the unit of y has its zero: never take it of standardised targets.

    >>> smape(torch.tensor([[0.0], [3.0]]), torch.tensor([0.0, 1.0]))
    tensor(0.5000, dtype=torch.float64)
    """
    predictions, truth = _numbers(outputs, targets)
    size = predictions.abs() + truth.abs()
    return (2 * (predictions - truth).abs() / torch.where(size == 0, 1, size)).mean(dim=(-2, -1))


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of rows in which the target has the largest output.

    >>> accuracy(torch.tensor([[2.0, 1.0], [0.0, 1.0], [5.0, 4.0]]), torch.tensor([0, 1, 1])).round(decimals=3)
    tensor(0.6670, dtype=torch.float64)
    """
    logits, truth = _logits(outputs, targets)
    return _unless_nan(logits, (logits.argmax(dim=-1) == truth).double().mean(dim=-1))


def weighted_f1(outputs: Tensor, targets: Tensor) -> Tensor:
    """F1 = 2 TP / (2 TP + FP + FN) of each class, weighted by the class's share of the rows.

    >>> weighted_f1(torch.tensor([[2.0, 1.0], [0.0, 1.0], [5.0, 4.0]]), torch.tensor([0, 1, 1])).round(decimals=3)
    tensor(0.6670, dtype=torch.float64)
    """
    logits, truth = _logits(outputs, targets)
    classes = torch.arange(logits.shape[-1], device=logits.device)
    predicted = logits.argmax(dim=-1, keepdim=True) == classes
    actual = truth[:, None] == classes
    hits = (predicted & actual).sum(dim=-2).double()
    both = predicted.sum(dim=-2) + actual.sum(dim=-2)
    scores = 2 * hits / both.clamp(min=1)
    return _unless_nan(logits, (scores * actual.double().mean(dim=-2)).sum(dim=-1))


def roc_auc(outputs: Tensor, targets: Tensor) -> Tensor:
    """Area under the ROC curve; for more than two classes the mean over classes of one against the rest.

    AUC = P(score of a member > score of another) + P(equal) / 2, from midranks; the score of class c is its log odds
    z_c - log sum_{j != c} exp(z_j), which orders rows as the probability does. NaN where a class has no member or only
    members in the sample, and where infinite outputs leave the odds undefined.

    >>> roc_auc(torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 1.0], [0.0, 2.0]]), torch.tensor([0, 1, 1, 0]))
    tensor(0.6250, dtype=torch.float64)
    """
    logits, truth = _logits(outputs, targets)
    count = logits.shape[-1]
    if count == 2:
        return _rank_auc(logits[..., 1] - logits[..., 0], truth == 1)
    areas = []
    for c in range(count):
        others = [j for j in range(count) if j != c]
        odds = logits[..., c] - logits[..., others].logsumexp(dim=-1)
        # Rows of equal probability differ by the rounding of sums in different order: make them ties again.
        areas.append(_rank_auc(odds.round(decimals=10), truth == c))
    return torch.stack(areas).mean(dim=0)


REGRESSION_METRICS: dict[str, Metric] = {"mse": mean_squared_error, "r2": r_squared, "smape": smape}
CLASSIFICATION_METRICS: dict[str, Metric] = {"accuracy": accuracy, "weighted_f1": weighted_f1, "roc_auc": roc_auc}


def _rank_auc(scores: Tensor, member: Tensor) -> Tensor:
    """AUC of scores (..., rows) for members (rows,), by the rank sum of Mann and Whitney; NaN if a score is NaN."""
    members = int(member.sum())
    pairs = members * (len(member) - members)
    ordered = scores.sort(dim=-1).values.contiguous()
    below = torch.searchsorted(ordered, scores.contiguous())
    upto = torch.searchsorted(ordered, scores.contiguous(), right=True)
    midranks = (below + upto + 1).double() / 2
    ranks = midranks[..., member].sum(dim=-1)
    return _unless_nan(scores[..., None], (ranks - members * (members + 1) / 2) / (pairs or torch.nan))


def _numbers(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions and targets (rows, outputs) in double precision, their shapes made equal or refused."""
    truth = targets[:, None] if targets.ndim == 1 else targets
    if outputs.ndim < 2 or outputs.shape[-2:] != truth.shape or not truth.numel():
        got = f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}"
        raise invalid_argument(
            "outputs, targets", got, "(..., rows, outputs) and (rows, outputs), or (rows,) for one output"
        )
    return outputs.double(), truth.double().to(outputs.device)


def _logits(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits in double precision and class ids, or an error."""
    if outputs.ndim < 2 or outputs.shape[-1] < 2 or targets.shape != outputs.shape[-2:-1] or not len(targets):
        got = f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}"
        raise invalid_argument("outputs, targets", got, "(..., rows, classes) for two or more classes, and (rows,)")
    if targets.is_floating_point() or targets.min() < 0 or targets.max() >= outputs.shape[-1]:
        got = f"{targets.dtype} from {targets.min().item()} to {targets.max().item()}"
        raise invalid_argument("targets", got, f"integer class ids from 0 to {outputs.shape[-1] - 1}")
    return outputs.double(), targets.to(outputs.device)


def _unless_nan(logits: Tensor, values: Tensor) -> Tensor:
    """NaN for networks with a NaN among their outputs: an argmax or a rank would hide it."""
    return torch.where(logits.isnan().any(dim=-1).any(dim=-1), torch.nan, values)


def checked_levels(levels: ArrayLike) -> NDArray[np.float64]:
    """Noise levels as an array, or an error."""
    steps = finite_array("levels", levels, ndim=1)
    if len(steps) < 2 or steps[0] != 0 or (np.diff(steps) <= 0).any():
        raise invalid_argument("levels", steps.tolist(), "at least two levels, starting at 0 and increasing")
    return steps


def _checked_curve(levels: ArrayLike, curve: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    steps, values = checked_levels(levels), numbers("curve", curve, "numbers (..., levels)")
    if values.ndim < 1 or values.shape[-1] != len(steps):
        raise invalid_argument("curve", f"shape {values.shape}", f"shape (..., {len(steps)})")
    return steps, values
