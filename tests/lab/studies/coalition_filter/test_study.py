"""A NEUROGAME study goes all the way, goes on where it stopped, and says what its results say."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from neurogames.lab.runs.store import read_dataset
from neurogames.lab.studies.coalition_filter.page import NEUROGAME
from neurogames.lab.studies.coalition_filter.settings import NeurogameSettings
from neurogames.lab.studies.study import FinishedStudy, run_study, write_report
from tests.lab.studies.coalition_filter.test_measure import TINY


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> FinishedStudy:
    """A finished study; not to be written to."""
    return run_study(NEUROGAME, TINY, tmp_path_factory.mktemp("runs") / "tiny", workers=1)


def test_a_study_leaves_results_report_figures_and_tables(finished):
    names = {path.name for path in finished.folder.iterdir()}
    assert {"results.nc", "report.html", "settings.toml", "training"} <= names
    assert {f"{name}.csv" for name in finished.tables} <= names
    assert {f"{name}.{kind}" for name in ("accuracy", "losses", "examples", "maps") for kind in ("png", "svg")} <= names
    assert read_dataset(finished.folder / "results.nc").identical(finished.results)


def test_the_page_says_every_verdict_and_can_be_written_again(finished, tmp_path):
    page = (finished.folder / "report.html").read_bytes()
    assert f"study neurogame --settings-from {finished.folder} --out {finished.folder}-again" in page.decode()
    assert page.decode().count("<li>") >= len(finished.verdicts)
    copied = tmp_path / "tiny"
    copied.mkdir()
    shutil.copy(finished.folder / "results.nc", copied)
    again = write_report(NEUROGAME, copied)
    assert again.report.read_bytes() == page.replace(bytes(finished.folder), bytes(copied))
    assert again.verdicts == finished.verdicts


def test_what_is_missing_is_computed_and_nothing_else(finished, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(finished.folder, folder)
    (lost,) = (folder / "training" / "cells").glob("seed=1-*.nc")
    (kept,) = (folder / "training" / "cells").glob("seed=0-*.nc")
    before = kept.stat().st_mtime_ns
    lost.unlink()
    stages = []
    again = run_study(NEUROGAME, TINY, folder, workers=1, on_progress=lambda *words: stages.append(words))
    assert again.results.drop_vars("seconds").identical(finished.results.drop_vars("seconds"))
    assert kept.stat().st_mtime_ns == before
    assert stages[0] == ("training", 0, 2)
    assert stages[-1] == ("done", 1, 1)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"rows": None, "batch_size": 4096}, "batch_size: got 4096"),
        ({"test_rows": None, "explained": 600}, "explained: got 600"),
        ({"variants": ((9, 0.5, 0.0, 1.0),)}, "9 x 9"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(changed, expected, tmp_path):
    with pytest.raises(ValueError, match=expected):
        run_study(NEUROGAME, dataclasses.replace(TINY, **changed), tmp_path / "new", workers=1)
    assert not (tmp_path / "new").exists()


def test_a_folder_of_something_else_has_no_page(comparison):
    with pytest.raises(ValueError, match="a neurogame study"):
        write_report(NEUROGAME, comparison.folder)


def test_the_defaults_are_what_was_asked():
    settings = NeurogameSettings()
    assert settings.seeds >= 5
    assert {variant[:2] for variant in settings.variants} == {(2, 0.5), (2, 0.8), (3, 0.5), (3, 0.8)}
    assert settings.quick().data == "digits"
