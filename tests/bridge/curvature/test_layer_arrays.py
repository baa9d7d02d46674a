"""The one form of a layer's arrays: outputs and gradients that follow from it are those of torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neurogames.bridge.curvature.layer_arrays import layer_inputs, layer_outputs, layer_weights


class Own(nn.Linear):
    """A class made from Linear."""


LAYERS = [
    (nn.Linear(3, 4), (5, 3)),
    (nn.Linear(3, 4, bias=False), (5, 6, 3)),
    (Own(3, 4), (5, 2, 6, 3)),
    (nn.Conv1d(3, 4, 2), (5, 3, 7)),
    (nn.Conv1d(3, 4, 3, stride=2, padding=2, dilation=2, bias=False), (5, 3, 9)),
    (nn.Conv2d(3, 4, (2, 3), stride=(1, 2), padding=(1, 0), dilation=(2, 1)), (5, 3, 6, 7)),
    (nn.Conv2d(3, 4, 3, padding="same", padding_mode="reflect"), (5, 3, 6, 7)),
    (nn.Conv2d(3, 4, (2, 4), padding="same", bias=False), (5, 3, 6, 7)),
    (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (5, 3, 6, 6)),
    (nn.Conv3d(2, 4, (2, 1, 3), padding="valid"), (5, 2, 4, 3, 5)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=[str(layer) for layer, _ in LAYERS])
def test_outputs_and_gradients_of_weights_follow_from_the_arrays(layer, shape):
    torch.manual_seed(0)
    layer = layer.double()
    inputs = torch.randn(shape, dtype=torch.float64)
    outputs = layer(inputs)
    back = torch.randn_like(outputs)
    weights = [weight for weight in (layer.weight, layer.bias) if weight is not None]
    gradient = layer_weights(layer, *torch.autograd.grad(outputs, weights, back))
    a, g = layer_inputs(layer, inputs), layer_outputs(layer, back)
    assert a.shape[:2] == g.shape[:2]
    assert len(a) == len(inputs)
    torch.testing.assert_close(a @ layer_weights(layer).T, layer_outputs(layer, outputs))
    torch.testing.assert_close(torch.einsum("rso,rsi->oi", g, a), gradient)


@pytest.mark.parametrize(
    "layer", [nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.ConvTranspose2d(3, 4, 2), nn.LayerNorm(3)]
)
def test_other_layers_are_refused(layer):
    for call in (lambda: layer_inputs(layer, torch.ones(2, 4, 5, 5)), lambda: layer_weights(layer)):
        with pytest.raises(ValueError, match="^layer: got"):
            call()


@pytest.mark.parametrize(("layer", "shape"), [(nn.Linear(3, 4), (3,)), (nn.Conv2d(3, 4, 2), (3, 5, 5))])
def test_what_is_no_batch_is_refused(layer, shape):
    with pytest.raises(ValueError, match="^inputs: got"):
        layer_inputs(layer, torch.ones(shape))
