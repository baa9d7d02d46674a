"""Gradient dropout: the mask on the way back, its law, and the company it must keep (compile, func, AMP)."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from neurogames.bridge.feedback.attached import attach_gradient_dropout
from neurogames.bridge.feedback.gradient_dropout import GradientDropout


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))


def data(rows: int = 12) -> torch.Tensor:
    return torch.randn(rows, 5, generator=generator(7))


def gradients(model: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(model(inputs).square().sum(), list(model.parameters())))


def arrived(layer: GradientDropout, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """What comes back of a gradient of ones."""
    values = torch.zeros(shape, dtype=dtype, requires_grad=True)
    layer(values).sum().backward()
    assert values.grad is not None
    return values.grad


@pytest.mark.parametrize("granularity", ["unit", "sample", "layer"])
def test_forward_values_are_identical_to_the_bit(granularity):
    model, inputs = network(), data()
    plain = model(inputs)
    with attach_gradient_dropout(model, 0.3, rng=generator(), granularity=granularity):
        assert torch.equal(model(inputs), plain)
    layer = GradientDropout(0.3, rng=generator(), granularity=granularity)
    odd = torch.tensor([math.inf, -math.inf, math.nan, -0.0, 1e-45])
    assert torch.equal(layer(odd.requires_grad_()).detach().view(torch.int32), odd.detach().view(torch.int32))


@pytest.mark.parametrize("granularity", ["unit", "sample", "layer"])
def test_keep_one_is_plain_backpropagation_exactly(granularity):
    model, inputs = network(), data()
    plain = gradients(model, inputs)
    with attach_gradient_dropout(model, 1.0, rng=generator(), granularity=granularity, rescale=True):
        assert all(torch.equal(a, b) for a, b in zip(gradients(model, inputs), plain, strict=True))


def test_eval_mode_is_plain_backpropagation_exactly():
    model, inputs = network().eval(), data()
    plain = gradients(model, inputs)
    with attach_gradient_dropout(model, 0.1, rng=generator()):
        assert all(torch.equal(a, b) for a, b in zip(gradients(model, inputs), plain, strict=True))


def test_gradients_equal_backpropagation_by_hand_with_the_same_masks():
    model, inputs = network().double(), data().double()
    twin = copy.deepcopy(model)
    with attach_gradient_dropout(model, 0.5, rng=generator(3)) as handle:
        masks = [
            arrived(copy.deepcopy(layer), (1, width), torch.float64)[0]
            for layer, width in zip(handle.layers.values(), (16, 8), strict=True)
        ]
        ours = gradients(model, inputs)
    first, second, third = twin[0], twin[2], twin[4]
    z0 = first(inputs)
    z1 = second(z0.relu())
    outputs = third(z1.relu())
    back = 2 * outputs
    d1 = (back @ third.weight) * (z1 > 0) * masks[1]
    d0 = (d1 @ second.weight) * (z0 > 0) * masks[0]
    by_hand = [d0.T @ inputs, d0.sum(0), d1.T @ z0.relu(), d1.sum(0), back.T @ z1.relu(), back.sum(0)]
    assert 0 < sum(mask.sum() for mask in masks) < 24
    for a, b in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("granularity", "axis", "free"),
    [
        ("unit", -1, (1, 1, 1, 40)),
        ("unit", 1, (1, 50, 1, 1)),
        ("unit", -3, (1, 50, 1, 1)),
        ("sample", -1, (60, 50, 3, 40)),
        ("sample", 1, (60, 50, 1, 1)),
        ("layer", -1, (1, 1, 1, 1)),
    ],
)
def test_mask_varies_over_the_axes_of_its_granularity_and_no_other(granularity, axis, free):
    layer = GradientDropout(0.5, rng=generator(), granularity=granularity, unit_axis=axis)
    masks = torch.stack([arrived(layer, (60, 50, 3, 40)) for _ in range(4)])
    corner = masks[(slice(None), *(slice(size) for size in free))]
    assert torch.equal(corner.expand_as(masks), masks)
    assert all(corner.std(dim=axis + 1).max() > 0 for axis, size in enumerate(free) if size > 1)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("granularity", ["unit", "sample", "layer"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 1 - 2**-10])
def test_mean_gradient_is_keep_times_the_true_one_or_the_true_one(granularity, rescale, keep):
    layer = GradientDropout(keep, rng=generator(5), granularity=granularity, rescale=rescale)
    rows, units = 64, 100  # 6400 entries: the coins from bytes are among the cases
    draws = 30 if granularity == "sample" else 3000
    mean = sum(arrived(layer, (rows, units)).double().mean() for _ in range(draws)) / draws
    coins = draws * {"unit": units, "sample": rows * units, "layer": 1}[granularity]
    expected, deviation = (1.0, math.sqrt((1 - keep) / keep)) if rescale else (keep, math.sqrt(keep * (1 - keep)))
    assert abs(mean - expected) < 4.5 * deviation / math.sqrt(coins)


@pytest.mark.parametrize("keep", [0.003, 0.3, 1 / 3, 0.5, 0.9977])
def test_coins_from_bytes_are_exact_and_independent(keep):
    # A coin made of one byte would be off by up to 1 / 512, here about 20 standard errors.
    layer = GradientDropout(keep, rng=generator(1), granularity="sample")
    coins = torch.stack([arrived(layer, (1001, 37), torch.float64) for _ in range(40)])
    count = coins.numel()
    deviation = math.sqrt(keep * (1 - keep))
    assert set(coins.unique().tolist()) == {0.0, 1.0}
    assert abs(coins.mean() - keep) < 4.5 * deviation / math.sqrt(count)
    centred = (coins - keep) / deviation
    for lag in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        product = centred * centred.roll(lag, dims=(0, 1, 2))
        assert abs(product.mean()) < 4.5 / math.sqrt(count)


def test_mask_is_drawn_anew_for_every_pass_and_every_layer():
    model, inputs = network(), data()
    with attach_gradient_dropout(model, 0.5, rng=generator()) as handle:
        first, second = (arrived(layer, (1, 64)) for layer in handle.layers.values())
        again = arrived(handle.layers["0"], (1, 64))
        assert not torch.equal(first, second)
        assert not torch.equal(first, again)
        assert any(
            not torch.equal(a, b) for a, b in zip(gradients(model, inputs), gradients(model, inputs), strict=True)
        )


def test_one_generator_state_gives_one_sequence_of_masks():
    one, two = (GradientDropout(0.5, rng=generator(4)) for _ in range(2))
    assert all(torch.equal(arrived(one, (1, 64)), arrived(two, (1, 64))) for _ in range(5))


def silence(steps: int, optimizer: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Train one step with feedback and ``steps`` without; how far incoming and outgoing weights move in the latter."""
    model, inputs = network(), data()
    settings = {"sgd": (torch.optim.SGD, 0.01), "adam": (torch.optim.Adam, 0.01)}[optimizer]
    descent = settings[0](model.parameters(), lr=settings[1])
    with attach_gradient_dropout(model, lambda part: 1.0 if part < 0.5 else 1e-12, rng=generator()) as handle:
        for step in range(steps + 1):
            handle.progress = min(step, 1)
            if step == 1:
                before = copy.deepcopy(model)
            descent.zero_grad()
            model(inputs).square().mean().backward()
            descent.step()
    return tuple((model[i].weight - before[i].weight).abs().max() for i in (0, 2, 4))


def test_silenced_units_stand_still_under_plain_gradient_descent_while_outgoing_weights_learn():
    first, second, output = silence(3, "sgd")
    assert first == 0
    assert second == 0
    assert output > 0


def test_silenced_units_still_move_under_adam():
    first, second, _ = silence(3, "adam")
    assert first > 0
    assert second > 0


def test_a_silenced_unit_sends_no_signal_to_earlier_layers():
    model = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 7), nn.Linear(7, 1))
    with attach_gradient_dropout(model, 1e-12, rng=generator(), modules=["1"]):
        model(data()).sum().backward()
    assert model[0].weight.grad.abs().max() == 0
    assert model[2].weight.grad.abs().max() > 0


def test_schedule_follows_progress():
    layer = GradientDropout(lambda part: 0.2 + 0.8 * part, rng=generator())
    assert layer.keep_prob == 0.2
    layer.progress = 0.5
    assert layer.keep_prob == pytest.approx(0.6)
    assert abs(arrived(layer, (1, 100_000)).mean() - 0.6) < 0.01
    layer.progress = 1
    assert torch.equal(arrived(layer, (1, 1000)), torch.ones(1, 1000))


def test_attach_leaves_the_model_untouched():
    model, inputs = network(), data()
    before, plain = copy.deepcopy(model.state_dict()), gradients(model, inputs)
    handle = attach_gradient_dropout(model, 0.5, rng=generator())
    assert list(model.state_dict()) == list(before)
    assert [name for name, _ in model.named_modules()] == [name for name, _ in network().named_modules()]
    handle.remove()
    handle.remove()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(gradients(model, inputs), plain, strict=True))
    assert all(not module._forward_hooks for module in model.modules())


def test_attach_finds_hidden_layers_of_convolutions_and_transformers():
    images = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 6), nn.Linear(6, 2))
    with attach_gradient_dropout(images, 0.5, rng=generator()) as handle:
        assert list(handle.layers) == ["0", "3"]
        assert handle.layers["0"].unit_axis == -3
        images(torch.randn(2, 1, 8, 8)).sum().backward()
        per_channel = images[0].weight.grad.abs().amax(dim=(1, 2, 3))
        assert torch.equal(per_channel == 0, images[0].bias.grad == 0)
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with attach_gradient_dropout(nn.Sequential(block, nn.Linear(8, 1)), 0.5, rng=generator()) as handle:
        assert list(handle.layers) == ["0.linear1", "0.linear2"]
        block(torch.randn(3, 4, 8)).sum().backward()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 40), (12, 5)),
        (nn.Linear(5, 40), (3, 4, 5)),
        (nn.Linear(5, 40, bias=False), (3, 4, 5)),
        (nn.Conv2d(1, 40, 3), (2, 1, 5, 5)),
        (nn.Conv2d(1, 40, 3), (1, 5, 5)),
        (nn.Sequential(nn.Linear(5, 40), nn.Sigmoid()), (3, 4, 5)),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_work_in_place_behind_a_layer_loses_no_mask(layer, shape, inside):
    model = nn.Sequential(layer, nn.LeakyReLU(0.5, inplace=True))
    axis = -3 if isinstance(layer, nn.Conv2d) else -1
    if inside:
        model.insert(1, GradientDropout(0.5, rng=generator(), unit_axis=axis))
        model(torch.randn(shape, generator=generator(1))).sum().backward()
    else:
        with attach_gradient_dropout(model, 0.5, rng=generator(), modules=["0"], unit_axis=axis):
            model(torch.randn(shape, generator=generator(1))).sum().backward()
    weight = next(layer.parameters())
    silent = (weight.grad.flatten(1) == 0).all(dim=1).sum()
    layer.zero_grad()
    assert 8 <= silent <= 32


def test_a_tensor_that_others_hold_too_is_masked_for_nobody_but_the_layer():
    model = nn.Sequential(nn.Identity(), nn.Linear(6, 1))
    values = torch.ones(1, 6, requires_grad=True)
    with attach_gradient_dropout(model, 1e-12, rng=generator(), modules=["0"], unit_axis=-1):
        (model(values).sum() + values.sum()).backward()
    assert torch.equal(values.grad, torch.ones(1, 6))


@pytest.mark.parametrize(("axis", "shape"), [(-3, (4, 6)), (2, (4, 6)), (-1, ())])
def test_values_without_the_axis_of_units_are_refused(axis, shape):
    with pytest.raises(ValueError, match=f"unit_axis: got {axis}, expected an axis of values of shape"):
        arrived(GradientDropout(0.5, rng=generator(), unit_axis=axis), shape)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301
def test_a_copy_of_a_model_with_dropout_attached_has_masks_of_its_own(again):
    model, inputs = network(), data()
    with attach_gradient_dropout(model, 0.5, rng=generator()):
        twin = again(model)
        expected = [gradients(model, inputs) for _ in range(3)]
        found = [gradients(twin, inputs) for _ in range(3)]
    for one, two in zip(expected, found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(found[0][0], gradients(network(), inputs)[0])


def test_unbatched_images_are_masked_by_channel():
    layer = nn.Conv2d(1, 40, 3)
    with attach_gradient_dropout(layer, 0.5, rng=generator(), modules=[""]):
        layer(torch.ones(1, 5, 5)).sum().backward()
    assert set(layer.bias.grad.unique().tolist()) == {0.0, 9.0}


@pytest.mark.parametrize("name", ["first", "1.5"])
def test_attach_names_near_modules_when_one_is_not_there(name):
    model = nn.ModuleDict({"fist": nn.Linear(2, 2), "last": nn.Linear(2, 2)})
    with pytest.raises(ValueError, match=r"modules: got .*, expected the name of a module, such as 'fist'"):
        attach_gradient_dropout(model, 0.5, rng=generator(), modules=[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep_prob": 0.0}, "keep_prob: got 0.0, expected a probability in"),
        ({"keep_prob": 1.1}, "keep_prob: got 1.1"),
        ({"keep_prob": math.nan}, "keep_prob: got nan"),
        ({"keep_prob": lambda part: part}, "keep_prob: got 0.0"),
        ({"keep_prob": 0.5, "granularity": "neuron"}, "granularity: got 'neuron'"),
        ({"keep_prob": 0.5, "rng": 3}, "rng: got 3, expected a torch.Generator"),
        ({"keep_prob": 0.5, "modules": "0"}, "modules: got '0', expected a list of names"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        attach_gradient_dropout(network(), **{"rng": generator(), **arguments})


def test_modules_that_need_an_axis_or_return_no_tensor_are_refused():
    with pytest.raises(ValueError, match="unit_axis: got None"):
        attach_gradient_dropout(nn.Sequential(nn.Identity(), network()), 0.5, rng=generator(), modules=["0"])
    with pytest.raises(ValueError, match="modules: got 'no layer'"):
        attach_gradient_dropout(nn.Linear(2, 1), 0.5, rng=generator())
    recurrent = nn.LSTM(2, 3)
    with (
        attach_gradient_dropout(recurrent, 0.5, rng=generator(), modules=[""], unit_axis=-1),
        pytest.raises(ValueError, match="expected one tensor"),
    ):
        recurrent(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="progress: got 2"):
        GradientDropout(0.5, rng=generator()).progress = 2


def test_a_retained_graph_keeps_its_mask():
    values = torch.zeros(1, 64, requires_grad=True)
    total = GradientDropout(0.5, rng=generator())(values).sum()
    first, second = (torch.autograd.grad(total, values, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_double_backward_differentiates_the_masked_gradient():
    values = torch.randn(1, 64, dtype=torch.float64, generator=generator(), requires_grad=True)
    layer = GradientDropout(0.5, rng=generator(), rescale=True)
    (first,) = torch.autograd.grad(layer(values).pow(3).sum(), values, create_graph=True)
    mask = (first / (3 * values**2)).detach()
    assert {0.0, 2.0} == set(mask.round(decimals=9).unique().tolist())
    (second,) = torch.autograd.grad(first.sum(), values)
    # g = mask * 3 z^2 with z the layer's output, through which the second pass runs as well.
    torch.testing.assert_close(second, mask * mask * 6 * values.detach())


def test_functional_gradient_equals_autograd_with_the_same_masks():
    model, inputs = network(), data()
    with attach_gradient_dropout(model, 0.5, rng=generator(9)):
        expected = gradients(model, inputs)
    with attach_gradient_dropout(model, 0.5, rng=generator(9)):
        parameters = {name: value.detach() for name, value in model.named_parameters()}

        def loss(values):
            return torch.func.functional_call(model, values, (inputs,)).square().sum()

        found = torch.func.grad(loss)(parameters)
    assert all(torch.equal(a, b) for a, b in zip(found.values(), expected, strict=True))


def test_vmap_shares_one_mask_so_that_gradients_per_sample_add_up():
    model, inputs = network(), data()
    with attach_gradient_dropout(model, 0.5, rng=generator(9)):
        expected = gradients(model, inputs)
    with attach_gradient_dropout(model, 0.5, rng=generator(9)):
        parameters = {name: value.detach() for name, value in model.named_parameters()}

        def loss(values, row):
            return torch.func.functional_call(model, values, (row,)).square().sum()

        found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, inputs)
    for a, b in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(a.sum(0), b)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("granularity", ["unit", "sample"])
def test_compiled_training_is_one_graph_and_sees_the_masks_of_eager_training(granularity):
    torch.compiler.reset()
    model, inputs = network(), data()

    def run(compiled):
        handle = attach_gradient_dropout(
            model, lambda part: 0.9 - 0.8 * part, rng=generator(9), granularity=granularity
        )
        call = torch.compile(model, fullgraph=True, backend="aot_eager") if compiled else model
        results = []
        with torch._dynamo.config.patch(error_on_recompile=True), handle:
            for step in range(4):
                handle.progress = step / 3
                results.append(torch.autograd.grad(call(inputs).square().sum(), list(model.parameters())))
        return results

    eager, compiled = run(False), run(True)
    for one, two in zip(eager, compiled, strict=True):
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a, b)
    assert not torch.equal(compiled[0][0], compiled[1][0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_keeps_the_type_of_the_gradient(dtype):
    model, inputs = network(), data()
    with (
        attach_gradient_dropout(model, 0.5, rng=generator(), rescale=True),
        torch.autocast("cpu", dtype=dtype),
    ):
        outputs = model(inputs)
        outputs.float().sum().backward()
    assert outputs.dtype == dtype
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())
    assert arrived(GradientDropout(0.5, rng=generator(), rescale=True), (1, 8), dtype).dtype == dtype


def test_a_copy_draws_the_same_masks_and_then_goes_its_own_way():
    layer = GradientDropout(0.5, rng=generator())
    arrived(layer, (1, 64))
    twin = copy.deepcopy(layer)
    assert torch.equal(arrived(layer, (1, 64)), arrived(twin, (1, 64)))
    arrived(twin, (1, 64))
    assert not torch.equal(arrived(layer, (1, 64)), arrived(twin, (1, 64)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_masks_are_drawn_on_the_device_of_the_activations():
    layer = GradientDropout(0.3, rng=generator(), granularity="sample").cuda()
    values = torch.zeros(1000, 100, device="cuda", requires_grad=True)
    layer(values).sum().backward()
    assert abs(values.grad.mean() - 0.3) < 0.01
