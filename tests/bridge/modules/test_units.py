"""What a unit is, which layers give the output, and on which axis units stand, the same in every room."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.coalitions.coalition_values import coalition_game
from neurogames.bridge.coalitions.pathways import banzhaf_pathways
from neurogames.bridge.coalitions.unit_scores import activation_magnitude, gradient_activation
from neurogames.bridge.feedback.attached import attach_gradient_dropout
from neurogames.bridge.gates.gates import insert_gates
from neurogames.bridge.modules.evaluation import copy_module
from neurogames.bridge.modules.graph import model_graph
from neurogames.bridge.modules.units import find_unit_axis, output_layers


class Own(nn.Linear):
    """A class made from Linear, of which torch.fx knows nothing."""


class OwnConv(nn.Conv2d):
    """A class made from a convolution, with a forward of its own."""

    def forward(self, x):
        return functional.relu(super().forward(functional.pad(x, (1, 1, 1, 1))))


class Norm2d(nn.LayerNorm):
    """A norm over channels that stay on the second axis."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Channels first, last, and first again."""

    def __init__(self):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(2, 4, 2, stride=2), Norm2d(4)
        self.depthwise, self.norm = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.LayerNorm(4)
        self.wide, self.act, self.narrow = nn.Linear(4, 7), nn.GELU(), nn.Linear(7, 4)
        self.drop, self.head = nn.Dropout(0.1), nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem_norm(self.stem(x))
        y = self.norm(torch.permute(self.depthwise(x), (0, 2, 3, 1)))
        x = self.drop(x + self.narrow(self.act(self.wide(y))).permute(0, 3, 1, 2))
        return self.head(x.mean(dim=(2, 3)))


class Vit(nn.Module):
    """Patches, tokens with positions, one block, the mean of the tokens."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(1, 8, 2, stride=2)
        self.position = nn.Parameter(torch.randn(1, 9, 8))
        self.first, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.second, self.mlp = nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
        self.mix, self.head = nn.Identity(), nn.Linear(8, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.position
        y = self.first(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = self.mix(x + self.mlp(self.second(x)))
        return self.head(x.mean(dim=1))


class TwoHeads(nn.Module):
    """Two layers give the output, and the last registered one does not."""

    def __init__(self, layer=nn.Linear):
        super().__init__()
        self.left, self.right, self.body = layer(4, 2), layer(4, 2), layer(3, 4)

    def forward(self, x):
        hidden = torch.tanh(self.body(x))
        return torch.cat([self.left(hidden), torch.sigmoid(self.right(hidden))], dim=1)


class Decided(TwoHeads):
    """No graph: what is done depends on the numbers."""

    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


def cnn():
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)),
        *(OwnConv(3, 5, 3), nn.Flatten(), nn.Linear(45, 6), nn.ReLU(), Own(6, 2)),
    )


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# model, shape of a row, output layers, and (name, axis from the front, units) of some modules
CASES = {
    "cnn": (
        cnn,
        (1, 8, 8),
        {"8"},
        [("0", 1, 3), ("1", 1, 3), ("2", 1, 3), ("3", 1, 3), ("4", 1, 5), ("5", 1, 45), ("6", 1, 6), ("7", 1, 6)],
    ),
    "convnext": (
        ConvNext,
        (2, 6, 6),
        {"head"},
        [
            *(("stem", 1, 4), ("stem_norm", 1, 4), ("depthwise", 1, 4), ("norm", 3, 4), ("wide", 3, 7)),
            *(("act", 3, 7), ("narrow", 3, 4), ("drop", 1, 4)),
        ],
    ),
    "vit": (
        Vit,
        (1, 6, 6),
        {"head"},
        [
            *(("patch", 1, 8), ("first", 2, 8), ("second", 2, 8), ("mlp.0", 2, 32), ("mlp.1", 2, 32), ("mlp.2", 2, 8)),
            *(("mlp", 2, 8), ("mix", 2, 8)),
        ],
    ),
    "two heads": (TwoHeads, (3,), {"left", "right"}, [("body", 1, 4)]),
    "two heads of a class of one's own": (lambda: TwoHeads(Own), (3,), {"left", "right"}, [("body", 1, 4)]),
    "no graph": (Decided, (3,), {"body"}, [("body", 1, 4)]),
}


@pytest.mark.parametrize("name", CASES)
def test_every_room_finds_the_same_output_layers(name):
    build, shape, outputs, _ = CASES[name]
    model = build()
    assert output_layers(model) == outputs
    layers = {
        key for key, part in model.named_modules() if isinstance(part, (nn.Linear, nn.Conv2d)) and "out_proj" not in key
    }
    with attach_gradient_dropout(model, 0.5, rng=torch.Generator()) as handle:
        assert set(handle.layers) == layers - outputs
        model(torch.randn(2, *shape)).sum().backward()
    assert set(insert_gates(model).modules) == layers - outputs


@pytest.mark.parametrize("name", CASES)
def test_every_room_finds_the_same_units(name):
    build, shape, _, units = CASES[name]
    model = build().eval()
    inputs = torch.randn(6, *shape)
    data = (inputs, torch.arange(6) % 2)
    for layer, axis, count in units:
        seen = []
        handle = model.get_submodule(layer).register_forward_hook(lambda *call, seen=seen: seen.append(call[2]))
        with torch.no_grad():
            model(inputs)
        handle.remove()
        ndim = seen[0].ndim
        assert seen[0].shape[axis] == count
        assert find_unit_axis(model, layer, ndim=ndim) == axis - ndim
        assert coalition_game(model, layer, data, metric="loss").n_players == count
        others = [k for k in range(ndim) if k != axis]
        magnitude = activation_magnitude(model, layer, inputs)
        np.testing.assert_allclose(magnitude, seen[0].abs().mean(dim=others), rtol=1e-5)
        assert gradient_activation(model, layer, data, metric="loss").shape == (count,)
        if layer != "5":  # a Flatten has two axes, which no graph tells
            with attach_gradient_dropout(model, 0.5, rng=torch.Generator(), modules=[layer]) as attached:
                assert attached.layers[layer].unit_axis == axis - ndim


def test_values_of_units_on_the_last_axis_are_those_of_masking_by_hand():
    model = Vit().eval()
    inputs, targets = torch.randn(5, 1, 6, 6), torch.tensor([0, 1, 2, 0, 1])
    game = coalition_game(model, "mlp.1", (inputs, targets), metric="loss")
    members = np.random.default_rng(0).random((4, 32)) < 0.5
    for value, member in zip(game.value(members), torch.from_numpy(members), strict=True):
        handle = model.mlp[1].register_forward_hook(lambda *call, member=member: call[2] * member)
        with torch.no_grad():
            expected = -functional.cross_entropy(model(inputs), targets)
        handle.remove()
        assert value == pytest.approx(float(expected), rel=1e-4)


def test_pathways_lead_from_units_to_units_whatever_axis_they_stand_on():
    model = ConvNext().eval()
    inputs = torch.randn(4, 2, 6, 6)
    graph = banzhaf_pathways(model, ("depthwise", "wide"), inputs, budget=16, rng=np.random.default_rng(0), share=0.0)
    assert {key for key in graph if key[0] == "depthwise"} == {("depthwise", k) for k in range(4)}
    assert {key for key in graph if key[0] == "wide"} == {("wide", k) for k in range(7)}


def test_an_axis_that_nothing_tells_is_asked_for_and_the_given_one_is_taken():
    model = nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten(), nn.Linear(6, 2))
    data = (torch.randn(4, 6), torch.tensor([0, 1, 0, 1]))
    for call in (
        lambda **given: coalition_game(model, "0", data, **given).n_players,
        lambda **given: len(activation_magnitude(model, "0", data[0], **given)),
        lambda **given: len(gradient_activation(model, "0", data, **given)),
    ):
        with pytest.raises(ValueError, match=r"^unit_axis: got None, expected the axis of units in the output of '0'"):
            call()
        assert [call(unit_axis=axis) for axis in (1, 2, -1)] == [2, 3, 3]
        for wrong in (0, -3, 3, 1.0):
            with pytest.raises(ValueError, match="^unit_axis: got"):
                call(unit_axis=wrong)


@pytest.mark.parametrize("space", [0, 1, 2, 3])
def test_a_layer_that_is_written_as_a_function_has_its_axis_too(space):
    class Function(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.after, self.last = nn.Parameter(torch.randn(3, 2, *[1] * space)), nn.Tanh(), nn.Identity()

        def forward(self, x):
            call = (functional.linear, functional.conv1d, functional.conv2d, functional.conv3d)[space]
            return self.last(self.after(call(x, self.weight)).exp())

    assert find_unit_axis(Function(), "after") == -1 - space
    with pytest.raises(ValueError, match="^unit_axis: got None"):
        find_unit_axis(Function(), "last")  # of exp the graph tells nothing


def test_a_norm_over_the_last_axis_has_its_units_there_unless_the_graph_knows_better():
    class Normed(Decided):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(4)

        def forward(self, x):
            return super().forward(self.norm(x))

    assert model_graph(Normed()) is None
    assert find_unit_axis(Normed(), "norm", ndim=3) == -1
    with pytest.raises(ValueError, match="^unit_axis: got None"):
        find_unit_axis(nn.Sequential(nn.LayerNorm((5, 4))), "0", ndim=3)
    assert find_unit_axis(nn.Sequential(nn.Conv1d(2, 3, 1), nn.LayerNorm(4), nn.Tanh()), "1", ndim=3) == -2


@pytest.mark.parametrize(
    ("turn", "axis"),
    [
        (lambda x: x.permute(0, 2, 3, 1), -1),
        (lambda x: torch.permute(x, (1, 0, -1, 2)), -4),
        (lambda x: x.transpose(-3, -1), -1),
        (lambda x: x.transpose(-1, -2), -3),
        (lambda x: x.transpose(-3, 3), None),
        (lambda x: x.transpose(1, 3), None),
        (lambda x: x.transpose(dim0=-3, dim1=-1), None),
        (lambda x: torch.permute(x, dims=(0, 2, 3, 1)), None),
        (lambda x: x.permute(0, 2, x.dim() - 1, 1), None),
        (lambda x: x.permute(0, 1), None),
        (lambda x: x[0], -3),
        (lambda x: x[:, :2], None),
    ],
)
def test_the_axis_moves_with_the_axes_and_is_not_told_where_that_cannot_be_read(turn, axis):
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.after = nn.Conv2d(2, 3, 1), nn.Tanh()

        def forward(self, x):
            return self.after(turn(self.layer(x)))

    if axis is None:
        with pytest.raises(ValueError, match="^unit_axis: got None"):
            find_unit_axis(Turned(), "after")
    else:
        assert find_unit_axis(Turned(), "after") == axis


def test_outputs_that_a_function_mixes_have_no_layer():
    class Bilinear(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.weight = nn.Linear(3, 4), nn.Parameter(torch.randn(4, 2))

        def forward(self, x):
            return self.enter(x).matmul(self.weight)

    assert output_layers(Bilinear()) == set()


def test_looking_at_a_model_leaves_it_and_the_generator_as_they_were():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.seen = nn.Linear(3, 2), []
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.seen.append(1)
            self.calls += 1
            return self.layer(x + torch.rand(3))

    model = Counting()
    state = torch.get_rng_state()
    assert model_graph(model) is not None
    assert torch.equal(state, torch.get_rng_state())
    assert model.calls == 0
    assert model.seen == []


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "prune"])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_a_model_whose_weights_are_computed_anew_in_every_run_can_be_looked_at(kind):
    from torch.nn.utils import prune, spectral_norm, weight_norm

    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    wrap = {"weight_norm": weight_norm, "spectral_norm": spectral_norm}
    if kind == "prune":
        prune.l1_unstructured(model[0], "weight", 3)
    else:
        wrap[kind](model[0])
    inputs = torch.randn(5, 3)
    expected = model.eval()(inputs)
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(model)  # torch refuses
    torch.testing.assert_close(copy_module(model)(inputs), expected)
    assert output_layers(model) == {"2"}
    assert coalition_game(model, "1", (inputs, torch.arange(5) % 2)).n_players == 4
