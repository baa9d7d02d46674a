"""KFAC and EKFAC as optimizers: each step beside an explicit one, and what users of torch expect of an optimizer."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import EKFAC, KFAC, train, train_participation
from neurogames.bridge.curvature import layer_batches
from neurogames.bridge.curvature.layer_arrays import layer_inputs, layer_outputs, layer_weights
from tests.bridge.cases import CASES

KINDS = {"kfac": KFAC, "ekfac": EKFAC}
by_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
NETWORKS = ("mlp", "tanh mlp, squares", "token mlp", "cnn", "depthwise")


def backward(model, case, data):
    model.zero_grad()
    case.loss(model(data[0]), data[1]).backward()


def single_rows(model, case, data, name):
    """Inputs and output gradients (rows, shared, ...) of a layer, each row with its own loss and pass."""
    layer, seen, rows = model.get_submodule(name), [], []
    hook = layer.register_forward_hook(lambda _, args, output: seen.append((args[0], output)))
    for x, y in zip(data[0].split(1), data[1].split(1), strict=True):
        loss = case.loss(model(x), y)
        inputs, output = seen.pop()
        (back,) = torch.autograd.grad(loss, output)
        rows.append((layer_inputs(layer, inputs.detach()), layer_outputs(layer, back)))
    hook.remove()
    return [torch.cat(part) for part in zip(*rows, strict=True)]


def explicit_direction(kind, inputs, gradients, damping):
    """(F + damping I)^-1 G with matrices of the size of all weights."""
    each = torch.stack([g.T @ a for a, g in zip(inputs, gradients, strict=True)])
    mean = each.mean(dim=0)
    a, g = inputs.flatten(0, 1), gradients.flatten(0, 1)
    factors = [g.T @ g / len(inputs), a.T @ a / len(a)]
    if kind is KFAC:
        scale = (factors[1].diagonal().mean() / factors[0].diagonal().mean()).sqrt()
        shifts = damping**0.5 / scale, damping**0.5 * scale
        shifted = [part + shift * torch.eye(len(part)) for part, shift in zip(factors, shifts, strict=True)]
        return torch.linalg.solve(torch.kron(*shifted), mean.flatten()).reshape(mean.shape)
    turn = torch.kron(*(torch.linalg.eigh(part).eigenvectors for part in factors))
    moments = (each.flatten(1) @ turn).square().mean(dim=0)
    return (turn @ (turn.T @ mean.flatten() / (moments + damping))).reshape(mean.shape)


@by_kind
@pytest.mark.parametrize("network", NETWORKS)
def test_a_first_step_is_the_explicit_one_of_the_gradients_of_single_rows(kind, network):
    case = CASES[network]
    model, data = case.model(dtype=torch.float64).eval(), case.data(rows=12, dtype=torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        before = copy.deepcopy(model)
        optimizer = kind(model, lr=0.1, damping=0.02, momentum=0.9)
        backward(model, case, data)
        optimizer.step()
        for name in optimizer.preconditioned:
            layer, start = model.get_submodule(name), before.get_submodule(name)
            inputs, gradients = single_rows(before, case, data, name)
            expected = layer_weights(start) - 0.1 * explicit_direction(kind, inputs, gradients, 0.02)
            torch.testing.assert_close(layer_weights(layer), expected, rtol=1e-7, atol=1e-9)
    finally:
        torch.set_default_dtype(torch.float32)


@by_kind
def test_the_way_by_arrays_and_the_way_by_gradients_are_one(kind, monkeypatch):
    """Few rows, so that arrays are less work; told that no gradient is the sum over rows, it takes the gradients."""
    case, ends = CASES["mlp"], []
    for alike in (layer_batches.ALIKE, -1.0):
        monkeypatch.setattr(layer_batches, "ALIKE", alike)
        model = case.model(dtype=torch.float64)
        optimizer = kind(model, lr=0.05, refresh=4, **({"moment_interval": 3} if kind is EKFAC else {}))
        for seed in range(6):
            backward(model, case, case.data(rows=2, seed=seed, dtype=torch.float64))
            optimizer.step()
        ends.append([each.detach() for each in model.parameters()])
    torch.testing.assert_close(*ends)


def test_what_is_preconditioned_and_what_is_not():
    optimizer = EKFAC(CASES["depthwise"].model())
    assert optimizer.preconditioned == ("0", "4", "8")
    assert optimizer.not_preconditioned == ("2.weight", "2.bias")
    optimizer = KFAC(CASES["attention"].model())
    assert optimizer.preconditioned == ("body.linear1", "body.linear2", "head")
    assert "embed.weight" in optimizer.not_preconditioned
    chosen = KFAC(CASES["mlp"].model(), modules=["2"])
    assert (chosen.preconditioned, chosen.not_preconditioned) == (("2",), ("0.weight", "0.bias", "4.weight", "4.bias"))
    small = EKFAC(CASES["mlp"].model(), largest_factor=5)
    assert (small.preconditioned, small.not_preconditioned) == (("4",), ("0.weight", "0.bias", "2.weight", "2.bias"))
    model = CASES["mlp"].model()
    weights = [each for name, each in model.named_parameters() if name != "0.bias"]
    assert EKFAC(model, params=weights).preconditioned == ("2", "4")


@pytest.mark.parametrize("likelihood", ["categorical", "gaussian"])
def test_factors_of_drawn_labels_are_those_of_the_gauss_newton_matrix(likelihood):
    """In the mean over draws: within five standard errors."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 3, bias=False)).double()
    x = torch.randn(1, 2, dtype=torch.float64).expand(20000, 2)
    optimizer = KFAC(model)
    outputs = model(x)
    optimizer.sample_fisher(outputs, likelihood, rng=torch.Generator().manual_seed(1))
    assert all(each.grad is None for each in model.parameters())
    chances = outputs[0].detach().softmax(dim=0)
    hessian = 2 / 3 * torch.eye(3, dtype=torch.float64)
    if likelihood == "categorical":
        hessian = chances.diag() - torch.outer(chances, chances)
    loss = functional.cross_entropy(outputs, torch.zeros(20000, dtype=torch.long))
    loss.backward()
    optimizer.step()
    found = optimizer.state[model[1].weight]
    torch.testing.assert_close(found["outputs"], hessian, rtol=0, atol=5 * float(hessian.max()) * (2 / 20000) ** 0.5)
    torch.testing.assert_close(found["inputs"], torch.outer(model[0](x[0]), model[0](x[0])).detach(), rtol=1, atol=0.1)


def test_drawn_labels_change_the_curvature_only_and_only_when_it_is_averaged():
    case, counts, ends, factors = CASES["cnn"], [], [], []
    for draws in (False, True):
        model, data = case.model(dtype=torch.float64), case.data(dtype=torch.float64)
        optimizer = KFAC(model, lr=1e13, damping=1e14, factor_interval=2, refresh=4)
        calls = []
        model[8].register_full_backward_pre_hook(lambda *_, calls=calls: calls.append(1))
        for _ in range(4):
            outputs = model(data[0])
            if draws:
                optimizer.sample_fisher(outputs, "categorical", rng=torch.Generator().manual_seed(0))
            optimizer.zero_grad()
            case.loss(outputs, data[1]).backward()
            optimizer.step()
        factors.append(optimizer.state[model[8].weight]["outputs"])
        counts.append(len(calls))
        ends.append([each.detach() for each in model.parameters()])
    assert counts == [4, 7]
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-7)
    assert (factors[0] - factors[1]).norm() > 0.1 * factors[0].norm()
    for wrong in ({"likelihood": "poisson"}, {"outputs": outputs[:, 0]}, {"rng": None}):
        given = {"outputs": outputs, "likelihood": "categorical", "rng": torch.Generator()} | wrong
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: got"):
            optimizer.sample_fisher(**given)


def test_what_has_no_factors_goes_along_a_diagonal():
    case = CASES["cnn"]
    model, data = case.model(), case.data()
    optimizer = EKFAC(model, lr=0.1, damping=0.02, momentum=0.0)
    backward(model, case, data)
    start, slope = model[1].weight.detach().clone(), model[1].weight.grad.clone()
    optimizer.step()
    torch.testing.assert_close(model[1].weight, start - 0.1 * slope / (9 * slope.square() + 0.02))


@by_kind
def test_with_much_damping_it_is_gradient_descent_with_momentum_decay_groups_and_schedules(kind):
    """1 / damping times the gradient: torch's SGD with decay of its own, group by group."""
    case = CASES["mlp"]
    ours, theirs = case.model(dtype=torch.float64), case.model(dtype=torch.float64)
    data, damping = case.data(dtype=torch.float64), 1e14

    def groups(model, scale):
        weights = [model[0].weight, model[0].bias, model[4].weight]
        return [{"params": weights}, {"params": [*model[2].parameters(), model[4].bias], "lr": 0.02 * scale}]

    optimizer = kind(ours, lr=0.1 * damping, damping=damping, momentum=0.8, params=groups(ours, damping))
    descent = torch.optim.SGD(groups(theirs, 1), lr=0.1, momentum=0.8)
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.01 / damping
    schedules = [torch.optim.lr_scheduler.StepLR(each, 2, gamma=0.5) for each in (optimizer, descent)]
    for _ in range(5):
        for model in (ours, theirs):
            backward(model, case, data)
        optimizer.step()
        with torch.no_grad():
            for group in descent.param_groups:
                for each in group["params"]:
                    each.mul_(1 - group["lr"] * 0.01)
        descent.step()
        for schedule in schedules:
            schedule.step()
    for mine, yours in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-6, atol=1e-8)


@by_kind
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_saved_state_goes_on_with_the_identical_step(kind, network):
    case = CASES[network]
    model = case.model()
    settings = {"lr": 0.05, "refresh": 3, "factor_interval": 2}
    optimizer = kind(model, **settings)
    for seed in range(4):
        backward(model, case, case.data(seed=seed))
        optimizer.step()
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    twin = case.model(seed=1)
    again = kind(twin, **settings)
    weights, state = torch.load(file, weights_only=True)
    twin.load_state_dict(weights)
    again.load_state_dict(state)
    for seed in range(4, 8):
        for each, steps in ((model, optimizer), (twin, again)):
            backward(each, case, case.data(seed=seed))
            steps.step()
        for mine, yours in zip(model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(mine, yours, rtol=0, atol=0)
    other = EKFAC if kind is KFAC else KFAC
    with pytest.raises(ValueError, match="^state_dict: got"):
        other(case.model()).load_state_dict(state)


@by_kind
def test_parts_of_a_batch_add_up_to_the_whole(kind):
    case = CASES["mlp"]
    models = [case.model(dtype=torch.float64) for _ in range(2)]
    inputs, targets = case.data(rows=12, dtype=torch.float64)
    for model, parts in zip(models, (1, 3), strict=True):
        optimizer = kind(model, lr=0.1)
        for x, y in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
            (case.loss(model(x), y) / parts).backward()
        optimizer.step()
    for mine, yours in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(mine, yours)


@by_kind
def test_a_gradient_that_was_changed_is_the_one_that_is_used(kind):
    """Clipped to half: half the step, as the curvature is that of the rows."""
    case = CASES["mlp"]
    moves = []
    for factor in (1.0, 0.5):
        model, data = case.model(dtype=torch.float64), case.data(dtype=torch.float64)
        optimizer = kind(model, lr=0.1)
        start = [each.detach().clone() for each in model.parameters()]
        backward(model, case, data)
        for each in model.parameters():
            each.grad.mul_(factor)
        optimizer.step()
        moves.append([each - was for each, was in zip(model.parameters(), start, strict=True)])
    for whole, half in zip(*moves, strict=True):
        torch.testing.assert_close(half, 0.5 * whole)


def test_a_weight_that_is_used_elsewhere_too_moves_along_its_whole_gradient():
    torch.manual_seed(0)
    layer, x = nn.Linear(3, 3).double(), torch.randn(40, 3, dtype=torch.float64)
    optimizer = EKFAC(layer, lr=1.0, damping=1e9)
    (layer(x) + functional.linear(x, layer.weight) ** 2).mean().backward()
    start, slope = layer.weight.detach().clone(), layer.weight.grad.clone()
    optimizer.step()
    torch.testing.assert_close((start - layer.weight) * 1e9, slope, rtol=1e-6, atol=1e-6)


@by_kind
def test_the_state_of_a_layer_is_made_again_when_it_is_time(kind):
    case = CASES["mlp"]
    model = case.model()
    optimizer = kind(model, lr=0.01, refresh=5, factor_interval=2)
    key = "inverse_inputs" if kind is KFAC else "input_basis"
    anew, averaged, before = [], [], None
    for step in range(11):
        backward(model, case, case.data(seed=step))
        optimizer.step()
        memory = optimizer.state[model[0].weight]
        if before is None or not torch.equal(memory[key], before):
            anew.append(step)
        before = memory[key].clone()
        averaged.append(memory["averaged"])
    assert anew == [0, 1, 2, 4, 5, 10]
    assert averaged == [1, 2, 3, 3, 4, 5, 6, 6, 7, 7, 8]


@by_kind
def test_a_step_that_is_not_finite_is_skipped_and_counted(kind):
    case = CASES["cnn"]
    model, (inputs, targets) = case.model(), case.data()
    optimizer = kind(model, lr=0.1)
    backward(model, case, (inputs, targets))
    optimizer.step()
    weights = [each.detach().clone() for each in model.parameters()]
    memory = copy.deepcopy(optimizer.state_dict()["state"])
    for count in (1, 2):
        backward(model, case, (inputs * float("nan"), targets))
        if count == 1:
            with pytest.warns(UserWarning, match="not finite: the step is skipped"):
                optimizer.step()
        else:
            optimizer.step()
        assert optimizer.skipped_steps == count
    for each, was in zip(model.parameters(), weights, strict=True):
        assert torch.equal(each, was)
    now = optimizer.state_dict()["state"]
    assert all(
        torch.equal(torch.as_tensor(now[i][key]), torch.as_tensor(memory[i][key])) for i in now for key in now[i]
    )
    again = kind(case.model())
    again.load_state_dict(optimizer.state_dict())
    assert again.skipped_steps == 2


def test_autocast_works_and_scaled_gradients_are_refused():
    case = CASES["mlp"]
    plain, cast = case.model(), case.model()
    data = case.data()
    optimizers = [EKFAC(model, lr=0.01) for model in (plain, cast)]
    for _ in range(3):
        backward(plain, case, data)
        optimizers[0].step()
        optimizers[1].zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = cast(data[0])
        case.loss(outputs.float(), data[1]).backward()
        optimizers[1].step()
    for mine, yours in zip(plain.parameters(), cast.parameters(), strict=True):
        torch.testing.assert_close(mine, yours, rtol=0.05, atol=0.02)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    scaler.scale(case.loss(cast(data[0]), data[1])).backward()
    with pytest.raises(ValueError, match="^gradients: got 'scaled by a GradScaler'"):
        scaler.step(optimizers[1])


def test_groups_can_come_later_and_hooks_leave():
    case = CASES["mlp"]
    model = case.model()
    optimizer = EKFAC(model, params=model[0].parameters())
    assert optimizer.preconditioned == ("0",)
    optimizer.add_param_group({"params": model[2].parameters(), "damping": 0.5})
    assert optimizer.preconditioned == ("0", "2")
    with pytest.raises(TypeError, match="state_dict"):
        copy.deepcopy(optimizer)
    optimizer.remove()
    assert not any(module._forward_hooks for module in model.modules())
    backward(model, case, case.data())
    with pytest.raises(ValueError, match="^optimizer: got 'one whose hooks were removed'"):
        optimizer.step()


def test_wrong_arguments_are_refused_before_anything_is_attached():
    case = CASES["mlp"]
    model, other = case.model(), case.model()
    wrong = {
        "lr": -1.0, "damping": 0.0, "momentum": 1.0, "weight_decay": -0.1, "refresh": 0, "factor_interval": 0,
        "factor_decay": 1.0, "moment_interval": 0, "moment_decay": -0.1, "sharing": "both", "modules": ["nothing"],
        "params": other.parameters(), "largest_factor": 0,
    }  # fmt: skip
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"^{name}: got"):
            EKFAC(model, **{name: value})
    with pytest.raises(ValueError, match="^modules: got"):
        KFAC(model, modules="0")
    for useless in (list(model.parameters()), nn.ReLU(), nn.BatchNorm1d(3)):
        with pytest.raises(ValueError, match="^model: got"):
            KFAC(useless)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_training_of_a_stack_of_models_refuses_it_and_a_training_of_one_leaves_no_hooks():
    case = CASES["mlp"]
    model, data, draws = case.model(), case.data(), torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="^optimizer: got"):
        train_participation(
            model, *data, optimizer=EKFAC, loss=case.loss, price=0.01, epochs=1, batch_size=3, rng=draws
        )
    trained = train(model, case.loss, data, optimizer=EKFAC, epochs=2, batch_size=3, rng=draws).model
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in trained.modules())


def test_a_pass_that_was_not_seen_is_refused_before_anything_changes():
    case = CASES["mlp"]
    model, data = case.model(), case.data()
    backward(model, case, data)
    optimizer = KFAC(model)
    weights = [each.detach().clone() for each in model.parameters()]
    with pytest.raises(ValueError, match="^model: got \"a gradient of layer '0'"):
        optimizer.step()
    assert all(torch.equal(each, was) for each, was in zip(model.parameters(), weights, strict=True))
