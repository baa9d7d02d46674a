"""The energy of windows of a map of units, and what each unit is worth in it.

A map (height, width) is cut into windows of n x n units. The units of a window are players, and the edges <ij> join
the four nearest neighbours inside it. With states x_i and strengths alpha, beta the energy of a window is

    ising:     E(x) = -alpha sum_<ij> x_i x_j - beta sum_i x_i,   x_i = 1 where a_i is above its map's median, else -1
    gaussian:  E(x) = (beta x'x - alpha x'A x) / 2,               x_i = a_i itself, A the matrix of the edges

and its Gibbs law is pi(x) = exp(-E(x) / T) / Z: a probability over the 2^(n n) states of spins, or a density over
R^(n n). The game of a window is v(S) = -E(x restricted to S). It has worths of single units l_i and of pairs only, so
that its Shapley value is known without sampling, and the Banzhaf value is the same number:

    phi_i = l_i + (alpha / 2) sum_{j~i} x_i x_j,    l_i = beta x_i (ising),  l_i = -(beta / 2) x_i^2 (gaussian)

The source names the energy with its alpha and beta, the Gibbs law and the Shapley value; how activations become
states, the edges and the payoff are not published, and are our completion.

Conventions: *cells* are maps cut into windows, (..., rows, n, columns, n): the unit in row r and column c of window
(R, C) is cells[..., R, r, C, c]. A map that is no multiple of n is filled up with zeros. They are no players: a zero
adds nothing to any sum above, so that a window at the border is just a smaller game. The median is the lower one of an
even number of units, and units equal to it are down, so that a unit silent in most of a rectified map is down.

Reference: Game Theory Meets Statistical Mechanics in Deep Learning Design, arXiv 2410.12264, equations 1, 2 and 4.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Energy = Literal["ising", "gaussian"]


def spins(maps: Tensor) -> Tensor:
    """Spins of maps (..., units): +1 above the lower median of the map, else -1.

    >>> spins(torch.tensor([[0.0, 0.0, 0.0, 2.0, 1.0]]))
    tensor([[-1., -1., -1.,  1.,  1.]])
    """
    above = maps > maps.median(dim=-1, keepdim=True).values
    return 2.0 * above.to(maps.dtype) - 1.0


def to_cells(maps: Tensor, window: int) -> Tensor:
    """Cut maps (..., height, width) into windows, filled up with zeros: (..., rows, window, columns, window).

    >>> to_cells(torch.ones(5, 4), 2).shape
    torch.Size([3, 2, 2, 2])
    """
    height, width = maps.shape[-2:]
    rows, columns = -(-height // window), -(-width // window)
    full = torch.nn.functional.pad(maps, (0, columns * window - width, 0, rows * window - height))
    return full.reshape(*maps.shape[:-2], rows, window, columns, window)


def from_cells(cells: Tensor, height: int, width: int) -> Tensor:
    """Put windows together to maps (..., height, width); the inverse of :func:`to_cells`.

    >>> maps = torch.arange(20.0).reshape(5, 4)
    >>> torch.equal(from_cells(to_cells(maps, 3), 5, 4), maps)
    True
    """
    *leading, rows, window, columns, _ = cells.shape
    return cells.reshape(*leading, rows * window, columns * window)[..., :height, :width]


def count_windows(units: int, grid: tuple[int, int], window: int) -> int:
    """Number of windows that have a unit; they are the first ones row by row.

    >>> count_windows(7, (3, 3), 2)
    3
    """
    columns = -(-grid[1] // window)
    full, rest = divmod(units, grid[1])
    return full // window * columns + (columns if full % window else -(-rest // window))


def pair_terms(cells: Tensor) -> Tensor:
    """Sum over the neighbours, x_i sum_{j~i} x_j of each unit, in the shape of ``cells``.

    >>> pair_terms(to_cells(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 2)).reshape(2, 2)
    tensor([[ 5., 10.],
            [15., 20.]])
    """
    near = torch.zeros_like(cells)
    near[..., 1:] += cells[..., :-1]
    near[..., :-1] += cells[..., 1:]
    near[..., 1:, :, :] += cells[..., :-1, :, :]
    near[..., :-1, :, :] += cells[..., 1:, :, :]
    return cells * near


def single_terms(cells: Tensor, energy: Energy) -> tuple[Tensor, float]:
    """What beta weighs: terms b_i and a factor f with l_i = f beta b_i, which is x_i, 1 or x_i^2, -1/2."""
    return (cells, 1.0) if energy == "ising" else (cells.square(), -0.5)


def window_energy(cells: Tensor, alpha: float | Tensor, beta: float | Tensor, energy: Energy = "ising") -> Tensor:
    """Energies (..., rows, columns) of windows.

    Args:
        cells: states (..., rows, n, columns, n); zeros are no players.
        alpha: strength of the pairs.
        beta: strength of the single units.
        energy: "ising" or "gaussian".

    Returns:
        E, whose negative is the payoff v(N) of the window.

    >>> window_energy(to_cells(torch.tensor([[1.0, -1.0], [1.0, 1.0]]), 2), 2.0, 0.5)
    tensor([[-1.]])
    """
    terms, factor = single_terms(cells, energy)
    # Sums of spins are exact in any order; only the weighing rounds, so that windows of equal states tie.
    return -(alpha * (0.5 * pair_terms(cells).sum((-3, -1))) + (factor * beta) * terms.sum((-3, -1)))


def window_values(cells: Tensor, alpha: float | Tensor, beta: float | Tensor, energy: Energy = "ising") -> Tensor:
    """Shapley (and Banzhaf) values of the units in the games of their windows, in the shape of ``cells``.

    phi_i = l_i + (alpha / 2) sum_{j~i} x_i x_j. They add up to the payoff -E of each window. Arguments as for
    :func:`window_energy`.

    >>> window_values(to_cells(torch.tensor([[1.0, -1.0], [1.0, 1.0]]), 2), 2.0, 0.5).flatten()
    tensor([ 0.5000, -2.5000,  2.5000,  0.5000])

    Reference: arXiv 2410.12264, equation 1; the closed form follows from the pairwise energy.
    """
    terms, factor = single_terms(cells, energy)
    return (factor * beta) * terms + (0.5 * alpha) * pair_terms(cells)
