"""A saved model is pruned by the equilibrium of its game; what is said about it holds of the smaller model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.extraction.participation_game import participation_game
from neurogames.lab.data.images import load_images
from neurogames.lab.data.models import load_model, save_model
from neurogames.lab.studies.pruning.game import at_price
from neurogames.lab.studies.pruning.saved import prune_saved


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network 64-12-8-10, trained for a moment, as a file."""
    torch.manual_seed(0)
    images = load_images("digits")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images.inputs), images.targets).backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("models") / "net.pt"
    save_model(model, path)
    torch.save(model[1:].state_dict(), path.with_name("state.pt"))
    return path


def test_the_profile_is_an_equilibrium_of_the_models_game(saved):
    done = prune_saved(saved, "digits", price=0.02, rows=300)
    images = load_images("digits")
    data = images.inputs[:300], images.targets[:300]
    game = at_price(participation_game(load_model(saved).model, nn.functional.cross_entropy, data), 0.02)
    assert float(game.residual(done.equilibrium.profile)) < 1e-8
    stayed = done.equilibrium.profile >= 0.01
    assert done.units == (20, max(stayed[:12].sum(), 1) + max(stayed[12:].sum(), 1))


def test_numbers_are_those_of_the_smaller_model(saved):
    done = prune_saved(saved, "digits", rows=300)
    images = load_images("digits")
    with torch.no_grad():
        right = (done.pruned.model(images.test_inputs).argmax(dim=1) == images.test_targets).double().mean()
    assert done.accuracy[1] == pytest.approx(float(right))
    assert done.pruned.parameters[1] == sum(part.numel() for part in done.pruned.model.parameters())
    first, second = (len(kept) for kept in done.pruned.kept.values())
    assert done.multiply_adds == (64 * 12 + 12 * 8 + 8 * 10, 64 * first + first * second + second * 10)
    assert done.units[1] < done.units[0]
    assert done.speed > 0


def test_dominated_units_are_named_by_their_module_and_take_no_part(saved):
    done = prune_saved(saved, "digits", price=10.0, rows=300)
    assert done.dominated == {"1": list(range(12)), "3": list(range(8))}
    assert (done.equilibrium.profile == 0).all()


def test_without_a_price_nobody_is_charged(saved):
    done = prune_saved(saved, "digits", price=0.0, rows=300)
    assert done.rise[0] <= 1e-9  # the equilibrium is the greatest potential, at least that of the network as it was
    assert done.accuracy[1] > 0.5


def test_a_bare_state_takes_images_as_vectors(saved):
    files = {"net.pt": None, "state.pt": "relu"}
    one, other = (
        prune_saved(saved.with_name(name), "digits", rows=200, activation=between) for name, between in files.items()
    )
    assert other.source == "state_dict"
    np.testing.assert_allclose(other.equilibrium.profile, one.equilibrium.profile, atol=1e-5)
    assert other.units == one.units


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"price": -1.0}, "price: got -1"),
        ({"threshold": 2.0}, "threshold: got 2"),
        ({"rows": 0}, "rows: got 0"),
        ({"data": "cats"}, "data: got 'cats'"),
    ],
)
def test_wrong_options_are_refused(saved, options, expected):
    with pytest.raises(ValueError, match=expected):
        prune_saved(saved, **{"data": "digits", **options})


@pytest.mark.parametrize(
    "model",
    [nn.Sequential(nn.Linear(30, 4), nn.ReLU(), nn.Linear(4, 10)), nn.Sequential(nn.Flatten(), nn.Linear(64, 9))],
)
def test_a_model_of_other_data_is_refused(model, tmp_path):
    save_model(model, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="digits, images of 8 x 8"):
        prune_saved(tmp_path / "other.pt", "digits")
