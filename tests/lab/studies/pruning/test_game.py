"""The game measured in the study is the game of the network, and its predictions are held against the network."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from neurogames.bridge.extraction.participation_game import participation_game
from neurogames.games.participation import ParticipationGame
from neurogames.lab.studies.pruning.game import (
    PREDICTIONS,
    at_price,
    game_equilibrium,
    measure_game,
    median_worth,
    random_profiles,
    real_rises,
    rises,
)
from neurogames.lab.studies.pruning.settings import PruningSettings

TINY = PruningSettings(
    data="digits",
    hidden=(8, 6),
    unit_budgets=(6, 3),
    seeds=2,
    epochs=3,
    paper_epochs=2,
    batch_size=16,
    rows=256,
    game_rows=128,
    profiles=6,
)


def test_profiles_remove_from_one_to_sixty_percent_of_units_of_any_kind():
    profiles = random_profiles(300, 400, torch.Generator().manual_seed(0))
    removed = (1 - profiles).sum(axis=1)
    assert removed[0] == 3
    assert removed[-1] == 180
    assert (np.diff(removed) >= 0).all()
    # Every unit is removed as often as another, within five standard deviations of independent draws.
    share = removed / 300
    deviation = np.sqrt((share * (1 - share)).sum())
    assert (np.abs((1 - profiles).sum(axis=0) - share.sum()) < 5 * deviation).all()
    assert (random_profiles(5, 3, torch.Generator().manual_seed(0))[0] == 0).sum() == 1


def test_predictions_are_exact_where_the_loss_is_quadratic():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2)).double()
    data = torch.randn(40, 4, dtype=torch.float64), torch.randn(40, 2, dtype=torch.float64)
    profiles = random_profiles(5, 4, torch.Generator().manual_seed(1))
    losses = []
    for profile in (np.ones(5), *profiles):
        hidden = model[0](data[0]) * torch.from_numpy(profile)
        losses.append(float(nn.functional.mse_loss(model[1](hidden), data[1]).detach()))
    expected = np.array(losses[1:]) - losses[0]
    for benefit in ("taylor", "ablation"):
        game = participation_game(model, nn.functional.mse_loss, data, benefit=benefit)
        np.testing.assert_allclose(rises(game, profiles), expected, rtol=1e-6)


def test_real_rises_are_those_of_networks_without_the_units():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    before = copy.deepcopy(model.state_dict())
    inputs, targets = torch.randn(50, 4), torch.randint(3, (50,))
    profile = np.array([1, 0, 1, 0, 0, 1.0])
    (found,) = real_rises(model, profile[None], inputs, targets)
    cut = copy.deepcopy(model)
    with torch.no_grad():
        cut[2].weight *= torch.from_numpy(profile).float()
        whole, less = (float(nn.functional.cross_entropy(one(inputs), targets)) for one in (model, cut))
    np.testing.assert_allclose(found, less - whole, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_equilibrium_carries_its_own_proof():
    game = ParticipationGame([1.0, 0.9, -0.5], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], 0.5, 0.1, 0.2)
    found = game_equilibrium(game)
    np.testing.assert_allclose(game.best_response(found.profile), found.profile, atol=1e-9)
    assert found.residual <= 1e-8
    assert found.unique
    assert list(found.dominated) == [0, 0, 1]
    assert found.anarchy >= 1


def test_another_price_changes_the_price_only():
    game = ParticipationGame([1.0, 2.0, 4.0], np.eye(3), 0.5, 0.0, 0.3, [0, 0, 1])
    other = at_price(game, 0.25)
    assert (other.price == 0.25).all()
    assert (other.benefit == game.benefit).all()
    assert (other.blocks == game.blocks).all()
    assert other.competition == game.competition
    assert median_worth(at_price(game, 100.0)) == 0.0


def test_a_repetition_measures_everything_and_repeats_itself():
    first, second = (measure_game(1, settings=TINY) for _ in range(2))
    timed = ["game_extraction_seconds", "game_solution_seconds"]
    assert first.drop_vars(timed).identical(second.drop_vars(timed))
    assert list(first["prediction"].values) == list(PREDICTIONS)
    assert first.sizes == {"unit": 14, "profile": 6, "prediction": 4}
    assert float(first["game_residual"]) < 1e-8
    assert not measure_game(2, settings=TINY)["game_real"].equals(first["game_real"])
