"""A copy of a model in which every weight is a plain parameter, so that it can be gated, followed and cut."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.evaluation import copy_module, evaluating
from neurogames.bridge.pruning.channels import swapped
from neurogames.bridge.pruning.work import refuse_inputs


def plain_copy(model: nn.Module, inputs: tuple[Any, ...]) -> nn.Module:
    """Copy a model without what computes weights or compiles; the copy is the same function in evaluation mode.

    Args:
        model: any module, compiled or not; it stays as it is.
        inputs: positional arguments that it takes.

    Returns:
        The copy, in the modes of the original.

    Raises:
        ValueError: the model does not take the inputs, or cannot be copied.

    >>> model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)))
    >>> plain = plain_copy(model, (torch.ones(1, 2),))
    >>> type(plain[0].weight).__name__, sorted(plain.state_dict())
    ('Parameter', ['0.bias', '0.weight'])
    """
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", type(model).__name__, "a torch module")
    model = getattr(model, "_orig_mod", model)
    try:
        with evaluating(model), torch.no_grad():
            model(*swapped(inputs, Tensor.clone))
    except Exception as error:
        raise refuse_inputs(inputs, error) from error
    plain = copy_module(model)
    modes = {module: module.training for module in plain.modules()}
    plain.eval()  # spectral_norm goes on with its iteration in training mode
    with torch.no_grad():
        for module in list(plain.modules()):
            for key, child in list(module.named_children()):
                if hasattr(child, "_orig_mod"):
                    setattr(module, key, child._orig_mod)
            _make_plain(module)
    for module in plain.modules():
        module.training = modes[module]
    return plain


def _make_plain(module: nn.Module) -> None:
    """Take away what computes the weights of one module, and keep the weights."""
    if parametrize.is_parametrized(module):
        # Torch's own removal takes the weight out of the class, which the copied module shares with the original.
        held: Any = module.parametrizations
        weights = {key: getattr(module, key).detach().clone() for key in held}
        trained = {key: any(tensor.requires_grad for tensor in held[key].parameters()) for key in held}
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
        for key, weight in weights.items():
            module.register_parameter(key, nn.Parameter(weight, requires_grad=trained[key]))
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)
        elif isinstance(hook, WeightNorm):
            nn.utils.remove_weight_norm(module, hook.name)
        elif isinstance(hook, SpectralNorm):
            nn.utils.remove_spectral_norm(module, hook.name)
