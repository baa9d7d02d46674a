"""Banzhaf pathways: which units of one layer feed which units of a later one.

Every unit j of the later layer b makes a game of the units i of the earlier layer a: v_j(S) is its mean activation over
rows and positions when only the units in S of layer a keep their values. The edge i -> j weighs the Banzhaf value

    beta_ij = mean over S without i of  v_j(S + i) - v_j(S),

all S alike. One run of the network tells of all j, so that all games are played with the same coalitions. With fewer
than all 2^n of them, beta is 2 times the least-squares fit of (v_j(S) - v_j(N - S)) / 2 to the signs of membership,
over random S with their complements; this is exact where units act by themselves, else it errs by sampling.

Instead of single units, coalitions of units can be given on either side: one of layer a is present or absent as one,
one of layer b is worth the mean of its members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import instance, integer, invalid_argument, number
from neurogames.bridge.coalitions.coalition_values import MEMORY
from neurogames.bridge.coalitions.masked_network import Baseline, masked_network, mean_over_rows
from neurogames.bridge.modules.adapted_model import Forward, adapted
from neurogames.bridge.modules.units import find_unit_axis
from neurogames.engine.coalitions.transforms import coalition_rows


def banzhaf_pathways(
    model: nn.Module,
    layers: tuple[str, str],
    inputs: Any,
    *,
    budget: int,
    rng: np.random.Generator,
    share: float = 0.05,
    sources: Sequence[Sequence[int]] | None = None,
    targets: Sequence[Sequence[int]] | None = None,
    baseline: Baseline = "zero",
    unit_axes: tuple[int | None, int | None] = (None, None),
    forward: Forward | None = None,
    memory: int = MEMORY,
) -> nx.DiGraph:
    """Find which units of a layer feed which units of a later one.

    Args:
        model: any network with one tensor of inputs, rows first; it is run in evaluation mode and left as it was.
        layers: names (a, b) of two modules, each called once with an output of rows and units, b after a.
        inputs: (rows, ...).
        budget: most coalitions to ask for; exact from 2^n on for n sources.
        rng: numpy Generator that draws coalitions, and the rows of "sample".
        share: keep an edge i -> j if abs(beta_ij) is at least this part of the sum over i of abs(beta_ij); 0 for all.
        sources: coalitions of units of a, no unit in two of them; units in none are always present. Single units when
            left out.
        targets: coalitions of units of b. Single units when left out.
        baseline: what replaces an absent unit: "zero", "mean" or "sample".
        unit_axes: axes of the outputs of a and b on which units stand, as in ``coalition_game``.
        forward: calls the model with its inputs, as in ``coalition_game``.
        memory: most bytes for what comes and goes with a part of the coalitions.

    Returns:
        A graph with nodes (name of the layer, number of the source or target), each with ``layer`` and ``units`` (the
        tuple of its members), and edges with ``weight`` beta, its ``stderr`` (0 if exact) and ``share``. Several such
        graphs can be joined by ``networkx.compose`` to paths through many layers.

    Raises:
        ValueError: a layer is not there or b is not after a; a budget below 2 n + 4 for n sources; coalitions that are
            empty, overlap, or name units that do not exist.

    >>> model = nn.Sequential(nn.Identity(), nn.Linear(3, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, -2.0]]))
    >>> graph = banzhaf_pathways(model, ("0", "1"), torch.ones(4, 3), budget=8, rng=np.random.default_rng(0))
    >>> [(a[1], b[1], weight) for a, b, weight in graph.edges(data="weight")]
    [(0, 0, 1.0), (1, 1, 2.0), (2, 1, -2.0)]

    Reference: J. Banzhaf, Weighted voting doesn't work (1965); P. Hammer and R. Holzman, Approximations of
    pseudo-Boolean functions (1992), for values as a least-squares fit.
    """
    instance("layers", layers, Sequence, "a sequence")
    instance("rng", rng, np.random.Generator, "a numpy Generator")
    if len(layers) != 2:
        raise invalid_argument("layers", layers, "the names of two layers")
    number("share", share, "a share in [0, 1]", lambda value: 0 <= value <= 1)
    model, inputs = adapted(model, inputs, forward)
    network = masked_network(
        model, layers[0], inputs, until=layers[1], baseline=baseline, unit_axis=unit_axes[0], memory=memory, rng=rng
    )
    everybody = torch.ones(1, network.n_units, dtype=torch.bool, device=network.device)
    fed_values = network.outputs(everybody, slice(0, 1 if network.row_bytes else None))[:, 0]
    axis = find_unit_axis(model, layers[1], given=unit_axes[1], ndim=fed_values.ndim)
    n_targets = fed_values.shape[axis]

    def by_unit(outputs: Tensor, _rows: slice) -> Tensor:
        """Mean over positions, summed over rows, of (rows, m, ...)."""
        values = outputs.movedim(axis, 2)
        return values.reshape(*values.shape[:3], -1).double().mean(dim=3).sum(dim=0)

    feeding = _groups("sources", sources, network.n_units, apart=True)
    fed = _groups("targets", targets, n_targets, apart=False)
    n = len(feeding)
    integer("budget", budget, minimum=min(2 * n + 4, 1 << n))
    exact = budget >= 1 << n
    # of each pair of a coalition and its complement one will do
    coalitions = coalition_rows(np.arange(1 << (n - 1)), n) if exact else rng.random((budget // 2, n)) < 0.5
    members = _units(np.concatenate([coalitions, ~coalitions]), feeding, network.n_units)
    means = mean_over_rows(network, members, by_unit, memory)
    pooled = np.stack([means[:, list(group)].mean(axis=1) for group in fed], axis=1)
    odd = 0.5 * (pooled[: len(coalitions)] - pooled[len(coalitions) :])
    weights, errors = _banzhaf(np.where(coalitions, 1.0, -1.0), odd, exact)
    return _graph(layers, feeding, fed, weights, errors, share)


def _groups(name: str, given: Sequence[Sequence[int]] | None, n_units: int, *, apart: bool) -> list[tuple[int, ...]]:
    """Coalitions of units as tuples, or an error."""
    if given is None:
        return [(unit,) for unit in range(n_units)]
    groups = [tuple(integer(name, unit, minimum=0, maximum=n_units - 1) for unit in group) for group in given]
    members = [unit for group in groups for unit in group]
    if not groups or not all(groups) or any(len(set(group)) < len(group) for group in groups):
        raise invalid_argument(name, given, "coalitions of one or more different units")
    if apart and len(set(members)) < len(members):
        raise invalid_argument(name, given, "coalitions without common units")
    return groups


def _units(coalitions: NDArray[np.bool_], groups: list[tuple[int, ...]], n_units: int) -> NDArray[np.bool_]:
    """Sets of units (m, n_units) of coalitions (m, groups); a unit of no group is always in."""
    result = np.ones((len(coalitions), n_units), dtype=np.bool_)
    for k, group in enumerate(groups):
        result[:, list(group)] = coalitions[:, k, None]
    return result


def _banzhaf(
    signs: NDArray[np.float64], odd: NDArray[np.float64], exact: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Banzhaf values (n, targets) and their standard errors from signs (m, n) and odd parts (m, targets)."""
    m, n = signs.shape
    if exact:  # signs are orthogonal, and nothing is estimated
        return 2.0 * signs.T @ odd / m, np.zeros((n, odd.shape[1]))
    solved: Any = np.linalg.lstsq(signs, odd, rcond=None)
    fit, _, rank, _ = solved
    left = odd - signs @ fit
    inverse = np.linalg.pinv(signs.T @ signs)
    noise = (left**2).sum(axis=0) / max(m - int(rank), 1)
    return 2.0 * fit, 2.0 * np.sqrt(np.diag(inverse)[:, None] * noise)


def _graph(
    layers: tuple[str, str],
    feeding: list[tuple[int, ...]],
    fed: list[tuple[int, ...]],
    weights: NDArray[np.float64],
    errors: NDArray[np.float64],
    share: float,
) -> nx.DiGraph:
    """The graph with the edges that are large enough."""
    graph = nx.DiGraph()
    for layer, groups in zip(layers, (feeding, fed), strict=True):
        graph.add_nodes_from(((layer, k), {"layer": layer, "units": group}) for k, group in enumerate(groups))
    total = np.abs(weights).sum(axis=0)
    parts = np.abs(weights) / np.where(total > 0, total, 1.0)
    for i, j in zip(*np.nonzero((parts >= share) & (weights != 0)), strict=True):
        graph.add_edge(
            (layers[0], int(i)),
            (layers[1], int(j)),
            weight=float(weights[i, j]),
            stderr=float(errors[i, j]),
            share=float(parts[i, j]),
        )
    return graph
