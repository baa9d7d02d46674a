"""The call of the closure, and what it must have done.

An ordinary closure runs the loss backward. Where players have own costs, it returns these instead, and each is run
backward here: the layers of a player take from the cost of that player alone, all other parameters from the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.dgnopt.loss_reduction import is_sum_over_rows
from neurogames.bridge.dgnopt.recorded_pass import RecordedPass
from neurogames.bridge.dgnopt.stages import StageGraph


def run_closure(
    closure: Callable[[], Any],
    recorded: RecordedPass,
    graph: StageGraph,
    trained: Sequence[nn.Parameter],
    *,
    cooperative: bool,
) -> tuple[Any, tuple[float, ...]]:
    """Call a closure, and record what the model does.

    Args:
        closure: sets the gradients to zero, calls the model once, and runs the loss backward or returns own costs.
        recorded: the pass that is written to.
        graph: players of the layers.
        trained: parameters that get gradients.
        cooperative: whether players minimise together.

    Returns:
        What the closure returns, and the losses as numbers.

    Raises:
        ValueError: the closure does something else, or its loss is no mean over rows.
    """
    with recorded.recording(), torch.enable_grad():
        returned = closure()
        own = isinstance(returned, list | tuple)
        losses = list(returned) if own else [returned]
        nodes = [getattr(loss, "grad_fn", None) for loss in losses]
        summed = any(node is not None and is_sum_over_rows(node, recorded.returned) for node in nodes)
    if recorded.called != 1:
        raise invalid_argument("closure", f"{recorded.called} calls of the model", "one call of the model")
    if recorded.autocast[1] == torch.float16:
        raise invalid_argument("closure", "autocast to float16", "autocast to bfloat16, which needs no scaled loss")
    for loss in losses:
        if not isinstance(loss, Tensor | float) or (isinstance(loss, Tensor) and loss.numel() != 1):
            got = f"one that returns {type(loss).__name__} {tuple(getattr(loss, 'shape', ()))}"
            raise invalid_argument("closure", got, "the loss, a mean over rows, or a list of them")
    if summed and recorded.rows > 1:
        raise invalid_argument("loss", "a sum over rows", "its mean over rows")
    if own:
        _run_back(losses, recorded, graph, trained, cooperative=cooperative)
    return returned, tuple(loss.item() if isinstance(loss, Tensor) else loss for loss in losses)


def _run_back(
    costs: Sequence[Any],
    recorded: RecordedPass,
    graph: StageGraph,
    trained: Sequence[nn.Parameter],
    *,
    cooperative: bool,
) -> None:
    """Run the own costs of all players backward."""
    if cooperative:
        raise invalid_argument("closure", "own costs of players that cooperate", "one loss, such as their sum")
    if len(costs) != graph.n_players:
        raise invalid_argument("closure", f"{len(costs)} own costs", f"{graph.n_players}, one for each player")
    if any(getattr(cost, "grad_fn", None) is None for cost in costs):
        raise invalid_argument("closure", "own costs that were run backward", "losses that were not")
    players: Mapping[str, int] = {name: graph.graph.nodes[name]["player"] for name in graph.layers}
    owners = {each: n for name, n in players.items() for each in recorded.model.get_submodule(name).parameters()}
    found: dict[nn.Parameter, Tensor] = {}
    for n, cost in enumerate(costs):
        with recorded.cost_of(n, players):
            slopes = torch.autograd.grad(cost, trained, retain_graph=n + 1 < len(costs), allow_unused=True)
        for each, slope in zip(trained, slopes, strict=True):
            if slope is not None and owners.get(each, n) == n:
                found[each] = slope if each not in found else found[each] + slope
    for each in trained:
        each.grad = found.get(each)
