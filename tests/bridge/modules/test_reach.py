from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import attach_gradient_dropout, attach_mean_feedback, insert_gates, train_participation


class Reads(nn.Module):
    """Reads the weights of one layer, and calls two others."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.called, self.last = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        hidden = torch.relu(functional.linear(x, self.read.weight, self.read.bias))
        return self.last(torch.relu(self.called(hidden)))


class ReadsUnrecorded(Reads):
    """The same with a decision on numbers, which no recording goes through."""

    def forward(self, x):
        return super().forward(x) if float(x.sum()) < 1e9 else x


class ReadsShared(nn.Module):
    """Reads a weight that two layers share, neither of which it calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.called, self.last = (nn.Linear(4, 4) for _ in range(4))
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.last(torch.relu(self.called(torch.relu(x @ self.second.weight.T))))


class Branches(ReadsUnrecorded):
    """Calls all of its layers, one of them in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(8, 2)

    def forward(self, x):
        hidden = torch.relu(self.called(torch.relu(self.read(x))))
        main = self.last(hidden) if float(x.sum()) < 1e9 else x
        return {"main": main, "auxiliary": self.auxiliary(hidden)} if self.training else {"main": main}


def attach(model, modules=None):
    return attach_gradient_dropout(model, 0.5, modules=modules, rng=torch.Generator().manual_seed(0))


def hooks(model):
    return sum(len(module._forward_hooks) for module in model.modules())


def test_layers_that_are_read_and_not_called_are_left_out_and_refused_by_name():
    model = Reads()
    assert insert_gates(copy.deepcopy(model)).modules == ("called",)
    assert list(attach(copy.deepcopy(model)).layers) == ["called"]
    assert list(attach_mean_feedback(copy.deepcopy(model), 0.5).layers) == ["called"]
    for act in (lambda: insert_gates(model, modules=["read"]), lambda: attach(model, ["called", "read"])):
        with pytest.raises(ValueError, match=r"modules: got .*'read', whose weights are read past the call"):
            act()
    assert hooks(model) == 0


def test_a_weight_that_two_layers_share_is_read_of_both():
    assert insert_gates(ReadsShared()).modules == ("called",)
    with pytest.raises(ValueError, match=r"modules: got .*'second', whose weights are read past the call"):
        insert_gates(ReadsShared(), modules=["second"])


@pytest.mark.parametrize("put", [attach, lambda model: attach_mean_feedback(model, 0.5), insert_gates])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
def test_without_a_recording_the_first_pass_refuses_them(put, trained, enabled):
    model = ReadsUnrecorded()
    model.read.requires_grad_(trained)
    put(model)
    twin = copy.deepcopy(model)
    for each in (model, twin):
        with (
            torch.set_grad_enabled(enabled),
            pytest.raises(ValueError, match=r"modules: got .*'read', whose weights are read past the call"),
        ):
            each(torch.randn(3, 4))
        assert {type(module._parameters) for module in each.modules()} == {dict}


def test_a_weight_that_a_hook_before_the_pass_reads_is_seen():
    class Tail(Branches):
        def forward(self, x):
            return self.last(torch.relu(self.called(x))) if float(x.detach().sum()) < 1e9 else x

    model = Tail()
    model.register_forward_pre_hook(lambda module, given: (functional.linear(given[0], module.read.weight),))
    insert_gates(model)
    with pytest.raises(ValueError, match=r"modules: got .*'read', whose weights are read past the call"):
        model(torch.randn(3, 4))


def test_a_pass_that_fails_or_is_interrupted_is_followed_by_one_that_looks():
    model = ReadsUnrecorded()
    insert_gates(model)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model(torch.randn(3, 5))

    def interrupt(*_):
        raise KeyboardInterrupt

    handle = model.last.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(torch.randn(3, 4))
    handle.remove()
    with pytest.raises(ValueError, match="read past the call"):
        model(torch.randn(3, 4))
    assert {type(module._parameters) for module in model.modules()} == {dict}


@pytest.mark.parametrize("put", [attach, insert_gates])
@pytest.mark.parametrize("training", [True, False])
def test_layers_that_are_called_or_not_needed_pass_and_nothing_is_left_behind(put, training):
    model = Branches().train(training)
    before = model(torch.ones(3, 4))["main"]
    handle = put(model)
    torch.testing.assert_close(model(torch.ones(3, 4))["main"], before, rtol=0, atol=0)
    handle.remove()
    assert hooks(model) == 0
    put(model).remove()
    assert hooks(model) == 0


def test_a_training_that_would_not_see_its_gates_refuses_before_it_has_begun():
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(32, 4, generator=rng)
    settings = {"loss": functional.mse_loss, "price": 0.0, "epochs": 1, "batch_size": 16, "rng": rng}
    assert train_participation(Reads(), inputs, inputs[:, :2], **settings).profile.shape == (1, 8)
    with pytest.raises(ValueError, match="read past the call"):
        train_participation(ReadsUnrecorded(), inputs, inputs[:, :2], **settings)
