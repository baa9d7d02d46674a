"""The NEUROGAME layer: units that form strong coalitions pass their activation on, the others are silent.

Behind any layer, for maps a of shape (batch, channels, height, width) or vectors (batch, units):

    y_i = a_i m_i,   m_i = 1 where unit i is strong (see ``strong_coalitions``), else 0
    dL/da_i = m_i dL/dy_i

so that a unit that is not strong is neither heard nor taught. Each map of each sample plays its own game. A vector
is played on a grid: row by row, in rows of ceil(sqrt(units)), the last one shorter. Windows at the border of a map
that is no multiple of the window are smaller games.

The threshold is rho = g(t) Q1 with a schedule g of the progress t of training; in ``eval()`` it is g(1) Q1. Note that
where Q1 is negative a small g is the stricter one.

Some choices decide nothing. With payoff "energy" the temperature plays no part; log pi of whole windows ranks them as
-E does, so that "log_gibbs" makes a difference for units and for the smaller windows at the border only. Common
positive factors of alpha and beta cancel. A gaussian energy has a Gibbs law only while beta exceeds alpha times the
largest eigenvalue of the window's edges (2 for 2 x 2, 2.83 for 3 x 3); then 0 is the state of least energy, and the
windows that win are the quietest.

Reference: Game Theory Meets Statistical Mechanics in Deep Learning Design, arXiv 2410.12264. States, edges, payoff and
the exact form of rho are not published; what is here is our completion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from neurogames._arguments import instance, integer, invalid_argument, number, probability
from neurogames.bridge.coalition_filter.coalition_operators import soft_gates, strong_units
from neurogames.bridge.coalition_filter.gibbs_law import MOST_COLUMNS, log_partition, log_partitions
from neurogames.bridge.coalition_filter.strong_coalitions import Payoff, Rule, decide, to_cells_of_rows
from neurogames.bridge.coalition_filter.window_energy import Energy
from neurogames.engine.schedules import Parameter, Range

_LEVEL = Range("threshold", "a finite number, or a schedule of finite numbers", lambda _: True)


@dataclass(frozen=True, eq=False)
class CoalitionReport:
    """What a ``CoalitionFilter`` computes for some activations; numbers are float64.

    With maps (batch, channels, height, width) the leading axes are (batch, channels), with vectors (batch,). Rows and
    columns count windows. A grid of a vector may end with places, even windows, without unit: their energy is 0.

    Attributes:
        energy: (..., rows, columns), E of each window.
        log_partition: (rows, columns), log Z of each window; infinite where there is no Gibbs law.
        gibbs: (..., rows, columns), the probability (for "gaussian" the density) exp(-E / T) / Z of the window's
            state; not a number where there is no Gibbs law.
        payoff: (..., rows, columns), by which windows win.
        winning: (..., rows, columns) booleans.
        shapley: Shapley values of the units in the games of their windows, in the shape of the activations.
        quartile_level: g, the part of the first quartile that is the threshold.
        rho: (...), threshold of each map.
        mask: booleans in the shape of the activations, True for strong units.
    """

    energy: Tensor
    log_partition: Tensor
    gibbs: Tensor
    payoff: Tensor
    winning: Tensor
    shapley: Tensor
    quartile_level: float
    rho: Tensor
    mask: Tensor


class CoalitionFilter(nn.Module):
    """Lets strong coalitions through and silences the rest.

    With ``learnable`` alpha and beta are parameters. The mask itself has no slope, so that they are taught as if each
    unit of a winning window were let through by a soft gate (a straight-through estimate; the values that go forward
    and the gradient of the activations stay as they are):

        dL/dalpha = sum_{i in winning windows} dL/dy_i a_i  d sigmoid((phi_i - rho) / T) / dalpha,   beta alike,

    through phi_i and through the quartile in rho; which windows win counts as given.

    Args:
        window: side n of the windows, from 1 to 16; at most 3 with payoff "log_gibbs".
        top_p: share in (0, 1] of a map's windows that win.
        energy: "ising" (spins) or "gaussian" (activations as they are).
        alpha: strength of neighbouring pairs.
        beta: strength of single units.
        temperature: T > 0 of the Gibbs law.
        threshold: g, a number or a schedule of it: a function of progress in [0, 1]; set ``progress``, or
            ``set_progress`` for a whole model, as training goes on. The paper's kind is a schedule that rises to 1.
        learnable: make alpha and beta parameters; with payoff "energy" only.
        payoff: "energy", v(S) = -E(x_S), or "log_gibbs", v(S) = log pi_S(x_S), pi_S the Gibbs law of the units S by
            themselves.

    Raises:
        ValueError: an argument is out of range, or "log_gibbs" is asked for where there is no Gibbs law.

    >>> layer = CoalitionFilter(window=2, top_p=0.5)
    >>> maps = torch.tensor([[[[3.0, 4.0, 0.0, 0.0], [5.0, 6.0, 0.0, 1.0]]]])
    >>> layer(maps)
    tensor([[[[3., 4., 0., 0.],
              [5., 6., 0., 0.]]]])
    >>> layer.explain(maps).payoff
    tensor([[[[8., 0.]]]], dtype=torch.float64)
    """

    def __init__(
        self,
        window: int = 2,
        top_p: float = 0.5,
        energy: Energy = "ising",
        alpha: float = 1.0,
        beta: float = 1.0,
        temperature: float = 1.0,
        threshold: Parameter = 1.0,
        learnable: bool = False,
        payoff: Payoff = "energy",
    ) -> None:
        super().__init__()
        if energy not in get_args(Energy):
            raise invalid_argument("energy", energy, "'ising' or 'gaussian'")
        if payoff not in get_args(Payoff):
            raise invalid_argument("payoff", payoff, "'energy' or 'log_gibbs'")
        if learnable and payoff != "energy":
            raise invalid_argument("payoff", payoff, "'energy' where alpha and beta are learnable")
        self.window = integer("window", window, minimum=1, maximum=MOST_COLUMNS if payoff == "energy" else 3)
        self.top_p = probability("top_p", top_p)
        self.energy: Energy = energy
        self.payoff: Payoff = payoff
        self.temperature = number("temperature", temperature, "a temperature > 0", lambda value: value > 0)
        self.threshold = _LEVEL.check(threshold)
        self.learnable = bool(learnable)
        strengths = number("alpha", alpha), number("beta", beta)
        self.alpha, self.beta = (nn.Parameter(torch.tensor(s)) if learnable else s for s in strengths)
        if payoff == "log_gibbs" and not math.isfinite(log_partition(np.ones((window, window)), **self._law())):
            raise invalid_argument(
                "alpha, beta", strengths, "a gaussian energy that has a Gibbs law, for payoff 'log_gibbs'"
            )
        self.progress = 0.0

    @property
    def progress(self) -> float:
        """Progress of training in [0, 1], at which the schedule of ``threshold`` is read."""
        return self._progress

    @progress.setter
    def progress(self, value: float) -> None:
        self._progress = number("progress", value, "a number in [0, 1]", lambda part: 0 <= part <= 1)
        self._level = float(_LEVEL.at(self.threshold, self._progress))
        self._final = float(_LEVEL.at(self.threshold, 1.0))

    @property
    def level(self) -> float:
        """Part g of the first quartile that is the threshold now: by progress in training, the last one in eval."""
        return self._level if self.training else self._final

    def forward(self, values: Tensor) -> Tensor:
        """Return the activations of strong units, and 0 for the others.

        Raises:
            ValueError: ``values`` are neither (batch, channels, height, width) nor (batch, units), or smaller than the
                window.
        """
        rows, grid = self._rows(values)
        if not (self.learnable and self.training and torch.is_grad_enabled()):
            return values * strong_units(rows, grid, self._rule(), self.level).view(values.shape)
        strengths = torch.as_tensor(self.alpha), torch.as_tensor(self.beta)
        if rows.device.type != "cpu":
            return self._taught_by_definition(values, rows, grid, strengths)
        mask, *slopes = (part.view(values.shape) for part in soft_gates(rows, grid, self._rule(), self.level))
        taught = ((s - s.detach()).to(values.dtype) * slope for s, slope in zip(strengths, slopes, strict=True))
        return sum(taught, values * mask)

    def _taught_by_definition(
        self, values: Tensor, rows: Tensor, grid: tuple[int, int], strengths: tuple[Tensor, Tensor]
    ) -> Tensor:
        """What ``forward`` returns where alpha and beta are taught, by differentiating ``decide``."""
        alpha, beta = (strength.double() for strength in strengths)
        choice = decide(rows, grid, self._rule(), self.level, strengths=(alpha, beta))
        gate = torch.sigmoid((choice.shapley - choice.rho[:, None]) / self.temperature) * choice.inside
        slope = (gate - gate.detach()).to(values.dtype).view(values.shape)
        return values * choice.mask.to(values.dtype).view(values.shape) + values.detach() * slope

    def mask(self, values: Tensor) -> Tensor:
        """Booleans in the shape of ``values``, True for strong units; refusals as for ``forward``."""
        rows, grid = self._rows(values)
        return strong_units(rows, grid, self._rule(), self.level).view(values.shape).bool()

    @torch.no_grad()
    def explain(self, values: Tensor) -> CoalitionReport:
        """Everything that leads to the mask of ``values``; refusals as for ``forward``."""
        rows, grid = self._rows(values)
        choice = decide(rows, grid, self._rule(), self.level)
        leading = values.shape[:2] if values.ndim == 4 else values.shape[:1]
        players = to_cells_of_rows(torch.ones(1, rows.shape[1]), grid, self.window)[0].bool().numpy()
        log_partition = torch.from_numpy(log_partitions(players, **self._law())).to(values.device)
        usable = log_partition.masked_fill(log_partition.isinf(), math.nan)
        gibbs = torch.exp(-choice.energy / self.temperature - usable)

        def shaped(result: Tensor) -> Tensor:
            return result.view(*leading, *result.shape[1:])

        return CoalitionReport(
            energy=shaped(choice.energy),
            log_partition=log_partition,
            gibbs=shaped(gibbs),
            payoff=shaped(choice.payoff),
            winning=shaped(choice.winning),
            shapley=choice.shapley.view(values.shape),
            quartile_level=self.level,
            rho=shaped(choice.rho),
            mask=choice.mask.view(values.shape),
        )

    def extra_repr(self) -> str:
        """Show the settings in the printed module."""
        alpha, beta = self._strengths()
        strengths = f"alpha={alpha:g}, beta={beta:g}, temperature={self.temperature:g}"
        kinds = f"energy={self.energy!r}, payoff={self.payoff!r}, learnable={self.learnable}"
        return f"window={self.window}, top_p={self.top_p:g}, {strengths}, {kinds}"

    def _rule(self) -> Rule:
        """The rule with the present strengths."""
        return Rule(self.window, self.top_p, self.energy, *self._strengths(), self.temperature, self.payoff)

    def _rows(self, values: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """One row per map, and the grid that it fills."""
        if values.ndim not in (2, 4) or not values.is_floating_point():
            got = f"{values.dtype} of shape {tuple(values.shape)}"
            raise invalid_argument("values", got, "floating numbers (batch, channels, height, width) or (batch, units)")
        if values.ndim == 4:
            height, width = values.shape[-2:]
        else:
            width = math.isqrt(max(values.shape[1] - 1, 0)) + 1
            height = -(-values.shape[1] // width)
        if self.window > min(height, width):
            raise invalid_argument(
                "values", f"maps of {height} x {width} units", f"maps of at least {self.window} x {self.window}"
            )
        return values.detach().flatten(-2).flatten(0, -2) if values.ndim == 4 else values.detach(), (height, width)

    def _law(self) -> dict[str, Any]:
        """Settings of the Gibbs law, by name."""
        alpha, beta = self._strengths()
        return {"alpha": alpha, "beta": beta, "temperature": self.temperature, "energy": self.energy}

    def _strengths(self) -> tuple[float, float]:
        """Alpha and beta as they are now."""
        alpha, beta = (s.item() if isinstance(s, Tensor) else s for s in (self.alpha, self.beta))
        return alpha, beta


def set_progress(model: nn.Module, progress: float) -> None:
    """Set the progress of training of every ``CoalitionFilter`` in ``model``; one without any is left as it is.

    Args:
        model: any module.
        progress: a number in [0, 1].

    Raises:
        ValueError: ``progress`` is out of range.

    >>> from neurogames.engine.schedules import linear
    >>> model = nn.Sequential(nn.Conv2d(1, 3, 3), CoalitionFilter(threshold=linear(0.0, 1.0)))
    >>> set_progress(model, 0.25)
    >>> model[1].level
    0.25
    """
    instance("model", model, nn.Module, "a torch module")
    for module in model.modules():
        if isinstance(module, CoalitionFilter):
            module.progress = progress
