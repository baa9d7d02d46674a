"""The second picture of the law: the course of composition, predicted and measured, beside the game's own chain.

In the game a player without feedback ``holds`` its action. Revising one at a time this stretches time and changes
nothing else, so the share of composers obeys s_keep(t) = s_1(factor t). The law gives the factor for the last hidden
layer of a network: keep under SGD, sqrt(keep) under Adam. How well this holds in a training is a number: the factor
that brings the course of plain training closest to that with masks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.stats
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from neurogames.bridge import feedback_factors
from neurogames.engine import Process, logit, population_chain
from neurogames.games import PublicGoodsGame
from neurogames.lab.figures import drawn_in_style, panels
from neurogames.lab.inference.statistics import mean_difference
from neurogames.lab.studies.gradient_dropout.course import DROPOUT, LAW, PLAIN, Optimizer

PLAYERS, COST, MULTIPLIER, TEMPERATURE, SWEEPS = 64, 0.4, 1.0, 0.08, 20
COLORS = {PLAIN: "#8A8A8A", LAW: "#0072B2", DROPOUT: "#D55E00"}


class Stretch(NamedTuple):
    """By what factor plain training's time is slowed in a training with masks, with its 95 % jackknife interval."""

    factor: float
    low: float
    high: float


@drawn_in_style
def plot_course(courses: xr.Dataset, *, keep_prob: float, optimizer: Optimizer) -> Figure:
    """Draw the share of units that compose over training, above the game's own chain with the same stretch of time.

    Args:
        courses: ``composing_plain``, ``composing_law`` and ``composing_dropout`` of
            :func:`.course.measure_course`, over seed and time.
        keep_prob: the keep probability that they had.
        optimizer: the optimizer that they had.

    Returns:
        Above: plain training, also with time stretched by the law's factor for the last hidden layer; the prediction
        of the law; and the training with masks (means over seeds, with 95 % t intervals). Below: the ``hold`` chain of
        a public goods game, with all feedback and with time stretched by the same factor.
    """
    figure, ((axis,), (chain,)) = panels(5.0, 5.4, rows=2)
    time = courses["time"].values
    shares = {way: courses[f"composing_{way}"].transpose("seed", "time") for way in (PLAIN, LAW, DROPOUT)}
    factor = law_factor(keep_prob, optimizer)
    plain = shares[PLAIN].mean("seed")
    axis.plot(time, plain, color=COLORS[PLAIN], label="plain")
    stretched = np.interp(factor * time, time, plain)
    axis.plot(time, stretched, color=COLORS[PLAIN], linestyle=":", label="plain, time stretched")
    axis.plot(time, shares[LAW].mean("seed"), color=COLORS[LAW], linewidth=2.2, label="predicted by the law")
    found = [mean_difference(shares[DROPOUT].sel(time=at).dropna("seed").values) for at in time]
    means, low, high = (np.array([getattr(one, name) for one in found]) for name in ("estimate", "low", "high"))
    bars = np.nan_to_num(np.stack([means - low, high - means]))
    axis.errorbar(
        time, means, yerr=bars, color=COLORS[DROPOUT], marker="o", linestyle="none", linewidth=1.3, label="measured"
    )
    axis.set_ylabel("units that compose", fontsize=11)
    axis.legend(fontsize=9)
    chain.plot(*hold_course(1.0, float(plain[0])), color=COLORS[PLAIN], label="the game, all feedback")
    course = hold_course(factor, float(plain[0]))
    chain.plot(*course, color=COLORS[LAW], linewidth=2.2, label=f"players hold, time × {factor:.2f}")
    chain.set_ylabel("players that compose", fontsize=11)
    chain.legend(fontsize=9)
    for one in (axis, chain):
        _percent_axes(one)
    return figure


def law_factor(keep_prob: float, optimizer: Optimizer) -> float:
    """Return the factor of the last hidden layer's learning rate, and so of its time.

    >>> round(law_factor(0.2, "adam"), 3), law_factor(0.2, "sgd")
    (0.447, 0.2)
    """
    return feedback_factors(1, keep_prob, optimizer=optimizer)[0]


def hold_course(factor: float, start: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the exact mean share of composers over time in a public goods game whose players hold without feedback.

    The parameters of the game (64 players, c = .4, kappa = 1, temperature .08, 20 sweeps) are no measurement; what the
    game says about a training is the stretch of time alone.

    Args:
        factor: probability in (0, 1] that a player gets its feedback, by which its time is slowed.
        start: share of composers at the beginning.

    Returns:
        Times in [0, 1] and shares.

    >>> (slow, late), (fast, early) = hold_course(0.5, 0.5), hold_course(1.0, 0.5)
    >>> bool(np.abs(late[::2] - early[: len(late[::2])]).max() < 0.01)
    True
    """
    process = Process(logit(TEMPERATURE), revision="one", keep_prob=factor, masked="hold")
    chain = population_chain(PublicGoodsGame(PLAYERS, COST, MULTIPLIER), process)
    sweeps = np.arange(SWEEPS + 1)
    count = round(start * PLAYERS)
    shares = chain.transient(count, sweeps[1:]).mean_share()
    return sweeps / SWEEPS, np.append(count / PLAYERS, shares)


def fitted_stretch(courses: xr.Dataset, way: str = DROPOUT) -> Stretch:
    """Return the factor s in (0, 1] that brings plain(s t) closest to the course of another way of training.

    Least squares over the times, of means over seeds; the interval is a jackknife over seeds. The law says
    :func:`law_factor` for the last hidden layer. Where the output layer learns at its full pace beside slowed hidden
    layers, the whole course is not exactly plain training's stretched.

    Args:
        courses: as for :func:`plot_course`.
        way: the way of training that is compared with plain training.
    """
    plain, other = (courses[f"composing_{one}"].transpose("seed", "time").values for one in (PLAIN, way))
    whole = np.isfinite(plain + other).all(axis=1)
    plain, other = plain[whole], other[whole]
    time, seeds = courses["time"].values, np.arange(len(plain))
    if len(seeds) < 2:
        return Stretch(math.nan, math.nan, math.nan)
    factor = _closest(time, plain.mean(axis=0), other.mean(axis=0))
    left_out = [_closest(time, plain[seeds != k].mean(axis=0), other[seeds != k].mean(axis=0)) for k in seeds]
    error = math.sqrt((len(seeds) - 1) * float(np.var(left_out)))
    half = float(scipy.stats.t.ppf(0.975, len(seeds) - 1)) * error
    return Stretch(factor, factor - half, factor + half)


def _closest(time: NDArray[np.float64], plain: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The factor on a fine grid with the least squared distance."""
    factors = np.geomspace(0.01, 1.0, 500)
    stretched = np.interp(factors[:, None] * time, time, plain)
    return float(factors[((stretched - other) ** 2).mean(axis=1).argmin()])


def _percent_axes(axis: Axes) -> None:
    axis.set(xlim=(-0.02, 1.02))
    axis.set_xlabel("training", fontsize=11)
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.tick_params(labelsize=10)
