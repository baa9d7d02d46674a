"""The pruned network is the gated network with the small shares at 0, and smaller by exactly what is counted."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from neurogames.bridge.gates.gates import insert_gates, present_gates
from neurogames.bridge.pruning.prune import prune
from tests.bridge.pruning.pruned import check, images, random_norms, rows, shares_of


def mlp(activation, *widths, bias=True):
    layers = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, bias=bias), activation()]
    return nn.Sequential(*layers[:-1])


class Residual(nn.Module):
    """Stem, one block with a residual sum, one that narrows by a strided shortcut, pooling, output."""

    def __init__(self, inplace=False):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace))
        self.first = nn.Sequential(
            nn.Conv2d(6, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace),
            nn.Conv2d(8, 6, 3, padding=1),
            nn.BatchNorm2d(6),
        )
        self.second = nn.Sequential(nn.Conv2d(6, 10, 3, stride=2, padding=1), nn.BatchNorm2d(10))
        self.shortcut = nn.Sequential(nn.Conv2d(6, 10, 1, stride=2), nn.BatchNorm2d(10))
        self.head = nn.Linear(10, 3)

    def forward(self, x):
        x = self.stem(x)
        x = functional.relu(x + self.first(x))
        y = self.second(x)
        y += self.shortcut(x)
        return self.head(functional.relu(y).mean((2, 3)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Softplus, nn.Tanh, nn.GELU, nn.PReLU])
def test_mlp_leaves_out_every_small_unit(activation, bias):
    torch.manual_seed(0)
    model = mlp(activation, 7, 12, 9, 4, bias=bias)
    shares = shares_of(model, 1)
    result = check(model, shares, rows(5, 7))
    first, second = (int((shares[name] >= 0.01).sum()) for name in ("0", "2"))
    assert not result.pinned
    assert (result.model[0].out_features, result.model[2].in_features, result.model[2].out_features) == (
        first,
        first,
        second,
    )
    assert result.multiply_adds == (5 * (7 * 12 + 12 * 9 + 9 * 4), 5 * (7 * first + first * second + second * 4))


def test_vector_profile_is_read_in_the_order_of_the_gates():
    torch.manual_seed(0)
    model = mlp(nn.ReLU, 7, 6, 5, 2)
    shares = shares_of(model, 1)
    one, other = prune(model, np.concatenate([shares["0"], shares["2"]]), rows(3, 7)), prune(model, shares, rows(3, 7))
    assert all(
        torch.equal(left, right) for left, right in zip(one.model.parameters(), other.model.parameters(), strict=True)
    )


@pytest.mark.parametrize("gauge", [False, True])
def test_gates_that_are_present_are_taken_out_of_the_copy_only(gauge):
    torch.manual_seed(0)
    model = mlp(nn.Sigmoid, 7, 6, 5, 2)
    gates = insert_gates(model, gauge=gauge)
    profile = gates.profile() * (np.arange(11) % 3 > 0)
    result = prune(model, profile, rows(3, 7))
    assert present_gates(model) is not None
    assert present_gates(result.model) is None
    gates.assign(profile)
    torch.testing.assert_close(result.model(rows(3, 7)), model(rows(3, 7)))
    assert result.removed == {"0": 2, "2": 2}
    assert result.parameters[0] == 7 * 6 + 6 + 6 * 5 + 5 + 5 * 2 + 2


@pytest.mark.parametrize("training", [True, False])
def test_cnn_loses_filters_norm_entries_and_flattened_columns(training):
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout2d()),
        *(nn.Flatten(), nn.Linear(8 * 4, 10), nn.ReLU(), nn.Linear(10, 3)),
    )
    random_norms(model, 0).train(training)
    shares = shares_of(model, 2)
    result = check(model, shares, images())
    alive = {name: int((share >= 0.01).sum()) for name, share in shares.items()}
    assert not result.pinned
    assert {name: len(kept) for name, kept in result.kept.items()} == alive
    assert result.model[1].num_features == len(result.model[1].running_mean) == alive["0"]
    assert result.model[4].in_channels == alive["0"]
    assert result.model[10].in_features == 4 * alive["4"]


@pytest.mark.parametrize("inplace", [True, False])
def test_channels_of_a_residual_sum_leave_together_or_stay(inplace):
    torch.manual_seed(0)
    model = random_norms(Residual(inplace), 1)
    shares = {
        "stem.0": np.array([0, 0, 0, 1, 1, 1.0]),
        "first.0": np.array([0, 0, 1, 1, 0, 0, 1, 1.0]),
        "first.3": np.array([0, 0, 1, 1, 1, 0.0]),
        "second.0": np.array([0.0] * 5 + [1.0] * 5),
        "shortcut.0": np.array([0.0] * 4 + [1.0] * 5 + [0.005]),
    }
    result = check(model, shares, images())
    assert result.pinned == {
        "stem.0": {2: "coupled with 'first.3' 2, which stays"},
        "first.3": {5: "coupled with 'stem.0' 5, which stays"},
        "second.0": {4: "coupled with 'shortcut.0' 4, which stays"},
        "shortcut.0": {9: "coupled with 'second.0' 9, which stays"},
    }
    assert result.removed == {"stem.0": 2, "first.0": 4, "first.3": 2, "second.0": 4, "shortcut.0": 4}


class Joined(nn.Module):
    """Two branches joined by cat, split again, with functions of shapes between."""

    def __init__(self, view):
        super().__init__()
        self.left = nn.Conv2d(1, 4, 3)
        self.right = nn.Conv2d(1, 5, 3)
        self.mix = nn.Conv2d(9, 6, 2)
        self.out = nn.Linear(6 * 25, 3)
        self.view = view

    def forward(self, x):
        x = torch.cat([torch.sigmoid(self.left(x)), functional.relu(self.right(x))], 1)
        x = torch.tanh(self.mix(x)).permute(0, 2, 3, 1)
        return self.out(self.view(x))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: x.flatten(1),
        lambda x: x.view(len(x), x.size(1) * x.size(2) * x.size(3)) if x.is_contiguous() else x.contiguous().flatten(1),
        lambda x: torch.cat([part.flatten(1) for part in x.unbind(1)], 1),
    ],
)
def test_cat_permute_and_reshape_are_followed(view):
    torch.manual_seed(0)
    model = Joined(view)
    result = check(model, shares_of(model, 3), images())
    assert not result.pinned
    assert result.model.mix.in_channels == len(result.kept["left"]) + len(result.kept["right"])


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.reshape(-1, 150),
        lambda x: x.reshape(3, 5, 5, 6).flatten(1),
        lambda x: x.flatten(1) / x.shape[-1],
        lambda x: x.flatten(1) * torch.tensor(1.0 / x.shape[-1]),
    ],
)
def test_sizes_written_into_the_code_pin_what_they_hold(view):
    torch.manual_seed(0)
    model = Joined(view)
    result = check(model, shares_of(model, 3), images())
    assert not result.removed["mix"]
    assert result.removed["left"]
    assert all("holds its number of channels fixed" in why for why in result.pinned["mix"].values())


def test_constant_before_a_padded_convolution_pins():
    torch.manual_seed(0)
    for padding, mode, pinned in (
        (0, "zeros", False),
        (1, "zeros", True),
        (1, "circular", False),
        ("same", "zeros", True),
    ):
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.Sigmoid(),
            nn.Conv2d(4, 5, 3, padding=padding, padding_mode=mode),
            nn.ReLU(),
            nn.Conv2d(5, 2, 1),
        )
        shares = {"0": np.array([0, 0, 1, 0.5]), "2": np.array([1, 1, 0, 1, 1.0])}
        result = check(model, shares, images())
        assert bool(result.pinned) is pinned
        if pinned:
            assert result.pinned["0"] == dict.fromkeys((0, 1), "'2' reads it where it is not constant")


def test_depthwise_convolution_is_followed_and_groups_keep_as_many_channels_each():
    torch.manual_seed(0)
    depthwise = random_norms(
        nn.Sequential(
            *(nn.Conv2d(1, 6, 1), nn.BatchNorm2d(6), nn.ReLU6()),
            *(nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6), nn.ReLU6(), nn.Conv2d(6, 2, 1)),
        ),
        0,
    )
    # The second filter is heard by a silent depthwise one only, the fourth leaves a constant behind it.
    result = check(depthwise, {"0": np.array([0, 1, 1, 0, 1, 1.0]), "3": np.array([0, 0, 1, 1, 1, 1.0])}, images())
    assert result.kept["0"].tolist() == result.kept["3"].tolist() == [2, 4, 5]
    assert result.model[3].groups == result.model[3].in_channels == 3
    grouped = nn.Sequential(nn.Conv2d(1, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=2), nn.ReLU(), nn.Conv2d(6, 2, 1))
    result = check(grouped, {"0": np.array([0, 1, 1, 0, 1, 1.0]), "2": np.array([0, 0, 1, 1, 1, 1.0])}, images())
    assert result.removed == {"0": 2, "2": 0}
    assert result.pinned == {"2": dict.fromkeys((0, 1), "the groups of '2' keep as many channels each")}
    assert (result.model[2].in_channels, result.model[2].groups) == (4, 2)
    # The unit that is needed most stays; a whole group may leave.
    result = check(grouped, {"0": np.array([0, 0.005, 1, 0, 1, 1.0]), "2": np.array([0, 1, 1, 1, 1, 0.0])}, images())
    assert result.pinned == {"0": {1: "the groups of '2' keep as many channels each"}}
    result = check(grouped, {"0": np.array([0, 0, 0, 1, 1, 1.0]), "2": np.array([0, 0, 0, 1, 1, 1.0])}, images())
    assert not result.pinned
    assert (result.model[2].in_channels, result.model[2].out_channels, result.model[2].groups) == (3, 3, 1)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer_layer_loses_hidden_units_and_keeps_its_stream(batch_first, norm_first):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(5, 8),
        nn.TransformerEncoderLayer(8, 2, 12, batch_first=batch_first, norm_first=norm_first),
        nn.Linear(8, 3),
    )
    shares = {
        "0": np.array([0, 0.5] * 4),
        "1.self_attn": np.array([0.005, 0.5]),
        "1.linear1": np.array([0, 0, 0.5] * 4),
        "1.linear2": np.array([0.002, 0.5] * 4),
    }
    result = check(model, shares, torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0)))
    assert result.removed == {"0": 0, "1.self_attn": 0, "1.linear1": 8, "1.linear2": 0}
    assert result.pinned["1.self_attn"] == {0: "attention keeps the number of its heads"}
    assert "layer_norm" in result.pinned["0"][0] or "multi_head" in result.pinned["0"][0]
    assert set(result.pinned["1.linear2"]) == {0, 2, 4, 6}
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2)
    result = check(encoder, {"layers.1.linear1": np.array([0, 0, 0.5] * 4)}, torch.randn(4, 6, 8))
    assert result.removed == {"layers.1.linear1": 8}


@pytest.mark.parametrize("share", [0.0, 0.009])
def test_collapsed_network_runs_and_gives_its_constant(share):
    torch.manual_seed(0)
    dense = mlp(nn.Sigmoid, 7, 6, 5, 2)
    result = check(dense, {"0": np.full(6, share), "2": np.full(5, share)}, rows(4, 7))
    assert [len(kept) for kept in result.kept.values()] == [1, 1]
    assert all("at weight 0" in why for reasons in result.pinned.values() for why in reasons.values())
    with torch.no_grad():
        assert torch.equal(result.model(rows(3, 7)), result.model(rows(1, 7, seed=5)).expand(3, 2))
    model = random_norms(Residual(), 0)
    result = check(model, {name: np.full(len(s), share) for name, s in shares_of(model, 0).items()}, images())
    assert all(len(kept) == 1 for kept in result.kept.values())
    with torch.no_grad():
        outputs = result.model.eval()(images(seed=3))
    torch.testing.assert_close(outputs, outputs[:1].expand(3, 3))


class Gated(nn.Module):
    """Squeeze and excitation: channels times what is read of them."""

    def __init__(self):
        super().__init__()
        self.conv, self.squeeze, self.excite = nn.Conv2d(1, 6, 3), nn.Linear(6, 3), nn.Linear(3, 6)
        self.last = nn.Conv2d(6, 2, 3, padding=1)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(functional.adaptive_avg_pool2d(x, 1).flatten(1)))))
        return self.last(x * gate[:, :, None, None])


def test_a_silent_factor_silences_the_product():
    torch.manual_seed(0)
    model = Gated()
    result = check(model, {"conv": np.array([0, 0, 1, 1, 1, 1.0]), "excite": np.ones(6)}, images())
    assert result.kept["conv"].tolist() == result.kept["excite"].tolist() == [2, 3, 4, 5]
    # Half of what a channel carries is no constant.
    result = check(model, {"conv": np.ones(6), "excite": np.array([0, 0, 1, 1, 1, 1.0])}, images())
    assert result.pinned["excite"] == {i: f"coupled with 'conv' {i}, which stays" for i in (0, 1)}
    assert not result.removed["excite"]


def test_norm_without_its_own_unit_carries_constants_on():
    """Pre-activation order: the norm stands behind a sum, and the silent channel leaves beta - gamma mean / std."""
    torch.manual_seed(0)

    class PreActivation(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.norm, self.c = nn.Linear(4, 6), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)

        def forward(self, x):
            return self.c(functional.elu(self.norm(self.a(x) - self.b(x))))

    model = random_norms(PreActivation(), 3)
    shares = {"a": np.array([0, 0, 0, 1, 1, 1.0]), "b": np.array([0, 0, 1, 1, 1, 0.0])}
    result = check(model, shares, rows(5, 4))
    assert result.removed == {"a": 2, "b": 2}
    assert result.model.norm.num_features == 4


def test_module_used_twice_keeps_what_any_use_needs():
    torch.manual_seed(0)

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.read, self.step, self.out = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            state = torch.tanh(self.read(x))
            for _ in range(3):
                state = torch.tanh(self.step(state))
            return self.out(state)

    model = Recurrent()
    shares = {"read": np.array([0, 0, 1, 1, 1, 1.0]), "step": np.array([0, 1, 0, 1, 1, 1.0])}
    result = check(model, shares, rows(5, 4))
    assert result.removed == {"read": 1, "step": 1}
    assert result.pinned == {
        "read": {1: "coupled with 'step' 1, which stays"},
        "step": {2: "coupled with 'read' 2, which stays"},
    }


def test_parameters_that_meet_channels_one_by_one_lose_entries_with_them():
    torch.manual_seed(0)

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)
            self.scale = nn.Parameter(torch.rand(6))
            self.temperature = nn.Parameter(torch.rand(()))

        def forward(self, x):
            return self.b(torch.relu(self.a(x)) * self.scale * self.temperature)

    result = check(Scaled(), {"a": np.array([0, 1, 0, 1, 1, 1.0])}, rows(5, 4))
    assert not result.pinned
    assert result.model.scale.shape == (4,)


class Wrapped(nn.Module):
    """A hidden layer and a function of it, its own layers, and its output."""

    def __init__(self, act):
        super().__init__()
        self.a, self.b, self.act = nn.Linear(4, 6), nn.Linear(6, 2), act

    def forward(self, x):
        return self.act(self, self.a(x))


def changed_through_a_view(model, hidden):
    view = hidden.view(-1, 2, 3)
    hidden += 1.0
    return model.b(view.flatten(1))


def written_by_index(model, hidden):
    hidden[:, 0] = 1.0
    return model.b(hidden)


def own_weights_in_the_output(model, hidden):
    return model.b(torch.relu(hidden)) + model.a.weight.abs().mean()


def called_in_two_ways(model, hidden):
    return model.b(torch.relu(hidden)) + functional.linear(hidden, model.b.weight)


def gated_weights_in_two_ways(model, hidden):
    return model.b(torch.relu(hidden) + functional.linear(hidden[:, :4], model.a.weight))


@pytest.mark.parametrize("act", [changed_through_a_view, written_by_index, called_in_two_ways])
def test_what_cannot_be_seen_through_stays(act):
    torch.manual_seed(0)
    result = check(Wrapped(act), {"a": np.array([0, 1, 0, 1, 1, 1.0])}, rows(5, 4))
    assert sorted(result.pinned["a"]) == [0, 2]


@pytest.mark.parametrize("act", [own_weights_in_the_output, gated_weights_in_two_ways])
def test_weights_that_are_used_past_their_module_take_no_share_in(act):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="weights of 'a' that are used by themselves"):
        prune(Wrapped(act), {"a": np.array([0, 1, 0, 1, 1, 1.0])}, rows(5, 4))
    assert not any(prune(Wrapped(act), {"a": np.ones(6)}, rows(5, 4)).removed.values())


def test_operations_in_place_and_maps_of_all_kinds_are_followed():
    torch.manual_seed(0)

    def act(model, hidden):
        hidden = functional.softplus(hidden, beta=2.0).unsqueeze_(1).squeeze_(1).sub_(0.3)
        hidden = (2.0 - hidden).clamp_(-1, 1).pow(3) / 2 + torch.maximum(hidden, hidden * 0.5)
        return model.b(functional.hardshrink(hidden, 0.1))

    result = check(Wrapped(act), {"a": np.array([0, 1, 0, 1, 0.3, 1.0])}, rows(5, 4))
    assert result.removed == {"a": 2}


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(6, affine=False),
        nn.InstanceNorm2d(6),
        nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
    ],
)
def test_norms_with_and_without_weights_take_the_shares_in(norm):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), norm, nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(6, 2, 3, padding=1)
    )
    result = check(model, {"0": np.array([0, 1, 0, 0.5, 0.2, 1.0])}, images())
    assert result.removed == {"0": 2}


def test_outputs_and_inputs_may_be_nested_and_nothing_hides_in_them():
    torch.manual_seed(0)

    class Nested(Wrapped):
        def forward(self, both):
            hidden = torch.relu(self.a(both["left"]))
            return {
                "out": self.b(hidden) + both["right"],
                "more": (hidden[:, :1], None, 3),
                "hidden": self.act(hidden[:, 2]),
            }

    inputs = {"left": rows(3, 4), "right": rows(3, 1)}
    shares = {"a": np.array([0, 0, 0, 1, 0, 1.0])}
    result = prune(Nested(lambda hidden: hidden), shares, (inputs,))
    assert result.pinned["a"] == {
        0: "it is part of the model's output",
        1: "getitem holds its number of channels fixed",
        2: "it is part of the model's output",
        4: "getitem holds its number of channels fixed",
    }
    with pytest.raises(ValueError, match="an output of type dict"):
        prune(Nested(lambda hidden: {"deep": iter([hidden])}), shares, (inputs,))


@st.composite
def networks(draw):
    """A small random architecture on images, with its seed."""
    seed = draw(st.integers(0, 2**31))
    torch.manual_seed(seed)
    activation = st.sampled_from([nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.Softplus, nn.LeakyReLU])
    layers, channels, size = [], 1, 8
    for _ in range(draw(st.integers(0, 3))):
        width, kernel = draw(st.integers(1, 6)), draw(st.sampled_from([1, 3] if size > 3 else [1]))
        groups = channels if draw(st.booleans()) and draw(st.booleans()) else 1
        width = channels if groups > 1 else width
        padding = draw(st.integers(0, kernel // 2))
        layers.append(nn.Conv2d(channels, width, kernel, padding=padding, groups=groups, bias=draw(st.booleans())))
        channels, size = width, size + 2 * padding - kernel + 1
        if draw(st.booleans()):
            layers.append(nn.BatchNorm2d(channels))
        layers.append(draw(activation)())
        pool = draw(st.sampled_from([None, nn.MaxPool2d(2, padding=1), nn.AvgPool2d(2, padding=1), nn.AvgPool2d(2)]))
        if pool is not None and size >= 4:
            layers.append(pool)
            size = (size + 2 * (pool.padding if isinstance(pool.padding, int) else 0)) // 2
    layers.append(nn.Flatten())
    width = channels * size * size
    for _ in range(draw(st.integers(0 if layers[:-1] else 1, 2))):
        fan_out = draw(st.integers(1, 8))
        layers.append(nn.Linear(width, fan_out, bias=draw(st.booleans())))
        if draw(st.booleans()):
            layers.append(nn.BatchNorm1d(fan_out))
        layers += [draw(activation)(), nn.Dropout()]
        width = fan_out
    layers.append(nn.Linear(width, 3))
    return random_norms(nn.Sequential(*layers), seed), seed, draw(st.sampled_from([0.3, 0.6, 1.0]))


@settings(max_examples=40)
@given(networks())
def test_random_networks_keep_their_function(case):
    model, seed, dead = case
    check(model, shares_of(model, seed, dead), images(seed=1))


def test_bad_input_is_refused_and_the_model_untouched():
    torch.manual_seed(0)
    model = mlp(nn.ReLU, 7, 6, 5, 2)
    state = copy.deepcopy(model.state_dict())
    x = rows(3, 7)
    for profile, inputs, what in (
        ({"1": np.ones(6)}, x, "modules"),
        ({"nothing": np.ones(6)}, x, "nothing"),
        ({"0": np.ones(5)}, x, "profile"),
        ({"0": np.full(6, np.nan)}, x, "profile"),
        ({"0": "many"}, x, "profile"),
        ({}, x, "modules"),
        (np.ones(10), x, "profile"),
        (np.full(11, 1.5), x, "profile"),
        (np.full(11, np.nan), x, "profile"),
        (np.ones(11), rows(3, 6), "example_inputs"),
        (np.ones(11), (x, x), "example_inputs"),
        (np.ones(11), "text", "example_inputs"),
    ):
        with pytest.raises(ValueError, match=what):
            prune(model, profile, inputs)
    for threshold in (-1, 2, np.nan, "x"):
        with pytest.raises(ValueError, match="threshold"):
            prune(model, np.ones(11), x, threshold=threshold)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


class Auxiliary(nn.Module):
    """A second output layer that runs in training mode only, on as many rows as there have to be for it."""

    def __init__(self, least=0):
        super().__init__()
        self.body, self.head, self.auxiliary, self.least = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(6, 2), least

    def forward(self, x):
        hidden = torch.sigmoid(self.body(x))
        if not self.training:
            return self.head(hidden)
        if len(x) < self.least:
            raise ValueError("more rows")
        return self.head(hidden) + self.auxiliary(hidden)


def test_what_runs_in_training_mode_only_is_cut_as_well_and_can_be_trained():
    torch.manual_seed(0)
    model, shares = Auxiliary(), {"body": np.array([0, 1, 0, 1, 1, 1.0])}
    result = check(model, shares, rows(5, 4))
    assert result.removed == {"body": 2}
    assert result.model.auxiliary.in_features == 4
    result.model.train()(rows(5, 4)).sum().backward()
    with pytest.raises(ValueError, match="^example_inputs: got 'ValueError: more rows', expected a batch"):
        prune(Auxiliary(least=9), shares, rows(5, 4))


def test_a_layer_that_is_not_called_keeps_its_units_also_the_first_of_the_model():
    torch.manual_seed(0)

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused, self.body, self.out = nn.Linear(4, 3), nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.out(torch.relu(self.body(x)))

    shares = {"unused": np.array([0, 1.0, 0]), "body": np.array([0, 1, 0, 1, 1, 1.0])}
    result = check(Unused(), shares, rows(5, 4))
    assert result.pinned == {"unused": dict.fromkeys((0, 2), "'unused' is not called as a plain layer")}
    assert result.removed == {"unused": 0, "body": 2}


def test_of_a_layer_without_shares_that_would_be_empty_the_first_channel_stays():
    """The factor leaves with the gated layer, and comes first."""

    class Product(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.factor, self.gated, self.out = nn.Linear(4, width), nn.Linear(4, width), nn.Linear(width, 2)

        def forward(self, x):
            return self.out(self.factor(x) * self.gated(x))

    torch.manual_seed(0)
    for width in (1, 3):
        result = check(Product(width), {"gated": np.array([0, 0.005, 0][:width])}, rows(5, 4))
        assert result.kept["gated"].tolist() == [0]
        assert result.pinned == {"gated": {0: "at weight 0, so that 'factor' is not empty"}}
        assert result.model.factor.out_features == 1


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        hidden = self.a(x)
        return self.b(hidden) if hidden.sum() > 0 else self.b(-hidden)


def test_models_that_cannot_be_followed_are_refused():
    with pytest.raises(ValueError, match=r"bool.*no branch on values"):
        prune(Branching(), {"a": np.zeros(6)}, rows(3, 4))
    with pytest.raises(ValueError, match="example_inputs"):
        prune(mlp(nn.ReLU, 4, 6, 2), {"0": np.zeros(6)}, rows(3, 5))
