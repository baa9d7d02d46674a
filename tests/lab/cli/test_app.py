from __future__ import annotations

import importlib
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from neurogames.lab.cli.app import app
from neurogames.lab.runs.store import read_dataset

TINY = shlex.split(
    "--keep-prob 0.5 --keep-prob 1 --target-noise none --seeds 2 --hidden 4 --epochs 2 --sweeps 10 --workers 1"
)


def _run(*words: str) -> Result:
    """A command in this process, which spares loading everything anew."""
    return CliRunner().invoke(app, list(words), prog_name="neurogames")


def _start(*words: str) -> subprocess.Popen[str]:
    """A command in a process of its own, as a user starts it."""
    command = [sys.executable, "-m", "neurogames", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / r"a$\frac{$b_^ <i>.csv"
    lines = [f"{row},{row * 7 % 11},{row * 3 % 17}" for row in range(60)]
    path.write_text("\n".join(["a,b,y", *lines]))
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--keep-prob", "0", "--keep-prob", "1"], "keep_probs: got 0.0, expected a probability in (0, 1]"),
        (["--temperature", "0"], "temperature: got 0.0"),
        (["--data", "no-such-table"], "no-such-table"),
        (["--data", "missing.csv"], "missing.csv"),
        (["--batch-size", "100000"], "batch_size: got 100000"),
        (["--seeds", "1"], "seeds: got 1"),
        (["--settings-from", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _run("compare", *words, "--out", str(tmp_path / "out"))
    lines = [line for line in done.stderr.splitlines() if line.strip() and "reading data" not in line]
    assert done.exit_code == 2
    assert len(lines) == 1
    assert expected in lines[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_target_that_is_not_there_is_named(table: Path, tmp_path: Path) -> None:
    done = _run("compare", "--data", str(table), "--target", "z", "--out", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "'z'" in done.stderr


def test_a_file_of_ones_own_goes_all_the_way_and_can_be_run_again(table: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    process = _start("compare", "--data", str(table), "--target", "y", "--batch-size", "16", *TINY, "--out", str(first))
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "Report:" in printed
    again = _run("compare", "--settings-from", str(first), "--out", str(second), "--workers", "1")
    assert again.exit_code == 0, again.stderr
    assert read_dataset(first / "results.nc").identical(read_dataset(second / "results.nc"))
    page = (first / "report.html").read_bytes()
    assert rb"a$\frac{$b_^ &lt;i&gt;" in page
    assert b"<i>" not in page
    (first / "report.html").unlink()
    assert _run("report", str(first)).exit_code == 0
    assert (first / "report.html").read_bytes() == page


def test_an_interrupted_run_ends_with_130_and_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = _start("compare", *TINY, "--epochs", "400", "--seeds", "40", "--out", str(out))
    deadline = time.monotonic() + 120
    while not list(out.glob("*/cells/*.nc")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert list(out.glob("*/cells/*.nc"))


def test_simulate_prints_the_exact_law_beside_the_simulation(tmp_path: Path) -> None:
    out = tmp_path / "sim"
    done = _run("simulate", "--keep-prob", "1", "--mask", "hold, one at a time", "--sweeps", "20", "--out", str(out))
    assert done.exit_code == 0, done.stderr
    assert "hold, one at a time" in done.stdout
    assert {path.name for path in out.iterdir()} == {"simulation.nc", "simulation.png", "simulation.svg"}


def test_simulate_leaves_the_folder_of_a_study_alone(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[settings]\n")
    done = _run("simulate", "--keep-prob", "1", "--out", str(tmp_path))
    assert done.exit_code == 2
    assert "not that of a study" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]


def test_a_folder_that_cannot_be_made_is_one_line(table: Path) -> None:
    done = _run("compare", "--data", str(table), "--target", "y", "--batch-size", "16", "--out", str(table / "sub"))
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
    assert ".csv/sub" in done.stderr.splitlines()[-1]


def test_few_rows_and_classes_that_never_change_still_give_a_report(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("\n".join(["a,y", *(f"{row},{'yes' if row > 20 else 'no'}" for row in range(24))]))
    words = ["--data", str(path), "--target", "y", "--batch-size", "8", *TINY, "--epochs", "1"]
    words += ["--keep-prob", "1", "--keep-prob", "0.01"]
    done = _run("compare", *words, "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "out" / "report.html").exists()


def test_datasets_lists_the_default() -> None:
    done = _run("datasets")
    assert done.exit_code == 0
    assert "diabetes" in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["datasets"], ["simulate", "--sweeps", "5", "--out", "{out}"]])
def test_commands_that_need_no_torch_do_without_it(words: list[str], tmp_path: Path) -> None:
    words = [word.format(out=tmp_path / "out") for word in words]
    code = f"import sys; from neurogames.lab.cli.app import app; app({words!r}, standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_every_command_has_a_module_of_its_name() -> None:
    listed = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert listed == {"compare", "simulate", "study", "report", "analyze", "prune", "units", "datasets"}
    for name in listed:
        assert callable(getattr(importlib.import_module(f"neurogames.lab.cli.{name}"), name))


def test_a_command_that_is_not_there_is_said_to_be_so() -> None:
    done = _run("explain", "model.pt")
    assert done.exit_code == 2
    assert "No such command 'explain'" in done.stderr
