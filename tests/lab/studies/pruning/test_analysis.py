"""Planted answers are found, and nothing is claimed that was not planted."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurogames.lab.studies.pruning import analysis, game_findings, verdicts
from tests.lab.studies.pruning.planted_results import planted_results


@pytest.fixture
def planted() -> xr.Dataset:
    return planted_results()


@pytest.fixture
def differences(planted):
    return analysis.difference_table(planted, rng=np.random.default_rng(0))


def of_the_paper(results: xr.Dataset) -> xr.Dataset:
    settings = {**results.attrs["settings"], "data": "mnist", "hidden": [512, 256]}
    return results.assign_attrs(settings=settings)


def test_who_was_planted_to_win_is_said_to_win_and_nobody_else(differences):
    claims = differences.set_index(["opponent", "unit_budget"])["claims"]
    for unit_budget in ("12", "4", analysis.ALL_SIZES):
        assert claims["from scratch", unit_budget] == "less"
        assert claims["magnitude", unit_budget] == "more"
        assert claims["random", unit_budget] == "more"
        assert claims["Taylor", unit_budget] == "none"
        assert claims["magnitude, matched layer widths", unit_budget] == "more"
        assert claims["Taylor, matched layer widths", unit_budget] == "less"


def test_differences_are_paired_by_seed_and_count_points(differences):
    row = differences.set_index(["opponent", "unit_budget"]).loc["magnitude", "4"]
    assert row["n"] == 3
    assert row["p"] == 0.25  # as low as three signs can go
    assert row["low"] < 3.0 < row["high"] or abs(row["difference"] - 3.0) < 0.05


def test_the_order_of_axes_does_not_matter(planted, differences):
    turned = planted.transpose(*reversed(list(planted.dims)))
    again = analysis.difference_table(turned, rng=np.random.default_rng(0))
    np.testing.assert_allclose(again[["difference", "low", "high"]], differences[["difference", "low", "high"]])
    assert game_findings.prediction_table(turned).equals(game_findings.prediction_table(planted))


def test_medians_stand_between_minimum_and_maximum(planted):
    table = analysis.method_table(planted)
    assert len(table) == 1 + 2 * 7
    assert (table["minimum"] <= table["accuracy"]).all()
    assert (table["accuracy"] <= table["maximum"]).all()
    assert table.iloc[0]["method"] == "dense"
    assert table["unit_budget"].tolist() == [30] + [12] * 7 + [4] * 7
    assert table.iloc[0]["accuracy"] == pytest.approx(97.5)
    assert table.iloc[0]["layers"] == "20-10"
    layers = table.set_index(["method", "unit_budget"])["layers"]
    assert layers["magnitude", 12] == layers["Taylor", 12] == "8-4"
    assert layers["random", 12] == "11-1"  # two of three seeds


def test_a_layer_with_one_unit_is_named_with_its_seeds(planted):
    sentence = verdicts.single_unit_sentence(planted)
    assert "are left magnitude with 4 (3 of 3) units; random with 12 (2 of 3) units:" in sentence
    planted["layer_units"].loc[{"method": ["from scratch", "equilibrium"]}] = 1  # the one has the other's shape
    sentence = verdicts.single_unit_sentence(planted)
    assert "are left equilibrium with 12 (3 of 3), 4 (3 of 3) units; magnitude with" in sentence
    planted["layer_units"] = planted["layer_units"] + 1
    assert verdicts.single_unit_sentence(planted) == "No method is left with a single unit in a layer."


def test_a_worth_below_the_fee_is_no_equilibrium(planted):
    table = analysis.equilibrium_table(planted).set_index("unit_budget")
    assert table.loc[12, "no_unit_leaves"] == 3  # a worth of exactly the fee stays
    assert table.loc[4, "no_unit_leaves"] == 2
    assert table.loc[4, "settled"] == 2
    sentence = verdicts.certificate_sentence(planted)
    assert "In 5 of 6 runs" in sentence
    assert "not in all with 4 units" in sentence
    assert "the smallest worth of a unit is 0.90 times what it pays" in sentence


def test_where_nobody_is_left_nobody_can_leave(planted):
    planted["worth_over_fee"] = planted["worth_over_fee"] * np.inf
    sentence = verdicts.certificate_sentence(planted)
    assert "In all 6 runs" in sentence
    assert "nan" not in sentence


def test_collapse_is_seen_where_it_was_planted(planted):
    assert "collapses in 3 of 3 seeds, at epoch 26" in verdicts.paper_sentence(planted, "Extreme Beta")
    assert "collapses in 1 of 3 seeds, at epoch 16" in verdicts.paper_sentence(planted, "L1+L2 Combined")
    assert "does not collapse within 30 epochs" in verdicts.paper_sentence(planted, "Very High Beta")


def test_a_residual_where_the_paper_stops_makes_it_a_stopping_time(planted):
    sentence = verdicts.stopping_sentence(planted)
    assert "at epoch 20 none (smallest residual 0.67), at epoch 30 none (smallest residual 0.50)" in sentence
    assert "decided by when one stops" in sentence
    assert "collapsed" not in sentence


def test_an_equilibrium_is_called_collapse_only_if_it_is(planted):
    planted["paper_residual"][:, 1, 25:] = 0.0
    sentence = verdicts.stopping_sentence(planted)
    assert "at epoch 30 3 (accuracy 10.0 to 10.0 %)" in sentence
    assert "Every equilibrium that was reached is a collapsed network." in sentence
    planted["paper_residual"][:] = 0.0
    sentence = verdicts.stopping_sentence(planted)
    assert "at epoch 20 12 (accuracy 10.0 to" in sentence
    assert "decided by when one stops" not in sentence
    assert "collapsed" not in sentence


def test_published_points_stand_beside_the_papers_network_only(planted):
    assert analysis.published(planted) == {}
    assert analysis.paper_table(planted)["published_accuracy"].isna().all()
    assert verdicts.published_sentences(planted) == []
    same = of_the_paper(planted)
    table = analysis.paper_table(same)
    rows = table[table["configuration"] == "Extreme Beta"].set_index("epoch")
    assert rows.loc[20, "published_accuracy"] == pytest.approx(91.15)
    assert np.isnan(rows.loc[30, "published_accuracy"])
    (sentence,) = verdicts.published_sentences(same)
    assert "L1 Sparsity Strong 89.57 % with 13 units, here 97.0" in sentence
    same["units"] = same["units"] * 100
    assert "no network so small" in verdicts.published_sentences(same)[0]


def test_published_numbers_are_those_of_table_1():
    removed = {"Very High Beta": 0.0, "Extreme Beta": 95.18, "L1 Sparsity Strong": 98.31, "L1+L2 Combined": 98.05}
    for name, (_, units) in analysis.PUBLISHED.items():
        assert round(100 * (1 - units / 768), 2) == pytest.approx(removed[name], abs=0.006)


def test_rank_correlation_and_size_are_told_apart(planted):
    table = game_findings.prediction_table(planted).set_index(["prediction", "profiles"])
    assert table.loc[("taylor", "all"), "spearman"] == pytest.approx(1.0)
    assert table.loc[("taylor", "all"), "predicted_over_real"] == pytest.approx(0.5)
    assert table.loc[("ablation", game_findings.SMALL), "predicted_over_real"] == pytest.approx(1.0)
    assert table.loc[("descent", "all"), "maximum"] < 0.7
    assert table.loc[("taylor", "all"), "on_test_rows"] < 0
    counting = table.loc[(game_findings.COUNTING, game_findings.LARGE), "spearman"]
    assert counting == pytest.approx(table.loc[("no interaction", game_findings.LARGE), "spearman"])
    assert counting < 1


def test_a_constant_prediction_has_no_rank(planted):
    planted["game_predicted"] = planted["game_predicted"] * 0.0
    table = game_findings.prediction_table(planted).set_index(["prediction", "profiles"])
    assert np.isnan(table.loc[("taylor", "all"), "spearman"])
    assert "not comparable with" in game_findings.ranking_sentence(planted, rng=np.random.default_rng(0))


def test_uniqueness_is_said_with_its_ground(planted):
    said = list(game_findings.game_table(planted)["unique"])
    assert said[0].startswith("not proved (smallest eigenvalue")
    assert said[1].startswith("proved (smallest eigenvalue 5.0e-01")
    assert said[2] == "not proved (Lanczos iteration did not converge)"


def test_sentences_say_who_wins_and_how_little_three_seeds_show(planted, differences):
    sentences = verdicts.pruning_verdicts(planted, differences, rng=np.random.default_rng(0))
    joined = "\n".join(sentences)
    assert "the equilibrium is less accurate than from scratch" in joined
    assert "the equilibrium is more accurate than magnitude" in joined
    assert "no difference in accuracy can be claimed between the equilibrium and Taylor at equal numbers" in joined
    assert "the equilibrium is less accurate than Taylor, matched layer widths (" in joined
    assert "3 seeds: a sign-flip test cannot go below p = 0.25" in joined
    assert all(sentence.endswith(".") for sentence in sentences)


def test_equal_differences_have_no_interval_and_no_claim(planted):
    planted["dense_accuracy"] = planted["accuracy"].sel({"method": "equilibrium", "unit_budget": 12}, drop=True)
    table = analysis.difference_table(planted, rng=np.random.default_rng(0)).set_index(["opponent", "unit_budget"])
    assert table.loc[("dense", "12"), "claims"] == "none"
    assert np.isnan(table.loc[("dense", "12"), "low"])
