"""Games extracted from networks, against dense twins and finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.curvature import lanczos
from neurogames.bridge.curvature.gate_curvature import gate_curvature, smallest_curvature
from neurogames.bridge.extraction.participation_game import loss_game, participation_game
from neurogames.bridge.gates import gated_loss as gated_loss_module
from neurogames.bridge.gates.gated_loss import gated_loss
from neurogames.bridge.gates.gates import insert_gates, present_gates
from neurogames.engine.coalitions.values import shapley
from neurogames.engine.participation.complementarity import solve_participation
from neurogames.engine.participation.efficiency import price_of_anarchy
from neurogames.engine.participation.rationalizable import rationalizable_box
from neurogames.engine.participation.uniqueness import participation_uniqueness
from neurogames.games.coalition import FunctionCoalitionGame

KINDS = ("neurons", "filters", "heads")


class Attentive(nn.Module):
    """Tokens, a fused encoder layer with heads, and a head of its own."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.body = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, tokens):
        return self.head(self.body(self.embed(tokens)).mean(dim=1))


def perceptron(activation=nn.Tanh, outputs=3, hidden=(4, 3)):
    sizes = (2, *hidden)
    layers = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs)).double()


def convolution():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
    ).double()


def case(name):
    torch.manual_seed(0)
    x, classes = torch.randn(9, 2, dtype=torch.float64), torch.arange(9) % 3
    if name == "tanh, classes":
        return perceptron(), functional.cross_entropy, (x, classes)
    if name == "relu, classes":
        return perceptron(nn.ReLU), functional.cross_entropy, (x, classes)
    if name == "relu, squares":
        return perceptron(nn.ReLU), functional.mse_loss, (x, torch.randn(9, 3, dtype=torch.float64))
    if name == "one layer, squares":
        return (
            perceptron(nn.ReLU, hidden=(5,), outputs=2),
            functional.mse_loss,
            (x, torch.randn(9, 2, dtype=torch.float64)),
        )
    if name == "convolution":
        model = convolution()
        for _ in range(3):
            model(torch.randn(8, 1, 6, 6, dtype=torch.float64))
        return model.eval(), functional.cross_entropy, (torch.randn(9, 1, 6, 6, dtype=torch.float64), classes)
    return Attentive().double().eval(), functional.cross_entropy, (torch.randint(5, (9, 4)), classes)


CASES = ["tanh, classes", "relu, classes", "relu, squares", "one layer, squares", "convolution", "attention"]


def dense_loss(model, loss, data):
    """L(s) of a gated model as a function of one vector, for autograd."""
    inputs, targets = data
    gates = present_gates(model)

    def outputs(shares):
        parts = dict(zip(gates.parameter_names, shares.split(gates.sizes), strict=True))
        return torch.func.functional_call(model, parts, (inputs,))

    return lambda shares: loss(outputs(shares), targets), outputs


def untouched(model):
    buffers = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    grads = [parameter.grad is None for parameter in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    return buffers, (modes, hooks, grads, names, torch.backends.mha.get_fastpath_enabled())


def assert_untouched(before, model):
    after = untouched(model)
    assert before[1] == after[1]
    assert list(before[0]) == list(after[0])
    assert all(torch.equal(value, after[0][name]) for name, value in before[0].items())


@pytest.mark.parametrize("name", CASES)
def test_slope_and_curvature_agree_with_a_dense_twin(name):
    """The twin: autograd's Jacobian of all outputs in all gates, between output Hessians formed one by one."""
    model, loss, data = case(name)
    before = untouched(model)
    found = gate_curvature(model, loss, data, units=KINDS)
    assert_untouched(before, model)
    insert_gates(model, KINDS)
    of, outputs = dense_loss(model, loss, data)
    ones = torch.ones(found.profile.size, dtype=torch.float64)
    np.testing.assert_allclose(found.slope, torch.autograd.functional.jacobian(of, ones), atol=1e-12)
    assert found.loss == pytest.approx(float(of(ones).detach()))
    jacobian, values, full = torch.autograd.functional.jacobian(outputs, ones), outputs(ones).detach(), 0.0
    for row, (value, target) in enumerate(zip(values, data[1], strict=True)):
        inner = torch.autograd.functional.hessian(lambda z, target=target: loss(z[None], target[None]), value)
        full = full + jacobian[row].T @ inner @ jacobian[row] / len(values)
    starts = np.cumsum((0, *[len(block) for block in found.blocks]))
    for block, first, last in zip(found.blocks, starts[:-1], starts[1:], strict=True):
        np.testing.assert_allclose(block, full[first:last, first:last], atol=1e-12)
    assert found.clipped == 0.0


@pytest.mark.parametrize("name", ["relu, classes", "relu, squares", "one layer, squares", "convolution"])
def test_curvature_inside_a_layer_is_exact_where_outputs_are_piecewise_linear_in_it(name):
    model, loss, data = case(name)
    found = gate_curvature(model, loss, data)
    insert_gates(model)
    full = torch.autograd.functional.hessian(dense_loss(model, loss, data)[0], torch.ones(found.profile.size).double())
    starts = np.cumsum((0, *[len(block) for block in found.blocks]))
    for block, first, last in zip(found.blocks, starts[:-1], starts[1:], strict=True):
        np.testing.assert_allclose(block, full[first:last, first:last], atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dense", [200, 2])
def test_smallest_curvature_is_that_of_the_exact_hessian(name, dense, monkeypatch):
    monkeypatch.setattr(lanczos, "_DENSE", dense)
    model, loss, data = case(name)
    before = untouched(model)
    found = smallest_curvature(model, loss, data, units=KINDS)
    assert_untouched(before, model)
    assert found.status == "ok"
    gates = insert_gates(model, KINDS)
    full = torch.autograd.functional.hessian(dense_loss(model, loss, data)[0], torch.ones(gates.n_players).double())
    values = np.linalg.eigvalsh(full)
    room = 1e-3 * np.abs(values).max()
    assert (found.whole, found.largest) == pytest.approx((values[0], values[-1]), abs=room)
    starts = np.cumsum((0, *gates.sizes))
    for name_, first, last in zip(gates.modules, starts[:-1], starts[1:], strict=True):
        assert found.by_module[name_] == pytest.approx(np.linalg.eigvalsh(full[first:last, first:last])[0], abs=room)
    assert found.whole < 0 or len(found.by_module) == 1


def test_negative_curvature_of_the_loss_is_cut_and_said():
    model, _, (x, _) = case("one layer, squares")
    targets = torch.full((9, 2), 3.0, dtype=torch.float64)

    def bounded(outputs, goal):
        return (1 - torch.exp(-((outputs - goal) ** 2) / 2)).mean()

    found = gate_curvature(model, bounded, (x, targets))
    assert 0.5 < found.clipped <= 1.0
    for block in found.blocks:
        assert np.linalg.eigvalsh(block)[0] >= -1e-15
    assert smallest_curvature(model, bounded, (x, targets)).whole < -1e-3


@pytest.mark.parametrize("rows", [1, 4])
def test_pieces_of_any_size_give_the_same(rows, monkeypatch):
    model, loss, data = case("convolution")
    whole = participation_game(model, loss, data, benefit="ablation")
    monkeypatch.setattr(gated_loss_module, "_MOST_ROWS", rows)
    monkeypatch.setattr(gated_loss_module, "_PROFILES", 2)
    parts = participation_game(model, loss, data, benefit="ablation")
    np.testing.assert_allclose(parts.benefit, whole.benefit, atol=1e-12)
    np.testing.assert_allclose(parts.matrix(), whole.matrix(), atol=1e-12)


def test_the_taylor_game_is_the_loss_where_the_loss_is_quadratic():
    """One hidden layer of ReLU and squared error: Phi(s) - Phi(1) = -(L(s) - L(1)), from whatever present profile."""
    model, loss, data = case("one layer, squares")
    games = [participation_game(model, loss, data)]
    gates = insert_gates(model)
    of, _ = dense_loss(model, loss, data)
    rng = np.random.default_rng(0)
    for present in (rng.random(5), np.array([0.0, 1.0, 0.0, 0.5, 1.0])):
        gates.assign(present)
        games.append(participation_game(model, loss, data))
        np.testing.assert_allclose(gates.profile(), present)
    gates.assign(np.ones(5))
    profiles = np.concatenate([rng.random((20, 5)), rng.integers(0, 2, (20, 5))])
    real = np.array([float(of(torch.from_numpy(row)).detach()) for row in [np.ones(5), *profiles]])
    for game in games:
        moved = game.potential(profiles) - game.potential(np.ones(5))
        np.testing.assert_allclose(moved, real[0] - real[1:], atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_the_taylor_game_predicts_small_moves_inside_a_layer_to_second_order(name):
    """Halving a move divides the error by 8 where the block is exact (third order), by 4 elsewhere."""
    model, loss, data = case(name)
    game = participation_game(model, loss, data, units=KINDS)
    gates = insert_gates(model, KINDS)
    of, _ = dense_loss(model, loss, data)
    rng = np.random.default_rng(1)
    for layer in range(len(gates.sizes)):
        direction = np.where(gates.blocks == layer, rng.random(gates.n_players), 0.0)
        errors = []
        for step in (1e-2, 5e-3):
            s = 1.0 - step * direction
            predicted = game.potential(np.ones(s.size)) - game.potential(s)
            real = float((of(torch.from_numpy(s)) - of(torch.ones(s.size).double())).detach())
            errors.append(abs(predicted - real))
            assert errors[-1] <= 2 * step**2
        order = 2 if name in ("tanh, classes", "attention") else 3
        assert errors[1] <= max(errors[0] / 2**order * 1.2, 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_taylor_benefit_is_curvature_times_one_minus_slope(name):
    model, loss, data = case(name)
    found = gate_curvature(model, loss, data, units=KINDS)
    game = participation_game(model, loss, data, units=KINDS, price=0.25)
    expected = np.concatenate([block.sum(axis=1) for block in found.blocks]) - found.slope
    np.testing.assert_allclose(game.benefit, expected, atol=1e-12)
    np.testing.assert_array_equal(game.price, 0.25)
    assert game.competition == 1.0
    np.testing.assert_array_equal(game.ridge, 0.5)
    dense = np.zeros_like(game.matrix())
    starts = np.cumsum((0, *[len(block) for block in found.blocks]))
    for block, first, last in zip(found.blocks, starts[:-1], starts[1:], strict=True):
        dense[first:last, first:last] = block
    np.testing.assert_allclose(game.matrix(), dense, atol=1e-12)
    # value_i of the second-order model gives the same game as no values at all
    own = np.diag(dense)
    again = loss_game(found, -found.slope + own / 2)
    np.testing.assert_allclose(again.benefit, game.benefit, atol=1e-12)


@pytest.mark.parametrize("name", ["tanh, classes", "convolution", "attention"])
@pytest.mark.parametrize("gated", [False, True])
def test_ablation_is_what_leaving_one_out_costs(name, gated):
    model, loss, data = case(name)
    n = (reference := insert_gates(model, KINDS)).n_players
    present = np.ones(n)
    if gated:
        present = np.random.default_rng(2).choice([0.0, 0.4, 1.0], n)
        reference.assign(present)
    else:
        reference.remove()
    game = participation_game(model, loss, data, benefit="ablation", units=KINDS)
    gates = present_gates(model) or insert_gates(model, KINDS)
    of, _ = dense_loss(model, loss, data)
    for i in range(n):
        out, full = present.copy(), present.copy()
        out[i], full[i] = 0.0, present[i] or 1.0
        worth = float((of(torch.from_numpy(out)) - of(torch.from_numpy(full))).detach())
        paid = game.utilities(full)[i] - game.utilities(out)[i]
        assert paid == pytest.approx(worth, abs=1e-10)
    np.testing.assert_allclose(gates.profile(), present)


def test_shapley_values_are_those_of_the_units_of_a_layer():
    model, loss, data = case("tanh, classes")
    game = participation_game(model, loss, data, benefit="shapley", budget=16)
    insert_gates(model)
    of, _ = dense_loss(model, loss, data)
    values = game.utilities(np.ones(7))  # what participation pays while all others take part
    for members in (slice(0, 4), slice(4, 7)):

        def worth(coalitions, members=members):
            shares = np.ones((len(coalitions), 7))
            shares[:, members] = coalitions
            return np.array([-float(of(torch.from_numpy(row)).detach()) for row in shares])

        size = members.stop - members.start
        exact = shapley(FunctionCoalitionGame(size, worth)).values
        np.testing.assert_allclose(values[members], exact, atol=1e-10)
        ends = worth(np.array([[True] * size, [False] * size]))
        assert values[members].sum() == pytest.approx(ends[0] - ends[1])


def test_estimated_shapley_values_add_up_and_need_a_generator():
    torch.manual_seed(0)
    model = perceptron(hidden=(12,))
    _, loss, data = case("tanh, classes")
    with pytest.raises(ValueError, match="rng"):
        participation_game(model, loss, data, benefit="shapley", budget=200)
    game = participation_game(model, loss, data, benefit="shapley", budget=400, rng=np.random.default_rng(0))
    exact = participation_game(model, loss, data, benefit="shapley", budget=2**12)
    values, right = game.utilities(np.ones(12)), exact.utilities(np.ones(12))
    assert values.sum() == pytest.approx(right.sum(), abs=1e-9)
    assert np.corrcoef(values, right)[0, 1] > 0.95


@pytest.mark.parametrize("name", CASES)
def test_paper_and_descent_take_the_slope_and_the_units_weights(name):
    model, loss, data = case(name)
    slope = gate_curvature(model, loss, data, units=KINDS).slope
    paper = participation_game(model, loss, data, benefit="paper", units=KINDS, ridge=0.1, competition=0.3, price=0.02)
    descent = participation_game(model, loss, data, benefit="descent", units=KINDS, ridge=0.1)
    np.testing.assert_allclose(paper.benefit, slope, atol=1e-14)
    np.testing.assert_allclose(descent.benefit, -slope, atol=1e-14)
    assert descent.competition == 0.0
    np.testing.assert_array_equal(paper.factors, descent.factors)
    if name == "tanh, classes":
        theta = torch.cat([model[0].weight, model[0].bias[:, None]], dim=1).detach().numpy()
        np.testing.assert_array_equal(paper.factors[:4, :3], theta)
        np.testing.assert_array_equal(paper.factors[:4, 3:], 0.0)


def test_present_gates_stay_and_temporary_ones_go():
    model, loss, data = case("convolution")
    gates = insert_gates(model)
    gates.assign([0.0, 0.5, 1.0])
    before = untouched(model)
    for benefit in ("taylor", "ablation", "descent"):
        participation_game(model, loss, data, benefit=benefit, ridge=0.1 if benefit == "descent" else None)
    assert_untouched(before, model)
    gates.remove()
    model.train()
    model[3].eval()
    before = untouched(model)
    participation_game(model, loss, data)
    assert_untouched(before, model)


@pytest.mark.parametrize("calls_before", [0, 1, 2, 3])
def test_an_error_on_the_way_leaves_the_model_untouched(calls_before):
    model, loss, data = case("attention")
    model.train()
    before, calls = untouched(model), []

    def failing(outputs, targets):
        calls.append(1)
        if len(calls) > calls_before:
            raise KeyError("no more")
        return loss(outputs, targets)

    with pytest.raises(KeyError):
        participation_game(model, failing, data, units=KINDS)
    assert_untouched(before, model)


class Mixing(nn.Module):
    def __init__(self, end):
        super().__init__()
        self.first, self.last, self.end = nn.Linear(2, 4), nn.Linear(4, 3), end

    def forward(self, x):
        return self.end(self.last(torch.tanh(self.first(x))))


BAD_MODELS = {
    "no axis of rows": (lambda z: z.mean(), "outputs of shape"),
    "one row": (lambda z: z.mean(dim=0, keepdim=True), "outputs of shape"),
    "classes first": (lambda z: z.T, "outputs of shape"),
    "no tensor": (lambda z: (z, z), "outputs of tuple"),
    "rows that look at each other": (lambda z: z - z.mean(dim=0), "depend on the other rows"),
    "not finite": (lambda z: z / 0, "not finite"),
    "no vmap": (lambda z: z if z.sum() > 0 else 2 * z, "vmap"),
}


@pytest.mark.parametrize("wrong", BAD_MODELS)
def test_models_that_cannot_be_asked_are_refused(wrong):
    end, message = BAD_MODELS[wrong]
    torch.manual_seed(0)
    model = Mixing(end)
    before = untouched(model)
    with pytest.raises(ValueError, match=f"model: .*{message}"):
        participation_game(model, functional.cross_entropy, (torch.randn(8, 2), torch.arange(8) % 3))
    assert_untouched(before, model)


x8 = torch.ones(8, 2)
y8 = torch.arange(8) % 3
BAD_DATA = {
    "other length": (x8, y8[:7]),
    "empty": (x8[:0], y8[:0]),
    "scalars": (torch.tensor(1.0), torch.tensor(1)),
    "other shape": (torch.ones(8, 3), y8),
    "other kind": (y8, y8),
    "not a number": (torch.full((8, 2), torch.nan), y8),
    "targets of other shape": (x8, torch.ones(8, 7)),
    "no class": (x8, y8 + 3),
    "no pair": x8,
    "arrays": (np.ones((8, 2)), np.ones(8)),
}


@pytest.mark.parametrize("wrong", BAD_DATA)
def test_data_that_do_not_fit_are_refused(wrong):
    model = Mixing(lambda z: z)
    before = untouched(model)
    with pytest.raises(ValueError, match="data: got"):
        participation_game(model, functional.cross_entropy, BAD_DATA[wrong])
    assert_untouched(before, model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"benefit": "magnitude"}, "benefit"),
        ({"benefit": "paper"}, "ridge"),
        ({"ridge": 0.1}, "ridge"),
        ({"competition": 0.1}, "competition"),
        ({"benefit": "shapley"}, "budget"),
        ({"budget": 10}, "budget"),
        ({"modules": ["9"]}, "modules: got '9'"),
        ({"units": "heads"}, "without hidden heads"),
        ({"price": [1.0, 2.0]}, "price"),
        ({"benefit": "descent", "ridge": -1.0}, "ridge"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, message):
    model = Mixing(lambda z: z)
    before = untouched(model)
    with pytest.raises(ValueError, match=message):
        participation_game(model, functional.cross_entropy, (x8, y8), **arguments)
    assert_untouched(before, model)


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: functional.cross_entropy(z, y, reduction="sum"),
        lambda z, y: functional.cross_entropy(z, y, reduction="none"),
        lambda z, y: functional.cross_entropy(z, y) * torch.nan,
        lambda *_: 1.0,
    ],
)
def test_a_loss_that_is_no_mean_over_rows_is_refused(loss):
    with pytest.raises(ValueError, match="loss: got"):
        participation_game(Mixing(lambda z: z), loss, (torch.rand(8, 2), y8))


def test_losses_of_many_profiles_are_those_of_single_ones():
    model, loss, data = case("convolution")
    profiles = np.random.default_rng(0).random((20, 3))
    with gated_loss(model, loss, data) as gated:
        found = gated.losses(0, profiles)
    insert_gates(model)
    of, _ = dense_loss(model, loss, data)
    np.testing.assert_allclose(found, [float(of(torch.from_numpy(row)).detach()) for row in profiles], atol=1e-12)


def test_everything_the_engine_does_works_on_a_trained_network():
    torch.manual_seed(0)
    x = torch.randn(300, 4)
    y = ((x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 0.5)) % 3
    model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    kept = []
    for price in (1e-4, 0.03, 10.0):
        game = participation_game(model, functional.cross_entropy, (x, y), price=price)
        solution = solve_participation(game)
        assert solution.status == "ok"
        assert game.residual(solution.profile) < 1e-8
        assert game.potential(solution.profile) >= game.potential(np.ones(18)) - 1e-12
        box = rationalizable_box(game)
        assert (box.lower <= solution.profile + 1e-9).all()
        assert (solution.profile <= box.upper + 1e-9).all()
        assert participation_uniqueness(game).status == "ok"
        efficiency = price_of_anarchy(game)
        assert efficiency.anarchy >= efficiency.stability >= 1.0 - 1e-12
        kept.append(int((solution.profile > 0.01).sum()))
    assert kept[0] > kept[1] > kept[2] == 0
    free = participation_game(model, functional.cross_entropy, (x, y))
    gates = insert_gates(model)
    gates.assign(solve_participation(free, start=1.0).profile)
    with torch.no_grad():
        assert (
            functional.cross_entropy(model(x), y) < gate_curvature(model, functional.cross_entropy, (x, y)).loss + 1e-6
        )
