"""Importance of units, against sums written out and against torch-pruning."""

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.pruning.importance import magnitude_importance, taylor_importance


def network():
    rng = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=rng))
    return model, (torch.randn(64, 6, generator=rng), torch.randint(3, (64,), generator=rng))


def test_magnitude_is_the_norm_of_the_incoming_weights():
    model, _ = network()
    first, second = model[0].weight.detach().norm(dim=1), model[2].weight.detach().norm(dim=1)
    expected = torch.cat([first / first.mean(), second / second.mean()])
    assert np.allclose(magnitude_importance(model), expected.numpy())


def test_taylor_is_the_slope_times_the_weights():
    model, data = network()
    totals = [torch.zeros(8), torch.zeros(5)]
    for rows in torch.arange(64).split(16):
        model.zero_grad()
        functional.cross_entropy(model(data[0][rows]), data[1][rows]).backward()
        for total, layer in zip(totals, (model[0], model[2]), strict=True):
            total += ((layer.weight * layer.weight.grad).sum(dim=1) + layer.bias * layer.bias.grad).abs().detach()
    expected = torch.cat([total / total.mean() for total in totals])
    found = taylor_importance(model, functional.cross_entropy, data, batch_size=16)
    assert np.allclose(found, expected.numpy(), rtol=1e-4)


@pytest.mark.parametrize("kind", ["magnitude", "taylor"])
def test_units_are_ranked_as_by_torch_pruning(kind):
    pruning = pytest.importorskip("torch_pruning", reason="a peer of the extra bench")
    model, data = network()
    graph = pruning.DependencyGraph().build_dependency(model, example_inputs=data[0][:1])
    functional.cross_entropy(model(data[0]), data[1]).backward()
    peer = (
        pruning.importance.GroupTaylorImportance(bias=True, group_reduction="first")
        if kind == "taylor"
        else (pruning.importance.GroupMagnitudeImportance(p=2, group_reduction="first"))
    )
    ours = (
        taylor_importance(model, functional.cross_entropy, data, batch_size=64)
        if kind == "taylor"
        else magnitude_importance(model)
    )
    for layer, part in ((model[0], ours[:8]), (model[2], ours[8:])):
        group = graph.get_pruning_group(layer, pruning.prune_linear_out_channels, idxs=list(range(layer.out_features)))
        rank = scipy.stats.spearmanr(peer(group).detach().numpy(), part).statistic
        assert rank > (0.999 if kind == "magnitude" else 0.7)


def test_dead_layers_and_no_rows():
    model, data = network()
    with torch.no_grad():
        model[0].weight.zero_()
    assert (magnitude_importance(model)[:8] == 0).all()
    with pytest.raises(ValueError, match="^data: got"):
        taylor_importance(model, functional.cross_entropy, (data[0][:0], data[1][:0]))
