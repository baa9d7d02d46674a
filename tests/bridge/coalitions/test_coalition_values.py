"""Coalition games of real networks against running the whole network once for every coalition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.coalitions import masked_network as masked_module
from neurogames.bridge.coalitions.coalition_values import coalition_game
from neurogames.bridge.coalitions.masked_runs import Folded, Stacked, Whole
from neurogames.engine.coalitions.core import least_core
from neurogames.engine.coalitions.values import banzhaf, interactions, shapley


class Residual(nn.Module):
    """A convolutional network with a skip connection around the layer, and shapes that are read from the input."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6 * 9, 4)

    def forward(self, x):
        skip = torch.relu(self.norm(self.stem(x)))
        skip += self.conv(skip)
        pooled = functional.max_pool2d(torch.relu(skip), 2)
        return self.head(pooled.view(x.size(0), -1))


class Branching(nn.Module):
    """A network whose path depends on its numbers: nothing can record it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 7)
        self.second = nn.Linear(7, 4)

    def forward(self, x):
        hidden = torch.tanh(self.first(x))
        if hidden.abs().sum() > 0:
            hidden = hidden + 0.1
        return self.second(hidden)


class Centred(nn.Module):
    """A network whose rows are not independent: stacking would change what it gives."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 7)
        self.second = nn.Linear(7, 4)

    def forward(self, x):
        hidden = self.first(x).sigmoid()
        return self.second((hidden * torch.arange(1, len(hidden) + 1)[:, None]).softmax(dim=0))


class Tokens(nn.Module):
    """Attention behind a layer whose units stand on the last axis, behind that of the tokens."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(5, 6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.out = nn.Linear(6, 4)

    def forward(self, x):
        tokens = self.project(x.unsqueeze(1) * torch.ones(5, 1))
        return self.out(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(dim=1))


class Block(nn.Module):
    """As of a ConvNeXt: a depthwise convolution, and then units on the last axis."""

    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm = nn.LayerNorm(4)
        self.wide = nn.Linear(4, 7)
        self.act = nn.GELU()
        self.narrow = nn.Linear(7, 4)

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.narrow(self.act(self.wide(y))).permute(0, 3, 1, 2)


def sequential(*modules):
    return nn.Sequential(*modules)


def convnext():
    return sequential(nn.Conv2d(2, 4, 2, stride=2), Block(), nn.Flatten(), nn.Linear(36, 4))


class Own(nn.Linear):
    """A class made from Linear, of which torch.fx knows nothing."""


def tokens():
    return sequential(Own(3, 6), nn.ReLU(inplace=True), nn.BatchNorm1d(5), nn.MaxPool1d(2), nn.Flatten(), Own(15, 4))


# network, layer, shape of a row, and how it is run: behind all that treats units alone, where a Linear takes the masks
NETWORKS = {
    "linear next": (lambda: sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4)), "1", (5,), Folded),
    "before the activation": (lambda: sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4)), "0", (5,), Folded),
    "two layers to go": (
        lambda: sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 6, bias=False), nn.ReLU(), nn.Linear(6, 4)),
        "1",
        (5,),
        Folded,
    ),
    "normalised": (
        lambda: sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Linear(7, 4)),
        "0",
        (5,),
        Folded,
    ),
    "layer norm mixes units": (
        lambda: sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 4)),
        "0",
        (5,),
        Stacked,
    ),
    "the outputs themselves": (lambda: sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4)), "2", (5,), Stacked),
    "channels, flattened": (
        lambda: sequential(nn.Conv2d(2, 7, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(28, 4)),
        "0",
        (2, 6, 6),
        Folded,
    ),
    "channels, pooled": (
        lambda: sequential(nn.Conv2d(2, 7, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 4)),
        "1",
        (2, 6, 6),
        Folded,
    ),
    "convolution next": (
        lambda: sequential(
            *(nn.Conv2d(2, 7, 3), nn.ReLU(inplace=True), nn.Conv2d(7, 3, 3), nn.BatchNorm2d(3), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(12, 4)),
        ),
        "0",
        (2, 6, 6),
        Stacked,
    ),
    "skip connection": (Residual, "conv", (2, 6, 6), Stacked),
    "layer read twice": (Residual, "norm", (2, 6, 6), Stacked),
    "attention": (Tokens, "project", (5,), Stacked),
    "channels last": (convnext, "1.wide", (2, 6, 6), Stacked),
    "channels last, activated": (convnext, "1.act", (2, 6, 6), Stacked),
    "channels first, of the same block": (convnext, "1.depthwise", (2, 6, 6), Stacked),
    "a block as a whole": (convnext, "1", (2, 6, 6), Folded),
    "tokens": (tokens, "0", (5, 3), Stacked),
    "tokens, activated": (tokens, "1", (5, 3), Stacked),
    "branching": (Branching, "first", (5,), Whole),
    "rows that interact": (Centred, "first", (5,), Whole),
}
AXES = dict.fromkeys(("attention", "channels last", "channels last, activated", "tokens", "tokens, activated"), -1)


def network(name, rows=23):
    make, layer, shape, machinery = NETWORKS[name]
    torch.manual_seed(sum(map(ord, name)))
    model = make()
    for module in model.modules():  # running statistics that do something
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    inputs = torch.randn(rows, *shape)
    with torch.no_grad():
        outputs = model.eval()(inputs)
    model.train()
    return model, layer, inputs, torch.randint(outputs.shape[1], (rows,)), machinery


def slow_outputs(model, layer, inputs, member, baseline, donors, axis=1):
    """Outputs of the whole network, run with a hook that replaces the units."""

    def replace(module, arguments, output):
        filler = {
            "zero": lambda: torch.zeros_like(output),
            "mean": lambda: output.mean(dim=0, keepdim=True).expand_as(output),
            "sample": lambda: output[donors],
        }[baseline]()
        result = output.clone()
        result.movedim(axis, 1)[:, ~member] = filler.movedim(axis, 1)[:, ~member]
        return result

    model.eval()
    handle = model.get_submodule(layer).register_forward_hook(replace)
    with torch.no_grad():
        outputs = model(inputs.clone())
    handle.remove()
    return outputs


SLOW_WORTHS = {
    "accuracy": lambda outputs, targets: (outputs.argmax(dim=1) == targets).double().mean(),
    "loss": lambda outputs, targets: -functional.cross_entropy(outputs, targets),
    "logit": lambda outputs, targets: outputs[torch.arange(len(outputs)), targets].mean(),
}


@pytest.mark.parametrize("baseline", ["zero", "mean", "sample"])
@pytest.mark.parametrize("name", NETWORKS)
def test_worths_are_those_of_the_whole_network_with_replaced_units(name, baseline, monkeypatch):
    monkeypatch.setattr(masked_module, "_CACHE_BYTES", 3000)  # several blocks of rows and of coalitions
    model, layer, inputs, targets, machinery = network(name)
    donors = torch.from_numpy((np.arange(23) + np.random.default_rng(3).integers(1, 23, size=23)) % 23)
    game = coalition_game(
        model, layer, (inputs, targets), metric="loss", baseline=baseline, rng=np.random.default_rng(3), memory=2000
    )
    assert type(game.network) is machinery
    coalitions = np.random.default_rng(0).random((9, game.n_players)) < 0.5
    coalitions[:2] = [[False], [True]]
    found = {
        metric: coalition_game(
            model, layer, (inputs, targets), metric=metric, baseline=baseline, rng=np.random.default_rng(3)
        ).value(coalitions)
        for metric in SLOW_WORTHS
    }
    found["loss again, in blocks"] = game.value(coalitions)
    for k, member in enumerate(torch.from_numpy(coalitions)):
        outputs = slow_outputs(model, layer, inputs, member, baseline, donors, AXES.get(name, 1))
        for metric, values in found.items():
            expected = float(SLOW_WORTHS[metric.split()[0]](outputs, targets))
            assert values[k] == pytest.approx(expected, rel=1e-4, abs=1e-5), (metric, k)


@pytest.mark.parametrize("baseline", ["zero", "mean", "sample"])
@pytest.mark.parametrize("name", NETWORKS)
def test_worths_along_orders_are_those_of_each_row(name, baseline, monkeypatch):
    monkeypatch.setattr(masked_module, "_CACHE_BYTES", 3000)  # several blocks of rows, and of units that have joined
    model, layer, inputs, targets, machinery = network(name)
    donors = torch.from_numpy((np.arange(23) + np.random.default_rng(3).integers(1, 23, size=23)) % 23)
    for metric in SLOW_WORTHS:
        game = coalition_game(
            model, layer, (inputs, targets), metric=metric, baseline=baseline, rng=np.random.default_rng(3), memory=2000
        )
        n = game.n_players
        orders = np.random.default_rng(4).permuted(np.tile(np.arange(n), (game.n_components, 1)), axis=1)
        found = game.values_along_permutations(orders)
        if machinery is Whole:
            prefixes = np.array([np.isin(np.arange(n), orders[0, :k]) for k in range(n + 1)])
            np.testing.assert_array_equal(found, game.value(prefixes)[None])
            continue
        assert found.shape == (23, n + 1)
        for row in (0, 11, 22):
            for k in range(n + 1):
                member = torch.from_numpy(np.isin(np.arange(n), orders[row, :k]))
                outputs = slow_outputs(model, layer, inputs, member, baseline, donors, AXES.get(name, 1))[row : row + 1]
                expected = float(SLOW_WORTHS[metric](outputs, targets[row : row + 1]))
                assert found[row, k] == pytest.approx(expected, rel=1e-4, abs=1e-5), (metric, row, k)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("place", ["1", "2"])
def test_hooks_of_what_is_behind_the_layer_act_on_every_coalition(place, before):
    """A hooked activation is not passed over, and a hooked Linear does not take the masks in."""
    model, _, inputs, targets, _ = network("before the activation")
    if before:
        model.get_submodule(place).register_forward_pre_hook(lambda _, given: (given[0] + 0.5,))
    else:
        model.get_submodule(place).register_forward_hook(lambda *call: call[2] * 0.5)
    game = coalition_game(model, "0", (inputs, targets), metric="loss")
    assert type(game.network) is Stacked
    coalitions = np.random.default_rng(0).random((4, game.n_players)) < 0.5
    for value, member in zip(game.value(coalitions), torch.from_numpy(coalitions), strict=True):
        outputs = slow_outputs(model, "0", inputs, member, "zero", None)
        assert value == pytest.approx(float(SLOW_WORTHS["loss"](outputs, targets)), rel=1e-4)


def test_values_by_rows_and_by_regression_are_of_one_game():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3))
    game = coalition_game(model, "1", (torch.randn(200, 6), torch.randint(3, (200,))), metric="loss")
    exact, found = shapley(game).values, shapley(game, 400, rng=np.random.default_rng(0))
    assert found.method == "24 pairs of orders for each of 200 parts"
    assert (np.abs(found.values - exact) < 4 * found.stderr + 1e-6).all()
    assert np.linalg.norm(found.values - exact) < 0.05 * np.linalg.norm(exact)


def test_pooling_that_would_run_over_units_is_not_passed():
    model = nn.Sequential(nn.Linear(4, 6), nn.MaxPool1d(2), nn.Linear(3, 2))  # (rows, units): pools pairs of units
    inputs, targets = torch.randn(8, 4), torch.randint(2, (8,))
    game = coalition_game(model, "0", (inputs, targets), metric="loss")
    coalitions = np.random.default_rng(1).random((20, 6)) < 0.5
    for value, member in zip(game.value(coalitions), torch.from_numpy(coalitions), strict=True):
        outputs = slow_outputs(model, "0", inputs, member, "zero", None)
        assert value == pytest.approx(float(-functional.cross_entropy(outputs, targets)), abs=1e-5)


def test_numbers_as_targets_are_worth_minus_the_squared_error():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    inputs, targets = torch.randn(11, 3), torch.randn(11, 2)
    game = coalition_game(model, "1", (inputs, targets), metric="loss")
    with torch.no_grad():
        assert game.value(np.ones(4, dtype=bool)) == pytest.approx(
            -float(functional.mse_loss(model(inputs), targets)), rel=1e-5
        )
        assert game.value(np.zeros(4, dtype=bool)) == pytest.approx(
            -float(functional.mse_loss(model[2].bias.expand(11, 2), targets)), rel=1e-5
        )


def test_a_single_output_may_be_held_against_flat_targets():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    inputs, targets = torch.randn(11, 3), torch.randn(11)
    flat = coalition_game(model, "1", (inputs, targets), metric="loss").value([True] * 4)
    with torch.no_grad():
        assert flat == pytest.approx(-float(functional.mse_loss(model(inputs)[:, 0], targets)), rel=1e-5)


def test_a_function_as_worth_gets_outputs_and_targets_row_by_row():
    model, layer, inputs, targets, _ = network("convolution next")

    def brier(outputs, targets):
        return -(outputs.softmax(dim=1) - functional.one_hot(targets, 4)).square().sum(dim=1)

    game = coalition_game(model, layer, (inputs, targets), metric=brier)
    coalitions = np.random.default_rng(2).random((6, 7)) < 0.5
    for value, member in zip(game.value(coalitions), torch.from_numpy(coalitions), strict=True):
        outputs = slow_outputs(model, layer, inputs, member, "zero", None)
        assert value == pytest.approx(float(brier(outputs, targets).mean()), abs=1e-5)


def test_ties_go_to_the_first_class_as_argmax_has_it():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))
    targets = torch.tensor([0, 0, 1, 2, 1])
    game = coalition_game(model, "1", (torch.randn(5, 3), targets))
    assert game.value([False] * 4) == pytest.approx(0.4)  # all outputs are zero


def test_a_linear_worth_makes_an_additive_game_with_known_values():
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    inputs, targets = torch.randn(31, 5, dtype=torch.float64), torch.randint(3, (31,))
    with torch.no_grad():
        parts = model[1](model[0](inputs)) * model[2].weight[targets]  # (rows, units)
    game = coalition_game(model, "1", (inputs, targets), metric="logit")
    expected = parts.mean(dim=0).numpy()
    np.testing.assert_allclose(shapley(game).values, expected, atol=1e-12)
    np.testing.assert_allclose(banzhaf(game).values, expected, atol=1e-12)
    np.testing.assert_allclose(interactions(game).values, 0, atol=1e-12)
    assert least_core(game.zero_normalized()).excess <= 1e-8


def test_the_game_keeps_leading_axes_and_takes_none():
    model, layer, inputs, targets, _ = network("linear next")
    game = coalition_game(model, layer, (inputs, targets))
    coalitions = np.random.default_rng(0).random((2, 3, 7)) < 0.5
    worths = game.value(coalitions)
    assert worths.shape == (2, 3)
    assert game.value(coalitions[1, 2]) == worths[1, 2]
    assert game.value(np.zeros((0, 7), dtype=bool)).shape == (0,)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_left_as_it_was(name):
    model, layer, inputs, targets, _ = network(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    given = inputs.clone()
    game = coalition_game(model, layer, (inputs, targets))
    metric = game.value([True] * game.n_players)
    assert all(module.training for module in model.modules())
    assert all(not module._forward_hooks for module in model.modules())
    assert torch.equal(inputs, given)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert game.value([True] * game.n_players) == metric  # and later training does not change the game


def test_the_network_is_left_as_it_was_after_an_error():
    model, layer, inputs, targets, _ = network("linear next")

    def fails(outputs, targets):
        raise RuntimeError("no worth")

    with pytest.raises(RuntimeError, match="no worth"):
        coalition_game(model, layer, (inputs, targets), metric=fails)
    assert model.training
    assert all(not module._forward_hooks for module in model.modules())


def test_a_sample_is_one_draw_for_the_whole_game_and_never_the_row_itself():
    model, layer, inputs, targets, _ = network("linear next", rows=400)
    game = coalition_game(
        model, layer, (inputs, targets), metric="loss", baseline="sample", rng=np.random.default_rng(5)
    )
    nobody = np.zeros(7, dtype=bool)
    assert game.value(nobody) == game.value(nobody)
    assert (game.network.difference != 0).any(dim=0).all()


def test_wide_maps_stay_within_the_memory(monkeypatch):
    """256 channels and 1,000 rows: no intermediate result is larger than what the memory allows."""
    model = nn.Sequential(
        nn.Conv2d(1, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 8, 3), nn.Flatten(), nn.Linear(288, 4)
    )
    inputs, targets = torch.randn(1000, 1, 8, 8), torch.randint(4, (1000,))
    game = coalition_game(model, "1", (inputs, targets), memory=2**22)
    largest = 0
    rest = game.network.rest.after.forward

    def watched(stacked, *also):
        nonlocal largest
        largest = max(largest, stacked.nbytes)
        return rest(stacked, *also)

    monkeypatch.setattr(game.network.rest.after, "forward", watched)
    game.value(np.random.default_rng(0).random((2, 256)) < 0.5)
    assert 0 < largest <= 2**22


BAD = {
    "unknown layer": ({"layer": "second.bias"}, "layer: .*such as.*'second'"),
    "whole model": ({"layer": ""}, "layer"),
    "no rows": ({"data": (torch.zeros(0, 5), torch.zeros(0, dtype=torch.long))}, "data"),
    "other lengths": ({"data": (torch.zeros(4, 5), torch.zeros(3, dtype=torch.long))}, "data"),
    "not tensors": ({"data": ([[0.0] * 5] * 4, [0] * 4)}, "data"),
    "NaN inputs": ({"data": (torch.full((4, 5), torch.nan), torch.zeros(4, dtype=torch.long))}, "data: got .inputs"),
    "NaN targets": ({"data": (torch.zeros(4, 5), torch.full((4,), torch.nan)), "metric": "loss"}, "data: got .targets"),
    "wrong width": ({"data": (torch.zeros(4, 6), torch.zeros(4, dtype=torch.long))}, "inputs"),
    "wrong precision": ({"data": (torch.zeros(4, 5).double(), torch.zeros(4, dtype=torch.long))}, "inputs"),
    "class too large": ({"data": (torch.zeros(4, 5), torch.full((4,), 4))}, "targets"),
    "class below zero": ({"data": (torch.zeros(4, 5), torch.full((4,), -1))}, "targets"),
    "truths as classes": ({"data": (torch.zeros(4, 5), torch.zeros(4, dtype=torch.bool))}, "targets"),
    "accuracy of numbers": ({"data": (torch.zeros(4, 5), torch.zeros(4))}, "targets"),
    "numbers of another shape": ({"data": (torch.zeros(4, 5), torch.zeros(4, 3)), "metric": "loss"}, "targets"),
    "unknown worth": ({"metric": "recall"}, "metric"),
    "worth of another shape": ({"metric": lambda outputs, _: outputs}, "metric"),
    "unknown absent": ({"baseline": "median"}, "baseline"),
    "sample without rng": ({"baseline": "sample"}, "rng"),
    "sample of one row": (
        {
            "data": (torch.zeros(1, 5), torch.zeros(1, dtype=torch.long)),
            "baseline": "sample",
            "rng": np.random.default_rng(0),
        },
        "inputs",
    ),
    "no memory": ({"memory": 0}, "memory"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_named(name):
    changes, match = BAD[name]
    arguments = {"layer": "first", "data": (torch.zeros(4, 5), torch.zeros(4, dtype=torch.long))} | changes
    with pytest.raises(ValueError, match=f"^{match}"):
        coalition_game(Branching(), **arguments)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()
        self.unused = nn.Linear(3, 3)
        self.pair = nn.LSTM(3, 3, batch_first=True)
        self.flat = nn.Flatten(0)

    def forward(self, x):
        self.flat(x)
        return self.act(self.act(x) - 1) + self.pair(x.unsqueeze(1))[0][:, 0]


@pytest.mark.parametrize(
    ("layer", "match"),
    [("act", "called 2 times"), ("unused", "called 0 times"), ("pair", "tuple"), ("flat", "output of shape")],
)
def test_a_layer_without_units_is_refused(layer, match):
    with pytest.raises(ValueError, match=match):
        coalition_game(Twice(), layer, (torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)))


def test_a_network_that_is_not_finite_is_refused():
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4))
    nn.init.constant_(model[2].weight, torch.nan)
    with pytest.raises(ValueError, match="model"):
        coalition_game(model, "1", (torch.zeros(4, 5), torch.zeros(4, dtype=torch.long)))
