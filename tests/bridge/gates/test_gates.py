"""Gates on units: where they stand, that they are exact, and that they come off again."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from neurogames.bridge.gates.gates import insert_gates, present_gates


class Residual(nn.Module):
    """A small residual network with norms, whose blocks write into one stream."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(6)
        self.inner = nn.Sequential(nn.Conv2d(6, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 6, 1))
        self.outer = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = functional.relu(self.stem_norm(self.stem(x)))
        y = self.inner(x)
        x = x + self.outer(y)
        return self.head(x.mean(dim=(2, 3)))


class Forked(nn.Module):
    """A convolution whose output goes through a norm and past it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x):
        y = self.conv(x)
        return self.head((self.norm(y) + y).mean(dim=2))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.shared, self.head = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = torch.tanh(self.enter(x))
        return self.head(torch.tanh(self.shared(torch.tanh(self.shared(x)))))


class Branching(nn.Module):
    """No graph: what is done depends on the numbers. The output comes from the layer registered first."""

    def __init__(self):
        super().__init__()
        self.late, self.early = nn.Linear(4, 2), nn.Linear(3, 4)

    def forward(self, x):
        hidden = torch.relu(self.early(x)) if x.sum() > 0 else torch.tanh(self.early(x))
        return self.late(hidden)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, 8)
        layer = nn.TransformerEncoderLayer(8, 4, 16, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 2)

    def forward(self, x, mask=None):
        return self.head(self.body(self.embed(x), src_key_padding_mask=mask)[:, 0])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def settle(model, x):
    """Give norms statistics and weights of their own."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    for _ in range(3):
        model(x)
    return model.eval()


CASES = {
    "mlp": (lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)), (7, 3)),
    "normed mlp": (lambda: nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2)), (7, 3)),
    "residual": (Residual, (4, 1, 6, 6)),
    "forked": (Forked, (4, 2, 5)),
    "twice": (Twice, (7, 3)),
    "branching": (Branching, (7, 3)),
    "transformer": (Transformer, (4, 5, 3)),
}


def case(name):
    build, shape = CASES[name]
    x = torch.randn(*shape)
    return settle(build(), x), x


def state(model):
    names = [name for name, _ in model.named_parameters()]
    modules = [(name, type(module), module.training) for name, module in model.named_modules()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    return names, modules, hooks, {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_state(before, after):
    assert before[:3] == after[:3]
    assert list(before[3]) == list(after[3])
    for name, value in before[3].items():
        assert torch.equal(value, after[3][name]), name


KINDS = ("neurons", "filters", "heads")


@pytest.mark.parametrize("name", CASES)
def test_gates_of_one_change_nothing_and_come_off_without_a_trace(name):
    model, x = case(name)
    before, expected, modes = state(model), model(x), model.training
    gates = insert_gates(model, KINDS)
    np.testing.assert_array_equal(gates.profile(), 1.0)
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)
    gates.remove()
    assert model.training == modes
    assert_same_state(before, state(model))
    assert torch.equal(model(x), expected)


@pytest.mark.parametrize(
    ("name", "modules", "places"),
    [
        ("mlp", ("0", "2"), ("0", "2")),
        ("normed mlp", ("0",), ("1",)),
        ("residual", ("stem", "inner.0", "inner.3"), ("stem_norm", "inner.1", "outer")),
        ("forked", ("conv",), ("conv",)),
        ("twice", ("enter", "shared"), ("enter", "shared")),
        ("branching", ("late",), ("late",)),
    ],
)
def test_players_and_places(name, modules, places):
    gates = insert_gates(case(name)[0])
    assert gates.modules == modules
    assert gates.places == places
    assert gates.shared == (("shared",) if name == "twice" else ())


def test_units_of_a_transformer():
    model, _ = case("transformer")
    gates = insert_gates(model, ("heads", "neurons"))
    layers = [f"body.layers.{i}.{part}" for i in range(2) for part in ("self_attn", "linear1", "linear2")]
    assert gates.modules == ("embed", *layers)
    assert gates.sizes == (8, 4, 16, 8, 4, 16, 8)
    np.testing.assert_array_equal(np.bincount(gates.blocks), gates.sizes)
    gates.remove()
    assert insert_gates(model, "heads").sizes == (4, 4)


@pytest.mark.parametrize("name", CASES)
def test_a_gate_of_zero_removes_the_unit(name):
    """The twin: the same model with the units' own weights multiplied, which ``remove(fold=True)`` claims to equal."""
    model, x = case(name)
    gates = insert_gates(model, KINDS)
    profile = np.random.default_rng(1).choice([0.0, 0.3, 1.0], gates.n_players)
    gates.assign(profile)
    gated = model(x)
    np.testing.assert_allclose(gates.profile(), profile, atol=1e-7)
    gates.remove(fold=True)
    assert present_gates(model) is None
    torch.testing.assert_close(model(x), gated, rtol=1e-4, atol=1e-5)
    full, _ = case(name)
    assert not torch.allclose(full(x), gated, atol=1e-3)


def test_a_unit_behind_its_norm_is_silent_at_zero_and_the_norm_does_not_undo_a_half():
    model, x = case("normed mlp")
    model.train()
    gates = insert_gates(model)
    outputs = []
    model[1].register_forward_hook(lambda *args: outputs.append(args[2]))
    model(x)
    gates.assign([0.0, 0.5, 1.0, 1.0, 1.0])
    model(x)
    full, gated = outputs
    assert (gated[:, 0] == 0).all()
    torch.testing.assert_close(gated[:, 1], 0.5 * full[:, 1])


def test_a_head_of_zero_is_the_head_cut_out_of_attention():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(3, 5, 8)
    holder = nn.ModuleDict({"attention": attention})
    gates = insert_gates(holder, "heads")
    gates.assign([1.0, 0.0])
    gated, _ = attention(x, x, x)
    gates.remove()
    with torch.no_grad():
        attention.in_proj_weight[20:24] = 0  # the values of the second head
        attention.in_proj_bias[20:24] = 0
    torch.testing.assert_close(attention(x, x, x)[0], gated)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_fused_inference_of_a_transformer_respects_gates():
    model, x = case("transformer")
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 5, [False] * 4 + [True]])
    with torch.no_grad():
        fused = model(x), model(x, mask)
    with torch.no_grad():
        gates = insert_gates(model, KINDS)
        torch.testing.assert_close(model(x), fused[0])
        torch.testing.assert_close(model(x, mask), fused[1])
        rng = np.random.default_rng(0)
        gates.assign(rng.random(gates.n_players))
        inference = model(x), model(x, mask)
    torch.testing.assert_close(inference, (model(x).detach(), model(x, mask).detach()))
    assert not torch.allclose(inference[0], fused[0], atol=1e-3)
    gates.remove()
    layer = model.body.layers[0]
    assert layer.activation_relu_or_gelu == 1
    assert model.body.use_nested_tensor


@pytest.mark.parametrize("name", [name for name in CASES if name != "branching"])
def test_functional_call_exchanges_gates_also_under_vmap(name):
    model, x = case(name)
    gates = insert_gates(model, KINDS)
    profiles = torch.rand(3, gates.n_players)

    def run(profile):
        parts = dict(zip(gates.parameter_names, profile.split(gates.sizes), strict=True))
        return functional_call(model, parts, (x,))

    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel of attention knows no vmap
        together = vmap(run)(profiles)
    for profile, outputs in zip(profiles, together, strict=True):
        gates.assign(profile.numpy())
        torch.testing.assert_close(model(x), outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_gauge_leaves_the_function_and_is_undone(name):
    model, x = case(name)
    before, expected = state(model), model(x)
    gates = insert_gates(model, KINDS, gauge=True)
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
    profile = gates.profile()
    assert ((profile > 0) & (profile <= 1)).all()
    for part in gates.split(profile).values():
        assert part.max() == 1.0
    gates.remove()
    after = state(model)
    assert before[:3] == after[:3]
    for key, value in before[3].items():
        torch.testing.assert_close(value, after[3][key], rtol=1e-5, atol=1e-6)
    insert_gates(model, KINDS, gauge=True).remove(fold=True)
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def test_the_gauge_makes_units_unit_length_and_carries_the_magnitude():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight[2], model[0].bias[2] = 0.0, 0.0  # a unit without anything
    theta = torch.cat([model[0].weight, model[0].bias[:, None]], dim=1).detach()
    gates = insert_gates(model, gauge=True)
    norms = theta.norm(dim=1)
    np.testing.assert_allclose(gates.profile(), norms / norms.max(), rtol=1e-6)
    scaled = torch.cat([model[0].weight, model[0].bias[:, None]], dim=1).norm(dim=1).detach()
    torch.testing.assert_close(scaled, torch.tensor([1.0, 1.0, 0.0, 1.0]))


def test_optimizers_and_copies_see_the_gates():
    model, x = case("transformer")
    gates = insert_gates(model, KINDS)
    gates.assign(np.linspace(0, 1, gates.n_players))
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        others = present_gates(copied)
        assert others.modules == gates.modules
        np.testing.assert_array_equal(others.profile(), gates.profile())
        torch.testing.assert_close(copied(x), model(x))
        others.remove()
        assert present_gates(model).n_players == gates.n_players
    assert {id(gate) for gate in gates.parameters()} <= {id(parameter) for parameter in model.parameters()}
    model(x).sum().backward()
    assert all(gate.grad is not None and gate.grad.abs().sum() > 0 for gate in gates.parameters())


def test_named_modules_are_gated_also_the_output_and_under_other_names():
    model, _ = case("mlp")
    assert insert_gates(model, modules=["4", "0"]).modules == ("0", "4")
    twin = nn.ModuleDict({"a": nn.Linear(2, 2)})
    twin["b"] = twin["a"]
    assert insert_gates(twin, modules=["b"]).modules == ("a",)


def test_units_that_give_the_output_are_not_gated():
    class Streams(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.hidden, self.leave = nn.Linear(3, 2), nn.Linear(2, 5), nn.Linear(5, 2)

        def forward(self, x):
            x = self.enter(x)
            return torch.softmax(x + self.leave(torch.relu(self.hidden(x))), dim=1)

    assert insert_gates(Streams()).modules == ("hidden",)
    mapped = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert insert_gates(mapped).modules == ("0",)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert insert_gates(nn.Sequential(nn.Linear(3, 8), layer), "neurons").modules == ("0", "1.linear1")


def test_tracing_does_not_touch_a_model_that_writes_to_itself():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last, self.seen, self.calls = nn.Linear(2, 3), nn.Linear(3, 1), None, 0

        def forward(self, x):
            self.seen, self.calls = x, self.calls + 1
            return self.last(self.first(x))

    model = Counting()
    assert insert_gates(model).modules == ("first",)
    assert model.seen is None
    assert model.calls == 0


REFUSED = {
    "a name that is not there": ({"modules": ["9"]}, "modules: got '9'"),
    "a module of another kind": ({"modules": ["1"]}, "modules: got .*ReLU"),
    "a bare name": ({"modules": "0"}, "list of names"),
    "no names": ({"modules": []}, "list of names"),
    "an unknown kind": ({"units": "weights"}, "units: got 'weights'"),
    "no kinds": ({"units": ()}, "units"),
    "nothing to gate": ({"units": "heads"}, "without hidden heads"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_refusals_leave_the_model_untouched(wrong):
    arguments, message = REFUSED[wrong]
    model, _ = case("mlp")
    before = state(model)
    with pytest.raises(ValueError, match=message):
        insert_gates(model, **arguments)
    assert_same_state(before, state(model))


@pytest.mark.parametrize("model", [nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 3))], ids=["alone", "in a chain"])
def test_a_model_of_one_layer_has_outputs_and_no_players(model):
    with pytest.raises(ValueError, match="without hidden neurons"):
        insert_gates(model)


def test_a_gated_model_is_refused_and_keeps_its_gates():
    model, _ = case("mlp")
    gates = insert_gates(model, modules=["0"])
    with pytest.raises(ValueError, match="model with gates"):
        insert_gates(model, modules=["2"])
    assert present_gates(model).modules == gates.modules
    gates.remove()
    with pytest.raises(ValueError, match="gates are gone"):
        gates.remove()


@pytest.mark.parametrize("profile", [np.ones(8), np.full(9, 1.1), np.full(9, np.nan), np.full(9, -0.1), "full"])
def test_profiles_of_other_length_or_range_are_refused(profile):
    model, _ = case("mlp")
    gates = insert_gates(model)
    before = gates.profile()
    with pytest.raises(ValueError, match="profile"):
        gates.assign(profile)
    np.testing.assert_array_equal(gates.profile(), before)


def test_weights_that_cannot_take_a_share_are_refused():
    bare = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 2))
    gates = insert_gates(bare)
    with pytest.raises(ValueError, match="without a weight parameter"):
        gates.remove(fold=True)
    assert present_gates(bare) is not None
    gates.remove()
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    before = state(tied)
    with pytest.raises(ValueError, match="used elsewhere"):
        insert_gates(tied, gauge=True)
    assert_same_state(before, state(tied))
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="without a weight parameter"):
        insert_gates(normed, gauge=True)
    insert_gates(normed).remove()
