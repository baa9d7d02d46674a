"""Units that can only leave a network together, and profiles that treat them alike.

Channels that meet in a residual sum leave together or not at all: a profile that silences some of them prunes nothing
there. With one share for each group of such units a residual network can really be halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurogames._arguments import finite_array, invalid_argument
from neurogames.bridge.gates.gates import insert_gates, present_gates
from neurogames.bridge.modules.evaluation import gradients_on
from neurogames.bridge.modules.units import Unit
from neurogames.bridge.pruning.cutting import Search
from neurogames.bridge.pruning.plain_model import plain_copy
from neurogames.bridge.pruning.structure import tie_groups
from neurogames.bridge.pruning.work import as_arguments


@dataclass(frozen=True, eq=False)
class CoupledGroups:
    """Groups of units that can only leave a network together.

    Attributes:
        modules: names of the modules whose units are counted, in order.
        groups: (n,) number of the group of each unit, from 0, in the order in which they first come.
        fixed: (n,) whether the unit can leave in no case: it is read with what has no gate, or feeds the output.
    """

    modules: tuple[str, ...]
    groups: NDArray[np.int64]
    fixed: NDArray[np.bool_]

    def mean(self, shares: ArrayLike) -> NDArray[np.float64]:
        """Give every unit the mean of the shares, or importances, of its group.

        Args:
            shares: (n,) one for each unit.

        Returns:
            (n,) means.

        Raises:
            ValueError: if there are not n finite numbers.
        """
        values = finite_array("shares", shares, ndim=1)
        if len(values) != len(self.groups):
            raise invalid_argument("shares", f"{len(values)} numbers", f"one for each of {len(self.groups)} units")
        totals = np.bincount(self.groups, weights=values)
        return (totals / np.bincount(self.groups))[self.groups]


@gradients_on()
def coupled_groups(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...],
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    *,
    modules: Sequence[str] | None = None,
) -> CoupledGroups:
    """Find which units of a network can only leave together.

    Units are coupled where their outputs meet: in sums (of residual blocks), products, depthwise convolutions, and
    where the code asks for as many channels in each part (grouped convolutions, shuffles, heads). The latter shows only
    when channels leave, so half of the groups are taken out for trial until the network runs without them.

    Args:
        model: any module, with gates or without; it stays as it is.
        example_inputs: an input of the model, or a tuple of its positional arguments.
        units: which units, as in :func:`neurogames.bridge.insert_gates`, where the model has no gates.
        modules: of which modules, as in ``insert_gates``.

    Returns:
        The groups.

    Raises:
        ValueError: as :func:`prune`.

    >>> class Residual(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.stem, self.inner, self.head = nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(2, 1)
    ...     def forward(self, x):
    ...         x = self.stem(x)
    ...         return self.head(x + self.inner(x))
    >>> found = coupled_groups(Residual(), torch.ones(1, 3))
    >>> found.modules, found.groups, found.mean([1.0, 0.0, 0.0, 0.5])
    (('stem', 'inner'), array([0, 1, 0, 1]), array([0.5 , 0.25, 0.5 , 0.25]))
    """
    inputs = as_arguments(example_inputs)
    plain = plain_copy(model, inputs)
    gates = present_gates(plain) or insert_gates(plain, units, modules=modules)
    names, sizes, places = gates.modules, gates.sizes, dict(zip(gates.modules, gates.places, strict=True))
    gates.remove()
    search = Search(plain, inputs, places)
    layers = [name for name in names if name in search.rows]
    found = None
    for trial in (0, 1):
        while (found := _half_leaves(search, layers, trial)) is None:
            pass
    assert found is not None
    of_labels, blocked = found
    units_of = [
        search.rows[name].numpy() if name in search.rows else np.zeros(size, dtype=np.int64)
        for name, size in zip(names, sizes, strict=True)
    ]
    labels = np.concatenate(units_of)
    heads = labels == 0
    groups = np.where(heads, -1 - np.arange(len(labels)), of_labels[labels])
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    fixed = heads | np.isin(groups, of_labels[sorted(blocked)])
    return CoupledGroups(names, order[inverse].astype(np.int64), fixed)


def _half_leaves(search: Search, layers: list[str], trial: int) -> tuple[NDArray[np.int64], set[int]] | None:
    """Groups of labels and the blocked labels, if the network runs without half of the groups; None if not yet.

    What is learnt when it does not run is kept in the search.
    """
    flow = search.flow({})
    tie_groups(search.model, flow)
    groups = flow.groups()
    blocked = set(flow.blocked) & set(range(len(groups)))
    stays = np.isin(groups, groups[sorted(blocked | {0})])
    draws = np.random.default_rng(0)  # any half will do that is not as regular as the code
    chosen: dict[int, bool] = {}
    for name in layers:
        labels = flow.rows[name].numpy()
        fresh = [group for group in dict.fromkeys(groups[labels[~stays[labels]]].tolist()) if group not in chosen]
        order = draws.permutation(len(fresh)) if trial else np.arange(len(fresh))
        chosen.update({group: place < len(fresh) // 2 for group, place in zip(fresh, order.tolist(), strict=True)})
    leaving = np.isin(groups, [group for group, goes in chosen.items() if goes])
    for name in flow.started:
        labels = flow.rows[name].numpy()
        if len(labels) and leaving[labels].all():
            leaving[groups == groups[labels[0]]] = False
    if leaving.any() and search.attempt(flow, torch.from_numpy(leaving), []) is None:
        return None
    return groups, blocked
