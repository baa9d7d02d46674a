"""The planted task: what its features show, and what scrambling takes away."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.lab.data.planted import planted_task


def read_primitives(task):
    """The best guess of the classes from the primitives' features alone."""
    blocks = task.features[:, : task.first_mark].reshape(len(task.classes), task.primitives.shape[1], -1)
    return (blocks.mean(axis=2) > 0) @ 2 ** np.arange(task.primitives.shape[1])


def read_marks(task):
    marks = task.features[:, task.first_mark :].reshape(len(task.classes), 2 ** task.primitives.shape[1], -1)
    return marks.mean(axis=2).argmax(axis=1)


@pytest.mark.parametrize("shortcut", [0.0, 0.6, 1.0])
def test_primitives_tell_the_class_and_marks_tell_it_as_often_as_they_are_reliable(shortcut):
    task = planted_task(20_000, shortcut=shortcut, rng=np.random.default_rng(1))
    assert np.array_equal(task.classes, task.primitives @ [1, 2, 4])
    assert abs(np.mean(read_primitives(task) == task.classes) - 0.977**3) < 0.01
    assert np.mean(read_marks(task) == task.shortcut) > 0.999
    assert abs(np.mean(task.shortcut == task.classes) - (shortcut + (1 - shortcut) / 8)) < 0.01
    assert abs(np.corrcoef(task.primitives.T) - np.eye(3)).max() < 0.03


@pytest.mark.parametrize("part", ["shortcut", "primitives"])
def test_scrambling_loosens_one_part_and_leaves_the_other(part):
    task = planted_task(20_000, shortcut=1.0, rng=np.random.default_rng(2))
    before = task.features.copy()
    loose = task.scramble(part, rng=np.random.default_rng(3))
    assert np.array_equal(task.features, before)
    assert np.array_equal(loose.classes, task.classes)
    lost, kept = (read_marks, read_primitives) if part == "shortcut" else (read_primitives, read_marks)
    assert abs(np.mean(lost(loose) == loose.classes) - 1 / 8) < 0.01
    assert np.array_equal(kept(loose), kept(task))
    assert np.mean(read_marks(loose) == loose.shortcut) > 0.999


def test_the_same_seed_gives_the_same_rows():
    one, two = (planted_task(50, shortcut=0.5, rng=np.random.default_rng(4), n_primitives=2) for _ in range(2))
    assert np.array_equal(one.features, two.features)
    assert one.features.shape == (50, 2 * 4 + 4 * 4)
    assert one.features.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 0}, "rows: got 0"),
        ({"shortcut": 1.2}, r"shortcut: got 1.2, expected a reliability in \[0, 1\]"),
        ({"n_primitives": 7}, "n_primitives: got 7"),
        ({"noise": 0.0}, "noise: got 0.0"),
        ({"mark_noise": float("nan")}, "mark_noise: got nan"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        planted_task(**{"rows": 10, "shortcut": 0.5, "rng": np.random.default_rng(0), **arguments})


def test_scramble_refuses_other_words():
    task = planted_task(10, shortcut=0.5, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="part: got 'marks'"):
        task.scramble("marks", rng=np.random.default_rng(0))
