"""Planted shortcuts: how often they agree in training, that they are loose where broken, and nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.images import Images, load_images
from neurogames.lab.data.preparation import prepare
from neurogames.lab.data.shortcut import plant_shortcut


def prepared(name):
    return prepare(load_dataset(name), rng=np.random.default_rng(0))


def coloured(rows=400, classes=4):
    pixels = torch.randn(2 * rows, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(2 * rows) % classes
    return Images("made", pixels[:rows], labels[:rows], pixels[rows:], labels[rows:], "made")


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9, 1.0])
def test_a_planted_number_has_the_correlation_asked_for(strength):
    data = prepared("diabetes")
    draws = [plant_shortcut(data, strength=strength, rng=np.random.default_rng(seed)) for seed in range(40)]
    found = [np.corrcoef(one.train_inputs[:, -1], one.train_targets)[0, 1] for one in draws]
    assert abs(np.mean(found) - strength) < 0.02
    broken = [np.corrcoef(one.broken_inputs[:, -1], one.test_targets)[0, 1] for one in draws]
    assert abs(np.mean(broken)) < 0.07
    for one in draws[:3]:
        np.testing.assert_array_equal(one.train_inputs[:, :-1], data.train_inputs)
        np.testing.assert_array_equal(one.broken_inputs[:, :-1], data.test_inputs)
        np.testing.assert_allclose(np.sort(one.broken_inputs[:, -1]), np.sort(one.test_inputs[:, -1]))
        assert (one.broken_inputs[:, -1] != one.test_inputs[:, -1]).mean() > 0.9  # at strength 1 equal targets tie


@pytest.mark.parametrize("strength", [0.0, 0.7, 1.0])
def test_a_planted_code_is_the_class_as_often_as_asked_for(strength):
    data = prepared("wine")
    right = []
    for seed in range(40):
        one = plant_shortcut(data, strength=strength, rng=np.random.default_rng(seed))
        right.append((one.train_inputs[:, -3:].argmax(axis=1) == one.train_targets).mean())
        assert one.train_inputs.shape[1] == data.train_inputs.shape[1] + 3
    assert abs(np.mean(right) - (strength + (1 - strength) / 3)) < 0.02


@pytest.mark.parametrize("kind", ["mark", "colour"])
def test_an_image_shows_its_code_and_keeps_the_rest(kind):
    data = coloured()
    one = plant_shortcut(data, strength=1.0, kind=kind, rng=np.random.default_rng(0))
    moved = one.train_inputs - data.inputs.numpy()
    for label in range(4):
        rows = moved[data.targets.numpy() == label]
        if kind == "colour":
            np.testing.assert_allclose(rows, np.broadcast_to(rows[:1, :, :1, :1], rows.shape), atol=1e-5)
        else:
            assert (rows != 0).any(axis=(0, 1)).sum() == 1
    shown = np.stack([moved[data.targets.numpy() == label].mean(axis=0) for label in range(4)])
    assert min(np.abs(shown[a] - shown[b]).max() for a in range(4) for b in range(a)) > 0.5
    assert one.broken_inputs.shape == data.test_inputs.shape
    assert not np.array_equal(one.broken_inputs, one.test_inputs)


def test_inputs_stay_and_the_same_seed_gives_the_same_shortcut():
    data = load_images("digits")
    before = data.inputs.clone()
    first, again = (plant_shortcut(data, strength=0.8, rng=np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(before, data.inputs)
    np.testing.assert_array_equal(first.broken_inputs, again.broken_inputs)


def test_bad_input_is_refused():
    rng = np.random.default_rng(0)
    for strength in (-0.1, 1.1, np.nan, "much", None):
        with pytest.raises(ValueError, match="^strength: got"):
            plant_shortcut(prepared("diabetes"), strength=strength, rng=rng)
    with pytest.raises(ValueError, match="^kind: got 'colour', expected 'mark'"):
        plant_shortcut(load_images("digits"), strength=0.5, kind="colour", rng=rng)
    with pytest.raises(ValueError, match="^kind: got 'mark', expected 'feature'"):
        plant_shortcut(prepared("diabetes"), strength=0.5, kind="mark", rng=rng)
    with pytest.raises(ValueError, match="^data: got 'list'"):
        plant_shortcut([1, 2], strength=0.5, rng=rng)
    with pytest.raises(ValueError, match="^data: got '50 classes'"):
        plant_shortcut(coloured(classes=50), strength=0.5, rng=rng)
