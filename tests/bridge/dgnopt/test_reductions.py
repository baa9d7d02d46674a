"""Theorem 6: without feedback and coupling the game's step is that of the optimizer whose curvature it has."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import EKFAC, KFAC, DGNOpt, DiagonalCurvature
from neurogames.bridge.curvature.layer_curvature import EKFACCurvature
from tests.bridge.dgnopt.networks import Cooperative, Inception, Residual

ADAM = DiagonalCurvature(decay=0.999, slope_decay=0.9, bias_correction=True)


def convolutional():
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)),
    )


CASES = {
    "chain with norms and dropout": (convolutional, (1, 4, 4)),
    "residual": (Residual, (3,)),
    "inception": (Inception, (1, 4, 4)),
}


def trained(build, shape, optimizer, steps=3, rows=6, dtype=torch.float64, seed=0, **schedule):
    """The model after some steps on one batch, and the optimizer.

    Three steps: each has a new eigenbasis. Later ones have an old one, in whose null space directions are arbitrary.
    """
    torch.manual_seed(seed)
    model = build().to(dtype)
    x, y = torch.randn(rows, *shape, dtype=dtype), torch.randint(3, (rows,))
    made = optimizer(model)

    def closure():
        made.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(steps):
        made.step(closure)
    return model, made


def assert_same(one: nn.Module, two: nn.Module, **tolerances):
    for (name, a), b in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, msg=lambda text, name=name: f"{name}: {text}", **tolerances)


PAIRS = {
    "gradient descent": (
        lambda m: DGNOpt(m, 0.1, feedback=False, curvature="identity"),
        lambda m: torch.optim.SGD(m.parameters(), 0.1),
    ),
    "momentum": (
        lambda m: DGNOpt(m, 0.1, feedback=False, curvature="identity", momentum=0.9),
        lambda m: torch.optim.SGD(m.parameters(), 0.1, momentum=0.9),
    ),
    "weight decay": (
        lambda m: DGNOpt(m, 0.1, feedback=False, curvature="identity", weight_decay=0.1),
        lambda m: torch.optim.SGD(m.parameters(), 0.1, weight_decay=0.1),
    ),
    "a second pass without feedback": (
        lambda m: DGNOpt(m, 0.1, curvature="identity", value="gauss-newton", feedback_scale=0.0),
        lambda m: torch.optim.SGD(m.parameters(), 0.1),
    ),
    "RMSprop": (
        lambda m: DGNOpt(m, 0.01, feedback=False, curvature="diagonal"),
        lambda m: torch.optim.RMSprop(m.parameters(), 0.01),
    ),
    "Adam": (
        lambda m: DGNOpt(m, 0.01, feedback=False, curvature=ADAM),
        lambda m: torch.optim.Adam(m.parameters(), 0.01),
    ),
    "KFAC": (
        lambda m: DGNOpt(m, 0.05, feedback=False, curvature="kfac"),
        lambda m: KFAC(m, 0.05, momentum=0.0),
    ),
    "EKFAC": (
        lambda m: DGNOpt(m, 0.05, feedback=False, curvature="ekfac", momentum=0.5, weight_decay=0.01),
        lambda m: EKFAC(m, 0.05, momentum=0.5, weight_decay=0.01),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("pair", PAIRS)
def test_the_open_loop_game_is_a_known_optimizer(pair, case):
    """Also through a second pass: dropout has the same masks, and running statistics move once."""
    ours, theirs = PAIRS[pair]
    assert_same(trained(*CASES[case], ours)[0], trained(*CASES[case], theirs)[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("curvature", ["identity", "diagonal"])
def test_cooperation_without_curvature_between_layers_is_open_loop(curvature):
    """(11) with P_uv = 0 and P_ux = 0."""
    found = [
        trained(Residual, (3,), partial(DGNOpt, feedback=False, cooperative=together, curvature=curvature))[0]
        for together in (False, True)
    ]
    assert_same(*found, rtol=0, atol=0)


@pytest.mark.parametrize("curvature", ["identity", "ekfac"])
def test_for_a_network_of_one_layer_at_a_time_feedback_nash_is_group_rationality(curvature):
    """With N = 1 there is nobody to cooperate with."""
    found = [
        trained(convolutional, (1, 4, 4), partial(DGNOpt, cooperative=together, curvature=curvature))[0]
        for together in (False, True)
    ]
    assert_same(*found, rtol=1e-9, atol=1e-12)


def test_a_network_of_one_layer_has_nothing_to_react_to():
    def linear():
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))

    found = [trained(linear, (2, 2), partial(DGNOpt, lr=0.5, feedback=fed))[0] for fed in (False, True)]
    assert_same(*found, rtol=0, atol=0)


@pytest.mark.parametrize("players", [2, 4, 6])
@pytest.mark.parametrize("together", [False, True])
def test_fictitious_players_of_gradient_descent_are_a_larger_rate(players, together):
    """Table 4: N players with identity curvature move N times as far, and nothing else."""
    build = convolutional, (1, 4, 4)
    ours = partial(
        DGNOpt, lr=0.02, feedback=False, cooperative=together, curvature="identity", fictitious_players=players
    )
    assert_same(
        trained(*build, ours)[0],
        trained(*build, lambda m: torch.optim.SGD(m.parameters(), 0.02 * players))[0],
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parametrize("players", [2, 5])
def test_fictitious_players_of_ekfac_are_a_lower_damping(players):
    """(S + damping / N)^-1, in the first step, since later ones differ in the path."""
    found = [
        trained(
            lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)),
            (3,),
            partial(DGNOpt, feedback=False, **settings),
            steps=1,
        )[0]
        for settings in (
            {"cooperative": True, "damping": 0.3, "fictitious_players": players},
            {"damping": 0.3 / players},
        )
    ]
    assert_same(*found, rtol=1e-8, atol=1e-11)


def test_whatever_the_structure_the_model_is_trained():
    """Each of the four structures with each curvature lowers the loss of a network with parallel layers."""
    for curvature in ("identity", "kfac", EKFACCurvature(refresh=3)):
        for feedback in (False, True):
            for cooperative in (False, True):
                make = partial(
                    DGNOpt, lr=0.02, damping=0.5, curvature=curvature, feedback=feedback, cooperative=cooperative
                )
                torch.manual_seed(0)
                model = Cooperative(blocks=1)
                x, y = torch.randn(8, 4), torch.randint(3, (8,))
                optimizer = make(model)
                losses = []
                for _ in range(5):

                    def closure(optimizer=optimizer, model=model, x=x, y=y):
                        optimizer.zero_grad()
                        loss = functional.cross_entropy(model(x), y)
                        loss.backward()
                        return loss

                    losses.append(optimizer.step(closure).item())
                assert losses[-1] < losses[0], (curvature, feedback, cooperative, losses)
                assert optimizer.skipped_steps == 0
                assert (optimizer.last_step.feedback > 0) == feedback
