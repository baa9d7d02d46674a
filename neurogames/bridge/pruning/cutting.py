"""Which channels can leave a network so that its function stays, and the network without them.

A group of coupled channels leaves if one of its units is silent and nothing reads a value of it that is not constant.
Which units can leave depends on which others do: what has to stay is taken out until nothing changes. Then the cut
network runs, and where an operation does not give what remains of the old labels (a size written into the code, say),
channels are coupled so that it would (see ``structure``), or stay. So a network comes out only if every operation was
seen to do the same as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.pruning.channels import Flow, number_rows
from neurogames.bridge.pruning.editing import without
from neurogames.bridge.pruning.following import FollowError, follow, may_run_otherwise, runs_otherwise
from neurogames.bridge.pruning.structure import Ties, hindrance, unbalanced

Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Cut:
    """A network without its silent channels.

    Attributes:
        model: the smaller network.
        output: what it returned.
        silent: units whose share counts as 0 (bool), by name of module.
        kept: output rows that are still there (bool), by name of module.
        pinned: why units that should be silent, or gone, are not, by name of module and index.
    """

    model: nn.Module
    output: Any
    silent: dict[str, NDArray[np.bool_]]
    kept: dict[str, NDArray[np.bool_]]
    pinned: dict[str, dict[int, str]]


class Search:
    """A model whose channels are to be cut, with what was learnt of it so far.

    Args:
        model: network with the shares in its weights; it is left as it is.
        inputs: its positional arguments.
        places: name of the module, itself or the norm behind, that holds the share of each gated module.

    Attributes:
        rows: labels of the output rows, by name of Linear or convolution.
        fixed: why channels stay in any case, by label.
        ties: couplings without which an operation would not do the same in a smaller network.
    """

    def __init__(self, model: nn.Module, inputs: tuple[Any, ...], places: Mapping[str, str]) -> None:
        self.model = model
        self.inputs = inputs
        self.places = places
        self.rows = number_rows(model)
        self.units = [("", -1)] + [(name, index) for name, labels in self.rows.items() for index in range(len(labels))]
        self.fixed: dict[int, str] = {}
        self.ties = Ties()
        self._trained: bool | None = None if may_run_otherwise(model) else False

    def flow(self, silent: Masks) -> Flow:
        """Follow the channels, with all that was learnt."""
        masks = {self.places[name]: torch.from_numpy(mask) for name, mask in silent.items()}
        try:
            if self._trained is None:
                self._trained = runs_otherwise(self.model, self.inputs, self.rows)
            flow = follow(self.model, self.inputs, self.rows, masks, trained=self._trained)
        except FollowError as error:
            raise invalid_argument("model", str(error), "a model whose channels can be followed") from error
        flow.blocked.update(self.fixed)
        self.ties.apply(flow)
        return flow

    def attempt(self, flow: Flow, leaving: Tensor, held: list[int]) -> tuple[nn.Module, Any] | None:
        """The network without the channels that leave, and its output; None if something new was learnt instead.

        Raises:
            ValueError: an operation changes from run to run.
        """
        cut = without(self.model, flow, leaving, self.places, [self.units[label] for label in held])
        remaining = {name: labels[~leaving[labels]] for name, labels in self.rows.items()}
        output: Any = None
        try:
            after = follow(cut, self.inputs, remaining, {}, trained=bool(self._trained))
            output, steps = after.output, after.steps
        except FollowError as error:
            steps = error.flow.steps
        number = hindrance(flow.steps, steps, leaving)
        if number is None:
            return cut, output
        if not self.ties.add(flow.steps, number):
            step = flow.steps[number]
            labels = torch.unique(torch.cat([labels.reshape(-1) for labels in step.labels]))
            labels = labels[leaving[labels]]
            if not len(labels):
                raise invalid_argument(
                    "model", f"an operation {step.name} that changes", "a model whose channels can be followed"
                )
            self.fixed.update(dict.fromkeys(labels.tolist(), f"{step.name} holds its number of channels fixed"))
        return None


def cut_out(search: Search, wanted: Masks, shares: Mapping[str, NDArray[np.float64]]) -> Cut:
    """Cut the silent units out of a network as far as this leaves its function as it is.

    Args:
        search: the network.
        wanted: units (bool) that should leave, by name of Linear or convolution.
        shares: shares of the units; in a layer that would be empty the largest stays, at weight 0.

    Returns:
        The cut.

    Raises:
        ValueError: the model's channels cannot be followed, or its weights are used otherwise than by their modules.
    """
    units, rows = search.units, search.rows
    made = None
    while made is None:
        silent = {name: mask.copy() for name, mask in wanted.items()}
        pinned: dict[str, dict[int, str]] = {name: {} for name in silent}
        while True:
            flow = search.flow(silent)
            for name in silent:
                if search.places[name] in flow.odd and (shares[name] != 1).any():
                    got = f"weights of {search.places[name]!r} that are used by themselves"
                    raise invalid_argument("model", got, "units that are reached by calling their module only")
            stuck = _stuck(flow, silent, units)
            leaving, held = _leaving(flow, silent, shares)
            if not stuck:
                stuck = unbalanced(search.model, flow, leaving, _quiet(flow, silent), _shares(flow, shares))
            if not stuck:
                break
            for label, why in stuck.items():
                name, index = units[label]
                silent[name][index] = False
                pinned[name][index] = why
        made = search.attempt(flow, leaving, list(held))
    for label, why in held.items():
        name, index = units[label]
        pinned[name][index] = why
    return Cut(
        model=made[0],
        output=made[1],
        silent=silent,
        kept={name: ~leaving[labels].numpy() for name, labels in rows.items()},
        pinned={name: dict(sorted(reasons.items())) for name, reasons in pinned.items() if reasons},
    )


def _stuck(flow: Flow, silent: Masks, units: list[tuple[str, int]]) -> dict[int, str]:
    """Silent units, by label, that cannot leave, and why."""
    groups = flow.groups()
    quiet = np.isin(np.arange(len(groups)), _quiet(flow, silent))
    gated = np.isin(np.arange(len(groups)), [label for name in silent for label in flow.rows[name].tolist()])
    started = set(flow.started)
    blocked, living = _marked(flow.blocked, groups), _marked(flow.living, groups)
    idle = np.array([label > 0 and units[label][0] not in started for label in range(len(groups))])

    def first(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The first marked label of each label's group; 0 where there is none."""
        labels = np.flatnonzero(marks)[::-1]
        of_groups = np.zeros(len(groups), dtype=np.int64)
        of_groups[groups[labels]] = labels
        return of_groups[groups]

    barred, without_call, read, alive = map(first, (blocked, idle, living, gated & ~quiet))
    found = {}
    for label in np.flatnonzero(quiet & ((barred > 0) | (without_call > 0) | (read > 0))).tolist():
        if blocked[label]:
            found[label] = flow.blocked[label]
        elif barred[label]:
            found[label] = "coupled with {!r} {}: ".format(*units[barred[label]]) + flow.blocked[int(barred[label])]
        elif without_call[label]:
            found[label] = f"{units[without_call[label]][0]!r} is not called as a plain layer"
        elif alive[label]:
            found[label] = "coupled with {!r} {}, which stays".format(*units[alive[label]])
        else:
            found[label] = f"{flow.living[int(read[label])]!r} reads it where it is not constant"
    return found


def _marked(labels: Mapping[int, str], groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which labels are among some."""
    marks = np.zeros(len(groups), dtype=np.bool_)
    marks[list(labels)] = True
    return marks


def _quiet(flow: Flow, silent: Masks) -> list[int]:
    """Labels of the silent units."""
    return [label for name, mask in silent.items() for label in flow.rows[name][torch.from_numpy(mask)].tolist()]


def _shares(flow: Flow, shares: Mapping[str, NDArray[np.float64]]) -> dict[int, float]:
    """Shares by label."""
    return {
        label: float(share)
        for name, part in shares.items()
        if name in flow.rows
        for label, share in zip(flow.rows[name].tolist(), part, strict=True)
    }


def _leaving(flow: Flow, silent: Masks, shares: Mapping[str, NDArray[np.float64]]) -> tuple[Tensor, dict[int, str]]:
    """What leaves (bool by label), and why silent units stay so that no layer is empty, by label."""
    groups = flow.groups()
    quiet = _quiet(flow, silent)
    leaving = np.isin(groups, groups[quiet])
    leaving[0] = False
    held = {}
    for name in flow.started:
        labels = flow.rows[name].numpy()
        if len(labels) and leaving[labels].all():
            last = labels[np.argmax(shares[name])] if name in shares else labels[0]
            mates = np.flatnonzero(groups == groups[last])
            leaving[mates] = False
            why = f"at weight 0, so that {name!r} is not empty"
            held.update(dict.fromkeys(np.intersect1d(mates, quiet).tolist(), why))
    return torch.from_numpy(leaving), held
