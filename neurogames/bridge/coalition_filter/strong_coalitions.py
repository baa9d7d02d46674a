"""Which units of a map form strong coalitions: the rule, for any device.

The windows of a map compete by their payoff, and the units inside the winners by their Shapley value:

    winning:  the ceil(top_p M) windows of highest payoff among the M of a map; among equals, the first row by row
    rho     = g Q1,  Q1 the lower quartile of phi over all units of the map's winning windows, g a number
    strong:   the units of winning windows with phi_i >= rho

The payoff of a window is -E, or the logarithm of its Gibbs law. Q1 is a value that occurs: the smallest such that at
least a quarter of the units have no more. A map with an entry that is not finite (or so large that its payoffs are
not) plays no game: all its units pass, so that a network that diverges is seen to.

``decide`` says it in torch, in float64. On the CPU the mask is computed by ``compiled_coalitions`` instead, see
``coalition_operators``; both give the same mask. Conventions: those of ``window_energy``. Maps here are rows
(maps, units), which fill a grid (height, width) row by row; places at its end may stay empty, and a window without any
unit is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from neurogames.bridge.coalition_filter.gibbs_law import partition_cells
from neurogames.bridge.coalition_filter.window_energy import (
    Energy,
    count_windows,
    from_cells,
    spins,
    to_cells,
    window_energy,
    window_values,
)

Payoff = Literal["energy", "log_gibbs"]


@dataclass(frozen=True)
class Rule:
    """What decides who is strong, apart from the threshold's level g.

    Args:
        window: side n of the windows.
        top_p: share of the windows that win, in (0, 1].
        energy: "ising" or "gaussian".
        alpha: strength of the pairs.
        beta: strength of the single units.
        temperature: T of the Gibbs law.
        payoff: "energy", v(S) = -E(x_S), or "log_gibbs", v(S) = log pi_S(x_S).
    """

    window: int
    top_p: float
    energy: Energy
    alpha: float
    beta: float
    temperature: float = 1.0
    payoff: Payoff = "energy"

    def winners(self, windows: int) -> int:
        """Number of windows that win among ``windows``."""
        return max(1, math.ceil(self.top_p * windows - 1e-9))


@dataclass(frozen=True, eq=False)
class Decision:
    """All that led to a mask; numbers are float64.

    Attributes:
        cells: states (maps, rows, n, columns, n), 0 where there is no unit.
        energy: (maps, rows, columns).
        payoff: (maps, rows, columns), by which windows win.
        winning: (maps, rows, columns) booleans.
        shapley: (maps, units).
        inside: (maps, units) booleans, True for units of winning windows.
        rho: (maps,).
        mask: (maps, units) booleans, True for strong units.
    """

    cells: Tensor
    energy: Tensor
    payoff: Tensor
    winning: Tensor
    shapley: Tensor
    inside: Tensor
    rho: Tensor
    mask: Tensor


def top_windows(payoff: Tensor, winners: int) -> Tensor:
    """Mark the ``winners`` highest entries of each row of (..., windows); among equals, the first.

    >>> top_windows(torch.tensor([[1.0, 3.0, 1.0, 1.0]]), 2)
    tensor([[ True,  True, False, False]])
    """
    best = payoff.argsort(dim=-1, descending=True, stable=True)[..., :winners]
    return torch.zeros_like(payoff, dtype=torch.bool).scatter(-1, best, True)


def first_quartile(values: Tensor, counted: Tensor) -> Tensor:
    """Lower quartile of those entries of each row (..., k) that are counted: entry ceil(m / 4) of m in order.

    >>> first_quartile(torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0]), torch.tensor([True, False, True, True, True]))
    tensor(2.)
    """
    # Stable, so that of equal entries it is known which one has the gradient.
    ordered = values.masked_fill(~counted, math.inf).sort(dim=-1, stable=True).values
    place = (counted.sum(dim=-1, keepdim=True) + 3) // 4 - 1
    return ordered.gather(-1, place).squeeze(-1)


def to_cells_of_rows(maps: Tensor, grid: tuple[int, int], window: int) -> Tensor:
    """Windows (..., rows, n, columns, n) of maps (..., units), with zeros where the grid or its windows are not full.

    >>> to_cells_of_rows(torch.ones(1, 5), (2, 3), 2).sum((-3, -1))
    tensor([[[4., 1.]]])
    """
    full = torch.nn.functional.pad(maps, (0, math.prod(grid) - maps.shape[-1]))
    return to_cells(full.unflatten(-1, grid), window)


def decide(
    maps: Tensor,
    grid: tuple[int, int],
    rule: Rule,
    level: float,
    *,
    strengths: tuple[Tensor, Tensor] | None = None,
) -> Decision:
    """Decide who is strong.

    Args:
        maps: (maps, units).
        grid: height and width of the grid that the units fill row by row.
        rule: the rule.
        level: g, the part of the quartile that is the threshold.
        strengths: alpha and beta as tensors, for gradients with respect to them, with payoff "energy".

    Returns:
        The decision; gradients flow to ``strengths`` only.

    Raises:
        ValueError: payoff "log_gibbs" and there is no Gibbs law, or the windows have more than 9 units.
    """
    units = maps.shape[-1]
    alpha, beta = (rule.alpha, rule.beta) if strengths is None else strengths

    def of_units(cells: Tensor) -> Tensor:
        return from_cells(cells, *grid).flatten(-2)[..., :units]

    exact = maps.detach().double()
    cells = to_cells_of_rows(spins(exact) if rule.energy == "ising" else exact, grid, rule.window)
    energy = window_energy(cells, alpha, beta, rule.energy)
    payoff, values = -energy, window_values(cells, alpha, beta, rule.energy)
    if rule.payoff == "log_gibbs":
        players = to_cells_of_rows(torch.ones(units), grid, rule.window).bool().numpy()
        law = partition_cells(
            players, alpha=rule.alpha, beta=rule.beta, temperature=rule.temperature, energy=rule.energy
        )
        shares = torch.from_numpy(law).to(maps.device)
        payoff, values = payoff / rule.temperature - shares.sum((-3, -1)), values / rule.temperature - shares
    shapley = of_units(values)
    windows = count_windows(units, grid, rule.window)
    competing = payoff.detach().flatten(1)[:, :windows]
    best = top_windows(competing, rule.winners(windows))
    winning = torch.nn.functional.pad(best, (0, math.prod(payoff.shape[1:]) - windows)).view(payoff.shape)
    inside = of_units(winning[..., :, None, :, None].expand(cells.shape))
    rho = level * first_quartile(shapley, inside)
    odd = ~(exact.isfinite().all(-1) & competing.isfinite().all(-1))
    mask = (inside & (shapley >= rho[:, None])) | odd[:, None]
    return Decision(cells, energy, payoff, winning, shapley, inside, rho, mask)
