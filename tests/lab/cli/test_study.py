"""The commands study and report with the pruning study, as they are typed."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurogames.lab.cli.app import app
from neurogames.lab.runs.run_folder import read_settings
from neurogames.lab.runs.store import read_dataset

TINY = shlex.split(
    "--data digits --quick --epochs 7 --set paper_epochs=1 --set rows=200 --set unit_budgets=40,12 --workers 1"
)


def _run(*words: str) -> Any:
    return CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("study nothing", "study: got 'nothing', expected one of comparison, "),
        ("study pruning --data cats", "data: got 'cats'"),
        ("study pruning --data digits --set architecture=rnn", "architecture: got 'rnn'"),
        ("study pruning --data digits --set unit_budgets=12", "unit_budgets: got (12,)"),
        ("study pruning --data digits --set congestion=-1", "congestion: got -1.0"),
        ("study pruning --data digits --set price=0.1", "price: got '0.1', expected one of the settings data, seeds"),
        ("study pruning --settings-from nowhere", "nowhere"),
        ("study neurogame --data cats", "data: got 'cats'"),
        ("study layers --data cats", "data: got 'cats'"),
        ("study layers --set checkpoints=1,2", "checkpoints: got (1, 2), expected increasing epochs from 0"),
        ("study neurogame --set variants=2:0.5", "variants: got '2:0.5', expected 4 values with ':' between them"),
        ("study neurogame --data digits --settings-from nowhere", "nowhere"),
        ("study comparison --data no-such-table", "no-such-table"),
        ("report nowhere", "nowhere"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(
    words: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _run(*words.split())
    lines = [line for line in done.stderr.splitlines() if line.strip() and "reading data" not in line]
    assert done.exit_code == 2, done.stderr
    assert len(lines) == 1
    assert expected in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_study_runs_reports_and_runs_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    done = _run("study", "pruning", *TINY, "--set", "congestion=1", "--out", str(first))
    assert done.exit_code == 0, done.stderr
    assert "• " in done.stdout
    assert read_settings(first)["unit_budgets"] == [40, 12]
    assert read_settings(first)["congestion"] == 1
    assert "times (x_l / x)^1" in (first / "report.html").read_text()
    page = (first / "report.html").read_bytes()
    (first / "report.html").unlink()
    assert _run("report", str(first)).exit_code == 0
    assert (first / "report.html").read_bytes() == page
    again = _run("study", "pruning", "--settings-from", str(first), "--out", str(second), "--workers", "1")
    assert again.exit_code == 0, again.stderr
    timed = ["game_extraction_seconds", "game_solution_seconds"]
    results = [read_dataset(folder / "results.nc").drop_vars(timed) for folder in (first, second)]
    assert results[0].identical(results[1])


def test_an_interrupted_study_ends_with_130_and_keeps_what_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["study", "pruning", *TINY, "--seeds", "40", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "neurogames", *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("*/cells/*.nc")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert list(out.glob("sizes/cells/*.nc"))
