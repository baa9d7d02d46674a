"""Columns of the curvature at the outputs beside each row's Hessian, and losses that are told by their slope."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from neurogames.bridge.dgnopt.terminal import terminal_columns


def drawn(rows, classes, seed=0):
    outputs = torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2
    return outputs, torch.arange(rows) % classes


def slopes(loss, outputs):
    """n times the gradient of a mean over n rows."""
    y = outputs.clone().requires_grad_()
    loss(y).backward()
    return y.grad * len(outputs)


def hessians(loss, outputs, targets):
    return torch.stack(
        [
            torch.autograd.functional.hessian(lambda y, k=k: loss(y[None], targets[k : k + 1]), row)
            for k, row in enumerate(outputs)
        ]
    )


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_all_columns_make_the_hessian_of_cross_entropy_and_fewer_its_leading_part(rows, classes):
    outputs, targets = drawn(rows, classes)
    gradients = slopes(lambda y: functional.cross_entropy(y, targets), outputs)
    exact = hessians(functional.cross_entropy, outputs, targets)
    for rank in range(1, classes):
        columns = terminal_columns("cross_entropy", rank, outputs, gradients)
        assert columns.shape == (rank, rows, classes)
        values, vectors = torch.linalg.eigh(exact)
        leading = vectors[..., -rank:] @ torch.diag_embed(values[:, -rank:]) @ vectors[..., -rank:].mT
        torch.testing.assert_close(torch.einsum("kri,krj->rij", columns, columns), leading, rtol=0, atol=1e-12)
    for rank in (classes, classes + 1):
        with pytest.raises(ValueError, match=f"^terminal_rank: got {rank}, expected at most {classes - 1}, one less"):
            terminal_columns("cross_entropy", rank, outputs, gradients)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_columns_of_squares_make_the_hessian_of_their_mean(classes):
    outputs, targets = drawn(3, classes)[0], drawn(3, classes, seed=1)[0]
    gradients = slopes(lambda y: functional.mse_loss(y, targets), outputs)
    columns = terminal_columns("mse", classes, outputs, gradients)
    exact = hessians(functional.mse_loss, outputs, targets)
    torch.testing.assert_close(torch.einsum("kri,krj->rij", columns, columns), exact, rtol=0, atol=1e-12)
    for rank in (classes - 1, classes + 1):
        with pytest.raises(ValueError, match=f"^terminal_rank: got {rank}, expected {classes}, the number of outputs"):
            terminal_columns("mse", rank, outputs, gradients)


def test_the_gradient_is_a_column_of_outputs_of_any_form_and_the_others_need_rows_of_outputs():
    outputs = torch.zeros(3, 2, 2)
    assert terminal_columns("gradient", 1, outputs, outputs) is None
    for terminal in ("mse", "cross_entropy"):
        with pytest.raises(ValueError, match="^terminal: got .* outputs with 3 axes"):
            terminal_columns(terminal, 1, outputs, outputs)


def test_what_is_no_cross_entropy_is_refused_and_soft_labels_are_one():
    outputs, targets = drawn(4, 3)
    soft = torch.full((4, 3), 0.1, dtype=torch.float64)
    soft[torch.arange(4), targets] = 0.8
    terminal_columns("cross_entropy", 2, outputs, slopes(lambda y: functional.cross_entropy(y, soft), outputs))
    weights = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    p = outputs.softmax(dim=1)
    below, more = p - soft, p - soft
    below[0] += torch.tensor([0.0, 0.2, -0.2])  # a target of -0.1
    more[1] += 0.01  # targets that sum to 0.97
    others = (below, more, slopes(lambda y: functional.cross_entropy(y, targets, weight=weights), outputs))
    for gradients in others:
        with pytest.raises(ValueError, match="^loss: got 'a loss whose gradient is no softmax minus probabilities'"):
            terminal_columns("cross_entropy", 2, outputs, gradients)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("rows", [2, 4])
def test_a_sum_over_rows_is_told_from_its_gradient(rows, classes):
    outputs, targets = drawn(rows, classes)
    outputs[0] -= 5.0 * functional.one_hot(targets[0], classes)  # answered wrongly
    outputs[1] += 9.0 * functional.one_hot(targets[1], classes)  # rightly, which says nothing
    total = slopes(lambda y: functional.cross_entropy(y, targets, reduction="sum"), outputs)
    with pytest.raises(ValueError, match="^loss: got 'cross entropy summed over rows'"):
        terminal_columns("gradient", 1, outputs, total)
    # A row that fits no such sum says that it is none.
    total[0] += 0.3 * rows
    assert terminal_columns("gradient", 1, outputs, total) is None
    # Of one row, sum and mean are one.
    single = slopes(lambda y: functional.cross_entropy(y, targets[:1], reduction="sum"), outputs[:1])
    assert terminal_columns("gradient", 1, outputs[:1], single) is None


def test_a_sum_of_small_slopes_cannot_be_told():
    outputs = 3.0 * torch.eye(2, dtype=torch.float64)
    total = slopes(lambda y: functional.cross_entropy(y, torch.arange(2), reduction="sum"), outputs)
    assert (total / 2).abs().max() < 0.1
    assert terminal_columns("gradient", 1, outputs, total) is None
