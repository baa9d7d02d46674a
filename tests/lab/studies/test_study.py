"""A study of four files and one line runs, resumes, grows, refuses and reports like any other."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurogames.lab import load_study, register_study
from neurogames.lab.cli.app import app
from neurogames.lab.runs.run_folder import read_settings
from neurogames.lab.runs.store import read_dataset, write_dataset
from neurogames.lab.studies import registry
from neurogames.lab.studies.settings import StudySettings, parse_setting
from neurogames.lab.studies.study import default_folder, run_study, settings_of_run, write_report
from tests.lab.studies.toy.page import TOY
from tests.lab.studies.toy.settings import ToySettings


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy study in the table, for one test."""
    monkeypatch.setattr(registry, "_STUDIES", dict(registry._STUDIES))
    register_study("toy", "tests.lab.studies.toy.page:TOY", "Does the mean or the median lie nearer?")


def _run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_a_study_leaves_results_report_figures_and_tables(tmp_path: Path) -> None:
    done = run_study(TOY, folder=tmp_path / "toy", workers=1)
    names = {path.name for path in done.folder.iterdir()}
    assert names == {
        *("results.nc", "report.html", "settings.toml", "samples", "law"),
        *("distances.csv", "distances.png", "distances.svg"),
    }
    assert read_dataset(done.folder / "results.nc").identical(done.results)
    assert done.results["distance"].dims == ("seed", "estimate")
    assert done.results["tail"].dims == ()
    assert done.results.attrs["law"] == "Student"
    assert list(done.tables) == ["distances"]
    page = done.report.read_text(encoding="utf-8")
    assert done.verdicts[0] in page
    assert f"neurogames study toy --settings-from {done.folder} --out {done.folder}-again" in page
    assert settings_of_run(TOY, done.folder) == ToySettings()


def test_the_report_can_be_written_again(tmp_path: Path) -> None:
    done = run_study(TOY, folder=tmp_path, workers=1)
    page = done.report.read_bytes()
    done.report.unlink()
    assert write_report(TOY, tmp_path).verdicts == done.verdicts
    assert done.report.read_bytes() == page


def test_more_seeds_measure_only_the_new_ones_and_fewer_are_refused(tmp_path: Path) -> None:
    run_study(TOY, ToySettings(seeds=2), tmp_path, workers=1)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/cells/*.nc")}
    assert len(kept) == 3
    more = run_study(TOY, ToySettings(seeds=4), tmp_path, workers=1)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert more.results.sizes["seed"] == 4
    with pytest.raises(ValueError, match="seeds: got 2, expected 4"):
        run_study(TOY, ToySettings(seeds=2), tmp_path, workers=1)


def test_what_one_seed_gives_depends_on_neither_their_number_nor_the_first(tmp_path: Path) -> None:
    few = run_study(TOY, ToySettings(seeds=2, first_seed=3), tmp_path / "few", workers=1)
    many = run_study(TOY, ToySettings(seeds=6), tmp_path / "many", workers=1)
    assert few.results["distance"].drop_attrs().identical(many.results["distance"].sel(seed=[3, 4]).drop_attrs())


def test_progress_names_every_part(tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    run_study(TOY, ToySettings(seeds=2), tmp_path, workers=1, on_progress=lambda *stage: stages.append(stage))
    assert stages[0] == ("law", 0, 1)
    assert ("samples", 2, 2) in stages
    assert stages[-1] == ("done", 1, 1)


def test_other_settings_other_data_and_other_studies_need_another_folder(tmp_path: Path) -> None:
    run_study(TOY, folder=tmp_path, workers=1)
    with pytest.raises(ValueError, match="^draws: got 7, expected 100, the setting of the run in"):
        run_study(TOY, ToySettings(draws=7), tmp_path, workers=1)
    with pytest.raises(ValueError, match=r"^checksums\.light: got 'new'"):
        run_study(replace(TOY, check=lambda _: {"light": "new"}), folder=tmp_path, workers=1)
    with pytest.raises(ValueError, match="^study: got 'other', expected 'toy'"):
        run_study(replace(TOY, name="other"), folder=tmp_path, workers=1)


def test_settings_are_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^draws: got 20000"):
        run_study(TOY, ToySettings(draws=20_000), tmp_path / "never", workers=1)
    with pytest.raises(ValueError, match="^workers: got 0"):
        run_study(TOY, folder=tmp_path / "never", workers=0)
    assert not (tmp_path / "never").exists()


def test_results_of_something_else_are_refused(tmp_path: Path) -> None:
    done = run_study(TOY, folder=tmp_path, workers=1)
    with pytest.raises(ValueError, match="a folder with the results of a pruning study"):
        write_report(load_study("pruning"), tmp_path)
    with pytest.raises(ValueError, match="the folder of a pruning study"):
        settings_of_run(load_study("pruning"), tmp_path)
    write_dataset(done.results.assign_attrs(format=1), tmp_path / "results.nc")
    with pytest.raises(ValueError, match="whose results an older version wrote"):
        write_report(TOY, tmp_path)


def test_a_study_without_data_has_a_folder_too() -> None:
    assert default_folder("toy", StudySettings()).as_posix() == "neurogames-runs/toy"


@pytest.mark.usefixtures("registered")
def test_the_command_runs_lists_grows_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "toy"
    assert "Does the mean or the median lie nearer?" in _run("study").stdout
    words = ["--data", "heavy", "--set", "quantiles=0.2,0.8", "--set", "rounding=2", "--out", out, "--workers", 1]
    done = _run("study", "toy", "--seeds", 3, *words)
    assert done.exit_code == 0, done.stderr
    assert "• The mean lies farther" in done.stdout
    assert settings_of_run(TOY, out) == ToySettings("heavy", seeds=3, quantiles=(0.2, 0.8), rounding=2)
    assert read_settings(out)["checksums"] == {"heavy": "t1.5"}
    assert _run("study", "toy", "--seeds", 4, *words).exit_code == 0
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert _run("report", out).exit_code == 0
    assert (out / "report.html").read_bytes() == page
    again = _run("study", "toy", "--settings-from", out, "--out", tmp_path / "again", "--workers", 1)
    assert again.exit_code == 0, again.stderr
    results = [read_dataset(folder / "results.nc") for folder in (out, tmp_path / "again")]
    assert results[0].identical(results[1])
    quick = _run("study", "toy", "--settings-from", out, "--quick", "--data", "light", "--out", tmp_path / "quick")
    assert quick.exit_code == 0, quick.stderr
    assert settings_of_run(TOY, tmp_path / "quick") == ToySettings(seeds=2, quantiles=(0.2, 0.8), rounding=2)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--set colour=red", "colour: got 'red', expected one of the settings data, seeds, first_seed, draws, center"),
        ("--set draws", "set: got 'draws', expected NAME=VALUE"),
        ("--set draws=7 --set draws=8", "set: got 'draws=8', expected NAME=VALUE with each setting once"),
        ("--seeds 3 --set seeds=4", "set: got 'seeds=4'"),
        ("--set draws=many", "draws: got 'many', expected an integer"),
        ("--set draws=0", "draws: got 0"),
        ("--epochs 3", "epochs: got 3, expected one of the settings data"),
        ("--data light --data heavy", "data: got 'light, heavy', expected one name"),
        ("--data cats", "data: got 'cats', expected one of light, heavy"),
        ("--settings-from nowhere", "nowhere"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_code_two(
    words: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _run("study", "toy", *words.split())
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert expected in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("data", "heavy", "heavy"),
        ("draws", "7", 7),
        ("center", "7", 7.0),
        ("center", "-1e-3", -1e-3),
        ("rounding", "2", 2),
        ("rounding", "", None),
        ("quantiles", "0.5", (0.5,)),
        ("quantiles", "0.1,0.5", (0.1, 0.5)),
        ("bands", "0.1:0.9,0.2:0.8", ((0.1, 0.9), (0.2, 0.8))),
        ("side", "lower", "lower"),
    ],
)
def test_typed_settings_have_the_kind_of_their_field(name: str, text: str, expected: object) -> None:
    value = parse_setting(ToySettings, name, text)
    assert value == expected
    assert type(value) is type(expected)
    settings = ToySettings().updated(**{name: value})
    assert ToySettings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("draws", "7.5", "an integer"),
        ("draws", "", "an integer"),
        ("quantiles", "0.1;0.9", "a number"),
        ("bands", "0.1,0.9", "2 values with ':' between them"),
        ("side", "left", "one of lower, upper"),
    ],
)
def test_a_text_of_another_kind_is_refused_by_name(name: str, text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: got .*, expected {expected}"):
        parse_setting(ToySettings, name, text)


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="^name: got 'pruning', expected a name other than .*pruning"):
        register_study("pruning", "tests.lab.studies.toy.page:TOY", "Again?")


@pytest.mark.parametrize("name", list(registry.list_studies()))
def test_every_registered_study_is_what_it_is_called(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    settings = study.settings()
    assert study.settings.from_dict(settings.to_dict()) == settings
    every, some = (data if isinstance(data, tuple) else (data,) for data in (settings.data, settings.quick().data))
    assert set(some) <= set(every)
    assert settings.quick().seeds <= settings.seeds
    assert settings.of_one_repetition() == settings.updated(seeds=9, first_seed=4).of_one_repetition()


def test_studies_are_listed_without_loading_torch() -> None:
    code = "import sys; from neurogames.lab.cli.app import app; app(['study'], standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
