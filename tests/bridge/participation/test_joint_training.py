"""Joint training of weights and participation, against steps written out by hand."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from neurogames.bridge.gates.gates import insert_gates
from neurogames.bridge.modules.stacked_modules import stack_modules
from neurogames.bridge.participation import joint_training as participation_training
from neurogames.bridge.participation.fee_rule import FeeRule, RunningCurvature, congested_fees, fee_residual
from neurogames.bridge.participation.gated_stack import gated_stack
from neurogames.bridge.participation.joint_training import train_participation
from neurogames.bridge.participation.paper_rule import IncomingWeights, PaperCosts
from neurogames.bridge.participation.participation_rule import RuleSettings, Run
from neurogames.games.participation import ParticipationGame


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def task(rows=256, features=5, seed=0):
    rng = generator(seed)
    inputs = torch.randn(rows, features, generator=rng)
    return inputs, (inputs[:, 0] * inputs[:, 1] > 0).long()


def network(features=5, hidden=16, classes=2, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes)
        )


def weights(model):
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def by_hand(model, inputs, targets, *, epochs, batch_size, rate, seed, ridge=0.0, price=0.0, competition=0.0):
    """The paper's algorithm as a plain loop over layers and units, gates written into the forward pass."""
    model, rng = copy.deepcopy(model), generator(seed)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    shares = [torch.ones(layer.out_features) for layer in linear[:-1]]
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(epochs):
        order = torch.randperm(len(inputs), generator=rng)
        for step in range(len(inputs) // batch_size):
            rows = order[step * batch_size : (step + 1) * batch_size]
            gates = [share.clone().requires_grad_() for share in shares]
            values = inputs[rows]
            for layer, gate in zip(linear, [*gates, None], strict=True):
                values = layer(values) if gate is None else functional.relu(layer(values) * gate)
            optimizer.zero_grad()
            functional.cross_entropy(values, targets[rows]).backward()
            for layer, gate, share in zip(linear, gates, shares, strict=False):
                theta = torch.cat([layer.weight, layer.bias[:, None]], dim=1).detach()
                gram = theta @ theta.T
                old = share.clone()
                for i in range(len(share)):
                    pull = sum(old[j] * gram[i, j] for j in range(len(share)) if j != i)
                    force = gate.grad[i] - 2 * ridge * gram[i, i] * old[i] - price - competition * pull
                    share[i] = (old[i] + 1e-3 * force).clamp(0, 1)
            optimizer.step()
    return model, torch.cat(shares)


def test_the_paper_rule_is_the_printed_algorithm():
    inputs, targets = task()
    model = network()
    costs = {"ridge": 0.3, "price": 0.2, "competition": 0.05}
    ours = train_participation(
        model, inputs, targets, rule="paper", epochs=2, batch_size=32, learning_rate=1e-2, rng=generator(7), **costs
    )
    theirs, shares = by_hand(model, inputs, targets, epochs=2, batch_size=32, rate=1e-2, seed=7, **costs)
    assert np.allclose(ours.profile[0], shares.numpy(), atol=1e-5)
    assert torch.allclose(weights(ours.models[0]), weights(theirs), atol=1e-4)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_price_zero_is_plain_training(weight_decay):
    inputs, targets = task()
    model = network()
    ours = train_participation(
        model,
        inputs,
        targets,
        epochs=2,
        batch_size=32,
        learning_rate=1e-2,
        weight_decay=weight_decay,
        rng=generator(7),
    )
    assert ours.profile.min() == 1.0
    plain = copy.deepcopy(model)
    optimizer, rng = torch.optim.Adam(plain.parameters(), lr=1e-2), generator(7)
    for _ in range(2):
        order = torch.randperm(len(inputs), generator=rng)
        for rows in order.split(32):
            optimizer.zero_grad()
            squares = sum(weight.square().sum() for weight in plain.parameters())
            (functional.cross_entropy(plain(inputs[rows]), targets[rows]) + weight_decay / 2 * squares).backward()
            optimizer.step()
    assert torch.allclose(weights(ours.models[0]), weights(plain), atol=1e-5)


@pytest.fixture
def stacked(monkeypatch):
    """Let the runs be one stack, as they are off the CPU."""
    monkeypatch.setattr(participation_training, "_runs_at_once", lambda runs, _: runs)


@pytest.mark.parametrize("rule", ["paper", "equilibrium"])
def test_a_run_does_not_depend_on_its_company(rule, stacked):
    inputs, targets = task()
    models, prices = [network(seed=seed) for seed in range(3)], [0.0, 0.01, 0.3]
    options = {"rule": rule, "epochs": 8, "batch_size": 32, "learning_rate": 1e-2}
    together = train_participation(models, inputs, targets, price=prices, rng=generator(1), **options)
    for run, (model, price) in enumerate(zip(models, prices, strict=True)):
        alone = train_participation(model, inputs, targets, price=price, rng=generator(1), **options)
        assert np.allclose(alone.profile[0], together.profile[run], atol=1e-4)
        assert torch.allclose(weights(alone.models[0]), weights(together.models[run]), atol=1e-3)


def test_runs_that_take_turns_are_runs_in_one_stack(monkeypatch):
    inputs, targets = task()
    options = {"price": [0.0, 0.05], "epochs": 5, "batch_size": 32, "learning_rate": 1e-2}
    seen = {"turns": [], "stack": []}
    for name, at_once in (("turns", 1), ("stack", 2)):
        monkeypatch.setattr(participation_training, "_runs_at_once", lambda *_, n=at_once: n)
        result = train_participation(
            network(),
            inputs,
            targets,
            rng=generator(1),
            on_epoch=lambda _, ask, name=name: seen[name].append(ask(inputs)),
            **options,
        )
        seen[name] += [torch.from_numpy(result.profile), torch.from_numpy(result.loss)]
    for turn, stack in zip(seen["turns"], seen["stack"], strict=True):
        assert torch.allclose(turn, stack, atol=1e-3)


def test_a_higher_price_leaves_fewer_and_a_prohibitive_one_nobody():
    inputs, targets = task(512)
    result = train_participation(
        network(),
        inputs,
        targets,
        price=[0.0, 0.01, 0.05, 9.0],
        epochs=20,
        batch_size=32,
        learning_rate=1e-2,
        rng=generator(),
    )
    counts = result.profile.sum(axis=1)
    assert counts[0] == 32
    assert (np.diff(counts) <= 0).all()
    assert counts[-1] == 0
    assert set(np.unique(result.profile)) <= {0.0, 1.0}
    assert (np.diff(result.participation, axis=0) <= 0).all()  # who has left does not come back
    assert result.price[-1].tolist() == pytest.approx([0.0, 0.01, 0.05, 9.0])


def test_what_is_returned_is_what_was_trained():
    inputs, targets = task()
    seen = []
    result = train_participation(
        network(),
        inputs,
        targets,
        price=[0.0, 0.05],
        epochs=6,
        batch_size=32,
        learning_rate=1e-2,
        rng=generator(),
        on_epoch=lambda epoch, networks: seen.append((epoch, networks(inputs).detach())),
    )
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4, 5, 6]
    for run, model in enumerate(result.models):
        gates = insert_gates(model)
        gates.assign(result.profile[run])
        assert torch.allclose(model(inputs), seen[-1][1][run], atol=1e-5)
        gates.remove()
        assert not any(name.endswith("participation") for name, _ in model.named_parameters())


def test_the_least_worth_leave_first_and_a_tenth_at_a_time():
    model = nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 2))
    rule = FeeRule.of(gated_stack([model], "neurons"), [Run(model, 1.0)], RuleSettings(steps=1000))
    worth = torch.randperm(30, generator=generator()).float()
    rule.curvature.add(2 * worth.unsqueeze(0) / 29)
    for left in (27, 25, 23, 21):
        rule.decide(0.49)
        shares = rule.stack.shares.squeeze(0).clone()
        assert torch.equal(shares > 0, worth >= 30 - left)
    rule.decide(0.5)
    assert torch.equal(rule.stack.shares.squeeze(0), shares)


def test_the_emptier_layer_keeps_its_units():
    """Every unit is worth 1 and the price is 1.2: only where the layer is fuller than the network is the fee above."""
    model = nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 2))
    rule = FeeRule.of(gated_stack([model], "neurons"), [Run(model, 1.2)], RuleSettings(steps=1000, congestion=2.0))
    rule.curvature.add(torch.full((1, 30), 2.0))
    rule.stack.shares[0, 20:25] = 0.0
    for _ in range(3):
        rule.decide(0.49)
    first, second = (int((layer > 0).sum()) for layer in rule.stack.shares.split([20, 10], dim=1))
    assert second == 5
    assert first == 14  # 25 - 2 - 2 - 2 units would leave 20 - 6


@given(st.integers(0, 10_000), st.floats(0, 3))
def test_congested_fees_are_what_their_formula_says_unit_by_unit(seed, congestion):
    rng = np.random.default_rng(seed)
    sizes = tuple(rng.integers(1, 5, size=rng.integers(1, 4)).tolist())
    stay = rng.random((2, sum(sizes))) < 0.7
    price = rng.random((2, 1))
    ours = congested_fees(torch.from_numpy(price), torch.from_numpy(stay), sizes, congestion)
    layer = np.repeat(np.arange(len(sizes)), sizes)
    for run, unit in zip(*np.nonzero(stay), strict=True):
        own = stay[run, layer == layer[unit]].mean()
        expected = price[run, 0] * (own / stay[run].mean()) ** congestion
        assert ours[run, unit].item() == pytest.approx(expected)
    if len(sizes) == 1 or congestion == 0:
        assert np.allclose(ours.numpy()[stay], np.broadcast_to(price, stay.shape)[stay])


@pytest.mark.parametrize(("congestion", "potential"), [(0.0, True), (2.0, False)])
def test_only_one_fee_for_all_is_a_potential_game(congestion, potential):
    """Over a cycle of two movers the gains of an exact potential game add up to nothing; the loss does so anyway."""
    stay = torch.ones(3, 6, dtype=torch.bool)
    stay[:, 1] = False  # one of the first layer has left before
    stay[1, 0] = stay[2, 5] = False
    fees = congested_fees(torch.ones(3, 1, dtype=torch.float64), stay, (4, 2), congestion)
    first_saves, last_saves = fees[0, 0], fees[1, 5]  # the first leaves, then the last
    first_pays, last_pays = fees[2, 0], fees[0, 5]  # the first comes back, then the last
    cycle = float(first_saves + last_saves - first_pays - last_pays)
    assert (abs(cycle) < 1e-12) == potential


def test_callers_models_stay_as_they_are():
    inputs, targets = task()
    model = network().train()
    before = weights(model).clone()
    train_participation(model, inputs, targets, price=0.1, epochs=1, batch_size=32, rng=generator())
    assert torch.equal(weights(model), before)
    assert model.training
    assert not model._modules["0"]._forward_hooks


def test_batchnorm_keeps_its_running_means_for_each_run(stacked):
    rng = generator()
    inputs, targets = torch.randn(128, 1, 6, 6, generator=rng), torch.randint(3, (128,), generator=rng)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 8),
        nn.ReLU(),
        nn.Linear(8, 3),
    )
    options = {"epochs": 10, "batch_size": 32}
    together = train_participation(model, inputs, targets, price=[0.0, 9.0], rng=generator(3), **options)
    alone = train_participation(model, inputs, targets, price=0.0, rng=generator(3), **options)
    assert torch.allclose(together.models[0][1].running_mean, alone.models[0][1].running_mean, atol=1e-5)
    assert int(together.models[0][1].num_batches_tracked) == 40
    assert together.profile[1].sum() == 0


def test_heads_can_take_part(stacked):
    rng = generator()
    inputs, targets = torch.randn(64, 5, 8, generator=rng), torch.randint(2, (64,), generator=rng)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 4, batch_first=True)
            self.answer = nn.Linear(8, 2)

        def forward(self, tokens):
            return self.answer(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(dim=1))

    result = train_participation(
        Attention(), inputs, targets, price=[0.0, 9.0], units="heads", epochs=3, batch_size=16, rng=generator()
    )
    assert result.profile.tolist() == [[1.0] * 4, [0.0] * 4]
    with pytest.raises(ValueError, match="^units: got"):
        train_participation(Attention(), inputs, targets, rule="paper", units="heads", batch_size=16, rng=generator())


@given(st.integers(0, 10_000))
def test_the_papers_residual_is_that_of_the_participation_game(seed):
    rng = np.random.default_rng(seed)
    theta, slope, shares = rng.normal(size=(4, 3)), rng.normal(size=4), rng.random(4)
    ridge, price, competition = rng.random(3)
    game = ParticipationGame(slope, theta, ridge, price, competition)
    costs = PaperCosts(*(torch.tensor([[value]]) for value in (ridge, price, competition)))
    slopes, places, factors = (torch.from_numpy(value).unsqueeze(0) for value in (slope, shares, theta))
    ours = costs.residual(slopes, places, IncomingWeights((factors[:, :, :2],), (factors[:, :, 2],)))
    assert np.allclose(ours[0], np.abs(game.best_response(shares) - shares))


@given(st.integers(0, 10_000))
def test_the_fee_residual_is_that_of_a_search_over_all_shares(seed):
    rng = np.random.default_rng(seed)
    slope, curvature, price = rng.normal(), rng.random() * 2 + 0.01, rng.random()
    grid = np.linspace(0, 1, 20_001)
    payoff = -(slope * (grid - 1) + 0.5 * curvature * (grid - 1) ** 2) - price * (grid > 0)
    tensors = [torch.tensor([[value]], dtype=torch.float64) for value in (slope, curvature, 1.0, price)]
    ours = float(fee_residual(*tensors))
    best = grid[payoff.argmax()]
    indifferent = abs(payoff[1:].max() - payoff[0]) < 1e-6
    assert indifferent or abs(ours - (1 - best)) < 1e-3


def test_a_unit_that_left_has_no_residual():
    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    assert fee_residual(one, one, zero, one).item() == 0


def test_running_curvature_of_equal_batches_is_their_value():
    curvature = RunningCurvature(torch.zeros(1, 2))
    for _ in range(3):
        curvature.add(torch.tensor([[2.0, 5.0]]))
    assert torch.allclose(curvature.value, torch.tensor([[2.0, 5.0]]))


def test_stacked_modules_are_their_modules():
    models = [network(seed=seed) for seed in range(3)]
    inputs, _ = task()
    stacked = stack_modules(models)
    assert torch.allclose(stacked(inputs), torch.stack([model(inputs) for model in models]), atol=1e-6)
    other = network(seed=9)
    stacked.fill(other, 1)
    assert torch.equal(weights(other), weights(models[1]))


def test_a_run_that_diverges_says_so_and_the_others_go_on(stacked):
    inputs, targets = task()
    broken = network()
    with torch.no_grad():
        broken[0].weight.fill_(float("nan"))
    result = train_participation([network(), broken], inputs, targets, epochs=1, batch_size=32, rng=generator())
    assert result.status[1].startswith("diverged")
    assert np.isfinite(result.loss[0, 0])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rule": "auction"}, "rule"),
        ({"price": [0.1, 0.2], "ridge": [0.1, 0.2, 0.3], "rule": "paper"}, "price"),
        ({"price": -1.0}, "price"),
        ({"ridge": 0.1}, "ridge"),
        ({"congestion": -1.0}, "congestion"),
        ({"congestion": 1.0, "rule": "paper"}, "congestion"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 10_000}, "inputs"),
        ({"rng": 3}, "rng"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"weight_decay": -1e-4}, "weight_decay"),
        ({"targets": torch.zeros(3, dtype=torch.long)}, "targets"),
        ({"inputs": torch.full((256, 5), float("nan"))}, "inputs"),
        ({"inputs": torch.zeros(256, 4)}, "inputs"),
        ({"models": []}, "models"),
        ({"models": [network(), network(hidden=3)]}, "models"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, "loss"),
        ({"units": "synapses"}, "units"),
    ],
)
def test_wrong_arguments_are_named(change, named):
    inputs, targets = task()
    options = {
        "models": network(),
        "inputs": inputs,
        "targets": targets,
        "rng": generator(),
        "batch_size": 32,
        **change,
    }
    with pytest.raises(ValueError, match=f"^{named}: got"):
        train_participation(**options)


def test_a_model_without_batch_dimension_is_refused():
    inputs, targets = task()

    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(5, 4), nn.Linear(4, 1)

        def forward(self, rows):
            return self.second(self.first(rows)).mean()

    with pytest.raises(ValueError, match="its first axis the rows"):
        train_participation(
            Mean(), inputs, targets.float(), loss=lambda outputs, _: outputs, batch_size=32, rng=generator()
        )
