"""Commands given foreign results, hostile names and places that cannot be written: one line, before any work."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numba
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from neurogames.__main__ import main
from neurogames.lab.cli import terminal
from neurogames.lab.cli.app import app
from neurogames.lab.runs.store import read_dataset, write_dataset
from neurogames.lab.studies import study
from neurogames.lab.studies.comparison import simulation


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="neurogames")


def one_line(done) -> str:
    """The one line of a refusal."""
    assert done.exit_code == 2, done.output
    lines = [line for line in done.stderr.splitlines() if line.startswith("neurogames: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    return lines[0]


def without(found: xr.Dataset, name: str) -> xr.Dataset:
    """Results that lack an attribute."""
    return found.drop_attrs(deep=False).assign_attrs({key: value for key, value in found.attrs.items() if key != name})


FOREIGN = {
    "of no study": lambda _: xr.Dataset({"x": 1}),
    "a study that is a list": lambda found: found.assign_attrs(study=["comparison"]),
    "an analysis": lambda found: found.assign_attrs(study="analysis"),
    "a study that is not there": lambda found: found.assign_attrs(study="astrology"),
    "another study": lambda found: found.assign_attrs(study="pruning"),
    "an older version": lambda found: found.assign_attrs(format=1),
    "no settings": lambda found: without(found, "settings"),
    "settings that are a text": lambda found: found.assign_attrs(settings="none"),
    "unknown settings": lambda found: found.assign_attrs(settings={"colour": "red"}),
    "no versions": lambda found: without(found, "versions"),
    "nothing but attributes": lambda found: xr.Dataset(attrs=found.attrs),
    "a variable less": lambda found: found.drop_vars(next(iter(found.data_vars))),
    "a dimension less": lambda found: found.isel(seed=0),
    "other seeds": lambda found: found.isel(seed=slice(0, 0)),
    "texts for numbers": lambda found: found.assign(
        {name: found[name].astype(str) for name in list(found.data_vars)[:3]}
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_report_on_results_of_something_else_is_refused_in_one_line(name, comparison, tmp_path):
    write_dataset(FOREIGN[name](read_dataset(comparison.folder / "results.nc")), tmp_path / "results.nc")
    assert "folder" in one_line(run("report", tmp_path)) or "settings" in name
    assert not (tmp_path / "report.html").exists()


def test_a_fault_of_ones_own_is_no_fault_of_the_results(comparison, tmp_path, monkeypatch):
    shutil.copy(comparison.folder / "results.nc", tmp_path)
    monkeypatch.setattr(study, "write_page", lambda *_, **__: {}["area"])
    done = run("report", tmp_path)
    assert done.exit_code == 70
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "neurogames: internal error (KeyError: 'area'); please report it with the lines above"
    )


def test_a_report_on_damaged_results_names_the_remedy(comparison, tmp_path):
    content = (comparison.folder / "results.nc").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"\x00" + content[1:], content[:-1], b"PK" * 100):
        (tmp_path / "results.nc").write_bytes(damaged)
        assert "makes it again" in one_line(run("report", tmp_path))
    assert "results" in one_line(run("report", tmp_path / "nowhere"))


def test_a_list_of_tables_shows_names_and_does_not_follow_them(tmp_path, monkeypatch):
    frame = pd.DataFrame({"a": range(30), "[red]y\x1b[2J": range(30)})
    frame.to_csv(tmp_path / "[link=x]t.csv", index=False)
    monkeypatch.setenv("NEUROGAMES_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    done = run("datasets")
    assert done.exit_code == 0
    assert "[link=x]t" in done.stdout
    assert r"[red]y\x1b[2J" in done.stdout
    assert "\x1b[2J" not in done.stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have names in UTF-8 only")
def test_a_folder_whose_name_is_no_text_is_refused_before_any_work(tmp_path):
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    for words in (["study", "comparison", "--quick", "--workers", 1], ["simulate"]):
        assert "UTF-8" in one_line(run(*words, "--out", out))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "simulate_composition", lambda *_, **__: pytest.fail("work was done"))
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "out" in one_line(run("simulate", "--out", out))
    assert "too long" in one_line(run("simulate", "--out", tmp_path / ("x" * 300)))


@pytest.fixture
def usual_interrupts():
    """``main`` sets what Ctrl-C does, for a process that is the command line; the tests' process is not."""
    usual = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("usual_interrupts")
def test_a_terminal_of_few_characters_shows_others_as_escapes(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["neurogames", "study"])
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    with pytest.raises(SystemExit):
        main()
    print("± 2 s.e.")
    shown.flush()
    assert shown.buffer.getvalue().decode("ascii").endswith("\\xb1 2 s.e.\n")


def test_counts_that_never_end_are_refused_before_any_work(tmp_path):
    for words in (
        ["simulate", "--sweeps", 10**12],
        ["simulate", "--game", "pgg", "--sweeps", 10**30],
        ["simulate", "--game", "pgg", "--cost", 1e308],
        ["compare", "--seeds", 10**15],
        ["study", "pruning", "--data", "digits", "--epochs", 10**15],
        ["study", "pruning", "--data", "digits", "--set", f"hidden=8,{10**15}"],
    ):
        assert re.search(r": got .*, expected ", one_line(run(*words, "--out", tmp_path / "out")))


def test_the_bar_is_told_that_numba_compiles():
    told: list[bool] = []
    with terminal._compilation_told(told.append):
        numba.njit(lambda x: x + 2)(1)
    assert told[0] is True
    assert told[-1] is False


@pytest.mark.parametrize("seconds", [0.15, 0.6, 1.5])
def test_an_interrupt_while_loading_is_one_line(seconds, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "neurogames", "study", "comparison", "--out", str(tmp_path / "out"), "--workers", "1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    if seconds > 0.15:  # before that, Python itself may not have come to the command
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert errors.count("interrupted") == 1
    shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_a_cluster_without_a_folder_and_one_that_does_not_answer_are_refused(tmp_path, monkeypatch):
    words = [
        "simulate",
        "--game",
        "pgg",
        "--players",
        5,
        "--sweeps",
        2,
        "--replicas",
        2,
        "--cluster",
        "tcp://127.0.0.1:9",
    ]
    assert "it only with --out" in one_line(run(*words))
    monkeypatch.setattr("neurogames.lab.runs.cluster._SECONDS", 0.3)
    assert "cluster: got 'tcp://127.0.0.1:9'" in one_line(run(*words, "--out", tmp_path / "run"))
