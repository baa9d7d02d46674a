"""What is recorded of layers is what their gradients consist of, and recording leaves no trace."""

from __future__ import annotations

import copy
import gc
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from neurogames.bridge.curvature.layer_arrays import layer_weights, recordable_layers
from neurogames.bridge.curvature.layer_recorder import LayerRecorder


def convolutions():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 2, padding=1), nn.ReLU(inplace=True), nn.Flatten(2), nn.Linear(16, 4), nn.Flatten(),
        nn.Linear(12, 2, bias=False),
    )  # fmt: skip


def weight_gradient(recorder, model, name):
    """The gradient of the weights that the arrays give, and that of autograd."""
    layer = model.get_submodule(name)
    a, g, _ = recorder.arrays(name)
    return torch.einsum("rso,rsi->oi", g, a), layer_weights(
        layer, layer.weight.grad, None if layer.bias is None else layer.bias.grad
    )


def test_arrays_make_the_gradients_of_all_weights():
    model, x = convolutions(), torch.randn(5, 2, 3, 3)
    recorder = LayerRecorder(model)
    assert recorder.names == ("0", "3", "5")
    model(x).square().mean().backward()
    for name, shared in (("0", 16), ("3", 3), ("5", 1)):
        torch.testing.assert_close(*weight_gradient(recorder, model, name))
        arrays = recorder.arrays(name)
        assert arrays.inputs.shape[:2] == arrays.gradients.shape[:2] == (5, shared)
        assert arrays.scale == 5.0


def test_calls_in_one_backward_pass_are_places_and_several_passes_are_rows():
    model, x, y = nn.Linear(3, 3), torch.randn(5, 3), torch.randn(4, 3)
    recorder = LayerRecorder(model)
    model(torch.tanh(model(input=x))).square().mean().backward()
    assert recorder.arrays("").inputs.shape == (5, 2, 4)
    torch.testing.assert_close(*weight_gradient(recorder, model, ""))
    model.zero_grad()
    (model(x).square().sum() / 27).backward()
    (model(y).square().sum() / 27).backward()
    arrays = recorder.arrays("")
    assert (arrays.inputs.shape, arrays.scale) == ((9, 1, 4), 9.0)
    torch.testing.assert_close(*weight_gradient(recorder, model, ""))


def test_calls_for_different_rows_in_one_backward_pass_are_rows():
    model, x, y = nn.Linear(3, 3), torch.randn(5, 3), torch.randn(4, 2, 3)
    recorder = LayerRecorder(model)
    (model(x).square().mean() + model(y).square().mean()).backward()
    assert recorder.arrays("").inputs.shape == (13, 1, 4)
    torch.testing.assert_close(*weight_gradient(recorder, model, ""))


@pytest.mark.parametrize("tokens", [2, 7])
def test_rows_are_those_of_the_model_where_a_layer_sees_tokens_first(tokens):
    """The squares of scale * g, over the rows that the layer sees, are those of the rows of the model."""

    class TokensFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x.transpose(0, 1)).mean(dim=0)

    model, x = TokensFirst(), torch.randn(5, tokens, 3)
    recorder = LayerRecorder(model)
    model(x).square().mean().backward()
    a, g, scale = recorder.arrays("layer")
    assert a.shape == (5 * tokens, 1, 4)
    back = 2 * model(x).detach() / 2 / tokens
    expected = torch.stack([row[:, None] * row for row in back]).mean(dim=0) * tokens
    torch.testing.assert_close(torch.einsum("rso,rsp->op", scale * g, scale * g) / len(g), expected)


def test_gradients_that_are_not_added_up_or_were_cleared_leave_nothing():
    model, x = nn.Linear(3, 2), torch.randn(5, 3, requires_grad=True)
    recorder = LayerRecorder(model)
    torch.autograd.grad(model(x).sum(), x)
    assert recorder.arrays("") is None
    model(x).sum().backward()
    model.zero_grad(set_to_none=False)
    model(2 * x).sum().backward()
    arrays = recorder.arrays("")
    torch.testing.assert_close(arrays.inputs[:, 0, :3], 2 * x.detach())
    model.zero_grad()
    assert recorder.arrays("") is None
    with torch.no_grad():
        model(x)
    recorder.clear()
    assert recorder.arrays("") is None


def test_nothing_is_kept_of_layers_that_nobody_wants():
    model, x, asked = convolutions(), torch.randn(5, 2, 3, 3), []

    def wanted(name, places):
        asked.append((name, places))
        return name == "3"

    recorder = LayerRecorder(model, wanted=wanted)
    model(x).square().mean().backward()
    assert asked == [("0", 80), ("3", 15), ("5", 5)]
    assert [recorder.seen(name) for name in recorder.names] == [(5, 80), (5, 15), (5, 5)]
    assert [recorder.arrays(name) is None for name in recorder.names] == [True, False, True]


def test_inputs_that_were_overwritten_are_refused():
    model, x = nn.Linear(3, 2), torch.randn(5, 3)
    recorder = LayerRecorder(model)
    model(x).sum().backward()
    x.zero_()
    with pytest.raises(RuntimeError, match="overwritten"):
        recorder.arrays("")


def test_copies_are_free_and_nothing_is_left_when_the_hooks_are_off():
    model, x = convolutions(), torch.randn(5, 2, 3, 3)
    before = {name: repr(vars(module)) for name, module in model.named_modules()}
    recorder = LayerRecorder(model)
    model(x).square().mean().backward()
    copied, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))  # noqa: S301
    torch.save(model, io.BytesIO())
    held = recorder.arrays("0").gradients.clone()
    for each in (copied, pickled):
        each.zero_grad()
        each(2 * x).square().mean().backward()
        torch.testing.assert_close(recorder.arrays("0").gradients, held)
    recorder.remove()
    model.zero_grad()
    assert before == {name: repr(vars(module)) for name, module in model.named_modules()}
    assert all(not parameter._post_accumulate_grad_hooks for parameter in model.parameters())


def test_hooks_leave_with_their_recorder():
    model = nn.Linear(3, 2)
    recorder = LayerRecorder(model)
    del recorder
    gc.collect()
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_only_layers_with_trained_weights_of_their_own_are_recorded():
    tied = nn.Linear(3, 3)
    other = nn.Linear(3, 3)
    other.weight = tied.weight
    frozen, normed = nn.Linear(3, 3), parametrizations.weight_norm(nn.Linear(3, 3))
    frozen.weight.requires_grad_(False)
    model = nn.ModuleList(
        [tied, other, frozen, normed, nn.Conv1d(4, 4, 1, groups=2), nn.Linear(3, 3).bfloat16(), nn.Linear(3, 3)]
    )
    assert list(recordable_layers(model)) == ["6"]
    for name in ("0", "4", "nothing"):
        with pytest.raises(ValueError, match="^modules: got"):
            LayerRecorder(model, [name])


def test_autocast_is_recorded_in_the_dtype_of_the_weights():
    model, x = nn.Linear(3, 2), torch.randn(5, 3)
    recorder = LayerRecorder(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = functional.mse_loss(model(x), torch.zeros(5, 2, dtype=torch.bfloat16))
    loss.backward()
    arrays = recorder.arrays("")
    assert arrays.inputs.dtype == arrays.gradients.dtype == torch.float32
    made, expected = weight_gradient(recorder, model, "")
    torch.testing.assert_close(made, expected, rtol=0.05, atol=0.01)
