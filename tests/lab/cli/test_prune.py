"""The command prune, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from neurogames.lab.cli.app import app
from neurogames.lab.data.models import load_model, save_model


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
        ("prune nothing", "model: got 'nothing', expected the file of a saved model"),
        ("prune digits", "the study of pruning is `neurogames study pruning --data digits`"),
        ("prune digits --data digits", "the study of pruning is `neurogames study pruning --data digits`"),
        ("prune {model}", "data: got 'nothing'"),
        ("prune {model} --data cats", "data: got 'cats'"),
        ("prune {model} --data digits --price -1", "price: got -1.0"),
        ("prune {model} --data digits --threshold 2", "threshold: got 2.0"),
        ("prune {model} --data digits --out nowhere/small.pt", "out: got 'nowhere/small.pt'"),
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
