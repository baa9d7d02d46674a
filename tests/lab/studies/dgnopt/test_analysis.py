"""The analysis of the study of DGNOpt on planted results, whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from neurogames.lab.inference.statistics import holm_adjusted
from neurogames.lab.studies.dgnopt import verdicts
from neurogames.lab.studies.dgnopt.analysis import (
    accuracy_table,
    claim_table,
    cost_table,
    price_table,
    structure_table,
)
from neurogames.lab.studies.dgnopt.control_tables import alignment_table, large_table, player_table, stability_table
from neurogames.lab.studies.dgnopt.page import dgnopt_page
from tests.lab.studies.dgnopt.planted_results import PLANTED, planted_results


@pytest.fixture(scope="module")
def results():
    return planted_results()


def test_the_claim_is_judged_on_test_rows_between_what_held_out_rows_chose(results):
    table = claim_table(results).set_index("network")
    residual = table.loc["residual"]
    assert (residual["game"], residual["opponent"], residual["outcome"]) == ("feedback", "SOAP", "better")
    ends = 100 * results["accuracy"].sel(network="residual", step=12)
    apart = (ends.sel(optimizer="feedback") - ends.sel(optimizer="SOAP")).values
    assert residual["difference"] == pytest.approx(apart.mean())
    p = [scipy.stats.ttest_1samp(apart, 0).pvalue, table.loc["cooperative", "p"]]
    np.testing.assert_allclose(table["p_holm"], holm_adjusted(p), rtol=1e-9)
    cooperative = table.loc["cooperative"]
    assert (cooperative["opponent"], cooperative["outcome"]) == ("EKFAC", "no difference claimed")
    # Of equal held-out accuracies the earlier structure is chosen.
    assert cooperative["game"] == "feedback"


def test_structures_are_set_against_the_open_loop(results):
    table = structure_table(results).set_index(["network", "structure"])["outcome"]
    assert table["residual"].to_list() == ["better", "no difference claimed", "worse"]


def test_accuracies_have_the_error_that_the_test_rows_leave(results):
    row = accuracy_table(results).set_index(["network", "method"]).loc[("residual", "feedback")]
    assert row["accuracy"] == pytest.approx(93, abs=0.1)
    assert row["binomial"] == pytest.approx(100 * np.sqrt(0.93 * 0.07 / 400), rel=0.01)
    assert row["minus_opponent"] == pytest.approx(2, abs=0.2)


def test_costs_are_ratios_to_the_first_time_at_the_target(results):
    table = cost_table(results, PLANTED.target).set_index(["network", "cost"])
    ratios = table["ratio"]["residual"]
    assert ratios["steps"] == pytest.approx(0.5)
    assert ratios["seconds"] == pytest.approx(0.65)
    assert ratios["operations"] == pytest.approx(0.5)
    # One seed of six misses .8 in the cooperative network until its end, and is a sixth.
    assert table.loc[("cooperative", "steps"), "missed"] == 1
    late = cost_table(results, 0.84).set_index(["network", "cost"])
    assert late.loc[("cooperative", "steps"), "missed"] == 1
    assert set(cost_table(results, 0.95)["outcome"]) == {"not decided"}


def test_prices_are_over_ekfac(results):
    table = price_table(results, PLANTED.target).set_index(["network", "method"])
    assert table.loc[("residual", "feedback"), "over_ekfac"] == pytest.approx(1.3)
    assert table.loc[("residual", "feedback"), "steps"] == 4
    assert table.loc[("residual", "SGD"), "reached"] == 6
    sentence = verdicts.runtime_sentence(table.reset_index())
    assert "supported in 2 of 4" in sentence


def test_feedback_must_beat_both_controls_where_sgd_is_short(results):
    table = stability_table(results)
    large = table.set_index(["way", "control", "rate"])["large"]
    assert not large["ekfac, feedback"]["ekfac, open loop"][0.1]
    assert large["ekfac, feedback"]["ekfac, open loop"][1.0]
    outcome = table.set_index(["way", "control", "rate"])["outcome"]
    assert outcome["ekfac, feedback"]["ekfac, open loop"].to_list()[1:] == ["better", "worse"]
    assert outcome["ekfac, feedback"]["SGD as long as ekfac"].to_list()[1:] == ["better", "no difference claimed"]
    assert outcome["identity, feedback"]["SGD"][2.0] == "worse"
    # Of the four large cells only one beats both.
    assert "supported in 1 of 4" in verdicts.stability_sentence(table, large_table(results))


def test_players_are_explained_where_every_seed_agrees(results):
    table = player_table(results)
    assert table["same"].to_list() == [6, 6, 6, 6, 6, 5, 6, 6]
    sentence = verdicts.player_sentence(table)
    assert "curvature identity they are explained by the rate times N" in sentence
    assert "curvature ekfac they are not fully explained by the damping over N" in sentence
    assert "N = 6: not reached" in sentence


def test_the_bandit_must_beat_all_three(results):
    table = alignment_table(results).set_index("control")["outcome"]
    assert table["random"] == "better"
    assert table["fixed"] == table["shuffled rewards"] == "no difference claimed"
    sentence = verdicts.alignment_sentence(alignment_table(results), 0.1, 4)
    assert "(4 in the residual network): not supported" in sentence
    assert "no gain can be claimed over shuffled rewards" in sentence
    chance = alignment_table(results).assign(accuracy=10.0)
    assert "not tested, since hardly a network learnt" in verdicts.alignment_sentence(chance, 0.1, 4)


def test_the_page_answers_first_and_has_every_claim(results):
    page = dgnopt_page(results, PLANTED)
    assert page.answer.endswith("in 1 of 2 networks, and less accurate in none (corrected p < .05).")
    assert page.lead is not None
    assert page.lead.name == "accuracy"
    assert [sentence.split(":")[0].split(" (")[0].split(",")[0] for sentence in page.verdicts] == [
        "Accuracy",
        "Structures",
        "Cost to 80 % on test rows",
        "Stability at large steps",
        "Fictitious players",
        "Alignments that a bandit chooses",
        "A step takes at most 1.4 times as long as one of EKFAC",
    ]
    assert "supported in 1 of 2" in page.verdicts[0]
    assert "residual (5000 parameters)" in page.subtitle
    assert page.notes == []
