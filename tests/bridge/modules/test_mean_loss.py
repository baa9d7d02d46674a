"""Weighted means as means over rows, for every way to say such a loss."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.modules.mean_loss import mean_over_rows

WEIGHT = torch.tensor([1.0, 3.0, 0.5])
LOSSES = {
    "module": (nn.CrossEntropyLoss(), -100),
    "module with weights": (nn.CrossEntropyLoss(weight=WEIGHT, ignore_index=2), 2),
    "log probabilities": (nn.NLLLoss(weight=WEIGHT), -100),
    "function": (functional.cross_entropy, -100),
    "function of log probabilities": (functional.nll_loss, -100),
    "function with weights": (partial(functional.cross_entropy, weight=WEIGHT), -100),
    "function with an ignored id": (partial(functional.nll_loss, ignore_index=1), 1),
}


@pytest.mark.parametrize(("loss", "ignored"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("tokens", [(), (5,)], ids=["one target a row", "five targets a row"])
def test_the_mean_over_rows_is_the_loss_of_all(loss, ignored, tokens):
    torch.manual_seed(0)
    outputs, targets = torch.randn(6, 3, *tokens), torch.randint(3, (6, *tokens))
    targets.view(-1)[::4] = ignored
    mean = mean_over_rows(loss, targets)
    rows = torch.stack([mean(outputs[row : row + 1], targets[row : row + 1]) for row in range(6)])
    halves = torch.stack([mean(outputs[:3], targets[:3]), mean(outputs[3:], targets[3:])])
    torch.testing.assert_close(rows.mean(), loss(outputs, targets))
    torch.testing.assert_close(halves.mean(), loss(outputs, targets))


@pytest.mark.parametrize(
    "loss",
    [nn.MSELoss(), nn.CrossEntropyLoss(reduction="sum"), partial(functional.cross_entropy, reduction="sum"), len],
    ids=["squares", "sum", "function of a sum", "another function"],
)
def test_other_losses_stay_as_they_are(loss):
    assert mean_over_rows(loss, torch.tensor([0, 1, -100])) is loss


def test_targets_that_all_count_alike_need_nothing():
    loss = nn.CrossEntropyLoss()
    assert mean_over_rows(loss, torch.tensor([0, 1, 2])) is loss
    assert mean_over_rows(loss, torch.rand(3, 3)) is loss


def test_targets_none_of_which_counts_are_refused_by_name():
    with pytest.raises(ValueError, match="labels: got 'targets none of which counts in the loss'"):
        mean_over_rows(nn.CrossEntropyLoss(), torch.tensor([-100, -100]), name="labels")
