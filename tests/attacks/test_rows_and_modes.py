"""Rows of odd kinds, weights of odd kinds, and modes of torch: what the bridge does with a network says so, or does it.

A member either answers or refuses in one line that names the argument. No mode of the caller changes a number.
"""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch

from tests.bridge.cases import CASES
from tests.bridge.laws import FUNCTIONS, TIMED, TRAINERS
from tests.bridge.test_laws import equal, numbers

# The caller's own pass through the network, to which torch answers itself.
OWN_PASS = {"gates that come off", "gradient dropout that comes off", "mean feedback that comes off", "stack"}
MEMBERS = {name: member for name, member in (FUNCTIONS | TRAINERS).items() if name not in TIMED | OWN_PASS}
CASE = CASES["mlp"]


def made_in_inference(inputs, targets):
    with torch.inference_mode():
        return inputs.clone(), targets.clone()


def with_nan(inputs, targets):
    inputs = inputs.clone()
    inputs[-1, 0] = float("nan")
    return inputs, targets


ROWS = {
    "double": lambda x, y: (x.double(), y),
    "half": lambda x, y: (x.half(), y),
    "whole numbers": lambda x, y: (x.long(), y),
    "with gradients": lambda x, y: (x.clone().requires_grad_(), y),
    "strided": lambda x, y: (torch.stack([x, x], dim=-1)[..., 0], y),
    "without numbers": lambda x, y: (x.to("meta"), y),
    "sparse": lambda x, y: (x.to_sparse(), y),
    "of numpy": lambda x, y: (x.numpy(), y.numpy()),
    "lists": lambda x, y: (x.tolist(), y.tolist()),
    "one row": lambda x, y: (x[:1], y[:1]),
    "no row": lambda x, y: (x[:0], y[:0]),
    "made in inference mode": made_in_inference,
    "not finite": with_nan,
    "classes of 32 bits": lambda x, y: (x, y.int()),
    "classes as real numbers": lambda x, y: (x, y.double()),
    "classes in a column": lambda x, y: (x, y[:, None]),
    "a class too high": lambda x, y: (x, y + (torch.arange(len(y)) == len(y) - 1) * 100),
    "a class below zero": lambda x, y: (x, y - (torch.arange(len(y)) == len(y) - 1) * 100 - 1),
}


def frozen(model):
    return model.requires_grad_(False)


def with_a_nan(model):
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    return model


def copied_in_inference(model):
    with torch.inference_mode():
        return copy.deepcopy(model)


WEIGHTS = {
    "frozen": frozen,
    "made in inference mode": copied_in_inference,
    "double": lambda model: model.double(),
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "without numbers": lambda model: model.to("meta"),
    "not finite": with_a_nan,
}


@contextlib.contextmanager
def double_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


MODES = {
    "no grad": torch.no_grad,
    "inference": torch.inference_mode,
    "double by default": double_by_default,
    "deterministic": deterministic,
}


def refusal(name, model, data) -> str | None:
    """What is wrong with the answer of a member, if anything."""
    try:
        MEMBERS[name](model, CASE, data)
    except ValueError as error:
        if ": got " not in str(error) or "\n" in str(error):
            return f"{name}: {error}"
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}"
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_any_kind_are_taken_or_refused_by_name(kind):
    wrong = [refusal(name, CASE.model(), ROWS[kind](*CASE.data())) for name in MEMBERS]
    assert [each for each in wrong if each] == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_of_any_kind_are_taken_or_refused_by_name(kind):
    wrong = [refusal(name, WEIGHTS[kind](CASE.model()), CASE.data()) for name in MEMBERS]
    assert [each for each in wrong if each] == []


@pytest.mark.parametrize("name", ["prune", "nash gap", "training, adam", "pathways", "interaction graph"])
def test_what_works_on_a_copy_takes_weights_that_were_made_in_inference_mode(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = numbers(MEMBERS[name](CASE.model(), CASE, CASE.data()))
        torch.manual_seed(0)
        assert equal(expected, numbers(MEMBERS[name](copied_in_inference(CASE.model()), CASE, CASE.data())))


@pytest.mark.parametrize("mode", MODES)
def test_no_mode_of_the_caller_changes_a_number(mode):
    for name, member in MEMBERS.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            expected = numbers(member(CASE.model(), CASE, CASE.data()))
            torch.manual_seed(0)
            model, data = CASE.model(), CASE.data()
            with MODES[mode]():
                found = numbers(member(model, CASE, data))
        assert equal(expected, found), name


@pytest.mark.parametrize("name", ["training, kfac", "training, ekfac", "training, dgnopt", "participation, fee"])
def test_a_training_within_autocast_goes_on(name):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert refusal(name, CASE.model(), CASE.data()) is None
