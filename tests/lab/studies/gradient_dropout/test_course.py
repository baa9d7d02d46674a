"""The second picture of the law: what one way gives does not depend on the others, and a planted stretch is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from neurogames.bridge import initial_ensemble, shortcut_composition
from neurogames.lab import load_dataset, plant_shortcut, prepare
from neurogames.lab.studies.gradient_dropout.course import as_rows, composing_share, measure_course
from neurogames.lab.studies.gradient_dropout.course_figure import (
    fitted_stretch,
    hold_course,
    law_factor,
    plot_course,
)

SMALL = {"epochs": 3, "hidden": (6, 5), "times": [0.0, 0.3, 1.0]}


@pytest.fixture(scope="module")
def table():
    return prepare(load_dataset("diabetes"), rng=np.random.default_rng(0))


def planted_courses(factor):
    """Twelve seeds of a course up and down, and the same with time stretched."""
    time = np.linspace(0, 1, 41)
    rng = np.random.default_rng(0)
    plain, stretched = (0.4 + 6 * s * time * np.exp(-12 * s * time) for s in (1.0, factor))
    noise = rng.normal(0, 0.01, size=(2, 12, 1))
    courses = {"plain": plain + noise[0], "law": stretched + noise[1], "dropout": stretched + noise[1]}
    return xr.Dataset(
        {f"composing_{way}": (("seed", "time"), values) for way, values in courses.items()}, {"time": time}
    )


def test_a_way_gives_the_same_alone_and_in_company(table):
    together = measure_course(table, seed=3, **SMALL)
    for way in ("law", "plain", "dropout"):
        alone = measure_course(table, seed=3, ways=[way], **SMALL)
        np.testing.assert_array_equal(together[f"composing_{way}"], alone[f"composing_{way}"])
    assert together["composing_law"][0] == together["composing_plain"][0] == together["composing_dropout"][0]


def test_plain_is_any_way_at_keep_1(table):
    found = measure_course(table, seed=1, keep_prob=1.0, optimizer="sgd", **SMALL)
    xr.testing.assert_allclose(found["composing_plain"], found["composing_dropout"])
    xr.testing.assert_allclose(found["composing_plain"], found["composing_law"])


def test_the_share_is_that_of_the_last_hidden_layer(table):
    rows = as_rows(plant_shortcut(table, strength=0.9, rng=np.random.default_rng(0)))
    ensemble = initial_ensemble((11, 6, 5, 1), seeds=[0, 1])
    whole = shortcut_composition(ensemble, rows.broken_inputs, rows.test_targets).composing
    np.testing.assert_allclose(composing_share(ensemble, rows), whole[:, 6:].double().mean(dim=1))
    lost = ensemble.copy()
    lost.weights[0][1] = torch.nan
    assert np.isnan(composing_share(lost, rows)).tolist() == [False, True]


def test_an_unknown_way_is_refused(table):
    with pytest.raises(ValueError, match="^ways: got 'twin', expected some of plain, law, dropout, gaussian"):
        measure_course(table, seed=0, ways=["twin"])


@pytest.mark.parametrize("factor", [0.25, 0.6])
def test_a_planted_stretch_is_found(factor):
    found = fitted_stretch(planted_courses(factor))
    assert found.low <= found.factor <= found.high
    assert abs(found.factor - factor) < 0.02
    assert np.isnan(fitted_stretch(planted_courses(factor).isel(seed=[0])).factor)


def test_the_chain_that_holds_is_the_whole_chain_later():
    times, slow = hold_course(0.5, 0.5)
    _, fast = hold_course(1.0, 0.5)
    np.testing.assert_allclose(slow[::2], fast[:11], atol=0.01)
    assert times[-1] == 1.0
    assert law_factor(0.25, "adam") == 0.5


def test_the_figure_shows_each_course():
    courses = planted_courses(0.447)
    figure = plot_course(courses, keep_prob=0.2, optimizer="adam")
    training, game = figure.axes
    lines = {line.get_label(): line for line in training.get_lines()}
    np.testing.assert_allclose(lines["plain"].get_ydata(), courses["composing_plain"].mean("seed"))
    predicted = lines["predicted by the law"].get_ydata()
    stretched = lines["plain, time stretched"].get_ydata()
    np.testing.assert_allclose(stretched, predicted, atol=0.015)
    assert len(game.get_lines()) == 2
