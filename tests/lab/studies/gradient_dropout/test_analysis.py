"""The verdicts of the search on planted results: annealing only where the rules that were registered say so."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.lab.inference.statistics import holm_adjusted
from neurogames.lab.studies.gradient_dropout.analysis import (
    ANNEALING,
    NO_DIFFERENCE,
    NOT_AT_EQUAL_FIT,
    NOT_DECIDED,
    WORSE,
    law_at_equal_fit,
    pooled_table,
    search_table,
)
from neurogames.lab.studies.gradient_dropout.law_tables import course_table, distance_table, layer_table
from neurogames.lab.studies.gradient_dropout.page import gradient_dropout_page
from neurogames.lab.studies.gradient_dropout.verdicts import answer
from tests.lab.studies.gradient_dropout.planted_results import SETTINGS, planted_search


@pytest.fixture(scope="module")
def results():
    return planted_search()


@pytest.fixture(scope="module")
def cells(results):
    return search_table(results)


def test_every_kind_of_cell_is_told(cells):
    expected = [ANNEALING, NOT_AT_EQUAL_FIT, WORSE, NO_DIFFERENCE, NOT_DECIDED, NO_DIFFERENCE]
    for name in SETTINGS.data:
        assert cells.loc[cells["dataset"] == name, "outcome"].tolist() == expected
    assert cells.loc[cells["outcome"] == NOT_DECIDED, "n"].tolist() == [10, 10]
    assert (cells["p_holm"] >= cells["p"]).where(cells["outcome"] != NOT_DECIDED, True).all()
    assert (cells["minus_gaussian"].abs() < 1e-12).all()


def test_the_answer_counts_them(cells):
    text = answer(cells)
    assert "gradient dropout anneals in 2 of 12 cells" in text
    assert "in 2 its error is lower, but not at equal fit" in text
    assert "in 2 it is worse than its law" in text
    nothing = answer(cells[cells["outcome"] == NO_DIFFERENCE])
    assert "anneals in none of 4 cells" in nothing
    assert "in none it is worse" in nothing


def test_equal_fit_is_the_first_crossing(results):
    found = law_at_equal_fit(results)
    one = results.isel(dataset=0, seed=3, strength=0, recipe=1, batch_size=0, keep_prob=0)
    fit, broken = one["fit_law"].values, one["broken_law"].values
    by_hand = np.interp(-0.5, -fit, broken)
    assert found.isel(dataset=0, seed=3, strength=0, recipe=1, batch_size=0, keep_prob=0) == pytest.approx(by_hand)
    lower = results.copy(deep=True)
    lower["fit_dropout"][..., -1] = 0.01
    np.testing.assert_allclose(law_at_equal_fit(lower), results["broken_law"].isel(fit_time=-1))
    higher = results.copy(deep=True)
    higher["fit_dropout"][..., -1] = 5.0
    np.testing.assert_allclose(law_at_equal_fit(higher), results["broken_law"].isel(fit_time=0))


def test_the_average_is_over_tables_only(results, cells):
    pooled = pooled_table(results)
    assert len(pooled) == 6
    numbers = cells[cells["dataset"] == "numbers"].reset_index(drop=True)
    np.testing.assert_allclose(pooled["difference"], numbers["difference"])
    assert pooled["n"].tolist() == [16, 16, 16, 16, 10, 16]


def test_holm_is_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(7) ** 3
        adjusted = holm_adjusted(p)
        for level in (0.01, 0.05, 0.2):
            rejected = np.zeros(7, dtype=bool)
            for rank, place in enumerate(np.argsort(p)):
                if p[place] > level / (7 - rank):
                    break
                rejected[place] = True
            np.testing.assert_array_equal(adjusted <= level, rejected)
    assert holm_adjusted([]).shape == (0,)


def test_tables_of_the_law(results):
    distances = distance_table(results)
    assert distances["dataset"].unique().tolist() == ["numbers"]
    np.testing.assert_allclose(distances["slope"], 0.5, atol=0.03)
    by_hand = [
        np.polyfit(np.log(results["step"]), np.log(results["distance_law"][0, seed, 0]), 1)[0] for seed in range(16)
    ]
    assert distances["slope"][0] == pytest.approx(np.mean(by_hand))
    assert ((distances["low"] < distances["slope"]) & (distances["slope"] < distances["high"])).all()
    layers = layer_table(results, SETTINGS)
    np.testing.assert_allclose(layers["ratio"], 1.0, atol=0.03)
    courses = course_table(results, SETTINGS)
    assert courses["largest_distance"].max() == 0.0
    np.testing.assert_allclose(courses["stretch"].dropna(), 1.0)


def test_the_page_shows_all_outcomes(results):
    page = gradient_dropout_page(results, SETTINGS)
    assert page.lead is not None
    axis = page.lead.drawing.axes[0]
    assert len(axis.get_yticklabels()) == 6
    assert {text.get_text() for text in page.lead.drawing.legends[0].get_texts()} == {
        ANNEALING,
        NOT_AT_EQUAL_FIT,
        WORSE,
        NO_DIFFERENCE,
        NOT_DECIDED,
    }
    assert "12 of 192 networks with masks diverged" in page.notes[0]
    assert page.verdicts[0].startswith("Annealing: found in some cells, but in as many or more it is worse.")
    assert "(SGD): supported." in page.verdicts[6]
