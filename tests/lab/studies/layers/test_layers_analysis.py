"""Tables, sentences and figures of the study of layers say what was planted, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.lab.runs.store import write_dataset
from neurogames.lab.studies.layers import analysis
from neurogames.lab.studies.layers.page import LAYERS_STUDY
from neurogames.lab.studies.study import write_report
from tests.lab.studies.layers.planted_results import ALL, PLANTED, SINGLE, planted_results


def said(results) -> list[str]:
    return LAYERS_STUDY.page(results, PLANTED).verdicts


def test_the_layer_with_the_largest_gain_is_looked_up():
    table = analysis.tuning_table(planted_results(), rng=np.random.default_rng(0)).set_index("policy")
    expected = {
        "gain": SINGLE[1],
        "check gain": SINGLE[3],
        "relative gradient": SINGLE[0],
        "last": SINGLE[3],
        "first": SINGLE[0],
        "random": np.mean(SINGLE),
        "all": ALL,
        "tried on check rows": SINGLE[1],
        "none": 0.5,
    }
    for policy, accuracy in expected.items():
        assert table.loc[policy, "accuracy"] == pytest.approx(100 * accuracy, abs=0.1)
    assert table.loc["last", "gain"] == pytest.approx(10, abs=0.1)
    assert table.loc["last", "check_gain"] == 0
    assert analysis.without_one_shift(planted_results(), "last")[0] == pytest.approx(10, abs=0.1)


def test_every_verdict_follows_the_planted_numbers():
    gain, check, freezing, one, ten, _, game, defence = said(planted_results())
    assert "largest gain on the adaptation rows: supported" in gain
    assert "largest gain on the check rows: contradicted" in check
    assert "supported; accuracy is not worse by 0.2 points and it saves seconds" in freezing
    assert "0.50 of the seconds" in freezing
    assert "(1 sweep): supported" in one
    assert "(10 sweeps): supported" in ten
    assert "value 67.5 %" in game
    assert "100% of the games" in game
    assert ": supported. Worst accuracy 70.0 %" in defence


def test_claims_fail_when_their_numbers_do():
    results = planted_results()
    results["tuning_gain"] = results["tuning_gain"].isel(layer=[1, 0, 2, 3]).assign_coords(layer=results["layer"])
    results["freezing_accuracy"][:, :, 1] -= 0.01
    results["predicted_ratio"] = 2 * results["eigenvalue_ratio"]
    results["fresh_accuracy"] = results["fresh_accuracy"].isel(policy=[1, 0, 2]).assign_coords(policy=results["policy"])
    gain, _, freezing, one, *_, defence = said(results)
    assert "adaptation rows: contradicted" in gain
    assert "not supported; accuracy is not shown to be no worse" in freezing
    assert "(1 sweep): contradicted" in one
    assert "fresh perturbations: contradicted" in defence


def test_the_page_is_written_from_results_alone(tmp_path):
    results = planted_results()
    write_dataset(results, tmp_path / "results.nc")
    finished = write_report(LAYERS_STUDY, tmp_path)
    page = finished.report.read_text(encoding="utf-8")
    assert page.count("<li>") >= len(finished.verdicts)
    assert {"tuning", "freezing", "steps", "course", "defence"} <= set(finished.tables)
    assert {f"{name}.png" for name in ("tuning", "freezing", "steps", "course", "defence")} <= {
        path.name for path in tmp_path.iterdir()
    }
