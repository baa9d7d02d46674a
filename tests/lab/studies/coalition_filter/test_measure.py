"""One repetition: fair starts, equal densities, and maps that are what they are called."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from neurogames.bridge.coalition_filter.grad_cam import grad_cam
from neurogames.lab.studies.coalition_filter.maps import measure_examples, measure_maps
from neurogames.lab.studies.coalition_filter.measure import (
    build_arm,
    measure_neurogame,
    passed_share,
    study_images,
    train_arm,
)
from neurogames.lab.studies.coalition_filter.settings import CONTROLS, NeurogameSettings

TINY = NeurogameSettings(
    variants=((2, 0.5, 0.0, 1.0), (3, 0.8, 1.0, 1.0)), seeds=2, epochs=2, rows=128, test_rows=60, explained=8
)


@pytest.fixture(scope="module")
def images():
    """A few digits."""
    return study_images(TINY)


@pytest.fixture(scope="module")
def trained(images):
    """The filter in question, trained a little."""
    model = build_arm(TINY.filters[0], TINY, images, 0)
    return train_arm(model, images, TINY, 0)[0]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"variants": ()}, "variants"),
        ({"variants": ((2, 0.5, 0.0, 1.0),) * 2}, "variants"),
        ({"variants": ((2, 0.5),)}, "variants"),
        ({"variants": ((0, 0.5, 0.0, 1.0),)}, "window"),
        ({"variants": ((2, 0.0, 0.0, 1.0),)}, "top_p"),
        ({"variants": ((2, 0.5, 0.0, 2.0),)}, "g: got 2.0"),
        ({"seeds": 1}, "seeds"),
        ({"epochs": 0}, "epochs"),
        ({"rows": 3}, "rows"),
        ({"test_rows": 3}, "test_rows"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_wrong_settings_are_refused(wrong, expected):
    with pytest.raises(ValueError, match=expected):
        NeurogameSettings(**wrong)


def test_every_trunk_of_a_seed_starts_from_the_same_weights(images):
    starts = [build_arm(arm, TINY, images, 3).state_dict() for arm in (*TINY.filters, *CONTROLS)]
    for other in starts[1:]:
        assert all(torch.equal(value, other[name]) for name, value in starts[0].items())
    changed = build_arm(TINY.filters[0], TINY, images, 4).state_dict()
    assert not torch.equal(changed["convolution.weight"], starts[0]["convolution.weight"])


def test_masks_have_the_density_of_the_filter_in_question(images):
    shares = [
        passed_share(build_arm(arm, TINY, images, 0), images.test_inputs)
        for arm in (TINY.filters[0], "random mask", "magnitude mask", "no gate", "MLP")
    ]
    assert shares[0] == shares[1] == shares[2] < 0.6
    assert shares[3:] == [1.0, 1.0]


def test_training_ends_at_the_last_level_and_lowers_the_loss(images):
    plan = dataclasses.replace(TINY, epochs=6)
    model = build_arm(plan.filters[0], plan, images, 0)
    trained, history, seconds = train_arm(model, images, plan, 0)
    assert trained.gate.progress == 1.0
    assert history[-1][0] < history[0][0]
    assert seconds > 0
    assert all(0 < active <= 1 for *_, active in history)


def test_a_repetition_is_the_same_again():
    first, second = (measure_neurogame(1, settings=TINY).drop_vars("seconds") for _ in range(2))
    assert first.identical(second)
    assert list(first["arm"].values) == list(TINY.arms)
    assert np.isnan(first["agreement"].sel(map="Grad-CAM")).all()
    assert float(first["passed"].sel(arm="no gate")) == 1.0
    right = 60 * first["test_accuracy"].values  # of 60 test rows
    assert np.allclose(right, right.round())


def test_areas_are_those_of_the_mean_curves(trained, images):
    found = measure_maps(trained, images, 8, 0)
    share = found["share"].values
    assert np.allclose(np.trapezoid(found["score"].values, share), found["area"], atol=1e-6)
    # Whatever the order, all pixels are there before deletion and after insertion.
    assert np.allclose(
        found["score"].sel(curve="deletion", share=0.0), found["score"].sel(curve="insertion", share=1.0)
    )
    assert (found["agreed"] <= 8).all()
    assert abs(float(found["agreement"].sel(map="random"))) < 0.3


def test_examples_show_what_the_filter_computed(trained, images):
    shown = measure_examples(trained, images)
    inputs = images.test_inputs[:4]
    with torch.no_grad():
        activations = trained.activation(trained.convolution(inputs))
    report = trained.gate.explain(activations)
    assert np.allclose(shown["example"].sel(panel="image"), inputs[:, 0])
    assert np.array_equal(shown["example"].sel(panel="strong"), report.mask.sum(1))
    energy = shown["example"].sel(panel="energy").values
    assert np.allclose(energy[:, ::2, ::2], report.energy.sum(1))
    assert np.array_equal(energy[:, 1::2, 1::2], energy[:, ::2, ::2])
    classes = torch.from_numpy(shown["example_class"].values)
    cam = grad_cam(trained, trained.activation, inputs, classes)
    assert np.allclose(shown["example"].sel(panel="Grad-CAM"), cam)
