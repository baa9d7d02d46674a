"""Which versions made a result, and that no run mixes those of neurogames."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
import tomli_w
import xarray as xr

import neurogames
from neurogames.lab.runs import provenance, sweep
from neurogames.lab.runs.errors import CellError
from neurogames.lab.runs.provenance import versions
from neurogames.lab.runs.run_folder import open_run
from neurogames.lab.runs.store import read_dataset, write_dataset

CELLS = [{"seed": 0}, {"seed": 1}]


def error(seed: int) -> xr.Dataset:
    return xr.Dataset({"error": float(seed)})


def test_versions_leave_out_what_is_not_installed(monkeypatch):
    monkeypatch.setattr(provenance, "RECORDED", ("numpy", "no-such-package-here"))
    assert versions().keys() == {"python", "neurogames", "numpy"}
    assert versions()["numpy"] == np.__version__
    assert versions()["neurogames"] == neurogames.__version__


def test_cells_of_another_version_are_refused_before_any_work_and_stay(tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(provenance, "__version__", "0.0.9")
        sweep.sweep(error, CELLS[1:], tmp_path)
    (path,) = (tmp_path / "cells").iterdir()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="^folder: got ") as refused:
        sweep.sweep(error, CELLS, tmp_path)
    assert str(refused.value) == (
        f"folder: got '{path}, of neurogames 0.0.9', expected results of neurogames {neurogames.__version__}, which is "
        "running; begin in another folder, or go on with neurogames 0.0.9"
    )
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_cell_that_names_no_version_is_measured_again(tmp_path):
    whole = sweep.sweep(error, CELLS, tmp_path)
    path = tmp_path / "cells" / sweep.cell_file(CELLS[0])
    cell = read_dataset(path)
    del cell.attrs["versions"]
    write_dataset(cell, path)
    assert sweep.sweep(error, CELLS, tmp_path).identical(whole)


def test_other_packages_may_change_and_both_versions_are_told(tmp_path):
    sweep.sweep(error, CELLS[:1], tmp_path)
    path = tmp_path / "cells" / sweep.cell_file(CELLS[0])
    cell = read_dataset(path)
    cell.attrs["versions"]["torch"] = "1.0"
    write_dataset(cell, path)
    both = sweep.sweep(error, CELLS, tmp_path)
    assert provenance.joined_versions([both]) == {**versions(), "torch": f"1.0 and {versions()['torch']}"}


def test_a_worker_of_another_version_measures_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "finish", lambda act, jobs, _: (act(*job[:-2], "9.9", job[-1]) for job in jobs))
    with pytest.raises(
        CellError, match=r"seed=0 failed: .* got 'a worker with neurogames \d.*', expected neurogames 9\.9"
    ):
        sweep.sweep(error, CELLS, tmp_path)
    assert not list((tmp_path / "cells").iterdir())


@pytest.mark.parametrize("older", [{"neurogames": "0.0.9"}, {}, "0.0.9"])
def test_a_run_of_another_version_is_refused_whatever_its_settings(tmp_path, older):
    settings = {"data": "wine", "seeds": 2}
    open_run(tmp_path, settings)
    table = tomllib.loads((tmp_path / "settings.toml").read_text())
    content = tomli_w.dumps({"settings": table["settings"], "versions": older})
    (tmp_path / "settings.toml").write_text(content)
    named = "0.0.9" if isinstance(older, dict) and older else "of an unknown version"
    for again in (settings, {"data": "iris"}, {"data": "wine", "seeds": 3}):
        with pytest.raises(ValueError, match=f"^folder: got '{tmp_path}, of neurogames {named}', expected results of "):
            open_run(tmp_path, again, growing=["seeds"])
    assert (tmp_path / "settings.toml").read_text() == content
