"""Masks of strong coalitions as operators of torch: the kernel on the CPU, the definition elsewhere.

An operator is known to compilers and to torch.func, which do not look into it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurogames.bridge.coalition_filter.compiled_coalitions import Law, mask_and_slopes, mask_maps
from neurogames.bridge.coalition_filter.gibbs_law import partition_cells
from neurogames.bridge.coalition_filter.strong_coalitions import Payoff, Rule, decide, to_cells_of_rows
from neurogames.bridge.coalition_filter.window_energy import count_windows


def strong_units(maps: Tensor, grid: tuple[int, int], rule: Rule, level: float) -> Tensor:
    """Mask of the strong units, 1 or 0 in the type and shape (maps, units) of ``maps``.

    Args:
        maps: (maps, units).
        grid: height and width of the grid that the units fill row by row.
        rule: the rule.
        level: g, the part of the quartile that is the threshold.

    Returns:
        ``decide(...).mask`` as numbers.

    >>> strong_units(torch.tensor([[5.0, 6.0, 0.0, 0.0]]), (1, 4), Rule(1, 0.5, "ising", 1.0, 1.0), 1.0)
    tensor([[1., 1., 0., 0.]])
    """
    operator = torch.ops.neurogames.strong_units
    settings = _settings(grid, rule, level)
    mask: Tensor = operator(maps.detach(), *settings, rule.payoff == "log_gibbs")
    return mask


def soft_gates(maps: Tensor, grid: tuple[int, int], rule: Rule, level: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mask of the strong units, and what teaches the strengths; on the CPU, for payoff "energy".

    Args:
        maps: (maps, units).
        grid: height and width of the grid that the units fill row by row.
        rule: the rule.
        level: g, the part of the quartile that is the threshold.

    Returns:
        The mask, and the slopes of a_i sigmoid((phi_i - rho) / T) in alpha and in beta, 0 outside of winning windows;
        all in the type and shape of ``maps``.

    >>> maps = torch.tensor([[5.0, 6.0, 0.0, 0.0]])
    >>> mask, by_alpha, by_beta = soft_gates(maps, (1, 4), Rule(1, 0.5, "ising", 1.0, 1.0), 0.0)
    >>> mask, by_beta.abs().round(decimals=3)
    (tensor([[1., 1., 0., 0.]]), tensor([[0.9830, 1.1800, 0.0000, 0.0000]]))
    """
    mask, by_alpha, by_beta = torch.ops.neurogames.soft_gates(maps.detach(), *_settings(grid, rule, level))
    return mask, by_alpha, by_beta


def _settings(grid: tuple[int, int], rule: Rule, level: float) -> tuple[Any, ...]:
    """What the operators take behind the maps."""
    ising = rule.energy == "ising"
    return (*grid, rule.window, rule.top_p, ising, rule.alpha, rule.beta, level, rule.temperature)


@lru_cache(maxsize=16)
def _law(units: int, grid: tuple[int, int], rule: Rule) -> Law:
    """Shares (places of a window, windows) in log Z, and their sums over each window."""
    players = to_cells_of_rows(torch.ones(units), grid, rule.window).bool().numpy()
    shares = partition_cells(
        players, alpha=rule.alpha, beta=rule.beta, temperature=rule.temperature, energy=rule.energy
    )
    windows = count_windows(units, grid, rule.window)
    sums = torch.from_numpy(shares).sum((-3, -1)).flatten()[:windows].numpy()
    places = shares.transpose(1, 3, 0, 2).reshape(rule.window**2, -1)[:, :windows]
    return np.ascontiguousarray(places), np.ascontiguousarray(sums)


def _by_torch(
    maps: Tensor,
    height: int,
    width: int,
    window: int,
    top_p: float,
    ising: bool,
    alpha: float,
    beta: float,
    level: float,
    temperature: float,
    log_gibbs: bool,
) -> Tensor:
    """The operator where there is no kernel."""
    payoff: Payoff = "log_gibbs" if log_gibbs else "energy"
    rule = Rule(window, top_p, "ising" if ising else "gaussian", alpha, beta, temperature, payoff)
    return decide(maps, (height, width), rule, level).mask.to(maps.dtype)


def _by_kernel(
    maps: Tensor,
    height: int,
    width: int,
    window: int,
    top_p: float,
    ising: bool,
    alpha: float,
    beta: float,
    level: float,
    temperature: float,
    log_gibbs: bool,
) -> Tensor:
    """The operator on the CPU."""
    known, winners = _known(maps, (height, width), window, top_p)
    law = None
    if log_gibbs:
        rule = Rule(window, top_p, "ising" if ising else "gaussian", alpha, beta, temperature, "log_gibbs")
        law = _law(known.shape[1], (height, width), rule)
    settings = ((height, width), window, winners, ising, alpha, beta, level)
    return torch.from_numpy(mask_maps(known.numpy(), *settings, temperature=temperature, law=law)).to(maps.dtype)


def _gates_by_kernel(
    maps: Tensor,
    height: int,
    width: int,
    window: int,
    top_p: float,
    ising: bool,
    alpha: float,
    beta: float,
    level: float,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The operator of soft gates on the CPU."""
    known, winners = _known(maps, (height, width), window, top_p)
    found = mask_and_slopes(known.numpy(), (height, width), window, winners, ising, alpha, beta, level, temperature)
    mask, by_alpha, by_beta = (torch.from_numpy(part).to(maps.dtype) for part in found)
    return mask, by_alpha, by_beta


def _known(maps: Tensor, grid: tuple[int, int], window: int, top_p: float) -> tuple[Tensor, int]:
    """Maps of a type that the kernel knows, and the number of windows that win."""
    known = (maps if maps.dtype in (torch.float32, torch.float64) else maps.float()).contiguous()
    return known, Rule(window, top_p, "ising", 0.0, 0.0).winners(count_windows(known.shape[1], grid, window))


_library = torch.library.Library("neurogames", "FRAGMENT")
_ARGUMENTS = (
    "Tensor maps, int height, int width, int window, float top_p, bool ising, float alpha, float beta, float level, "
    "float temperature"
)
_library.define(f"strong_units({_ARGUMENTS}, bool log_gibbs) -> Tensor")
_library.define(f"soft_gates({_ARGUMENTS}) -> (Tensor, Tensor, Tensor)")
_library.impl("strong_units", _by_torch, "CompositeExplicitAutograd")
_library.impl("strong_units", _by_kernel, "CPU")
_library.impl("soft_gates", _gates_by_kernel, "CPU")
torch.library.register_fake("neurogames::strong_units", lambda maps, *_: torch.empty_like(maps), lib=_library)
torch.library.register_fake(
    "neurogames::soft_gates", lambda maps, *_: tuple(torch.empty_like(maps) for _part in range(3)), lib=_library
)
