"""A study goes all the way, goes on where it stopped, and says what its results say."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from neurogames.lab.runs.store import read_dataset, write_dataset
from neurogames.lab.studies.pruning.measure import MATCHED_WIDTHS
from neurogames.lab.studies.pruning.page import PRUNING
from neurogames.lab.studies.pruning.settings import CONGESTION, HIDDEN, PruningSettings
from neurogames.lab.studies.study import FinishedStudy, run_study, settings_of_run, write_report
from tests.lab.studies.pruning.test_game import TINY

TIMED = ["game_extraction_seconds", "game_solution_seconds"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> FinishedStudy:
    """A finished study; not to be written to."""
    return run_study(PRUNING, TINY, tmp_path_factory.mktemp("runs") / "tiny", workers=1)


def test_a_study_leaves_results_report_figures_and_tables(finished):
    names = {path.name for path in finished.folder.iterdir()}
    assert {"results.nc", "report.html", "settings.toml", "sizes", "paper", "game"} <= names
    assert {f"{name}.csv" for name in finished.tables} <= names
    assert {"accuracy-units.png", "accuracy-work.svg", "differences.svg", "paper.png", "predictions.svg"} <= names
    assert read_dataset(finished.folder / "results.nc").identical(finished.results)
    assert finished.results.sizes["seed"] == 2


def test_the_page_says_every_verdict_and_can_be_written_again(finished, tmp_path):
    page = (finished.folder / "report.html").read_bytes()
    assert page.decode().count("<li>") == len(finished.verdicts)
    assert f"study pruning --settings-from {finished.folder} --out {finished.folder}-again" in page.decode()
    copied = tmp_path / "tiny"
    copied.mkdir()
    shutil.copy(finished.folder / "results.nc", copied)
    again = write_report(PRUNING, copied)
    assert again.report.read_bytes() == page.replace(bytes(finished.folder), bytes(copied))
    assert again.verdicts == finished.verdicts


def test_what_is_missing_is_computed_and_nothing_else(finished, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(finished.folder, folder)
    (lost,) = (folder / "game" / "cells").glob("seed=1-*.nc")
    lost.unlink()
    (folder / "results.nc").unlink()
    stages = []
    again = run_study(PRUNING, TINY, folder, workers=1, on_progress=lambda *words: stages.append(words))
    assert again.results.drop_vars(TIMED).identical(finished.results.drop_vars(TIMED))
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*/cells/*.nc")}
    assert times[lost] == max(times.values())
    assert ("sizes", 2, 2) in stages
    assert stages[-1] == ("done", 1, 1)


def test_more_seeds_can_be_asked_for_and_fewer_cannot(finished, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(finished.folder, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/cells/*.nc")}
    more = run_study(PRUNING, dataclasses.replace(TINY, seeds=3), folder, workers=1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert more.results.sizes["seed"] == 3
    first = more.results.sel(seed=[0, 1]).drop_attrs()
    assert first.identical(finished.results.drop_attrs())
    assert settings_of_run(PRUNING, folder).seeds == 3
    with pytest.raises(ValueError, match="seeds: got 2, expected 3"):
        run_study(PRUNING, TINY, folder, workers=1)


def test_controls_of_matched_widths_have_the_units_of_the_equilibrium_in_every_layer(finished):
    layers = finished.results["layer_units"]
    ours = layers.sel({"method": "equilibrium"})
    for control in ("from scratch", *MATCHED_WIDTHS):
        assert (layers.sel({"method": control}) == ours).all()
    assert (layers.sum("layer") == finished.results["units"]).all()


def test_other_settings_need_another_folder(finished):
    with pytest.raises(ValueError, match="epochs"):
        run_study(PRUNING, dataclasses.replace(TINY, epochs=4), finished.folder, workers=1)


def test_wrong_settings_are_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="batch_size: got 4096"):
        run_study(PRUNING, dataclasses.replace(TINY, rows=None, batch_size=4096), tmp_path / "new", workers=1)
    assert not (tmp_path / "new").exists()


def test_too_few_steps_for_a_price_to_clear_are_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="epochs: got '2, 32 steps in all'"):
        run_study(PRUNING, dataclasses.replace(TINY, epochs=2), tmp_path / "new", workers=1)
    assert not (tmp_path / "new").exists()


def test_settings_come_back_from_the_folder(finished, tmp_path):
    assert settings_of_run(PRUNING, finished.folder) == TINY
    (tmp_path / "settings.toml").write_text("[settings]\nkeep_probs = [0.5]\n")
    with pytest.raises(ValueError, match="the folder of a pruning study"):
        settings_of_run(PRUNING, tmp_path)


def test_a_folder_of_something_else_has_no_pruning_page(comparison):
    with pytest.raises(ValueError, match="a pruning study"):
        write_report(PRUNING, comparison.folder)


def test_a_convolutional_network_goes_all_the_way_too(tmp_path):
    settings = dataclasses.replace(TINY, architecture="cnn", hidden=(2, 3, 4), paper_epochs=1, profiles=3)
    study = run_study(PRUNING, settings, tmp_path / "cnn", workers=1)
    assert study.results.sizes["layer"] == 3
    assert (study.results["units"] <= 9).all()


def test_the_quick_study_is_small_and_of_the_same_data():
    quick = PruningSettings().quick()
    assert quick.data == "mnist"
    assert quick.rows == 2000
    assert sum(quick.hidden) < 200


def test_another_architecture_brings_its_own_units_and_congestion():
    cnn = PruningSettings().updated(architecture="cnn", seeds=3)
    assert (cnn.hidden, cnn.congestion, cnn.seeds) == (HIDDEN["cnn"], CONGESTION["cnn"], 3)
    assert PruningSettings().updated(architecture="cnn", hidden=(4, 8, 16), unit_budgets=(12, 6)).hidden == (4, 8, 16)


def test_results_of_an_older_version_are_refused(finished, tmp_path):
    write_dataset(finished.results.assign_attrs(format=1), tmp_path / "results.nc")
    with pytest.raises(ValueError, match="whose results an older version wrote"):
        write_report(PRUNING, tmp_path)
