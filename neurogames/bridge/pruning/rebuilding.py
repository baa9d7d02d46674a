"""A pruned network built again from its weights: what was saved is numbers and sizes, no code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import instance, invalid_argument
from neurogames.bridge.modules.evaluation import copy_module, gradients_on
from neurogames.bridge.modules.hooks import known_module

Sizes = dict[str, dict[str, int]]


def changed_sizes(before: nn.Module, after: nn.Module) -> Sizes:
    """Integer attributes of modules that differ between a network and its pruned one.

    >>> changed_sizes(nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 1)))
    {'0': {'out_features': 1}}
    """
    others = dict(after.named_modules())
    changed = {}
    for name, module in before.named_modules():
        own = vars(others[name])
        new = {key: own[key] for key, value in vars(module).items() if type(value) is int and own[key] != value}
        if new:
            changed[name] = new
    return changed


@gradients_on()
def rebuild(model: nn.Module, state: Mapping[str, Tensor], sizes: Mapping[str, Mapping[str, int]]) -> nn.Module:
    """Build a pruned network from the architecture it came from.

    Args:
        model: a network of the whole architecture, with any weights; it stays as it is.
        state: ``state_dict`` of the pruned network, as ``torch.load(..., weights_only=True)`` gives it.
        sizes: ``Pruned.sizes``; it may have been stored as JSON.

    Returns:
        The pruned network.

    Raises:
        ValueError: the sizes or the weights are not those of a network made from this architecture.

    >>> from neurogames.bridge.pruning.prune import prune
    >>> make = lambda: nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> pruned = prune(make(), [1, 0, 1, 0], torch.ones(3, 2))
    >>> again = rebuild(make(), pruned.model.state_dict(), pruned.sizes)
    >>> again, torch.equal(again(torch.ones(1, 2)), pruned.model(torch.ones(1, 2)))
    (Sequential(
      (0): Linear(in_features=2, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=1, bias=True)
    ), True)
    """
    instance("model", model, nn.Module, "a torch module")
    instance("sizes", sizes, Mapping, "a mapping")
    instance("state", state, Mapping, "a mapping")
    result = copy_module(model)
    for name, attributes in sizes.items():
        module = known_module(result, name, argument="sizes") if name else result
        for key, value in attributes.items():
            if type(vars(module).get(key)) is not int:
                raise invalid_argument("sizes", f"{key!r} of {name!r}", f"attributes of {type(module).__name__}")
            setattr(module, key, value)
    for full, tensor in state.items():
        name, _, key = full.rpartition(".")
        module = known_module(result, name, argument="state") if name else result
        _resize(module, key, full, tensor)
    missing = result.state_dict().keys() - state.keys()
    if missing:
        raise invalid_argument("state", f"no {sorted(missing)[0]!r}", "all weights of a network of this architecture")
    result.load_state_dict(dict(state))
    return result


def _resize(module: Any, key: str, full: str, tensor: Tensor) -> None:
    """Give a parameter or buffer the shape of the one to be loaded."""
    held = module._parameters if key in module._parameters else module._buffers
    if key not in held:
        raise invalid_argument("state", full, f"names of the model's weights; {type(module).__name__} has no {key!r}")
    old = held[key]
    if old is not None and old.shape == tensor.shape:
        return
    weight = getattr(module, "weight", tensor) if old is None else old
    new = torch.empty(tensor.shape, dtype=weight.dtype, device=weight.device)
    if held is module._parameters:
        held[key] = nn.Parameter(new, requires_grad=weight.requires_grad)
    else:
        held[key] = new
