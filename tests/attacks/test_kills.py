"""The cheap form of ``kills``: two kills of one command, and that what is left would be seen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.attacks.kills import _bar, _of_session, ended


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("way", ["TWICE", "KILL"])
def test_a_command_that_is_ended_leaves_nothing(way, tmp_path):
    (tmp_path / "run").mkdir()
    wrong, running = ended(["simulate", "--out", "out"], tmp_path / "run", way, 0.8, fresh=True)
    assert wrong == []
    assert running


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_refusal_is_no_answer_to_a_kill(tmp_path):
    (tmp_path / "run").mkdir()
    wrong, running = ended(["simulate", "--sweeps", "0"], tmp_path / "run", "KILL", 60.0, fresh=True)
    assert wrong == ["exit code 2 after KILL"]
    assert not running


def test_a_fork_does_not_wait_for_idle_workers():
    # Jobs of a second, so that both workers are there before the end.
    act = (
        "import joblib, time; from tests.attacks.kills import leave; "
        "joblib.Parallel(n_jobs=2)(joblib.delayed(time.sleep)(1) for _ in range(2)); leave(3)"
    )
    assert subprocess.run([sys.executable, "-c", act], timeout=120).returncode == 3


def test_what_is_left_of_a_session_is_found():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        assert _of_session(process.pid) == [process.pid]
    finally:
        process.communicate(b"\n")
    assert _of_session(process.pid) == []


def test_a_bar_is_no_line_of_its_own():
    assert _bar("agents ━━━━━━━━━━ 2/2 0:00:01")
    assert _bar("pathways                      0/1 0:00:00")
    assert not _bar("neurogames: interrupted; nothing was begun")
    assert not _bar("neurogames: [Errno 28] No space left on device: 'out/results.nc'")
