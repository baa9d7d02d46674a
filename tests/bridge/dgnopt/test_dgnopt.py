"""The optimizer as a user meets it: what is saved, what is refused, and what is left as it was."""

from __future__ import annotations

import copy
import gc
import math
import weakref
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import DGNOpt, train
from neurogames.bridge.curvature.layer_curvature import EKFACCurvature
from neurogames.bridge.dgnopt.network_plan import NetworkPlan
from tests.bridge.dgnopt.networks import Cooperative, Inception, Residual


def data(shape, rows=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(rows, *shape, generator=generator, dtype=dtype), torch.randint(3, (rows,), generator=generator)


def closure_of(model, optimizer, x, y, loss=functional.cross_entropy):
    def closure():
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        return value

    return closure


def make(build, seed=0):
    torch.manual_seed(seed)
    return build()


def steps(model, optimizer, x, y, count):
    return [optimizer.step(closure_of(model, optimizer, x, y)).item() for _ in range(count)]


def parameters(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


STRUCTURES = {
    "gradient descent, momentum": {"curvature": "identity", "momentum": 0.9, "weight_decay": 0.01},
    "diagonal": {"curvature": "diagonal", "feedback_scale": 0.01, "lr": 0.001},
    "kfac": {"curvature": "kfac", "momentum": 0.5},
    "ekfac, cooperative": {"curvature": EKFACCurvature(refresh=3), "cooperative": True, "value": "gauss-newton"},
    "ekfac, random": {
        "curvature": EKFACCurvature(refresh=3, factor_interval=1),
        "cooperative": True,
        "alignment": "random",
        "damping": 0.5,
    },
    "kfac, bandit": {"curvature": "kfac", "alignment": "bandit", "reward": lambda _: 0.25},
}


def built(model, settings):
    seeded = {} if settings.get("alignment", "fixed") == "fixed" else {"rng": np.random.default_rng(7)}
    return DGNOpt(model, **({"lr": 0.02} | settings | seeded))


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_saved_state_gives_the_identical_next_step(name, tmp_path):
    x, y = data((3,))
    model = make(Residual)
    optimizer = built(model, STRUCTURES[name])
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(4):
        steps(model, optimizer, x, y, 1)
        scheduler.step()
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    saved = copy.deepcopy(model.state_dict())
    after = steps(model, optimizer, x, y, 3)
    again = make(Residual, seed=1)
    again.load_state_dict(saved)
    other = built(again, STRUCTURES[name])
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] < 0.02
    assert steps(again, other, x, y, 3) == after
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_state_of_another_curvature_or_choice_is_refused():
    model = make(Residual)
    optimizer = DGNOpt(model, curvature="kfac")
    for other in (
        DGNOpt(model, curvature="ekfac"),
        torch.optim.SGD(model.parameters(), 0.1),
        DGNOpt(model, curvature="kfac", alignment="random", rng=np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match="state_dict: got"):
            optimizer.load_state_dict(other.state_dict())


def test_groups_have_their_own_settings():
    x, y = data((3,))
    model = make(Residual)
    groups = [
        {"params": model.stem.parameters(), "lr": 0.0},
        {"params": [each for name, each in model.named_parameters() if not name.startswith("stem")]},
    ]
    optimizer = DGNOpt(model, 0.1, params=groups)
    before = parameters(model)
    steps(model, optimizer, x, y, 2)
    assert torch.equal(before["stem.weight"], model.stem.weight)
    assert not torch.equal(before["one.weight"], model.one.weight)


def test_parameters_without_a_player_take_a_plain_step_and_are_listed():
    model = make(lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 3)))
    optimizer = DGNOpt(model, 0.1)
    assert optimizer.players == ("0", "3")
    assert optimizer.fallback_parameters == ("1.weight", "1.bias")
    before = parameters(model)
    steps(model, optimizer, *data((3,)), 1)
    assert not torch.equal(before["1.weight"], model[1].weight)
    with pytest.raises(ValueError, match=r"model: got .*1.weight, 1.bias"):
        DGNOpt(model, fallback=False)
    frozen = make(Residual)
    frozen.one.weight.requires_grad_(False)
    assert "one" not in DGNOpt(frozen).players


class Twice(nn.Module):
    """Calls one layer twice."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.inner(torch.tanh(self.inner(x)))))


def test_layers_that_are_called_twice_fall_back():
    model = make(Twice)
    optimizer = DGNOpt(model, 0.1)
    assert optimizer.players == ("head",)
    losses = steps(model, optimizer, *data((3,)), 8)
    assert losses[-1] < losses[0]


def test_dropout_has_the_same_masks_and_norms_the_same_statistics_in_both_passes():
    """With learning rate 0 nothing deviates, so that feedback is exactly 0; and the generator is where one pass leaves
    it, and running statistics have moved once."""
    build = lambda: nn.Sequential(  # noqa: E731
        *(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.4)), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)
    )
    x, y = data((3,), dtype=torch.float64)
    ends = []
    for curvature in ("identity", None):
        model = make(build).double()
        optimizer = torch.optim.SGD(model.parameters(), 0.0) if curvature is None else DGNOpt(model, 0.0)
        steps(model, optimizer, x, y, 2)
        ends.append((parameters(model), torch.get_rng_state()))
        if curvature is not None:
            assert optimizer.last_step.feedback < 1e-12
    assert torch.equal(ends[0][1], ends[1][1])
    for name, value in ends[0][0].items():
        torch.testing.assert_close(value, ends[1][0][name], rtol=1e-12, atol=1e-14)


def test_a_step_that_is_not_finite_is_skipped_and_counted():
    x, y = data((3,))
    model = make(Residual)
    optimizer = DGNOpt(model, 0.02, curvature="identity", momentum=0.9)
    steps(model, optimizer, x, y, 1)
    before = parameters(model)
    state = copy.deepcopy(optimizer.state_dict()["state"])
    broken = x.clone()
    broken[0, 0] = math.nan
    with pytest.warns(UserWarning, match="skipped"):
        steps(model, optimizer, broken, y, 1)
    steps(model, optimizer, broken, y, 1)
    assert (optimizer.skipped_steps, optimizer.last_step.taken) == (2, False)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    for key, memory in optimizer.state_dict()["state"].items():
        assert torch.equal(memory["momentum_buffer"], state[key]["momentum_buffer"])
    steps(model, optimizer, x, y, 1)
    assert (optimizer.skipped_steps, optimizer.last_step.taken) == (2, True)


@pytest.mark.parametrize(
    "means", [lambda o, t: (o - t).square().sum() / len(o), lambda o, t: ((o - t) / 8).abs().sum()]
)
def test_a_sum_that_is_divided_may_be_a_mean(means):
    x, _ = data((3,))
    model = make(Residual)
    optimizer = DGNOpt(model, 0.01)
    closure = closure_of(model, optimizer, x, torch.zeros(8, 3), means)
    assert [optimizer.step(closure) for _ in range(3)]
    assert optimizer.last_step.taken


@pytest.mark.parametrize("curvature", ["kfac", "ekfac"])
def test_a_curvature_that_is_not_positive_definite_skips_the_step(curvature):
    """Fewer rows than inputs and no damping to speak of: a factor is singular. What is known of them begins anew."""
    x, y = data((4,), rows=2)
    model = make(Cooperative)
    optimizer = DGNOpt(model, 0.01, curvature=curvature, cooperative=True, damping=0.5, momentum=0.5)
    steps(model, optimizer, x, y, 1)
    before, state = parameters(model), copy.deepcopy(optimizer.state_dict()["state"])
    optimizer.param_groups[0]["damping"] = 1e-300
    with pytest.warns(UserWarning, match="not positive definite"):
        steps(model, optimizer, x, y, 1)
    assert optimizer.last_step.skipped == "curvature not positive definite"
    assert (optimizer.skipped_steps, optimizer.last_step.taken) == (1, False)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    for key, memory in optimizer.state_dict()["state"].items():
        assert torch.equal(memory["momentum_buffer"], state[key]["momentum_buffer"])
        assert "curvature" not in memory
    optimizer.param_groups[0]["damping"] = 0.5
    steps(model, optimizer, x, y, 2)
    assert (optimizer.skipped_steps, optimizer.last_step.skipped) == (1, None)


def test_a_step_that_blows_up_on_the_way_leaves_all_weights():
    """Gradients are finite, but the second pass is not."""
    x, y = data((3,))
    model = make(Residual)
    optimizer = DGNOpt(model, 1e38, curvature="identity", momentum=0.9)
    before = parameters(model)
    with pytest.warns(UserWarning, match="skipped"):
        steps(model, optimizer, x, y, 1)
    assert optimizer.skipped_steps == 1
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def refused(match, act, model, optimizer):
    """The act is refused with one line, and neither the model nor the optimizer's state has changed."""
    before, state = parameters(model), copy.deepcopy(optimizer.state_dict()["state"])
    with pytest.raises(ValueError, match=match) as raised:
        act()
    assert "\n" not in str(raised.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert optimizer.state_dict()["state"].keys() == state.keys()
    assert "forward" not in vars(model)


def test_closures_that_cannot_be_done_right_are_refused_before_anything_changes():
    x, y = data((3,))
    model = make(Residual)
    optimizer = DGNOpt(model, 0.1)

    def closure(value=lambda: functional.cross_entropy(model(x), y), back=True):
        def act():
            optimizer.zero_grad()
            loss = value()
            if back:
                loss.backward()
            return loss

        return act

    act = optimizer.step
    refused("closure: got None", lambda: act(), model, optimizer)
    twice = closure(lambda: functional.cross_entropy(model(x) + model(x), y))
    refused("closure: got '2 calls", lambda: act(twice), model, optimizer)
    refused("closure: got '0 calls", lambda: act(closure(lambda: model.head.bias.sum())), model, optimizer)
    rows = closure(lambda: functional.cross_entropy(model(x), y, reduction="none"), back=False)
    refused("closure: got .*Tensor", lambda: act(rows), model, optimizer)
    refused("closure: got .*no gradient", lambda: act(closure(back=False)), model, optimizer)
    z = torch.zeros(8, 3)
    sums = [
        lambda: functional.cross_entropy(model(x), y, reduction="sum"),
        lambda: functional.mse_loss(model(x), z, reduction="sum"),
        lambda: (model(x) - z).abs().sum(dim=1).sum(),
        lambda: -model(x).log_softmax(dim=1).gather(1, y[:, None]).sum() + model.head.weight.square().mean(),
    ]
    for total in sums:
        refused("loss: got .*sum(med)? over rows", lambda total=total: act(closure(total)), model, optimizer)
    refused("loss: got .*summed", lambda: act(lambda: float(closure(sums[0])())), model, optimizer)

    def scaled():
        with torch.autocast("cpu", torch.float16):
            return functional.cross_entropy(model(x).float(), y)

    refused("closure: got .*float16", lambda: act(closure(scaled)), model, optimizer)
    own = DGNOpt(model, 0.1, cooperative=True)
    refused("closure: got .*own costs", lambda: own.step(lambda: [functional.mse_loss(model(x), z)] * 2), model, own)
    refused("closure: got .*3 own", lambda: act(lambda: [functional.mse_loss(model(x), z)] * 3), model, optimizer)
    backward = closure(lambda: functional.mse_loss(model(x), z))
    refused("closure: got .*backward", lambda: act(lambda: [backward().item()] * 2), model, optimizer)
    optimizer = DGNOpt(model, 0.1, terminal="cross_entropy", terminal_rank=2)
    squares = closure(lambda: functional.mse_loss(model(x), torch.zeros(8, 3)))
    refused("loss: got .*softmax", lambda: optimizer.step(squares), model, optimizer)
    optimizer = DGNOpt(model, 0.1, terminal="mse", terminal_rank=2)
    refused("terminal_rank: got 2, expected 3", lambda: optimizer.step(squares), model, optimizer)


class Overwriting(nn.Module):
    """Writes over a tensor that a later stage reads too."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.head = nn.Linear(3, 3, bias=False), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        first = self.one(x)
        later = self.two(torch.tanh(first)) + first
        first.add_(1.0)
        return self.head(later + first)


class Tokens(nn.Module):
    """Makes rows of what was one row."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.embed(x)).reshape(-1, 4)).reshape(-1, 2, 3).mean(dim=1)


class Sneaky(nn.Module):
    """Does something else after it was recorded."""

    def __init__(self):
        super().__init__()
        self.one, self.head = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        h = self.one(x)
        return self.head(h if isinstance(h, torch.fx.Proxy) else 2 * h)


@pytest.mark.parametrize(
    ("build", "shape", "match"),
    [
        (Overwriting, (3,), "model: got .*overwrites"),
        (Tokens, (2, 3), "model: got .*rows of outputs"),
        (Sneaky, (3,), "model: got .*not what was recorded"),
    ],
)
def test_models_that_cannot_be_done_right_are_refused_before_anything_changes(build, shape, match):
    x, y = data(shape)
    model = make(build)
    optimizer = DGNOpt(model, 0.1)
    refused(match, lambda: steps(model, optimizer, x, y, 1), model, optimizer)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"lr": -1.0}, "lr: got"),
        ({"damping": 0.0}, "damping: got"),
        ({"momentum": 1.0}, "momentum: got"),
        ({"schur": "other"}, "schur: got"),
        ({"value": "other"}, "value: got"),
        ({"curvature": "other"}, "curvature: got"),
        ({"refresh": 0}, "refresh: got"),
        ({"terminal": "other"}, "terminal: got"),
        ({"terminal_rank": 2}, "terminal_rank: got"),
        ({"fictitious_players": 0}, "fictitious_players: got"),
        ({"fictitious_players": 2}, "fictitious_players: got .*parallel"),
        ({"alignment": "other"}, "alignment: got"),
        ({"alignment": "random"}, "rng: got"),
        ({"alignment": "bandit", "rng": np.random.default_rng(0)}, "reward: got"),
        ({"rng": np.random.default_rng(0)}, "rng: got"),
        ({"params": [torch.nn.Parameter(torch.ones(2))]}, "params: got"),
        ({"cooperative": True, "curvature": EKFACCurvature(sharing="reduce")}, "curvature: got"),
    ],
)
def test_settings_out_of_range_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        DGNOpt(make(Residual), **settings)


def test_the_papers_schur_complement_is_for_two_layers():
    with pytest.raises(ValueError, match="schur: got 'paper'"):
        DGNOpt(make(Inception), cooperative=True, schur="paper")
    x, y = data((4,))
    model = make(Cooperative)
    losses = steps(model, DGNOpt(model, 0.05, cooperative=True, schur="paper", damping=0.5), x, y, 6)
    assert losses[-1] < losses[0]


def test_more_than_two_players_cooperate():
    x, y = data((1, 4, 4))
    model = make(Inception)
    optimizer = DGNOpt(model, 0.05, cooperative=True, damping=0.5)
    losses = steps(model, optimizer, x, y, 5)
    assert losses[-1] < losses[0]
    assert optimizer.skipped_steps == 0
    assert optimizer.last_step.alone == ()


def test_branches_with_different_places_are_reported():
    class Strides(nn.Module):
        def __init__(self):
            super().__init__()
            self.fine, self.coarse = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 2, stride=2)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            fine, coarse = (torch.relu(part).mean(dim=(2, 3)) for part in (self.fine(x), self.coarse(x)))
            return self.head(torch.cat([fine, coarse], dim=1))

    model = make(Strides)
    optimizer = DGNOpt(model, 0.05, cooperative=True, damping=0.5)
    steps(model, optimizer, *data((1, 4, 4)), 2)
    assert optimizer.last_step.alone == (("fine", "coarse"),)


def test_a_bandit_plays_the_alignment_that_earns_more():
    """And a random choice plays all."""
    x, y = data((3,))
    played = []

    def reward(model):
        assert not model.training
        return 1.0 if played and played[-1] else 0.0

    model = make(Residual)
    optimizer = DGNOpt(
        model, 0.0, curvature="identity", alignment="bandit", reward=reward, rng=np.random.default_rng(0)
    )
    draw = optimizer._choice.draw

    def watched():
        played.append(draw())
        return played[-1]

    optimizer._choice.draw = watched
    steps(model, optimizer, x, y, 150)
    assert np.mean(played[-50:]) > 0.6
    assert optimizer.last_step.reward in (0.0, 1.0)
    assert optimizer.last_step.reward_seconds > 0
    other = DGNOpt(model, 0.0, curvature="identity", alignment="random", rng=np.random.default_rng(0))
    seen = set()
    for _ in range(12):
        steps(model, other, x, y, 1)
        seen.add(other.last_step.alignment["project"])
    assert seen == {1, 2}


def test_nothing_of_a_pass_is_kept():
    """Without the collector, as it does not see circles through torch's graph: memory would grow from step to step."""
    x, y = data((3,))
    model = make(Residual)
    optimizer = DGNOpt(model, 0.01)
    passes = []
    start = NetworkPlan.start

    def watched(self, *args):
        found, graph = start(self, *args)
        passes.append(weakref.ref(found))
        return found, graph

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NetworkPlan, "start", watched)
        gc.disable()
        try:
            steps(model, optimizer, x, y, 3)
        finally:
            gc.enable()
    assert len(passes) == 3
    assert [each() for each in passes] == [None] * 3


def test_train_takes_it():
    x, y = data((3,), rows=12)
    model = make(Residual)
    before = parameters(model)
    trained = train(
        model,
        functional.cross_entropy,
        (x, y),
        optimizer=partial(DGNOpt, lr=0.05),
        epochs=3,
        batch_size=4,
        rng=torch.Generator().manual_seed(0),
    )
    assert trained.status == "ok"
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_autocast_to_bfloat16():
    x, y = data((3,))
    model = make(Residual)
    optimizer = DGNOpt(model, 0.05)

    def loss(out, target):
        return functional.cross_entropy(out.float(), target)

    def closure():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(model(x), y)
        value.backward()
        return value

    losses = [optimizer.step(closure).item() for _ in range(6)]
    assert losses[-1] < losses[0]


def test_a_penalty_of_weights_is_a_cost_of_the_stage():
    """The slope of a layer is that of the whole loss, whatever it consists of."""
    x, y = data((3,), dtype=torch.float64)
    ends = []
    for kind in (0, 1):
        model = make(Residual).double()
        optimizer = (
            DGNOpt(model, 0.1, curvature="identity", feedback=False)
            if kind
            else torch.optim.SGD(model.parameters(), 0.1)
        )

        def loss(out, target, model=model):
            return functional.cross_entropy(out, target) + 0.1 * model.one.weight.square().sum()

        for _ in range(3):
            optimizer.step(closure_of(model, optimizer, x, y, loss))
        ends.append(parameters(model))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-10, atol=1e-13)


def test_own_costs_that_are_alike_are_one_loss():
    x, y = data((3,), dtype=torch.float64)
    ends = []
    for own in (False, True):
        model = make(Residual).double()
        optimizer = DGNOpt(model, 0.05, damping=0.5)

        def costs(model=model):
            return [functional.cross_entropy(model(x), y)] * 2

        for _ in range(3):
            optimizer.step(costs if own else closure_of(model, optimizer, x, y))
        assert optimizer.last_step.feedback > 0
        ends.append(parameters(model))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-12, atol=1e-14)


def test_each_layer_moves_by_the_cost_of_its_player_and_the_rest_by_the_sum():
    x, y = data((3,), dtype=torch.float64)
    model = make(lambda: nn.Sequential(nn.LayerNorm(3), Residual())).double()
    optimizer = DGNOpt(model, 0.1, curvature="identity", feedback=False)
    before = parameters(model)

    def costs():
        out = model(x)
        return [functional.cross_entropy(out, y), out.square().mean()]

    optimizer.step(costs)
    after = parameters(model)
    model.load_state_dict(before)
    weights = list(model.parameters())
    slopes = [dict(zip(before, torch.autograd.grad(costs()[n], weights), strict=True)) for n in (0, 1)]
    for name, value in after.items():
        slope = slopes[0][name] + slopes[1][name] if name.startswith("0.") else slopes["project" in name][name]
        torch.testing.assert_close(value, before[name] - 0.1 * slope, rtol=1e-12, atol=1e-14)
