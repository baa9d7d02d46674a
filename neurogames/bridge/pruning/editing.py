"""A network without some of its channels: what is sliced, what goes into biases, and which sizes change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neurogames.bridge.modules.evaluation import copy_module
from neurogames.bridge.pruning.channels import Flow
from neurogames.bridge.pruning.layers import exchange, is_depthwise, shrink_layer


def without(
    model: nn.Module, flow: Flow, leaving: Tensor, places: Mapping[str, str], held: list[tuple[str, int]]
) -> nn.Module:
    """Copy a model without the channels that leave.

    Args:
        model: the whole network; it is left as it is.
        flow: where its channels are.
        leaving: whether it leaves (bool), by label.
        places: name of the module that holds the share of each gated module.
        held: module and index of units that stay at weight 0.

    Returns:
        The smaller network.
    """
    cut = copy_module(model)
    named = dict(cut.named_modules())
    with torch.no_grad():
        for name, index in held:
            place = named[places[name]]
            for parameter in (place.weight, place.bias):
                if parameter is not None:
                    parameter[index] = 0.0
        for name in flow.started:
            stays = ~leaving[flow.rows[name]]
            if name in flow.reads:
                columns, constants = flow.reads[name]
                shrink_layer(named[name], stays, ~leaving[columns], constants)
            elif is_depthwise(named[name]):
                shrink_layer(named[name], stays, stays, torch.zeros(len(stays)))
        for name, labels in flow.entries.items():
            _keep_entries(named[name], ~leaving[labels])
        for (name, key), (axis, labels) in flow.scales.items():
            stays = ~leaving[labels]
            if not stays.all():
                tensor = getattr(named[name], key)
                exchange(named[name], key, tensor.index_select(axis, stays.nonzero()[:, 0].to(tensor.device)))
    return cut


def _keep_entries(module: Any, stays: Tensor) -> None:
    """Keep some entries along the first axis of a module's tensors, and set its sizes."""
    if stays.all():
        return
    for key, tensor in [*module._parameters.items(), *module._buffers.items()]:
        if tensor is not None and tensor.ndim:
            exchange(module, key, tensor[stays.to(tensor.device)])
    count = int(stays.sum())
    if isinstance(module, nn.GroupNorm):
        module.num_groups = module.num_groups * count // module.num_channels
    for key in ("num_features", "num_channels", "num_parameters"):
        if hasattr(module, key):
            setattr(module, key, count)
