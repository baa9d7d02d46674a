"""Training of one module, against loops written out by hand."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.curvature.kfac import EKFAC, KFAC
from neurogames.bridge.feedback.attached import attach_gradient_dropout
from neurogames.bridge.training.rule import Moment, Rule
from neurogames.bridge.training.train import train
from neurogames.engine.schedules import cosine

OPTIMIZERS = {
    "SGD": functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    "AdamW": functools.partial(torch.optim.AdamW, lr=1e-2),
    "RMSprop": functools.partial(torch.optim.RMSprop, lr=1e-3),
    "LBFGS": functools.partial(torch.optim.LBFGS, lr=0.1, max_iter=4, line_search_fn="strong_wolfe"),
    "KFAC": functools.partial(KFAC, lr=0.01, refresh=3, factor_interval=2),
    "EKFAC": functools.partial(EKFAC, lr=0.01, refresh=3),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def task(rows=100):
    inputs = torch.randn(rows, 5, generator=generator())
    return inputs, (inputs[:, 0] * inputs[:, 1] > 0).long()


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 2))


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def by_hand(model, data, optimizer, *, epochs, batch_size, rng, rate=None):
    """The loop that a user would write."""
    model, (inputs, targets) = copy.deepcopy(model).train(), data
    given = model if optimizer.func in (KFAC, EKFAC) else model.parameters()
    descent, steps, step, losses = optimizer(given), epochs * -(-len(inputs) // batch_size), 0, []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(inputs), generator=rng).split(batch_size):
            if rate is not None:
                descent.param_groups[0]["lr"] = float(rate(step / steps))

            def closure(rows=rows):
                descent.zero_grad()
                loss = functional.cross_entropy(model(inputs[rows]), targets[rows])
                loss.backward()
                return loss

            total += float(descent.step(closure).detach()) * len(rows)
            step += 1
        losses.append(total / len(inputs))
    return model, losses


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("rate", [None, cosine(0.1, 0.001)])
def test_it_is_the_loop_that_one_would_write(name, rate):
    data, model = task(), network()
    ours = train(
        model,
        functional.cross_entropy,
        data,
        optimizer=OPTIMIZERS[name],
        learning_rate=rate,
        epochs=3,
        batch_size=32,
        rng=generator(7),
    )
    theirs, losses = by_hand(model, data, OPTIMIZERS[name], epochs=3, batch_size=32, rng=generator(7), rate=rate)
    assert same(state_of(ours.model), state_of(theirs))
    assert ours.loss == pytest.approx(losses, rel=1e-5)
    assert ours.status == "ok"


@pytest.mark.parametrize("name", ["default", *OPTIMIZERS])
def test_a_training_goes_on_from_every_epoch_to_the_same_end(name, tmp_path):
    data, saved = task(), []
    model = nn.Sequential(network(), nn.Dropout(0.5))  # draws from torch's global generator
    options = {} if name == "default" else {"optimizer": OPTIMIZERS[name]}
    options |= {"epochs": 4, "batch_size": 32, "learning_rate": cosine(0.05, 0.001)}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        whole = train(
            model,
            functional.cross_entropy,
            data,
            rng=generator(7),
            on_state=saved.append,
            **options,
        )
    assert [state["epoch"] for state in saved] == [1, 2, 3, 4]
    for number, state in enumerate(saved):
        path = tmp_path / f"{number}.pt"
        torch.save(state, path)
        rng = generator(99)
        with torch.random.fork_rng():
            read = torch.load(path, weights_only=True)
            again = train(model, functional.cross_entropy, data, rng=rng, resume_from=read, **options)
        assert same(state_of(again.model), state_of(whole.model))
        assert np.array_equal(again.loss, whole.loss)


@pytest.mark.parametrize("key", ["plan", "trainings", "parameters", "optimizer", "generator"])
def test_a_damaged_state_is_refused(key):
    saved, options = [], {"epochs": 2, "batch_size": 32}
    train(network(), functional.cross_entropy, task(), rng=generator(), on_state=saved.append, **options)
    damaged = saved[0]
    if key == "generator":
        damaged["generator"] = torch.zeros(3, dtype=torch.uint8)
    else:
        del (damaged if key in damaged else damaged["trainings"][0])[key]
    with pytest.raises(ValueError, match="^resume_from: got"):
        train(network(), functional.cross_entropy, task(), rng=generator(), resume_from=damaged, **options)


def test_a_state_is_not_touched_by_the_training_that_goes_on_from_it():
    data, saved = task(), []
    options = {"epochs": 3, "batch_size": 32}
    train(network(), functional.cross_entropy, data, rng=generator(), on_state=saved.append, **options)
    ends = [
        train(network(), functional.cross_entropy, data, rng=generator(), resume_from=saved[0], **options)
        for _ in range(2)
    ]
    assert same(state_of(ends[0].model), state_of(ends[1].model))
    assert saved[0]["epoch"] == 1
    assert len(saved[0]["trainings"][0]["history"]) == 1


class Halving(Rule):
    """Halves the first bias after each step, and remembers how often."""

    def __init__(self, model):
        self.model, self.count, self.moments = model, 0, []

    @property
    def own_parameters(self):
        return ("0.bias",)

    def exchange(self, moment):
        self.moments.append(moment)
        return {"0.bias": self.model[0].bias.detach() + 1} if moment.step == 0 else {}

    def step(self, moment):
        self.model[0].bias.mul_(0.5)
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def test_a_rule_acts_in_every_step_and_the_optimizer_leaves_its_parameters_alone():
    rules, data, model = [], task(), network()
    saved, options = [], {"epochs": 2, "batch_size": 32}

    def halving(module):
        rules.append(Halving(module))
        return rules[-1]

    done = train(model, functional.cross_entropy, data, rule=halving, rng=generator(), on_state=saved.append, **options)
    assert rules[0].moments == [Moment(step, 8, 4 if step % 4 == 3 else 32) for step in range(8)]
    assert torch.equal(done.model[0].bias, model[0].bias.detach() * 0.5**8)
    again = train(
        model, functional.cross_entropy, data, rule=halving, rng=generator(1), resume_from=saved[0], **options
    )
    assert same(state_of(again.model), state_of(done.model))
    assert rules[1].count == rules[0].count == 8


def test_what_a_rule_exchanges_is_what_the_loss_sees():
    data, model, seen = task(32), network(), []

    class Exchange(Rule):
        def exchange(self, moment):
            return {"3.weight": torch.zeros(2, 16), "3.bias": torch.zeros(2)}

    def loss(outputs, targets):
        seen.append(outputs.detach())
        return functional.cross_entropy(outputs, targets) + 0 * outputs.sum()

    train(model, loss, data, rule=lambda _: Exchange(), epochs=1, batch_size=32, rng=generator())
    assert not seen[-1].any()


def test_slopes_of_a_rule_are_those_of_the_first_evaluation_of_a_step():
    """A line search evaluates the loss often; the gate's slope is taken where the step began, and stays fixed."""
    data, model, slopes = task(32), network(), []

    class Watch(Rule):
        def __init__(self, module):
            self.module = module

        @property
        def own_parameters(self):
            return ("3.bias",)

        def step(self, moment):
            slopes.append(self.module[3].bias.grad.clone())

    train(
        model,
        functional.cross_entropy,
        data,
        optimizer=OPTIMIZERS["LBFGS"],
        rule=Watch,
        epochs=1,
        batch_size=32,
        rng=generator(),
    )
    start = copy.deepcopy(model).train()
    order = torch.randperm(32, generator=generator())
    functional.cross_entropy(start(data[0][order]), data[1][order]).backward()
    assert torch.equal(slopes[0], start[3].bias.grad)


def test_attached_gradient_dropout_acts_on_the_copy():
    data, model = task(), network()
    plain = train(model, functional.cross_entropy, data, epochs=1, batch_size=32, rng=generator())
    with attach_gradient_dropout(model, 0.1, rng=generator(5)):
        masked = train(model, functional.cross_entropy, data, epochs=1, batch_size=32, rng=generator())
    assert not torch.equal(masked.model[0].weight, plain.model[0].weight)
    assert masked.loss[0] != plain.loss[0]


def test_the_users_model_and_modes_stay_also_after_an_error():
    data, model = task(), network()
    model[1].eval()
    before, modes = state_of(model), [part.training for part in model.modules()]
    done = train(model, functional.cross_entropy, data, epochs=1, batch_size=32, rng=generator())
    assert [part.training for part in done.model.modules()] == modes
    assert not torch.equal(done.model[1].running_mean, model[1].running_mean)
    assert all(parameter.grad is None for parameter in done.model.parameters())

    def stop(*_):
        raise KeyError("stopped")

    torch.set_flush_denormal(False)
    with pytest.raises(KeyError, match="stopped"):
        train(model, functional.cross_entropy, data, epochs=1, batch_size=32, rng=generator(), on_epoch=stop)
    assert float(torch.tensor(1e-39) * 1.0) > 0
    assert same(state_of(model), before)
    assert [part.training for part in model.modules()] == modes
    copy.deepcopy(model)


def test_frozen_parameters_stay_and_a_look_in_evaluation_mode_changes_nothing():
    data, model = task(), network()
    model[0].weight.requires_grad_(False)
    options = {"epochs": 3, "batch_size": 32}
    looked = train(
        model,
        functional.cross_entropy,
        data,
        rng=generator(),
        on_epoch=lambda _, module: module.eval()(data[0]),
        **options,
    )
    plain = train(model, functional.cross_entropy, data, rng=generator(), **options)
    assert same(state_of(looked.model), state_of(plain.model))
    assert torch.equal(plain.model[0].weight, model[0].weight)
    assert not torch.equal(plain.model[3].weight, model[3].weight)


def test_progress_runs_to_one_and_incomplete_batches_can_be_left_out():
    data, shares, rows = task(), [], []

    class Rows(Rule):
        def step(self, moment):
            rows.append(moment.rows)

    train(
        network(),
        functional.cross_entropy,
        data,
        rule=lambda _: Rows(),
        epochs=2,
        batch_size=32,
        drop_last=True,
        rng=generator(),
        on_progress=shares.append,
    )
    assert rows == [32] * 6
    assert shares == pytest.approx(np.arange(1, 7) / 6)


def test_a_training_that_diverges_says_where():
    data, model = task(), network()
    found = train(
        model,
        functional.cross_entropy,
        data,
        optimizer=functools.partial(torch.optim.SGD, lr=1e38),
        epochs=3,
        batch_size=32,
        rng=generator(),
    )
    assert found.status.startswith("diverged: the loss is not finite in epoch")


class Deaf(torch.optim.Optimizer):
    """An optimizer that never asks for the loss."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    def step(self, closure=None):
        """Do nothing."""


INPUTS, TARGETS = task()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": 3}, "model"),
        ({"model": nn.Flatten()}, "model"),
        ({"data": INPUTS}, "data"),
        ({"data": (INPUTS, TARGETS[:-1])}, "data"),
        ({"data": (INPUTS[:, :4], TARGETS)}, "data"),
        ({"data": (INPUTS.log(), TARGETS)}, "data"),
        ({"data": (INPUTS[:20], TARGETS[:20]), "drop_last": True}, "data"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, "loss"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"rng": 0}, "rng"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"optimizer": torch.optim.Adam(network().parameters())}, "optimizer"),
        ({"optimizer": functools.partial(torch.optim.SGD, lr=-1.0)}, "optimizer"),
        ({"optimizer": lambda parameters: parameters}, "optimizer"),
        ({"optimizer": Deaf}, "optimizer"),
        ({"optimizer": Deaf, "learning_rate": 0.1}, "optimizer"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": lambda progress: 0.1 - progress}, "learning_rate"),
        ({"rule": lambda _: None}, "rule"),
        ({"resume_from": {}}, "resume_from"),
    ],
)
def test_wrong_arguments_are_named_before_any_step(change, named):
    steps = []
    options = {"model": network(), "loss": functional.cross_entropy, "data": (INPUTS, TARGETS), "batch_size": 32}
    options |= {"rng": generator(), "on_progress": steps.append, **change}
    with pytest.raises(ValueError, match=f"^{named}: got"):
        train(**options)
    assert not steps


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 5},
        {"batch_size": 50},
        {"drop_last": True},
        {"data": (INPUTS[:90], TARGETS[:90])},
        {"optimizer": OPTIMIZERS["SGD"]},
        {"rule": lambda _: type("Other", (Rule,), {})()},
        {"model": nn.Linear(5, 2)},
        {"model": nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))},
    ],
)
def test_the_state_of_another_training_is_refused(change):
    saved = []
    options = {"model": network(), "loss": functional.cross_entropy, "data": (INPUTS, TARGETS), "epochs": 2}
    options |= {"batch_size": 32}
    train(**options, rng=generator(), on_state=saved.append)
    with pytest.raises(ValueError, match="^resume_from: got"):
        train(**(options | change), rng=generator(), resume_from=saved[0])
