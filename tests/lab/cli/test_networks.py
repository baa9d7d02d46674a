"""The commands prune, study and report of a study, as they are typed."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from neurogames.lab.cli.app import app
from neurogames.lab.data.models import load_model, save_model
from neurogames.lab.runs.run_folder import read_settings
from neurogames.lab.runs.store import read_dataset
from neurogames.lab.studies import registry

TINY = shlex.split("--quick --epochs 7 --paper-epochs 1 --rows 200 --units 12 --units 40 --workers 1")


def _run(*words: str) -> Any:
    return CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "net.pt"
    save_model(nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10)), path)
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("prune nothing", "target: got 'nothing'"),
        ("prune {model}", "data: got 'nothing'"),
        ("prune {model} --data cats", "data: got 'cats'"),
        ("prune {model} --data digits --seeds 3", "seeds: got 3"),
        ("prune {model} --data digits --quick", "quick: got True"),
        ("prune {model} --data digits --out nowhere/small.pt", "out: got 'nowhere/small.pt'"),
        ("prune digits --threshold 0.1", "threshold: got 0.1"),
        ("prune digits --architecture rnn", "architecture: got 'rnn'"),
        ("prune digits --units 12", "unit_budgets: got (12,)"),
        ("prune digits --price 0.1", "price: got 0.1"),
        ("prune digits --congestion -1", "congestion: got -1.0"),
        ("prune {model} --data digits --congestion 1", "congestion: got 1.0"),
        ("prune digits --settings-from nowhere", "nowhere"),
        ("study nothing", "study: got 'nothing'"),
        ("study pruning --data cats", "data: got 'cats'"),
        ("study neurogame --data cats", "data: got 'cats'"),
        ("study neurogame --settings-from nowhere", "nowhere"),
        ("study neurogame --data digits --settings-from nowhere", "data: got 'digits'"),
        ("report nowhere", "nowhere"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(
    words: str, expected: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _run(*words.format(model=model).split())
    lines = [line for line in done.stderr.splitlines() if line.strip() and "reading data" not in line]
    assert done.exit_code == 2, done.stderr
    assert len(lines) == 1
    assert expected in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


def test_a_saved_model_becomes_a_smaller_one(model: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.pt"
    done = _run("prune", str(model), "--data", "digits", "--rows", "200", "--out", str(small))
    assert done.exit_code == 0, done.stderr
    for word in ("residual", "strictly dominated", "only equilibrium", "parameters", "multiply-adds", "measured speed"):
        assert word in done.stdout
    count = sum(part.numel() for part in load_model(small).model.parameters())
    assert count < 64 * 6 + 6 + 6 * 10 + 10
    assert f"{count:,}" in done.stdout


def test_a_study_runs_reports_and_runs_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    done = _run("prune", "digits", *TINY, "--congestion", "1", "--out", str(first))
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
    words = ["prune", "digits", *TINY, "--seeds", "40", "--out", str(out)]
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


def test_every_registered_study_has_its_three_parts() -> None:
    for study in registry.STUDIES.values():
        settings, run, page = study.load()
        assert hasattr(settings(), "quick")
        assert callable(run)
        assert callable(page)


def test_the_commands_are_listed_without_loading_torch() -> None:
    code = "import sys; import neurogames.lab.cli.app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert {"prune", "study"} <= set(_run("--help").stdout.split())
