from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from neurogames.lab.studies.comparison import analysis, differences, equal_error, verdicts
from neurogames.lab.studies.comparison.course import course_finding, course_table
from neurogames.lab.studies.comparison.settings import DROPOUT, LAW, PREDICTIONS, SHOWN, TRAININGS


def _controls(results: xr.Dataset) -> dict[str, dict[str, float]]:
    table = analysis.against_controls(results)
    return table.set_index("opponent").to_dict("index")


def _sentences(results: xr.Dataset) -> list[str]:
    return _said(results, analysis.correlations(results, rng=np.random.default_rng(0)))


def _said(results: xr.Dataset, correlated: pd.DataFrame) -> list[str]:
    return verdicts.comparison_verdicts(differences.effects(results), analysis.against_controls(results), correlated)


def test_where_less_work_explains_everything_only_the_plain_opponent_is_beaten(planted: xr.Dataset) -> None:
    rows = _controls(planted)
    assert rows["plain backpropagation"]["high"] < 0
    assert rows["plain backpropagation"]["difference"] == pytest.approx(
        -0.5, abs=0.01
    )  # keep runs from 0.1 to 0.9, plain is 1
    for control in (LAW, "reduced epochs", "reduced learning rate", "equal clean error"):
        assert rows[control]["low"] < 0 < rows[control]["high"]
        assert "No difference" in rows[control]["says"]


def test_a_real_advantage_is_seen_against_every_opponent(planted: xr.Dataset) -> None:
    better = planted.copy(deep=True)
    masked = {"training": "dropout", "keep_prob": better.keep_prob[:-1]}
    better["area"].loc[masked] -= 0.2
    rows = _controls(better)
    for opponent in verdicts.OPPONENTS:
        assert rows[opponent]["high"] < 0
        assert "flatter" in rows[opponent]["says"]
    assert "flatter still, as the paper's annealing would" in _sentences(better)[0]


def test_what_the_law_predicted_is_said_first_and_what_is_beyond_it_only_where_it_is(planted: xr.Dataset) -> None:
    assert "No effect beyond the law" in _sentences(planted)[0]
    worse = planted.copy(deep=True)
    worse["area"].loc[{"training": "dropout", "keep_prob": worse.keep_prob[:-1]}] += 0.2
    first = _sentences(worse)[0]
    assert first.startswith("It makes robustness curves flatter, by -30")
    assert "the law predicted -50" in first
    assert "steeper, against the paper's claim" in first


def test_the_law_and_what_is_beyond_it_make_the_whole_effect(planted: xr.Dataset) -> None:
    planted["area"].loc[{"seed": 2, "training": DROPOUT, "keep_prob": planted.keep_prob[3]}] = np.nan
    rows = differences.effects(planted).set_index("part")["difference"]
    assert rows["whole effect"] == pytest.approx(rows["by the law"] + rows["beyond the law"], abs=1e-12)


def test_an_interval_leaves_out_zero_exactly_where_the_test_says_so() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        found = differences.mean_difference(rng.normal(0.8, 1.0, size=int(rng.integers(2, 12))))
        excluded = found.low > 0 or found.high < 0
        assert excluded == (found.p_value < 0.05)
        seen.add(excluded)
    assert seen == {True, False}


def test_the_interval_of_a_mean_difference_is_students() -> None:
    values = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    found = differences.mean_difference(values)
    half = scipy.stats.t.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5)
    np.testing.assert_allclose([found.low, found.high], [values.mean() - half, values.mean() + half])
    assert differences.mean_difference([0.1, 0.1]).method == "none"
    assert differences.mean_difference([]).n == 0


def test_the_band_of_the_prediction_holds_what_it_was_made_for(planted: xr.Dataset) -> None:
    planted["predicted_area"] = planted["predicted_area"].copy(
        data=np.repeat(planted["area"].sel(training="reduced epochs").values[:, :, :, None], len(PREDICTIONS), axis=3)
    )
    rows = differences.predicted_and_measured(planted)
    np.testing.assert_allclose(rows["band_low"], rows["band_high"])
    off = 0.05 * np.random.default_rng(3).standard_normal(planted["predicted_area"].shape)
    off[:, :, :, 0] = 0.0
    planted["predicted_area"] = planted["predicted_area"] + off
    rows = differences.predicted_and_measured(planted)
    assert rows["inside"].all()
    planted["area"].loc[{"training": DROPOUT, "keep_prob": planted.keep_prob[:-1]}] += 0.3
    assert not differences.predicted_and_measured(planted)["inside"].any()


def test_the_run_is_the_unit_of_a_difference_and_the_setting_that_of_a_correlation(planted: xr.Dataset) -> None:
    assert _controls(planted)["reduced epochs"]["n"] == planted.sizes["seed"]
    table = analysis.correlations(planted, rng=np.random.default_rng(0))
    assert set(table["n"]) == {planted.sizes["keep_prob"]}
    assert len(table) == 3 * 2 * len(SHOWN)


def test_a_correlation_that_the_controls_share_is_said_to_be_shared(planted: xr.Dataset) -> None:
    table = analysis.correlations(planted, rng=np.random.default_rng(0))
    same = table[(table["simulated"] == "hold, one at a time") & (table["measured"] == "measured composition")]
    np.testing.assert_allclose(same["spearman"], 1.0)
    sentences = _said(planted, table)
    assert any(
        "reduced epochs and reduced learning rate, which the game does not model" in sentence for sentence in sentences
    )


def test_a_correlation_of_the_method_alone_is_not_said_to_be_shared(planted: xr.Dataset) -> None:
    alone = planted.copy(deep=True)
    rng = np.random.default_rng(5)
    for control in TRAININGS[1:]:
        part = alone["composition"].loc[{"training": control}]
        alone["composition"].loc[{"training": control}] = rng.permuted(part.values, axis=3)
    table = analysis.correlations(alone, rng=np.random.default_rng(0))
    sentences = _said(alone, table)
    about = [s for s in sentences if "(hold, one at a time) and measured composition" in s]
    assert len(about) == 1
    assert "positive association" in about[0]
    assert "does not model" not in about[0]


def test_the_scale_of_a_dataset_does_not_weigh(planted: xr.Dataset) -> None:
    large = planted.copy(deep=True)
    for name in ("area", "curve", "predicted_area", "predicted_curve"):
        large[name] = 1000.0 * large[name]
    large = large.assign_coords(dataset=["large"])
    scaled = [*differences.TRAINED, "baseline_curve", "baseline_area"]
    scaled += [f"predicted_{name}" for name in differences.TRAINED]
    both = xr.concat([planted[scaled], large[scaled]], dim="dataset")
    both = both.assign(exact=planted["exact"])
    both.attrs = planted.attrs
    alone, together = _controls(planted), _controls(both)
    for opponent in verdicts.OPPONENTS:
        assert together[opponent]["difference"] == pytest.approx(alone[opponent]["difference"], rel=1e-9)
        assert together[opponent]["n"] == 2 * alone[opponent]["n"]


def test_medians_ignore_diverged_runs(planted: xr.Dataset) -> None:
    hurt = planted.copy(deep=True)
    hurt["area"].loc[{"seed": 0}] = np.nan
    hurt["curve"].loc[{"seed": 0}] = np.nan
    rows = _controls(hurt)
    assert rows["plain backpropagation"]["n"] == planted.sizes["seed"] - 1
    assert analysis.settings_table(hurt)["area"].notna().all()


def test_tables_have_a_row_per_setting_and_per_baseline(planted: xr.Dataset) -> None:
    settings = analysis.settings_table(planted)
    assert len(settings) == len(SHOWN) * planted.sizes["keep_prob"]
    one = settings[(settings["training"] == "dropout") & (settings["keep_prob"] == 1.0)]
    assert one["clean mse"].item() == pytest.approx(
        float(planted["curve"].sel(keep_prob=1.0, training="dropout").isel(level=0).median())
    )
    assert list(analysis.baseline_table(planted)["baseline"]) == ["constant", "linear"]


@given(
    clean=st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=8),
    wanted=st.integers(-24, 24).map(lambda quarter: quarter / 4),
    seed=st.integers(0, 100),
)
def test_a_passage_lies_on_the_controls_path(clean: list[float], wanted: float, seed: int) -> None:
    path = np.array(clean)
    area = np.random.default_rng(seed).random(len(path))
    found = equal_error.area_at_equal_clean_value(np.full(len(path), wanted), path, area)
    inside = path.min() <= wanted <= path.max()
    if not inside:
        assert np.isnan(found).all()
    else:
        assert ((found >= area.min() - 1e-9) & (found <= area.max() + 1e-9)).all()


def test_a_straight_path_is_interpolated_like_numpy_does() -> None:
    clean, area = np.array([5.0, 3.0, 2.0, 1.0]), np.array([1.0, 2.0, 5.0, 6.0])
    wanted = np.array([4.0, 2.5, 1.5, 1.0])
    expected = np.interp(wanted, clean[::-1], area[::-1])
    np.testing.assert_allclose(equal_error.area_at_equal_clean_value(wanted, clean, area), expected)


def test_of_two_passages_the_one_nearest_in_keep_counts() -> None:
    clean, area = np.array([1.0, 0.0, 1.0, 2.0]), np.array([10.0, 20.0, 30.0, 40.0])
    found = equal_error.area_at_equal_clean_value(np.full(4, 0.5), clean, area)
    np.testing.assert_allclose(found, [15.0, 15.0, 25.0, 25.0])


def test_a_stretch_of_one_clean_value_is_equal_to_it_everywhere() -> None:
    clean, area = np.array([0.9, 0.9, 0.9, 0.5]), np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(
        equal_error.area_at_equal_clean_value(np.full(4, 0.9), clean, area), [1.0, 2.0, 3.0, 3.0]
    )


def test_flat_curves_everywhere_leave_nothing_to_be_said(planted: xr.Dataset) -> None:
    planted["area"][:] = 0.0
    planted["predicted_area"][:] = 0.0
    for row in _controls(planted).values():
        assert row["n"] == 0
        assert row["matched"] == 0.0
    sentences = _sentences(planted)
    assert all(sentence.startswith("Nothing can be said") for sentence in sentences[:5])
    assert "nan" not in " ".join(sentences[:5])


def test_an_opponent_that_is_often_missing_is_said(planted: xr.Dataset) -> None:
    better = planted["training"] == "dropout"
    planted["curve"] = planted["curve"] - 10.0 * (better & (planted["keep_prob"] < 0.55))
    rows = _controls(planted)
    assert rows["equal clean error"]["matched"] < 0.6
    share = f"an opponent for {100 * rows['equal clean error']['matched']:.0f} % of the networks"
    assert [share in sentence for sentence in _sentences(planted) if "equal clean error (" in sentence] == [True]


def test_what_the_p_value_does_not_allow_is_not_said_of_a_control(planted: xr.Dataset) -> None:
    rows = analysis.correlations(planted, rng=np.random.default_rng(0))
    said = "The same is found for reduced epochs and reduced learning rate"
    assert said in " ".join(_said(planted, rows))
    for training in ("dropout", *TRAININGS[1:]):
        hushed = rows.assign(claim=rows["claim"].where(rows["training"] != training, "none"))
        assert said not in " ".join(_said(planted, hushed))


def test_the_course_is_held_against_the_law_and_plain_training(planted: xr.Dataset) -> None:
    table = course_table(planted).set_index("opponent")
    gaps = (planted["composing_dropout"] - planted["composing_law"]).values[0, :, 0]
    assert table.loc["law", "difference"] == pytest.approx(gaps.mean())
    assert table.loc["law", "low"] < 0 < table.loc["law", "high"]
    assert table.loc["plain", "difference"] == pytest.approx(0.1 + gaps.mean())
    assert table.loc["plain", "largest"] == pytest.approx(0.2 + gaps.mean())
    assert table.loc["plain", "low"] > 0
    finding = course_finding(planted, course_table(planted))
    assert "annealing needs it above 0" in finding.text
    assert finding.number.startswith(f"share of composing units, measured minus law {100 * gaps.mean():+.1f} points")


def test_a_diverged_course_is_left_out(planted: xr.Dataset) -> None:
    hurt = planted.copy(deep=True)
    hurt["composing_dropout"][0, 0] = np.nan
    assert set(course_table(hurt)["n"]) == {planted.sizes["seed"] - 1}
