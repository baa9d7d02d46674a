"""What pruning has to keep, on any model: the function, the counts and the caller's network."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from neurogames.bridge.gates.gates import insert_gates, present_gates
from neurogames.bridge.pruning.prune import prune


def shares_of(model, seed, dead=0.5):
    """Random shares by name of module, about ``dead`` of them small, and not all of them 0."""
    rng = np.random.default_rng(seed)
    gates = insert_gates(copy.deepcopy(model))
    shares = {}
    for name, size in zip(gates.modules, gates.sizes, strict=True):
        small = rng.choice([0.0, 0.004], size)
        shares[name] = np.where(rng.random(size) < dead, small, rng.uniform(0.05, 1.0, size))
    return shares


def gated_output(model, shares, result, inputs, threshold=0.01):
    """Slow twin: the gated network in which small shares count as 0 unless their unit is pinned away from 0."""
    twin = copy.deepcopy(model)
    kinds = ("neurons", "filters", "heads")
    gates = present_gates(twin) or insert_gates(twin, kinds, modules=list(shares))
    profile = {}
    for name, share in shares.items():
        pinned = [i for i, why in result.pinned.get(name, {}).items() if "at weight 0" not in why]
        stays = np.isin(np.arange(len(share)), pinned)
        profile[name] = np.where((share < threshold) & ~stays, 0.0, share)
    gates.assign(np.concatenate([profile[name] for name in gates.modules]))
    twin.eval()
    with torch.no_grad():
        return twin(*inputs)


def random_norms(model, seed):
    """Give norms statistics of a trained network."""
    rng = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(generator=rng)
            module.running_var.uniform_(0.5, 2.0, generator=rng)
            if module.affine:
                nn.init.normal_(module.weight, generator=rng)
                nn.init.normal_(module.bias, generator=rng)
    return model


def check(model, shares, inputs, threshold=0.01):
    """Prune, and compare function, sizes, counts and the caller's model."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) for module in model.modules()]
    result = prune(model, shares, inputs, threshold=threshold)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()] == [m.training for m in result.model.modules()]
    assert hooks == [len(module._forward_hooks) for module in model.modules()]
    assert present_gates(result.model) is None
    with torch.no_grad():
        mine = copy.deepcopy(result.model).eval()(*inputs)
    want = gated_output(model, shares, result, inputs, threshold)
    torch.testing.assert_close(mine, want, rtol=1e-5, atol=1e-5 * float(want.abs().max()))
    assert result.difference < 1e-5
    assert result.parameters[1] == sum(p.numel() for p in result.model.parameters()) <= result.parameters[0]
    for name, share in shares.items():
        assert result.removed[name] == len(share) - len(result.kept[name])
        layer = result.model.get_submodule(name)
        if not isinstance(layer, nn.MultiheadAttention):
            assert len(layer.weight) == len(result.kept[name])
            assert layer.out_features == len(layer.weight) if isinstance(layer, nn.Linear) else True
        # Every small unit is removed or pinned with a reason.
        small = set(np.flatnonzero(share < threshold))
        assert small - set(result.kept[name]) | set(result.pinned.get(name, {})) == small
    return result


def images(batch=3, channels=1, size=8, seed=0):
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(seed))


def rows(batch, width, seed=0):
    return torch.randn(batch, width, generator=torch.Generator().manual_seed(seed))
