"""Networks on which a user, or a public bug tracker, would have seen a wrong answer or a crash; one line says what."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import insert_gates, magnitude_importance, participation_game, prune
from neurogames.bridge.pruning.coupling import coupled_groups
from neurogames.bridge.pruning.rebuilding import rebuild


def half(model):
    """Shares of 0 for the first half of the units of each layer that gates find."""
    gates = insert_gates(copy.deepcopy(model))
    return {name: (np.arange(size) >= size // 2) * 1.0 for name, size in zip(gates.modules, gates.sizes, strict=True)}


def images(rows=3, channels=3, size=8):
    return torch.randn(rows, channels, size, size)


def pruned(model, shares, *inputs):
    """Prune, and hold the result against the gated model on new rows of another number."""
    result = prune(model, shares, inputs)
    fresh = tuple(torch.cat([torch.randn_like(x), torch.randn_like(x)]) for x in inputs)
    twin = copy.deepcopy(model).eval()
    gates = insert_gates(twin, modules=list(shares))
    profile = {}
    for name in gates.modules:
        pinned_here = np.isin(np.arange(len(shares[name])), list(result.pinned.get(name, {})))
        profile[name] = np.where((shares[name] < 0.01) & ~pinned_here, 0.0, shares[name])
    gates.assign(np.concatenate(list(profile.values())))
    with torch.no_grad():
        torch.testing.assert_close(copy.deepcopy(result.model).eval()(*fresh), twin(*fresh), rtol=1e-4, atol=1e-5)
    return result


class OldCNN(nn.Module):
    """A CNN as it was written before nn.Flatten."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8 * 36, 2)

    def forward(self, x):
        x = functional.relu(self.conv(x))
        return self.head(x.view(x.size(0), -1))


def test_view_behind_a_convolution():
    """Was refused: "view size is not compatible with input tensor's size and stride"."""
    result = pruned(OldCNN(), {"conv": np.array([0, 0, 0, 0, 1, 1, 0.5, 1])}, images())
    assert result.model.head.in_features == 4 * 36


def test_transposed_convolution_is_cut_with_what_feeds_it():
    """Was pinned: the channels in front of a ConvTranspose stayed."""
    for groups in (1, 2, 8):
        up = nn.ConvTranspose2d(8, 8, 2, 2, groups=groups)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), up, nn.ReLU(), nn.Conv2d(8, 2, 1))
        result = pruned(model, {"0": np.array([0, 0, 1, 1, 0, 0, 1, 0.3])}, images())
        assert result.removed == {"0": 4}
        assert result.model[2].in_channels == 4


def test_constant_in_front_of_a_transposed_convolution_stays():
    """sigmoid(0) = 1/2 comes out of a transposed convolution as a pattern, which is no bias."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.ConvTranspose2d(4, 6, 2, 2), nn.Conv2d(6, 2, 1))
    assert pruned(model, {"0": np.array([0, 0, 1, 1.0])}, images()).removed == {"0": 0}


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid])
def test_groups_of_a_group_norm_leave_as_a_whole(activation):
    """Was pinned: channels that feed a GroupNorm stayed."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), activation(), nn.Conv2d(8, 2, 1))
    nn.init.normal_(model[1].bias)
    result = pruned(model, {"0": np.array([0, 0, 0, 1, 1, 1, 0, 0.0])}, images())
    assert result.kept["0"].tolist() == [2, 3, 4, 5]
    assert result.pinned == {"0": {2: "coupled with '0' 3, which stays"}}
    assert (result.model[1].num_groups, result.model[1].num_channels) == (2, 4)


def test_group_norm_over_all_channels_keeps_them():
    """One group over all channels: a silent one is part of every mean."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(1, 8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    assert pruned(model, half(model), images()).removed == {"0": 0}


def test_channels_of_a_pixel_shuffle_leave_together():
    """Was pinned: four channels that make one map stayed."""
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.PixelShuffle(2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    shares = {"0": np.array([0, 0, 0, 0] + [1.0] * 4 + [0, 0, 0, 1.0] + [0] * 4)}
    result = pruned(model, shares, images())
    assert result.kept["0"].tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
    assert result.model[4].in_channels == 2


class Shuffled(nn.Module):
    """Two branches as in ShuffleNet: half of the channels pass by, then all are shuffled."""

    def __init__(self):
        super().__init__()
        self.stem, self.branch, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(4, 4, 1), nn.Linear(8, 2)

    def forward(self, x):
        left, right = torch.relu(self.stem(x)).chunk(2, dim=1)
        x = torch.cat([left, torch.relu(self.branch(right))], 1)
        rows, channels, height, width = x.size()
        x = x.view(rows, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return self.head(x.view(rows, -1, height, width).mean([2, 3]))


def test_shuffled_channels_leave_in_pairs():
    """Was refused, and pinned once it ran: chunk and shuffle ask for as many channels in each part."""
    model = Shuffled()
    found = coupled_groups(model, images())
    assert found.groups[:8].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    halved = pruned(model, {"stem": np.array([0, 0, 1, 1, 0, 0, 1, 1.0]), "branch": np.array([0, 0, 1, 1.0])}, images())
    assert halved.removed == {"stem": 4, "branch": 2}


class Residual(nn.Module):
    """A stem, two blocks with residual sums, an output."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
                *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)),
            )
            for _ in range(2)
        )
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = torch.relu(x + block(x))
        return self.head(x.mean((2, 3)))


def test_residual_network_can_be_halved_with_coupled_shares():
    """Kept 91 to 100 % of its parameters: units that meet in a sum were hardly ever silent together."""
    torch.manual_seed(0)
    model = Residual()
    importance = magnitude_importance(model)
    found = coupled_groups(model, images())
    assert len(set(found.groups)) == 3 * 16
    assert not found.fixed.any()
    tied = found.mean(importance)
    shares = (tied >= np.median(tied)) * 1.0
    loose = prune(model, (importance >= np.median(importance)) * 1.0, images())
    result = prune(model, shares, images())
    assert not result.pinned
    assert result.parameters[1] < 0.3 * result.parameters[0] < loose.parameters[1]
    again = prune(model, shares, images(), coupled=True)
    assert again.parameters == result.parameters


class Attention(nn.Module):
    """Attention by hand, with as many heads as the width of the projections gives."""

    def __init__(self, fused):
        super().__init__()
        self.fused = fused
        self.query, self.key, self.value = nn.Linear(6, 12), nn.Linear(6, 12), nn.Linear(6, 12)
        self.mix, self.head = nn.Linear(12, 6), nn.Linear(6, 2)

    def forward(self, x):
        query, key, value = (
            layer(x).view(*x.shape[:2], -1, 4).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        if self.fused:
            read = functional.scaled_dot_product_attention(query, key, value)
        else:
            read = (query @ key.transpose(-2, -1) / 2.0).softmax(-1) @ value
        return self.head(self.mix(read.transpose(1, 2).flatten(2)))


@pytest.mark.parametrize("fused", [False, True])
def test_heads_of_attention_leave_with_their_silent_values(fused):
    """Were pinned: nothing that feeds attention could leave."""
    model = Attention(fused)
    values = np.array([0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1.0])
    ones = np.ones(12)
    result = pruned(model, {"query": ones, "key": ones, "value": values}, torch.randn(2, 5, 6))
    assert result.removed == {"query": 4, "key": 4, "value": 4}
    assert result.pinned == {"value": {7: "coupled with 'query' 4, which stays"}}


class Shared(nn.Module):
    """Two heads of queries for each head of keys and values, as in Llama."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.mix = (
            nn.Linear(6, 16),
            nn.Linear(6, 8),
            nn.Linear(6, 8),
            nn.Linear(16, 3),
        )

    def forward(self, x):
        query, key, value = (
            layer(x).view(*x.shape[:2], -1, 4).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        read = functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
        return self.mix(read.transpose(1, 2).flatten(2))


def test_heads_that_share_keys_and_values_leave_together():
    """Were pinned, or all heads were taken for one."""
    found = coupled_groups(Shared(), torch.randn(2, 5, 6))
    assert found.groups.tolist() == [0] * 8 + [1] * 8 + [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    shares = {"query": np.ones(16), "key": np.ones(8), "value": np.array([0.0] * 4 + [1.0] * 4)}
    assert pruned(Shared(), shares, torch.randn(2, 5, 6)).removed == {"query": 8, "key": 4, "value": 4}


class PastTheModule(nn.Module):
    """Uses the weights of a layer without calling it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.b(torch.relu(functional.linear(x, self.a.weight, self.a.bias)))


def test_weights_used_past_the_call_of_their_module_are_refused():
    """Gave another function (.29 to .48 off): gates are hooks, and see calls only."""
    with pytest.raises(ValueError, match="'a', whose weights are read past the call"):
        prune(PastTheModule(), {"a": np.array([0.0, 0.5] * 4)}, torch.randn(3, 4))


def test_norm_over_another_axis_is_refused():
    """Was .67 off: BatchNorm1d on (rows, 8, 4) norms axis 1, the units of a Linear stand on the last one."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match="model: got"):
        prune(model, {"0": np.array([0.0] * 4 + [0.5] * 4)}, torch.randn(3, 8, 4))


def test_instance_norm_without_and_with_weights():
    """A silent channel leaves the norm's bias behind."""
    for norm in (nn.InstanceNorm2d(8), nn.InstanceNorm2d(8, affine=True)):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.Sigmoid(), nn.Conv2d(8, 2, 1))
        assert pruned(model, {"0": np.array([0, 0.5] * 4)}, images()).removed == {"0": 4}


class Standardized(nn.Conv2d):
    """Weight standardisation, as timm's StdConv2d: its scale is taken out of the weight."""

    def forward(self, x):
        mean, std = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3), keepdim=True)
        return functional.conv2d(x, (self.weight - mean) / std, self.bias, self.stride, self.padding)


def test_standardized_weights_take_no_share_in_and_keep_their_columns():
    """Folded shares were lost, and fewer columns have another mean and deviation."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), Standardized(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1))
    assert pruned(model, {"0": np.array([0, 0.5] * 4)}, images()).removed == {"0": 0}
    with pytest.raises(ValueError, match="weights of '2' that are used by themselves"):
        prune(model, {"2": np.array([0, 0.5] * 4)}, images())


class Masked(nn.Module):
    """Tokens with a mask that is brought to the precision of the values."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x, mask):
        hidden = torch.relu(self.a(x))
        kept = (mask > 0).to(torch.long).to(hidden.dtype).to(hidden.device)
        return self.b(hidden * kept[..., None]).sum(1) / (mask > 0).to(torch.float32).sum(1, keepdim=True)


def test_masks_are_brought_to_a_precision_and_a_device():
    """Crashed: "'torch.dtype' object is not iterable"."""
    assert pruned(Masked(), half(Masked()), torch.randn(3, 5, 4), torch.ones(3, 5)).removed == {"a": 4}


class Auxiliary(nn.Module):
    """A second output in training mode only."""

    def __init__(self):
        super().__init__()
        self.stem, self.head, self.auxiliary = nn.Conv2d(3, 8, 3), nn.Linear(8, 2), nn.Linear(8, 2)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x))).mean((2, 3))
        return (self.head(x), self.auxiliary(x)) if self.training else self.head(x)


def test_pruned_model_with_an_auxiliary_head_can_be_trained():
    """The head that runs in training mode only kept its columns: fine-tuning crashed."""
    model = Auxiliary()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x, state = images(rows=2), torch.get_rng_state()
    small = prune(model, {"stem": np.array([0, 0.5] * 4)}, x).model
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    sum(part.sum() for part in small.train()(images())).backward()
    assert small.auxiliary.in_features == small.head.in_features == 4


WRAPPED = {
    "weight_norm, hook": nn.utils.weight_norm,
    "weight_norm": nn.utils.parametrizations.weight_norm,
    "spectral_norm, hook": nn.utils.spectral_norm,
    "spectral_norm": nn.utils.parametrizations.spectral_norm,
    "torch.prune": lambda layer: nn.utils.prune.l1_unstructured(layer, "weight", 0.5),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_computed_weights_become_plain_and_the_model_can_be_copied(how):
    """Was refused, and afterwards deepcopy of the model failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        wrap = WRAPPED[how]
        model = nn.Sequential(wrap(nn.Linear(4, 8)), nn.ReLU(), wrap(nn.Linear(8, 6)), nn.ReLU(), nn.Linear(6, 2))
    model(torch.randn(3, 4)).sum().backward()  # what a hook computed with gradients cannot be copied
    model.eval()
    x = torch.randn(5, 4)
    with torch.no_grad():
        want = model(x)
    result = prune(model, {"0": np.ones(8), "2": np.ones(6)}, torch.randn(2, 4))
    copy.deepcopy(model)
    torch.testing.assert_close(result.model.eval()(x), want)
    torch.testing.assert_close(model(x), want)
    small = prune(model, {"0": np.array([0, 0.5] * 4), "2": np.array([0, 1] * 3)}, torch.randn(2, 4))
    assert small.removed == {"0": 4, "2": 3}
    assert not any(module._forward_pre_hooks for module in small.model.modules())


def test_compiled_model_is_pruned_as_what_it_compiles():
    """Names and shares of a compiled model were another's."""
    plain = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    result = prune(torch.compile(plain, backend="eager"), {"0": np.array([0, 0.5] * 4)}, torch.randn(3, 4))
    want = prune(plain, {"0": np.array([0, 0.5] * 4)}, torch.randn(3, 4))
    assert all(map(torch.equal, result.model.parameters(), want.model.parameters()))


class Noisy(nn.Module):
    """Never gives the same twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.b(torch.relu(self.a(x))) + torch.rand(2)


def test_a_difference_that_cannot_be_rounding_is_refused():
    """A smaller model was handed out whatever its measured difference."""
    with pytest.raises(ValueError, match="relative difference"):
        prune(Noisy(), half(Noisy()), torch.randn(3, 4))


def grouped():
    """A network with everything that has sizes of its own."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.GroupNorm(4, 8)),
        *(nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Sigmoid(), nn.Conv2d(8, 4, 1, bias=False), nn.PReLU(4)),
        *(nn.Flatten(), nn.Linear(16, 2)),
    )


def small_and_saved(folder):
    torch.manual_seed(0)
    ends = np.array([0, 0, 1, 1, 0, 0, 1, 1.0])
    result = prune(grouped(), {"0": ends, "3": ends, "6": ends, "8": np.array([0, 1, 1, 0.5])}, images())
    assert not result.pinned
    torch.save(result.model.state_dict(), folder / "small.pt")
    (folder / "sizes.json").write_text(json.dumps(result.sizes))
    return result.model.eval()


def test_pruned_model_is_rebuilt_from_its_weights_in_a_fresh_process(tmp_path):
    """A state_dict of the smaller network fitted no model that one could build."""
    small = small_and_saved(tmp_path)
    x = images()
    torch.save({"x": x, "want": small(x).detach()}, tmp_path / "rows.pt")
    program = f"""
import json, pathlib, sys, torch
sys.path.insert(0, {str(sys.path[0] or ".")!r})
from torch import nn
from neurogames.bridge.pruning.rebuilding import rebuild
folder = pathlib.Path({str(tmp_path)!r})
whole = nn.Sequential(
    *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.GroupNorm(4, 8)),
    *(nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Sigmoid(), nn.Conv2d(8, 4, 1, bias=False), nn.PReLU(4)),
    *(nn.Flatten(), nn.Linear(16, 2)),
)
state = torch.load(folder / "small.pt", weights_only=True)
small = rebuild(whole, state, json.loads((folder / "sizes.json").read_text())).eval()
rows = torch.load(folder / "rows.pt", weights_only=True)
torch.testing.assert_close(small(rows["x"]), rows["want"])
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_rebuild_refuses_what_does_not_belong_to_the_architecture(tmp_path):
    """A wrong size or name is said, and nothing is half built."""
    state = small_and_saved(tmp_path).state_dict()
    for sizes, weights, what in (
        ({"0": {"sides": 3}}, state, "sizes"),
        ({"nowhere": {"out_channels": 3}}, state, "nowhere"),
        ({}, {**state, "0.scale": torch.ones(1)}, r"0\.scale"),
        ({}, {key: value for key, value in state.items() if key != "0.bias"}, r"0\.bias"),
    ):
        with pytest.raises(ValueError, match=what):
            rebuild(grouped(), weights, sizes)


def test_pruned_model_exports(tmp_path):
    """It is a plain torch module: torch.export and ONNX take it."""
    small, x = small_and_saved(tmp_path), images()
    exported = torch.export.export(small, (x,))
    torch.testing.assert_close(exported.module()(x), small(x))
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(small, (x,), tmp_path / "small.onnx", dynamo=True, verbose=False)
    onnx.checker.check_model(tmp_path / "small.onnx")


def test_games_refuse_gates_that_nothing_passes_through():
    """Gave slopes of 0 for units whose weights are used past the call of their module."""
    data = torch.randn(6, 4), torch.arange(6) % 2
    with pytest.raises(ValueError, match="at least one unit to gate, of a module that is called"):
        participation_game(PastTheModule(), functional.cross_entropy, data)
    with pytest.raises(ValueError, match="'a', whose weights are read past the call"):
        participation_game(PastTheModule(), functional.cross_entropy, data, modules=["a"])


def test_gates_behind_a_norm_of_another_axis_are_refused_and_of_an_instance_norm_stand_at_the_linear():
    """A gate multiplied the last axis of what BatchNorm1d had normed over axis 1."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    insert_gates(model)
    model(torch.randn(3, 4))
    with pytest.raises(ValueError, match="a norm over the axis of the units"):
        model(torch.randn(3, 8, 4))
    model = nn.Sequential(nn.Linear(4, 8), nn.InstanceNorm1d(5), nn.ReLU(), nn.Linear(8, 2))
    assert insert_gates(model).places == ("0",)


def test_half_precision_is_not_taken_for_rows_that_look_at_each_other():
    """A bfloat16 perceptron was refused as one whose outputs depend on other rows."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 3)).bfloat16()
    data = torch.randn(40, 20).bfloat16() * 3, torch.arange(40) % 3
    game = participation_game(model, functional.cross_entropy, data, benefit="descent", ridge=0.1)
    assert game.n_players == 100


def test_units_of_a_turned_linear_are_players():
    """The Conv1D of transformers was no layer: GPT-2 had no units."""
    library = pytest.importorskip("transformers.pytorch_utils")

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = library.Conv1D(8, 4), library.Conv1D(6, 8), nn.Linear(6, 2)

        def forward(self, x):
            return self.c(torch.relu(self.b(torch.relu(self.a(x)))))

    torch.manual_seed(0)
    model = Turned()
    for layer in (model.a, model.b):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    result = pruned(model, {"a": np.array([0, 0.5] * 4), "b": np.array([0, 0, 1, 1, 0.5, 1])}, torch.randn(3, 5, 4))
    assert result.removed == {"a": 4, "b": 2}
    assert (result.model.b.nx, result.model.b.nf, result.model.b.weight.shape) == (4, 4, (4, 4))
    again = rebuild(Turned(), result.model.state_dict(), result.sizes)
    x = torch.randn(2, 3, 4)
    assert torch.equal(again.eval()(x), result.model.eval()(x))
    torch.testing.assert_close(
        torch.from_numpy(magnitude_importance(model)[:8]).float(),
        (model.a.weight.norm(dim=0) / model.a.weight.norm(dim=0).mean()).detach(),
    )
