from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import pytest
import threadpoolctl
import torch
import xarray as xr

from neurogames.lab.runs.errors import CellError
from neurogames.lab.runs.store import read_dataset
from neurogames.lab.runs.sweep import cell_file, describe, sweep

GRID = [{"dataset": name, "seed": seed} for name, seed in product(("wine", "diabetes"), (0, 1, 2))]


def curve(dataset: str, seed: int, scale: float = 1.0) -> xr.Dataset:
    """A result with an inner dimension, from a generator seeded by the cell."""
    draws = scale * np.random.default_rng([seed, len(dataset)]).normal(size=5)
    matrix = torch.arange(90_000, dtype=torch.float32).reshape(300, 300) / 1e5
    return xr.Dataset(
        {"error": ("level", draws), "norm": float((matrix @ matrix).sum()), "good": ("level", draws > 0)},
        coords={"level": np.linspace(0.0, 1.0, 5)},
        attrs={"unit": "1"},
    )


def threads_in_use(cell: int) -> xr.Dataset:
    linear_algebra = max(pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas")
    return xr.Dataset({"torch": torch.get_num_threads(), "blas": linear_algebra})


def fails_at_one(seed: int) -> xr.Dataset:
    if seed == 1:
        raise ArithmeticError("the loss is not finite")
    return xr.Dataset({"error": float(seed)})


def killed_at_one(seed: int) -> xr.Dataset:
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return xr.Dataset({"error": float(seed)})


def exact(dataset: xr.Dataset) -> dict[str, bytes]:
    """Every array of a data set, bit by bit; texts as texts."""
    return {
        name: (str(variable.dims) + str(variable.shape) + str(variable.values.tolist())).encode()
        if variable.dtype.kind in "OUT"
        else str(variable.dims).encode() + str(variable.dtype).encode() + variable.values.tobytes()
        for name, variable in dataset.variables.items()
    }


def test_cells_become_sorted_leading_dimensions(tmp_path):
    result = sweep(curve, GRID, tmp_path)
    assert result["error"].dims == ("dataset", "seed", "level")
    assert result["norm"].dims == ("dataset", "seed")
    assert result["dataset"].values.tolist() == ["diabetes", "wine"]
    assert result["good"].dtype == bool
    for cell in GRID:
        np.testing.assert_array_equal(result["error"].sel(cell), curve(**cell)["error"])
    assert result.attrs["unit"] == "1"
    assert result.attrs["measure"]["function"].endswith("curve")
    assert result.attrs["versions"]["torch"] == torch.__version__


def test_neither_workers_nor_order_can_be_seen_in_the_result(tmp_path):
    alone = sweep(curve, GRID, tmp_path / "alone")
    reverse = sweep(curve, GRID[::-1], tmp_path / "reverse")
    together = sweep(curve, GRID, tmp_path / "together", workers=2)
    assert exact(alone) == exact(reverse) == exact(together)
    assert alone.identical(reverse)
    assert alone.identical(together)
    assert sorted(path.name for path in (tmp_path / "alone/cells").iterdir()) == sorted(map(cell_file, GRID))


def test_a_second_start_measures_only_what_is_missing(tmp_path):
    measured = []

    def counted(seed):
        measured.append(seed)
        return xr.Dataset({"error": seed / 7})

    cells = [{"seed": seed} for seed in range(4)]
    first = sweep(counted, cells, tmp_path)
    (tmp_path / "cells" / cell_file(cells[2])).unlink()
    reports = []
    second = sweep(counted, cells, tmp_path, on_progress=lambda *report: reports.append(report))
    assert measured == [0, 1, 2, 3, 2]
    assert first.identical(second)
    assert [report[:2] for report in reports] == [(done, 4) for done in (1, 2, 3, 4)]
    assert reports[-1][2] == {"seed": 2}
    grown = sweep(counted, [*cells, {"seed": 9}], tmp_path)
    assert measured[5:] == [9]
    assert grown["seed"].values.tolist() == [0, 1, 2, 3, 9]


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "other"])
def test_a_damaged_cell_is_measured_again_and_the_log_says_why(tmp_path, caplog, damage):
    before = sweep(curve, GRID, tmp_path)
    path = tmp_path / "cells" / cell_file(GRID[3])
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "flipped":
        place = content.index(curve(**GRID[3])["error"].values.tobytes()) + 3
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
    else:
        path.write_bytes((tmp_path / "cells" / cell_file(GRID[0])).read_bytes())
    with caplog.at_level(logging.WARNING):
        after = sweep(curve, GRID, tmp_path)
    assert exact(before) == exact(after)
    assert "dataset=diabetes, seed=0" in caplog.text
    assert path.name in caplog.text


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_cell_is_named_and_finished_cells_stay(tmp_path, workers):
    cells = [{"seed": seed} for seed in (0, 1)]
    sweep(fails_at_one, cells[:1], tmp_path)
    with pytest.raises(CellError, match=r"the cell seed=1 failed: ArithmeticError: the loss is not finite"):
        sweep(fails_at_one, cells, tmp_path, workers=workers)
    assert [path.name for path in (tmp_path / "cells").iterdir()] == [cell_file(cells[0])]


@pytest.mark.parametrize("hindrance", ["no space", "a folder in its place"])
def test_a_cell_that_cannot_be_written_is_named_and_the_sweep_goes_on_later(tmp_path, hindrance):
    cells = [{"seed": seed} for seed in (0, 2)]
    before = sweep(fails_at_one, cells[:1], tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    place = tmp_path / "cells" / cell_file(cells[1])
    if hindrance == "no space":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    else:
        place.mkdir()
    try:
        with pytest.raises(CellError, match=r"the cell seed=2 failed: (OSError: .*large|IsADirectoryError)"):
            sweep(fails_at_one, cells, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    if hindrance != "no space":
        place.rmdir()
    assert [path.name for path in (tmp_path / "cells").iterdir()] == [cell_file(cells[0])]
    after = sweep(fails_at_one, cells, tmp_path)
    assert after["error"].values.tolist() == [*before["error"].values.tolist(), 2.0]


def test_a_killed_worker_is_one_line_and_the_next_sweep_has_new_ones(tmp_path):
    with pytest.raises(CellError, match=r"^a worker process was ended from outside, perhaps for want of memory$"):
        sweep(killed_at_one, [{"seed": 0}, {"seed": 1}], tmp_path / "killed", workers=2)
    assert sweep(killed_at_one, [{"seed": 0}, {"seed": 2}], tmp_path / "next", workers=2).sizes == {"seed": 2}


@pytest.mark.parametrize("workers", [1, 2])
def test_each_cell_has_one_thread_and_the_caller_keeps_his(tmp_path, workers):
    before = torch.get_num_threads()
    result = sweep(threads_in_use, [{"cell": 0}, {"cell": 1}], tmp_path, workers=workers)
    assert result["torch"].values.tolist() == [1, 1]
    assert result["blas"].values.tolist() == [1, 1]
    assert torch.get_num_threads() == before


def test_an_outer_joblib_configuration_chooses_the_backend(tmp_path):
    interrupt = signal.getsignal(signal.SIGINT)
    with joblib.parallel_config(backend="threading"):
        result = sweep(fails_at_one, [{"seed": 0}, {"seed": 2}], tmp_path, workers=2)
    assert result["error"].values.tolist() == [0.0, 2.0]
    assert signal.getsignal(signal.SIGINT) is interrupt


def test_an_error_in_the_progress_stops_the_workers_quietly(tmp_path):
    def stop(done, total, cell):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(curve, GRID, tmp_path, workers=2, on_progress=stop)
    assert sweep(curve, GRID, tmp_path)["error"].shape == (2, 3, 5)


def test_old_leftovers_are_removed_and_young_ones_are_not(tmp_path):
    (tmp_path / "cells").mkdir()
    old, young = (tmp_path / "cells" / f".{name}.nc.0.partial" for name in ("old", "young"))
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 3600,) * 2)
    sweep(curve, GRID, tmp_path)
    assert not old.exists()
    assert young.exists()


def test_plain_settings_of_a_partial_tell_measures_apart(tmp_path):
    sweep(functools.partial(curve, scale=1.0), GRID, tmp_path)
    with pytest.raises(ValueError, match=r"measure: got .*'scale': 2\.0.*expected .*'scale': 1\.0"):
        sweep(functools.partial(curve, scale=2.0), GRID, tmp_path)
    nested = functools.partial(functools.partial(curve, scale=1.0), data=np.ones(3))
    assert describe(nested)["settings"] == {"scale": 1.0, "data": "<ndarray>"}


@dataclasses.dataclass(frozen=True)
class Scales:
    """Settings of a measure as a value."""

    scale: float
    shares: tuple[float, ...] = (0.5, 1.0)


def scaled_curve(dataset, seed, *, settings):
    return curve(dataset, seed, scale=settings.scale)


def test_settings_in_a_dataclass_tell_measures_apart_too(tmp_path):
    bound = functools.partial(scaled_curve, settings=Scales(1.0))
    assert describe(bound)["settings"] == {"settings": {"scale": 1.0, "shares": [0.5, 1.0]}}
    first = sweep(bound, GRID, tmp_path)
    assert sweep(functools.partial(scaled_curve, settings=Scales(1.0)), GRID, tmp_path).identical(first)
    with pytest.raises(ValueError, match="measure: got"):
        sweep(functools.partial(scaled_curve, settings=Scales(2.0)), GRID, tmp_path)


def test_file_names_are_readable_different_and_harmless():
    names = {
        cell_file({"path": value})
        for value in ("../../etc", "a/b", "a_b", "a b", "x" * 500, "x" * 501, "1", 1, 1.5, True)
    }
    assert len(names) == 10
    assert all("/" not in name and not name.startswith(".") and len(name) < 140 for name in names)
    assert cell_file({"a": 1, "b": 2}).split("-")[1] == cell_file({"b": 2, "a": 1}).split("-")[1]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "cells: got '0 cells'"),
        ([{}], "at least one setting"),
        (["wine"], "cells: got 'wine', expected a mapping"),
        ([{"seed": 1}, {"keep": 1}], "the settings seed in every cell"),
        ([{"seed": 1}, {"seed": 1}], "1 of them different"),
        ([{"seed": 1}, {"seed": "1"}], "numbers and texts mixed"),
        ([{"seed": [1]}], r"cells: seed: got \[1\]"),
        ([{"seed": float("nan")}], "a finite number"),
        ([{"a": 1, "b": 1}, {"a": 2, "b": 2}], r"got '2 cells', expected the whole grid of 4 cells \(2 a x 2 b\)"),
    ],
)
def test_cells_that_fill_no_grid_are_refused_before_any_work(tmp_path, cells, message):
    with pytest.raises(ValueError, match=message):
        sweep(curve, cells, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_other_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="workers: got 0"):
        sweep(curve, GRID, tmp_path, workers=0)
    with pytest.raises(ValueError, match="measure: got 'curve'"):
        sweep("curve", GRID, tmp_path)
    with pytest.raises(RuntimeError, match="cell dataset=1 failed: ValueError: measure: got 'a float'"):
        sweep(lambda dataset: float(dataset), [{"dataset": 1}], tmp_path / "float")
    with pytest.raises(RuntimeError, match="'error' already"):
        sweep(lambda error: xr.Dataset({"error": error}), [{"error": 1}], tmp_path / "taken")
    with pytest.raises(ValueError, match="results alike in all cells"):
        sweep(lambda n: xr.Dataset({"e": ("k", np.ones(n))}, {"k": np.arange(n)}), [{"n": 1}, {"n": 2}], tmp_path / "k")


CASE = """
import os, sys, time
from pathlib import Path
import numpy as np, xarray as xr
from neurogames.lab.runs.store import write_dataset
from neurogames.lab.runs.sweep import sweep

CELLS = [{"seed": seed, "keep": keep} for seed in range(5) for keep in (0.1, 0.5)]

def measure(seed, keep):
    with Path("measured.txt").open("a") as log:
        log.write(f"{seed} {keep}\\n")
    quick, long = "QUICK" in os.environ, "LONG" in os.environ and seed > 1
    time.sleep(0.0 if quick else 60.0 if long else 0.25)
    draws = np.random.default_rng([seed, int(100 * keep)]).normal(size=1000)
    return xr.Dataset({"draws": ("k", draws), "best": draws.max()})

if __name__ == "__main__":
    import case
    write_dataset(sweep(case.measure, case.CELLS, "run", workers=int(sys.argv[1])), "result.nc")
"""


def start(folder: Path, workers: int, **environment: str) -> subprocess.Popen[bytes]:
    (folder / "case.py").write_text(CASE)
    path = f"{folder}{os.pathsep}{Path(__file__).parents[2]}"
    return subprocess.Popen(
        [sys.executable, "case.py", str(workers)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for_cells(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while len(list(folder.glob("run/cells/[!.]*.nc"))) < count:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_end(group: int) -> None:
    """Nobody of a process group lives on."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a worker outlived the process that started it")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_sweep_killed_in_the_middle_resumes_to_the_identical_result(tmp_path, monkeypatch):
    victim = start(tmp_path, workers=2, LONG="yes")
    wait_for_cells(tmp_path, 3, victim)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    wait_for_end(victim.pid)
    victim.stderr.close()
    assert 3 <= len(list(tmp_path.glob("run/cells/[!.]*.nc"))) < 10
    second = start(tmp_path, workers=1, QUICK="yes")
    message = second.communicate(timeout=240)[1].decode()
    assert second.returncode == 0, message
    begun = len((tmp_path / "measured.txt").read_text().splitlines())
    assert 10 <= begun <= 12, "more was lost than the two cells in hand"

    monkeypatch.setenv("QUICK", "yes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    case = importlib.import_module("case")
    monkeypatch.delitem(sys.modules, "case")
    undisturbed = sweep(case.measure, case.CELLS, tmp_path / "undisturbed")
    resumed = read_dataset(tmp_path / "result.nc")
    assert undisturbed.identical(resumed)
    assert exact(undisturbed) == exact(resumed)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_stops_the_workers_and_keeps_what_is_finished(tmp_path):
    process = start(tmp_path, workers=2)
    wait_for_cells(tmp_path, 2, process)
    os.killpg(process.pid, signal.SIGINT)
    message = process.communicate(timeout=240)[1].decode()
    assert process.returncode in (-signal.SIGINT, 130), message
    assert "\nKeyboardInterrupt\n" in message
    wait_for_end(process.pid)
    assert 2 <= len(list(tmp_path.glob("run/cells/[!.]*.nc"))) < 10


def test_an_interrupt_in_this_process_keeps_what_is_finished(tmp_path):
    def interrupted(seed):
        if seed == 2:
            raise KeyboardInterrupt
        return xr.Dataset({"error": float(seed)})

    cells = [{"seed": seed} for seed in range(4)]
    with pytest.raises(KeyboardInterrupt):
        sweep(interrupted, cells, tmp_path)
    assert sorted(path.name for path in (tmp_path / "cells").iterdir()) == sorted(map(cell_file, cells[:2]))


def test_an_interrupt_is_heard_even_where_a_library_drops_it(tmp_path):
    def drop(done, total, cell):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sweep(fails_at_one, [{"seed": seed} for seed in (0, 2, 3)], tmp_path, on_progress=drop)
    assert len(list((tmp_path / "cells").iterdir())) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
