"""Tables and sentences say what was planted, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.lab.figures import save_figure
from neurogames.lab.studies.coalition_filter import plots
from neurogames.lab.studies.coalition_filter.analysis import arm_table, difference_table, map_differences, map_table
from neurogames.lab.studies.coalition_filter.verdicts import neurogame_verdicts
from tests.lab.studies.coalition_filter.planted_results import ACCURACY, TEST_LOSS, planted_results


def said(results) -> dict[str, str]:
    rng = np.random.default_rng(0)
    sentences = neurogame_verdicts(results, difference_table(results, rng=rng), map_differences(results, rng=rng))
    return {sentence.split(":")[0]: sentence for sentence in sentences}


def test_the_table_of_arms_has_means_and_shares():
    table = arm_table(planted_results()).set_index("arm")
    assert np.allclose(table["accuracy"], 100 * np.array(ACCURACY), atol=0.2)
    assert (table["low"] < table["accuracy"]).all()
    assert (table["high"] > table["accuracy"]).all()
    assert table.loc["2 x 2, top 0.5", "passed"] == pytest.approx(40)
    assert table.loc["no gate", "loss_gap"] == pytest.approx(0.2, abs=5e-3)


def test_differences_are_paired_and_know_which_direction_is_better():
    table = difference_table(planted_results(), rng=np.random.default_rng(0))
    table = table.set_index(["quantity", "filter", "opponent"])
    name = "2 x 2, top 0.5"
    assert table.loc[("accuracy", name, "no gate"), "difference"] == pytest.approx(2, abs=0.2)
    assert table.loc[("accuracy", name, "no gate"), "claims"] == "better"
    assert table.loc[("accuracy", name, "MLP"), "claims"] == "worse"
    assert table.loc[("test loss", name, "no gate"), "claims"] == "better"
    assert table.loc[("test loss", name, "MLP"), "claims"] == "worse"
    assert ("accuracy", name, name) not in table.index
    assert table.loc[("accuracy", "3 x 3, top 0.8", name), "claims"] == "better"


def test_a_filter_that_beats_every_control_of_its_trunk_is_said_to():
    words = said(planted_results())
    assert words["Better generalisation"].startswith("Better generalisation: supported here, against every control")
    assert words["Regularisation"].startswith("Regularisation: supported here against no gate")


def test_a_filter_that_loses_to_one_control_is_contradicted():
    words = said(planted_results(accuracy=(0.95, 0.97, 0.93, 0.80, 0.96, 0.98)))
    assert "contradicted here, worse than magnitude mask (95 % interval excludes 0)." in words["Better generalisation"]


def test_a_filter_that_is_like_a_control_is_not_said_to_be_better():
    results = planted_results()
    accuracy = results["test_accuracy"].transpose("seed", "arm", "epoch").values
    accuracy[:, 2] = accuracy[:, 0] + np.array([0.01, -0.01, 0.02, -0.02, 0.0])[:, None]
    assert "better than random mask and magnitude mask only" in said(results)["Better generalisation"]
    accuracy[:] = accuracy[:, :1]
    words = said(results)
    assert "no 95 % interval of a difference excludes 0" in words["Better generalisation"]
    assert "+0.00, no interval" in words["Better generalisation"]


@pytest.mark.parametrize(
    ("test", "train", "words"),
    [
        (0.50, 0.49, "the test loss is higher (95 % intervals exclude 0): it fits worse"),
        (0.40, 0.10, "contradicted here against no gate"),
        (0.29, 0.01, "contradicted here against no gate"),
        (0.20, 0.0, "not supported here against no gate"),
    ],
)
def test_a_narrow_gap_alone_is_no_regularisation(test, train, words):
    losses = [0.15, 0.05, 0.10, 0.55, 0.10, 0.02]
    losses[0] = train
    found = planted_results(test_loss=(test, *TEST_LOSS[1:]), train_loss=losses)
    if test == 0.20:  # a gap like that of no gate
        found["train_loss"][:, 0] = found["test_loss"][:, 0] - (found["test_loss"] - found["train_loss"])[:, 2]
    assert words in said(found)["Regularisation"]


def test_maps_are_compared_with_grad_cam_and_with_the_class():
    results = planted_results()
    table = map_table(results).set_index(["filter", "map"])
    assert table.loc[("2 x 2, top 0.5", "magnitude"), "agreement"] == pytest.approx(0.6, abs=0.02)
    words = said(results)
    agreement = words["Interpretability"]
    assert "more than a random map does, and less than plain magnitude does" in agreement
    faithful = words["Interpretability, does the predicted class depend on the pixels that the Shapley map names"]
    assert "worse against magnitude" in faithful
    assert "no claim against random" in faithful


def test_every_figure_can_be_drawn(tmp_path):
    results = planted_results()
    figure = plots.plot_accuracy(results)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(results["arm"].values)
    save_figure(figure, tmp_path, "accuracy")
    figure = plots.plot_losses(results)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "2 x 2, top 0.5",
        "no gate",
        "random mask",
        "magnitude mask",
        "MLP",
    ]
    save_figure(figure, tmp_path, "losses")
    save_figure(plots.plot_examples(results), tmp_path, "examples")
    save_figure(plots.plot_curves(results), tmp_path, "maps")


def test_flat_and_missing_numbers_are_drawn_too(tmp_path):
    results = planted_results()
    results["agreement"] = results["agreement"] * np.nan
    for name in ("test_accuracy", "test_loss", "train_loss"):
        results[name] = results[name] * 0 + 1.0
    results["example"] = results["example"] * 0
    for draw in (plots.plot_accuracy, plots.plot_losses, plots.plot_examples, plots.plot_curves):
        save_figure(draw(results), tmp_path, "flat")
    assert "some could not be computed" in said(results)["Interpretability, agreement with Grad-CAM (rank correlation)"]
