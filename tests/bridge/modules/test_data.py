"""The one check of data: what it takes, and that it says what is wrong, under the caller's names."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.modules.data import data_pair, finite_rows, matched_rows, trial_outputs, try_rows

WRONG_PAIRS = [
    ("no tensor", [1.0], torch.zeros(1), "inputs"),
    ("no axis of rows", torch.tensor(1.0), torch.zeros(1), "inputs"),
    ("no rows", torch.zeros(0, 2), torch.zeros(0), "inputs"),
    ("inputs not finite", torch.tensor([[1.0], [float("inf")]]), torch.zeros(2), "inputs"),
    ("targets not finite", torch.zeros(2, 1), torch.tensor([0.0, float("nan")]), "targets"),
    ("targets no tensor", torch.zeros(2, 1), None, "targets"),
    ("other number of rows", torch.zeros(3, 1), torch.zeros(2), "targets"),
]


@pytest.mark.parametrize(
    ("inputs", "targets", "part"), [case[1:] for case in WRONG_PAIRS], ids=[c[0] for c in WRONG_PAIRS]
)
def test_what_is_wrong_is_named_as_the_caller_named_it(inputs, targets, part):
    with pytest.raises(ValueError, match=f"^{part}: got"):
        matched_rows(inputs, targets)
    with pytest.raises(ValueError, match=f"^rows of data: got .{part}: "):
        data_pair((inputs, targets), name="rows of data")


@pytest.mark.parametrize("data", [torch.zeros(2), None, (torch.zeros(2),), (torch.zeros(2),) * 3])
def test_what_is_no_pair_is_refused(data):
    with pytest.raises(ValueError, match="^data: got .* expected a pair of tensors"):
        data_pair(data)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]
)
def test_every_dtype_of_finite_rows_passes_as_it_is(dtype):
    value = torch.ones(3, 2, dtype=dtype)
    assert torch.equal(finite_rows(value), value)
    assert finite_rows(value).data_ptr() == value.data_ptr()  # no copy of what may be large


def test_graphs_of_gradients_end_here_and_a_batch_can_be_asked_for():
    inputs = torch.ones(3, 2, requires_grad=True) * 2
    rows, _ = matched_rows(inputs, torch.zeros(3), minimum=3)
    assert not rows.requires_grad
    with pytest.raises(ValueError, match=r"^inputs: got 'shape \(3, 2\)', expected a tensor with at least 4 rows"):
        matched_rows(inputs, torch.zeros(3), minimum=4)


def test_a_trial_leaves_the_model_and_the_rows_as_they_were():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 3), nn.BatchNorm1d(3)).train()
    before = copy.deepcopy(model.state_dict())
    data = (-torch.ones(5, 2), torch.zeros(5, dtype=torch.int64))
    outputs, loss = try_rows(model, functional.cross_entropy, data)
    assert outputs.shape == (2, 3)
    assert loss.isfinite()
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert (data[0] == -1).all()


def test_outputs_need_rows_and_nothing_else():
    assert trial_outputs(nn.Flatten(0), torch.zeros(2, 1)).shape == (2,)
    for outputs in (torch.zeros(()), torch.zeros(3), [0.0, 0.0]):
        with pytest.raises(ValueError, match="^model: got 'outputs of .* for 2 rows'"):
            trial_outputs(lambda _, outputs=outputs: outputs, torch.zeros(2, 1))


@pytest.mark.parametrize(
    ("model", "loss", "data", "name"),
    [
        (nn.Linear(3, 1), functional.mse_loss, (torch.zeros(4, 2), torch.zeros(4, 1)), "inputs"),
        (nn.Linear(2, 1), functional.mse_loss, (torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, 1)), "inputs"),
        (nn.Embedding(3, 2), functional.mse_loss, (torch.full((4,), 7), torch.zeros(4, 2)), "inputs"),
        (nn.Flatten(0), functional.mse_loss, (torch.zeros(4, 2), torch.zeros(4, 2)), "network"),
        (nn.LSTM(2, 2), functional.mse_loss, (torch.zeros(4, 2), torch.zeros(4, 2)), "network"),
        (nn.Linear(2, 3), functional.cross_entropy, (torch.zeros(4, 2), torch.full((4,), 3)), "targets"),
        (nn.Linear(2, 3), functional.cross_entropy, (torch.zeros(4, 2), torch.zeros(4, 5)), "targets"),
        (nn.Linear(2, 3), nn.MSELoss(reduction="none"), (torch.zeros(4, 2), torch.zeros(4, 3)), "loss"),
        (nn.Linear(2, 3), lambda *_: 1.0, (torch.zeros(4, 2), torch.zeros(4, 3)), "loss"),
    ],
)
def test_a_trial_names_who_refuses_what(model, loss, data, name):
    with pytest.raises(ValueError, match=f"^{name}: got"):
        try_rows(model, loss, data, model_name="network")
    if name in ("inputs", "targets"):
        with pytest.raises(ValueError, match=f"^data: got .{name}: "):
            try_rows(model, loss, data, name="data")
