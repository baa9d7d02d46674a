"""Grad-CAM against Captum, rank correlation against SciPy, deletion and insertion by one image and step at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from neurogames.bridge.coalition_filter.attribution import (
    deletion_curve,
    insertion_curve,
    rank_agreement,
    shapley_map,
)
from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter
from neurogames.bridge.coalition_filter.grad_cam import grad_cam
from neurogames.bridge.coalition_filter.neurogame_net import NeuroGameNet


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def network():
    return NeuroGameNet((8, 8), 4, rng=generator(), hidden=6).eval()


class Pooled(nn.Module):
    """A network whose maps are smaller than its images, with a ReLU that works in place."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.Conv2d(1, 5, 3, stride=2)
            self.rest = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(5 * 4 * 3, 3))

    def forward(self, images):
        return self.rest(self.first(images))


@pytest.mark.parametrize("place", ["convolution", "activation", "gate"])
def test_grad_cam_equals_captum(place):
    captum = pytest.importorskip("captum.attr")
    net, images, classes = network(), draws(5, 1, 8, 8), torch.tensor([0, 1, 2, 3, 1])
    layer = getattr(net, place)
    expected = captum.LayerGradCam(net, layer).attribute(images, target=classes, relu_attributions=True)
    found = grad_cam(net, layer, images, classes)
    torch.testing.assert_close(found, expected[:, 0].detach())
    assert found.max() > 0


def test_grad_cam_of_small_maps_is_captums_interpolated():
    captum = pytest.importorskip("captum.attr")
    net, images, classes = Pooled(), draws(2, 1, 9, 7), torch.tensor([2, 0])
    expected = captum.LayerGradCam(net, net.first).attribute(images, target=classes, relu_attributions=True)
    expected = captum.LayerAttribution.interpolate(expected, (9, 7), interpolate_mode="bilinear")
    torch.testing.assert_close(grad_cam(net, net.first, images, classes), expected[:, 0].detach())


def test_grad_cam_works_on_frozen_networks_and_leaves_no_trace():
    net, images, classes = network(), draws(3, 1, 8, 8), torch.tensor([0, 1, 2])
    expected = grad_cam(net, net.activation, images, classes)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net.activation._forward_hooks
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(grad_cam(net, net.activation, images, classes), expected)


def test_shapley_map_adds_up_the_channels():
    layer = CoalitionFilter(2, 0.5)
    maps = draws(3, 2, 6, 6)
    report = layer.explain(maps)
    torch.testing.assert_close(shapley_map(layer, maps, (6, 6), units="all"), report.shapley.sum(1).float())
    strong = shapley_map(layer, maps, (6, 6))
    torch.testing.assert_close(strong, (report.shapley * report.mask).sum(1).float())
    assert not strong[~report.mask.any(1)].any()
    assert shapley_map(layer, maps, (12, 18)).shape == (3, 12, 18)


def test_rank_agreement_equals_spearman_of_scipy():
    first = draws(6, 5, 4)
    second = (2 * draws(6, 5, 4, seed=1) + first).round()  # with ties
    found = rank_agreement(first, second)
    expected = [stats.spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(rank_agreement(first, first.exp()).numpy(), 1.0)
    np.testing.assert_allclose(rank_agreement(first, -first).numpy(), -1.0)
    assert rank_agreement(first, torch.zeros_like(first)).isnan().all()


def curve_by_loops(net, images, maps, classes, steps, baseline, inserting):
    """One image and one step at a time."""
    rows = []
    for image, one, label in zip(images, maps, classes, strict=True):
        order = sorted(range(one.numel()), key=lambda i: (-one.flatten()[i].item(), i))
        row = []
        for step in range(steps + 1):
            picture = torch.full_like(image, baseline) if inserting else image.clone()
            for i in order[: round(step * one.numel() / steps)]:
                r, c = divmod(i, one.shape[1])
                picture[:, r, c] = image[:, r, c] if inserting else baseline
            row.append(net(picture[None]).softmax(-1)[0, label].item())
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("inserting", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 1024])
def test_curves_equal_those_taken_one_by_one(inserting, batch_size):
    net = nn.Sequential(nn.Flatten(), nn.Linear(2 * 4 * 5, 3)).requires_grad_(False)
    net[1].weight.copy_(draws(3, 40))
    images, maps, classes = draws(3, 2, 4, 5), draws(3, 4, 5, seed=1).round(decimals=0), torch.tensor([2, 0, 1])
    before = images.clone(), maps.clone()
    curve = insertion_curve if inserting else deletion_curve
    found = curve(net, images, maps, classes, steps=6, baseline=0.3, batch_size=batch_size)
    expected = curve_by_loops(net, images, maps, classes, 6, 0.3, inserting)
    np.testing.assert_allclose(found.scores.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(found.area.numpy(), integrate.trapezoid(expected, found.shares.numpy()), atol=1e-6)
    assert (found.shares[0], found.shares[-1]) == (0, 1)
    assert torch.equal(images, before[0])
    assert torch.equal(maps, before[1])


def test_the_true_weights_order_the_pixels_best_for_a_linear_network():
    net = nn.Sequential(nn.Flatten(), nn.Linear(30, 2, bias=False)).requires_grad_(False)
    net[1].weight.copy_(draws(2, 30).abs() * torch.tensor([[0.0], [1.0]]))
    images, classes = torch.ones(1, 1, 5, 6), torch.tensor([1])
    best = net[1].weight[1].view(1, 5, 6)
    areas = [deletion_curve(net, images, draws(1, 5, 6, seed=s), classes).area.item() for s in range(1, 20)]
    assert deletion_curve(net, images, best, classes).area.item() < min(areas)
    areas = [insertion_curve(net, images, draws(1, 5, 6, seed=s), classes).area.item() for s in range(1, 20)]
    assert insertion_curve(net, images, best, classes).area.item() > max(areas)


def test_wrong_arguments_are_refused():
    net, images, classes = network(), draws(2, 1, 8, 8), torch.tensor([0, 1])
    maps = draws(2, 8, 8)
    with pytest.raises(ValueError, match="a module of the model"):
        grad_cam(net, nn.Conv2d(1, 3, 3), images, classes)
    with pytest.raises(ValueError, match="output of layer: got 'shape"):
        grad_cam(net, net.classifier[1], images, classes)
    assert not net.classifier[1]._forward_hooks
    with pytest.raises(ValueError, match="2 int64 class ids"):
        grad_cam(net, net.gate, images, torch.tensor([0]))
    with pytest.raises(ValueError, match="at least one image"):
        deletion_curve(net, images[:0], maps[:0], classes[:0])
    with pytest.raises(ValueError, match="maps: got"):
        deletion_curve(net, images, maps[:, :4], classes)
    with pytest.raises(ValueError, match="steps: got 65"):
        insertion_curve(net, images, maps, classes, steps=65)
    with pytest.raises(ValueError, match="maps: got 'entries that are not finite'"):
        deletion_curve(net, images, maps / 0, classes)
    with pytest.raises(ValueError, match="expected rows that the model takes"):
        deletion_curve(net, images.double(), maps, classes)
    with pytest.raises(ValueError, match="classes: got"):
        deletion_curve(net, images, maps, classes + 4)
    with pytest.raises(ValueError, match="baseline: got nan"):
        insertion_curve(net, images, maps, classes, baseline=math.nan)
    with pytest.raises(ValueError, match="two maps"):
        rank_agreement(maps, maps[:1])
    with pytest.raises(ValueError, match="activations: got"):
        shapley_map(CoalitionFilter(), draws(2, 16), (4, 4))
    with pytest.raises(ValueError, match="units: got 'few'"):
        shapley_map(CoalitionFilter(), draws(2, 1, 4, 4), (4, 4), units="few")
