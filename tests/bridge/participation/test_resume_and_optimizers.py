"""Joint training with other optimizers, and joint training that was interrupted."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.participation import joint_training
from neurogames.bridge.participation.joint_training import train_participation
from neurogames.bridge.participation.price_path import UnitBudget
from neurogames.bridge.training.train import train

RULES = {
    "one fee": {"price": 0.05},
    "fees and budgets": {"price": [0.0, 0.05, UnitBudget(6)], "congestion": 1.0},
    "paper": {"rule": "paper", "price": [0.02, 0.1], "ridge": 0.1, "competition": 0.05, "participation_rate": 1e-2},
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def task():
    inputs = torch.randn(256, 4, generator=generator())
    return inputs, inputs[:, :3].argmax(dim=1)


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(4, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)
        )


def assert_same(one, other):
    for name in ("profile", "participation", "loss", "price", "residual", "fraction_off_best_response"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for ours, theirs in zip(one.models, other.models, strict=True):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name
    assert one.status == other.status
    for ours, theirs in zip(one.certificate, other.certificate, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or np.array_equal(ours.worth, theirs.worth, equal_nan=True)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_a_joint_training_goes_on_from_every_epoch_to_the_same_end(name, stacked, monkeypatch, tmp_path):
    if stacked:
        monkeypatch.setattr(joint_training, "_runs_at_once", lambda runs, _: runs)
    saved = []
    options = {"epochs": 6, "batch_size": 32, "learning_rate": 1e-2, **RULES[name]}
    whole = train_participation(network(), *task(), rng=generator(1), on_state=saved.append, **options)
    assert [state["epoch"] for state in saved] == [1, 2, 3, 4, 5, 6]
    for state in saved:
        torch.save(state, tmp_path / "state.pt")
        read = torch.load(tmp_path / "state.pt", weights_only=True)
        assert_same(train_participation(network(5), *task(), rng=generator(9), resume_from=read, **options), whole)


def test_the_state_of_another_joint_training_is_refused():
    saved, options = [], {"epochs": 2, "batch_size": 32}
    train_participation(network(), *task(), price=0.1, rng=generator(), on_state=saved.append, **options)
    for change in ({"rule": "paper"}, {"price": [0.1, 0.2]}, {"epochs": 3}, {"units": "neurons", "batch_size": 64}):
        with pytest.raises(ValueError, match="^resume_from: got"):
            train_participation(network(), *task(), rng=generator(), resume_from=saved[0], **(options | change))


@pytest.mark.parametrize(
    "optimizer",
    [
        functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        functools.partial(torch.optim.LBFGS, lr=0.1, max_iter=3, line_search_fn="strong_wolfe"),
    ],
)
def test_without_a_price_it_is_plain_training_by_the_same_optimizer(optimizer):
    options = {"optimizer": optimizer, "epochs": 3, "batch_size": 32}
    joint = train_participation(network(), *task(), rng=generator(1), **options)
    plain = train(network(), functional.cross_entropy, task(), rng=generator(1), **options)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(joint.models[0].state_dict()[name], value)
    assert np.array_equal(joint.loss[:, 0], plain.loss)


@pytest.mark.parametrize("name", RULES)
def test_runs_under_an_optimizer_of_ones_own_do_not_depend_on_their_company(name, monkeypatch):
    """A line search over a stack would mix the runs, so that they take turns on every device."""
    monkeypatch.setattr(joint_training, "_runs_at_once", lambda runs, _: runs)
    line_search = functools.partial(torch.optim.LBFGS, max_iter=3, line_search_fn="strong_wolfe")
    options = {"epochs": 5, "batch_size": 32, "optimizer": line_search, **RULES[name]}
    together = train_participation(network(), *task(), rng=generator(1), **options)
    prices = options.pop("price")
    for run, price in enumerate(prices if isinstance(prices, list) else [prices]):
        alone = train_participation(network(), *task(), rng=generator(1), price=price, **options)
        assert np.array_equal(alone.profile[0], together.profile[run])
        assert np.array_equal(alone.loss[:, 0], together.loss[:, run])


def test_the_papers_gates_move_once_in_a_step_however_often_the_loss_is_asked_for():
    """One step by hand: the gates climb by the slope at the step's beginning, whatever the line search does then."""
    inputs, targets = task()
    model = network()
    line_search = functools.partial(torch.optim.LBFGS, max_iter=5, line_search_fn="strong_wolfe")
    options = {"rule": "paper", "price": 0.5, "participation_rate": 1e-2, "epochs": 1, "batch_size": 256}
    found = train_participation(model, inputs, targets, optimizer=line_search, rng=generator(1), **options)
    start, gates = copy.deepcopy(model).train(), [torch.ones(12, requires_grad=True), torch.ones(8, requires_grad=True)]
    order = torch.randperm(256, generator=generator(1))
    hidden = functional.relu(start[1](start[0](inputs[order])) * gates[0])
    hidden = functional.relu(start[3](hidden) * gates[1])
    functional.cross_entropy(start[5](hidden), targets[order]).backward()
    slope = torch.cat([gate.grad for gate in gates]).numpy()
    assert np.allclose(found.profile[0], np.clip(1 + 1e-2 * (slope - 0.5), 0, 1), atol=1e-7)


def test_a_rate_and_a_decay_replace_the_optimizers_own_and_are_refused_where_it_has_none():
    options = {"epochs": 2, "batch_size": 32}
    given = functools.partial(torch.optim.SGD, lr=0.2, weight_decay=0.1)
    bare = functools.partial(torch.optim.SGD, lr=9.0)
    one = train_participation(network(), *task(), optimizer=given, rng=generator(), **options)
    other = train_participation(
        network(), *task(), optimizer=bare, learning_rate=0.2, weight_decay=0.1, rng=generator(), **options
    )
    assert_same(one, other)
    with pytest.raises(ValueError, match="^optimizer: got 'LBFGS', expected an optimizer with 'weight_decay'"):
        train_participation(
            network(), *task(), optimizer=torch.optim.LBFGS, weight_decay=0.1, rng=generator(), **options
        )
