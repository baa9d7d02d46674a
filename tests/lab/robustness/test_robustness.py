"""Perturbations do what they say, and the game of networks against them is the matrix game written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn

from neurogames.lab import gradient_attack, perturbation, robustness_game
from neurogames.lab.figures import save_figure
from neurogames.lab.robustness.perturbations import IMAGE_KINDS, KINDS


def generator():
    return torch.Generator().manual_seed(0)


def images(rows=400):
    return torch.randn(rows, 1, 6, 6, generator=generator())


def test_levels_are_those_of_the_definition():
    inputs = 3 * torch.randn(20000, 4, generator=generator())
    for kind in ("noise", "uniform noise"):
        change = perturbation(kind, 0.5)(inputs, inputs, generator()) - inputs
        assert change.std() == pytest.approx(0.5 * float(inputs.std()), rel=0.02)
    bounded = perturbation("uniform noise", 0.5)(inputs, inputs, generator()) - inputs
    assert bounded.abs().max() <= 0.5 * 3**0.5 * inputs.std() * 1.001
    missing = perturbation("missing", 0.3)(inputs, inputs, generator())
    assert float((missing == inputs.mean()).double().mean()) == pytest.approx(0.3, abs=0.01)
    inverted = perturbation("contrast", 2.0)(inputs, inputs, generator())
    assert torch.allclose(inverted - inputs.mean(), inputs.mean() - inputs, atol=1e-5)


def test_images_are_turned_moved_hidden_and_blurred():
    inputs = images(3)
    turned = perturbation("rotation", 1.0)(inputs, inputs, generator())
    assert torch.equal(turned[0, 0], torch.from_numpy(np.rot90(inputs[0, 0].numpy()).copy()))
    nearly = perturbation("rotation", 0.9999)(inputs, inputs, generator())
    assert torch.allclose(nearly, turned, atol=0.02)
    moved = perturbation("translation", 0.5)(inputs, inputs, generator())
    assert torch.equal(moved[..., 3:], inputs[..., :3])
    assert (moved[..., :3] == inputs.min()).all()
    hidden = perturbation("occlusion", 0.5)(inputs, inputs, generator())
    assert (hidden[:, :, :3] == inputs.min()).all()
    assert torch.equal(hidden[:, :, 3:], inputs[:, :, 3:])
    constant = torch.full((1, 2, 5, 5), 1.5)
    assert torch.allclose(perturbation("blur", 1.0)(constant, constant, generator()), constant, atol=1e-6)
    dot = torch.zeros(1, 1, 9, 9)
    dot[0, 0, 4, 4] = 1.0
    blurred = perturbation("blur", 1.0)(dot, dot, generator())[0, 0]
    assert blurred[4, 5] / blurred[4, 4] == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert torch.allclose(blurred, blurred.T, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_no_level_changes_nothing_and_no_input_is_written_to(kind):
    inputs = images(2)
    kept = inputs.clone()
    assert torch.equal(perturbation(kind, 0.0)(inputs, inputs, generator()), kept)
    assert perturbation(kind, 0.5)(inputs, inputs, generator()).shape == inputs.shape
    assert torch.equal(inputs, kept)
    if kind in IMAGE_KINDS:
        with pytest.raises(ValueError, match="^inputs: got 'shape"):
            perturbation(kind, 0.5)(inputs.flatten(1), inputs, generator())


def test_attacks_stay_in_their_cube_and_raise_the_loss():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    inputs, classes = torch.randn(50, 5), torch.randint(3, (50,))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses = [nn.functional.cross_entropy(model(inputs), classes)]
    for steps in (1, 20):
        changed = gradient_attack(model, 0.5, steps=steps)(inputs, classes, generator())
        assert (changed - inputs).abs().max() <= 0.5 * inputs.std(correction=0) * 1.0001
        losses.append(nn.functional.cross_entropy(model(changed), classes))
    assert losses[0] < losses[1] < losses[2]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(part.grad is None for part in model.parameters())


def linear_networks():
    """Three networks, each of which looks at one feature; the class is the sign of all of them."""
    networks = {}
    for feature in range(3):
        networks[f"feature {feature}"] = model = nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            model.weight.zero_()
            model.weight[1, feature] = 1.0
            model.weight[0, feature] = -1.0
    return networks


def rows(count=300):
    classes = torch.randint(2, (count,), generator=generator())
    signs = (2.0 * classes - 1)[:, None]
    return signs * torch.rand(count, 3, generator=generator()) + 0.05 * signs, classes


def flip(feature, share):
    """Turns a feature's sign in the first rows."""

    def changed(inputs, _classes, _rng):
        inputs[: int(share * len(inputs)), feature] *= -1
        return inputs

    return changed


def test_the_game_is_solved_and_its_mixture_tried_on_fresh_perturbations(tmp_path):
    shares = (1.0, 0.5, 0.25)
    changes = {f"flip {j}": flip(j, share) for j, share in enumerate(shares)}

    def both(inputs, classes, rng):
        return flip(1, 0.5)(flip(0, 1.0)(inputs, classes, rng), classes, rng)

    fresh = {"none": lambda inputs, *_: inputs, "flip 0 and 1": both}
    game = robustness_game(linear_networks(), rows(), changes, fresh=fresh, resamples=20, rng=generator())
    payoffs = 1 - np.diag(shares)
    np.testing.assert_allclose(game.accuracy, payoffs, atol=1e-12)
    program = linprog(
        [0, 0, 0, -1],
        A_ub=np.hstack([-payoffs.T, np.ones((3, 1))]),
        b_ub=np.zeros(3),
        A_eq=[[1, 1, 1, 0]],
        b_eq=[1],
        bounds=[(0, None)] * 3 + [(None, None)],
    )
    assert game.value == pytest.approx(-program.fun, abs=1e-9)
    np.testing.assert_allclose(game.network_mixture, program.x[:3], atol=1e-7)
    np.testing.assert_allclose((game.network_mixture @ payoffs).min(), game.value, atol=1e-9)
    assert game.best_single == "feature 2"
    assert game.value_interval[0] <= game.value_interval[1]
    expected = np.array([game.network_mixture, [0, 0, 1], [1 / 3] * 3]) @ np.array([[1, 0], [1, 0.5], [1, 1]])
    np.testing.assert_allclose(game.fresh_accuracy, expected, atol=1e-12)
    table = game.to_dataframe()
    assert table["network"].tolist() == [*game.networks, "worst mixture"]
    np.testing.assert_allclose(table["probability"][:3], game.network_mixture)
    save_figure(game.plot(), tmp_path, "game")


def test_the_same_seed_gives_the_same_game_and_other_rows_are_used_for_what_is_fresh():
    noise = {"noise": perturbation("noise", 1.0)}
    networks, data, others = linear_networks(), rows(), (rows(50)[0], 1 - rows(50)[1])
    first, second = (
        robustness_game(networks, data, noise, fresh=noise, fresh_data=others, resamples=5, rng=generator())
        for _ in range(2)
    )
    assert np.array_equal(first.right, second.right)
    assert first.value_interval == second.value_interval
    assert (first.accuracy > 0.5).all()
    assert (first.fresh_accuracy < 0.5).all()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"networks": {}}, "^networks: got {}"),
        ({"networks": {"a": "no"}}, "^networks"),
        ({"networks": {"a": nn.Linear(3, 1)}}, "a logit for each of 2 classes"),
        ({"perturbations": {}}, "at least one perturbation"),
        ({"perturbations": {"cut": lambda x, *_: x[:1]}}, r"^perturbations\['cut'\]"),
        ({"perturbations": {"nan": lambda x, *_: x * torch.nan}}, r"^perturbations\['nan'\]"),
        ({"fresh": [1]}, "^fresh"),
        ({"data": (torch.ones(4, 3), torch.ones(4))}, "class ids"),
        ({"resamples": 1}, "^resamples"),
        ({"rng": np.random.default_rng(0)}, "^rng"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changed, expected):
    given = {"networks": linear_networks(), "data": rows(), "perturbations": {"a": flip(0, 1.0)}, "rng": generator()}
    given |= changed
    with pytest.raises(ValueError, match=expected) as error:
        robustness_game(given.pop("networks"), given.pop("data"), given.pop("perturbations"), **given)
    assert "\n" not in str(error.value)
