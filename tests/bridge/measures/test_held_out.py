from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from neurogames.bridge.ensembles.networks import initial_ensemble
from neurogames.bridge.measures.ablation import ablation_composition, quantile_groups
from neurogames.bridge.measures.held_out import held_out_measures
from neurogames.bridge.measures.robustness import area_from_clean

INPUTS = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
NUMBERS = INPUTS[:, 0] + INPUTS[:, 1] ** 2
CLASSES = (NUMBERS > 1).long() + (NUMBERS > 2).long()


def measures(targets, **change):
    given = {"levels": [0, 0.5, 1.0], "rng": torch.Generator().manual_seed(1), **change}
    return held_out_measures(INPUTS, targets, **given)


def test_for_numbers_they_are_the_mean_squared_error_and_what_is_made_of_it():
    ensemble, found = initial_ensemble((3, 6, 5, 1), seeds=[0, 1]), measures(NUMBERS)
    outputs = ensemble(INPUTS)
    np.testing.assert_array_equal(found["predictions"](ensemble), outputs)
    error = (outputs[:, :, 0] - NUMBERS).square().mean(dim=1)
    np.testing.assert_allclose(found["loss"](ensemble), error, rtol=1e-6)
    groups = quantile_groups(NUMBERS, 5)
    level = ablation_composition(ensemble, INPUTS, NUMBERS, groups).level
    np.testing.assert_array_equal(found["composition"](ensemble), level)


def test_numbers_may_have_several_columns_the_first_of_which_makes_the_groups():
    both = torch.stack([NUMBERS, -INPUTS[:, 1]], dim=1)
    ensemble, found = initial_ensemble((3, 6, 5, 2), seeds=[0]), measures(both)
    level = ablation_composition(ensemble, INPUTS, both, quantile_groups(NUMBERS, 5)).level
    np.testing.assert_array_equal(found["composition"](ensemble), level)


def test_for_classes_they_are_the_cross_entropy_and_what_is_made_of_it():
    ensemble, found = initial_ensemble((3, 6, 3), seeds=[0, 1]), measures(CLASSES)
    expected = [functional.cross_entropy(outputs, CLASSES).item() for outputs in ensemble(INPUTS)]
    np.testing.assert_allclose(found["loss"](ensemble), expected, rtol=1e-5)
    assert found["robustness"](ensemble).shape == (2,)
    assert found["composition"](ensemble).shape == (2,)


def test_robustness_is_the_area_to_the_loss_without_noise_under_one_noise_for_all():
    ensemble, found = initial_ensemble((3, 6, 1), seeds=[0, 1]), measures(NUMBERS, repeats=400)
    first, again = (found["robustness"](ensemble) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    alone = [found["robustness"](ensemble.select([k]))[0] for k in (0, 1)]
    np.testing.assert_allclose(alone, first, rtol=1e-5)
    rng, spread = torch.Generator().manual_seed(9), INPUTS.std(dim=0, correction=0)
    curve = []
    for level in (0, 0.5, 1.0):
        noisy = [INPUTS + level * spread * torch.randn(INPUTS.shape, generator=rng) for _ in range(400)]
        errors = torch.stack([(ensemble(x)[:, :, 0] - NUMBERS).square().mean(dim=1) for x in noisy])
        curve.append(errors.mean(dim=0).numpy())
    np.testing.assert_allclose(first, area_from_clean([0, 0.5, 1.0], np.stack(curve, axis=1)), atol=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": NUMBERS[:-1]}, r"targets: got 'shape \(59,\)', expected a tensor with 60 rows"),
        ({"levels": [0.5, 1.0]}, "levels"),
    ],
)
def test_wrong_input_is_refused_before_any_training(change, message):
    with pytest.raises(ValueError, match=message):
        measures(**{"targets": NUMBERS, **change})
