"""Figures are drawn from results alone, whatever has collapsed."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from neurogames.lab.figures import save_figure
from neurogames.lab.studies.pruning import plots
from neurogames.lab.studies.pruning.analysis import difference_table
from neurogames.lab.studies.pruning.measure import CONTROLS
from tests.lab.studies.pruning.planted_results import planted_results


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("against", ["units", "multiply_adds"])
def test_every_method_is_drawn_apart(against, tmp_path):
    figure = plots.plot_accuracy(planted_results(), against)
    assert [label for label in plots.METHOD_LOOKS if label not in labels(figure)] == []
    looks = [(look["marker"], str(look["linestyle"])) for look in plots.METHOD_LOOKS.values()]
    assert len(set(looks)) == len(looks)  # told apart without colours
    assert figure.axes[0].get_xscale() == "log"
    save_figure(figure, tmp_path, "accuracy")


def test_published_points_are_drawn_for_the_papers_network_only(tmp_path):
    results = planted_results()
    assert "paper, published" not in labels(plots.plot_accuracy(results, "units"))
    results.attrs["settings"] |= {"data": "mnist", "hidden": [512, 256]}
    figure = plots.plot_accuracy(results, "units")
    (hollow,) = [line for line in figure.axes[0].lines if line.get_label() == "paper, published"]
    assert sorted(hollow.get_xdata()) == [13, 15, 37, 768]
    assert hollow.get_markerfacecolor() == "none"
    assert "paper, published" not in labels(plots.plot_accuracy(results, "multiply_adds"))


def test_perfect_and_hopeless_accuracies_have_a_place(tmp_path):
    results = planted_results()
    results["accuracy"] = xr_like(results["accuracy"], np.linspace(0, 1, results["accuracy"].size))
    save_figure(plots.plot_accuracy(results, "units"), tmp_path, "wide")
    for constant in (0.0, 1.0):
        for name in ("accuracy", "dense_accuracy", "paper_accuracy"):
            results[name] = results[name] * 0 + constant
        figure = plots.plot_accuracy(results, "units")
        bottom, top = figure.axes[0].get_ylim()
        assert bottom < min(constant, 0.9995) < top  # errors below 0.0005 are drawn there
        save_figure(figure, tmp_path, "flat")


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.99), (0.72, 0.86), (0.91, 0.935)])
def test_accuracies_can_be_read_off_a_narrow_scale_too(low, high):
    results = planted_results()
    for name in ("accuracy", "dense_accuracy", "paper_accuracy"):
        results[name] = xr_like(results[name], np.linspace(low, high, results[name].size))
    axis = plots.plot_accuracy(results, "multiply_adds").axes[0]
    bottom, top = axis.get_ylim()
    assert 3 <= sum(bottom <= place <= top for place in axis.get_yticks()) <= 12


def test_differences_are_drawn_with_the_intervals_of_the_table(tmp_path):
    table = difference_table(planted_results(), rng=np.random.default_rng(0))
    figure = plots.plot_differences(table)
    assert labels(figure) == list(CONTROLS)
    for control, drawn in zip(CONTROLS, figure.axes[0].containers, strict=True):
        rows = table[table["opponent"] == control]
        line, _, (bars,) = drawn.lines
        np.testing.assert_allclose(np.asarray(line.get_ydata(), float), rows["difference"])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, rows[["low", "high"]])
    save_figure(figure, tmp_path, "differences")
    table[["low", "high"]] = np.nan  # as where all seeds agree
    save_figure(plots.plot_differences(table), tmp_path, "differences")


def test_epochs_and_predictions_are_drawn(tmp_path):
    results = planted_results()
    figure = plots.plot_paper(results)
    assert labels(figure) == list(plots.CONFIGURATION_LOOKS)
    save_figure(figure, tmp_path, "paper")
    figure = plots.plot_predictions(results)
    assert [axis.get_title() for axis in figure.axes[:4]] == list(plots.PREDICTION_TITLES.values())
    save_figure(figure, tmp_path, "predictions")


def xr_like(array, values):
    return array.copy(data=values.reshape(array.shape))
