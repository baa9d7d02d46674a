from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from neurogames.bridge import predict_training
from neurogames.lab.runs.store import read_dataset
from neurogames.lab.studies.comparison.course import measure_composing
from neurogames.lab.studies.comparison.page import COMPARISON
from neurogames.lab.studies.comparison.repetition import open_repetition, robustness_curves
from neurogames.lab.studies.comparison.settings import (
    DROPOUT,
    LAW,
    LAW_AND_NOISE,
    PREDICTIONS,
    REDUCED_EPOCHS,
    REDUCED_RATE,
    TRAININGS,
    ComparisonSettings,
)
from neurogames.lab.studies.study import FinishedStudy, default_folder, run_study, settings_of_run


def test_the_folder_holds_everything_that_is_promised(comparison: FinishedStudy, tiny: ComparisonSettings) -> None:
    names = {path.name for path in comparison.folder.iterdir()}
    figures = (
        "prediction",
        "course",
        "beyond",
        "predicted-composition",
        "simulation",
        "curves",
        "area",
        "equal-error",
        "composition",
        "correlations",
    )
    assert {f"{name}.{ending}" for name in figures for ending in ("png", "svg")} <= names
    assert {"results.nc", "report.html", "settings.toml", "controls.csv", "correlations.csv"} <= names
    assert settings_of_run(COMPARISON, comparison.folder) == tiny


def test_results_are_labelled_and_whole(comparison: FinishedStudy, tiny: ComparisonSettings) -> None:
    results = comparison.results
    assert list(results["training"].values) == list(TRAININGS)
    assert list(results["keep_prob"].values) == list(tiny.keep_probs)
    assert results["curve"].dims == ("dataset", "seed", "target_noise", "training", "keep_prob", "metric", "level")
    for name in ("curve", "area", "composition", "exact", "simulated", "baseline_curve"):
        assert np.isfinite(results[name]).all()
    xr.testing.assert_identical(results, read_dataset(comparison.folder / "results.nc"))


def test_at_keep_one_the_three_ways_of_training_are_one_network(comparison: FinishedStudy) -> None:
    curve = comparison.results["curve"].sel(keep_prob=1.0)
    for control in TRAININGS[1:]:
        np.testing.assert_array_equal(curve.sel(training=control), curve.sel(training=DROPOUT))
    other = comparison.results["curve"].sel(keep_prob=0.3)
    assert not np.allclose(other.sel(training=REDUCED_EPOCHS), other.sel(training=REDUCED_RATE))


def test_the_prediction_is_stored_before_any_network_with_a_mask_is_trained(comparison: FinishedStudy) -> None:
    stored = sorted((comparison.folder / "prediction" / "cells").iterdir())
    trained = sorted((comparison.folder / "training" / "cells").iterdir())
    assert len(stored) == len(trained) == 2
    assert max(path.stat().st_mtime_ns for path in stored) < min(path.stat().st_mtime_ns for path in trained)


def test_the_prediction_shares_its_plain_network_with_the_training(comparison: FinishedStudy) -> None:
    results = comparison.results
    plain = results["curve"].sel(training=DROPOUT, keep_prob=1.0)
    for prediction in PREDICTIONS:
        np.testing.assert_array_equal(results["predicted_curve"].sel(prediction=prediction, keep_prob=1.0), plain)
    other = results["predicted_curve"].sel(keep_prob=0.3)
    assert not np.allclose(other.sel(prediction=LAW), other.sel(prediction=LAW_AND_NOISE))
    assert not np.allclose(other.sel(prediction=LAW), results["curve"].sel(training=DROPOUT, keep_prob=0.3))


def test_the_law_is_what_the_bridge_predicts(comparison: FinishedStudy, tiny: ComparisonSettings) -> None:
    repetition = open_repetition("diabetes", 1, tiny)
    data = repetition.data
    predicted = predict_training(
        torch.from_numpy(data.train_inputs),
        torch.from_numpy(data.train_targets),
        seeds=[repetition.network_seed],
        hidden=tiny.hidden,
        keep_prob=0.3,
        epochs=tiny.epochs,
        batch_size=tiny.batch_size,
        learning_rate=tiny.learning_rate,
        measures={"curve": lambda ensemble: robustness_curves(ensemble, repetition, tiny)},
    )
    ours = comparison.results["predicted_curve"].sel(dataset="diabetes", seed=1, target_noise="none", keep_prob=0.3)
    np.testing.assert_allclose(ours.sel(prediction=LAW), predicted.law["curve"][0, 0], rtol=1e-6)
    np.testing.assert_allclose(ours.sel(prediction=LAW_AND_NOISE), predicted.noise["curve"][0, 0], rtol=1e-6)


def test_reduced_epochs_are_fewer_steps_in_proportion_to_keep(comparison: FinishedStudy) -> None:
    steps = comparison.results["steps"].isel(dataset=0, seed=0, target_noise=0)
    plain = float(steps.sel(training=DROPOUT, keep_prob=1.0))
    assert float(steps.sel(training=DROPOUT, keep_prob=0.3)) == plain
    assert float(steps.sel(training=REDUCED_RATE, keep_prob=0.3)) == plain
    assert float(steps.sel(training=REDUCED_EPOCHS, keep_prob=0.3)) == round(0.3 * plain)


def test_the_constant_baseline_is_flat_and_the_linear_one_is_least_squares(comparison: FinishedStudy) -> None:
    results = comparison.results
    assert float(np.abs(results["baseline_area"].sel(baseline="constant")).max()) < 1e-6
    r2 = results["baseline_curve"].sel(baseline="linear", metric="r2").isel(level=0)
    assert float(r2.min()) > 0.2


def test_neither_workers_nor_interruption_show_in_the_result(
    comparison: FinishedStudy, tiny: ComparisonSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(comparison.folder, folder)
    removed = sorted((folder / "training" / "cells").iterdir())[0]
    removed.unlink()
    (folder / "results.nc").unlink()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "training" / "cells").iterdir()}
    resumed = run_study(COMPARISON, tiny, folder, workers=1)
    assert removed.exists()
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    xr.testing.assert_identical(resumed.results, comparison.results)
    pd.testing.assert_frame_equal(resumed.tables["correlations"], comparison.tables["correlations"])
    two = run_study(COMPARISON, tiny, tmp_path / "two", workers=2)
    xr.testing.assert_identical(two.results, comparison.results)


def test_a_killed_comparison_resumes_to_the_identical_result(
    comparison: FinishedStudy, tiny: ComparisonSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    code = (
        "from neurogames.lab import ComparisonSettings, load_study, run_study\n"
        f"settings = ComparisonSettings.from_dict({tiny.to_dict()!r})\n"
        f"run_study(load_study('comparison'), settings, {str(folder)!r}, workers=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 120
    while not list(folder.glob("training/cells/*.nc")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(folder.glob("training/cells/*.nc"))
    xr.testing.assert_identical(run_study(COMPARISON, tiny, folder, workers=1).results, comparison.results)


def test_other_settings_do_not_go_into_the_same_folder(comparison: FinishedStudy, tiny: ComparisonSettings) -> None:
    with pytest.raises(ValueError, match="^epochs: got 4, expected 3, the setting of the run in"):
        run_study(COMPARISON, replace(tiny, epochs=4), comparison.folder)


def test_a_table_that_has_changed_is_another_run(tiny: ComparisonSettings, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    lines = [f"{row},{row * 7 % 11},{row * 3 % 17}" for row in range(60)]
    table.write_text("\n".join(["a,b,y", *lines]))
    settings = replace(tiny, data=(str(table),), target="y", batch_size=16, target_noises=("none",))
    run_study(COMPARISON, settings, tmp_path / "run", workers=1)
    table.write_text("\n".join(["a,b,y", *lines[:-1], "59,6,99"]))
    with pytest.raises(ValueError, match="^checksums.*table.*the setting of the run in"):
        run_study(COMPARISON, settings, tmp_path / "run", workers=1)


def test_foreign_files_are_left_alone(tiny: ComparisonSettings, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"thesis\.tex"):
        run_study(COMPARISON, tiny, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_too_few_rows_for_a_batch_are_refused_before_any_work(tiny: ComparisonSettings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^batch_size: got 400, expected at most the 353 training rows of diabetes"):
        run_study(COMPARISON, replace(tiny, batch_size=400), tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_datasets_of_two_tasks_are_refused(tiny: ComparisonSettings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^data: got .*'iris': 'classification'.*one task"):
        run_study(COMPARISON, replace(tiny, data=("diabetes", "iris")), tmp_path / "never")


def test_classification_goes_all_the_way(tiny: ComparisonSettings, tmp_path: Path) -> None:
    settings = replace(tiny, data=("iris", "wine"), batch_size=16)
    done = run_study(COMPARISON, settings, tmp_path / "classes", workers=1)
    assert list(done.results["metric"].values) == ["accuracy", "weighted_f1", "roc_auc"]
    assert list(done.results["target_noise"].values) == ["none"]
    assert float(done.results["baseline_curve"].sel(baseline="linear", metric="accuracy").isel(level=0).min()) > 0.8
    assert set(done.tables["correlations"]["n"]) == {6}
    assert "Target noise is defined for regression only" in (done.folder / "report.html").read_text()


def test_every_file_has_a_folder_of_its_own_in_any_script() -> None:
    tables = ("tables/größe 1.csv", "данные.csv", "---.csv")
    names = [default_folder("comparison", ComparisonSettings(data=(name,))).name for name in tables]
    assert names == ["comparison-größe-1", "comparison-данные", "comparison-table"]


def test_more_seeds_measure_only_the_new_ones(
    comparison: FinishedStudy, tiny: ComparisonSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "grown"
    shutil.copytree(comparison.folder, folder)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*/cells/*.nc")}
    more = run_study(COMPARISON, replace(tiny, seeds=3), folder, workers=1)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert more.results.sizes["seed"] == 3
    first = more.results.sel(seed=[0, 1]).drop_attrs()
    xr.testing.assert_identical(first, comparison.results.drop_attrs())


def test_the_course_is_predicted_before_it_is_measured(comparison: FinishedStudy, tiny: ComparisonSettings) -> None:
    folders = [comparison.folder / part / "cells" for part in ("prediction", "training")]
    before, after = (read_dataset(next(folder.glob("*seed=1*.nc"))) for folder in folders)
    assert {"composing_law", "composing_plain"} == {name for name in before if str(name).startswith("composing")}
    assert {"composing_dropout"} == {name for name in after if str(name).startswith("composing")}
    repetition = open_repetition("diabetes", 1, tiny)
    together = measure_composing(repetition, ("dropout", "plain", "law"), tiny)
    for way in ("law", "plain", "dropout"):
        ours = comparison.results[f"composing_{way}"].sel(dataset="diabetes", seed=1)
        np.testing.assert_array_equal(ours, together[f"composing_{way}"])
