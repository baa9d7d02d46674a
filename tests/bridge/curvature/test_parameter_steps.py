"""What is done parameter by parameter, against the formulas in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.curvature.parameter_steps import check_setting, diagonal_direction, move


def draws(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_diagonal_is_the_running_average_of_squares_times_rows():
    memory, average = {}, None
    for step in range(4):
        slope = draws(5, seed=step)
        given, square = slope.clone(), slope.numpy() ** 2
        average = square if average is None else 0.95 * average + 0.05 * square
        found = diagonal_direction(memory, slope, 7, 0.3)
        np.testing.assert_allclose(found, slope.numpy() / (7 * average + 0.3), rtol=1e-12)
        assert torch.equal(slope, given)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_a_move_decays_the_weights_and_follows_the_momentum(momentum, decay):
    parameters = [nn.Parameter(draws(2, 3, seed=0)), nn.Parameter(draws(3, seed=1)), nn.Parameter(draws(1, seed=2))]
    still = parameters[2].detach().clone()
    expected = [each.detach().numpy().copy() for each in parameters[:2]]
    group = {"lr": 0.1, "momentum": momentum, "weight_decay": decay, "params": parameters}
    memories, sums = {each: {} for each in parameters}, [0.0, 0.0]
    for step in range(3):
        directions = {each: draws(*each.shape, seed=10 * step + k) for k, each in enumerate(parameters[:2])}
        given = [each.clone() for each in directions.values()]
        with torch.no_grad():
            move(group, directions, memories)
        assert all(map(torch.equal, directions.values(), given))
        for k, direction in enumerate(given):
            sums[k] = momentum * sums[k] + direction.numpy()
            expected[k] = (1 - 0.1 * decay) * expected[k] - 0.1 * sums[k]
            np.testing.assert_allclose(parameters[k].detach(), expected[k], rtol=1e-12)
    assert torch.equal(parameters[2], still)  # it has no direction
    assert memories[parameters[2]] == {}
    with torch.no_grad():
        move(group, {}, memories)
    np.testing.assert_allclose(parameters[0].detach(), expected[0], rtol=1e-12)


def test_settings_at_the_ends_of_their_ranges():
    for key, least in (("lr", 0.0), ("weight_decay", 0.0), ("momentum", 0.0), ("damping", 1e-300)):
        check_setting(key, least)
        with pytest.raises(ValueError, match=f"^{key}: got"):
            check_setting(key, -1e-300)
    for key, value in (("damping", 0.0), ("momentum", 1.0)):
        with pytest.raises(ValueError, match=f"^{key}: got"):
            check_setting(key, value)
    check_setting("another", "thing")  # of a setting that is not known nothing is asked
