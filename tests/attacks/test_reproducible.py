"""The cheap form of ``reproducible``: a study of few numbers, in one process, in two, ended, and in another order."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurogames.lab.runs.sweep import sweep
from neurogames.lab.studies.study import run_study
from tests.attacks.reproducible import differing, digest, written
from tests.lab.studies.toy.page import TOY
from tests.lab.studies.toy.settings import ToySettings


class Ended(Exception):  # noqa: N818
    """Somebody ends the run."""


def end_after(count):
    calls = []

    def on_progress(*_):
        calls.append(1)
        if len(calls) == count:
            raise Ended

    return on_progress


def test_a_study_writes_the_same_whatever_happens_to_it(tmp_path, monkeypatch):
    found = {}
    for name in ("one", "two", "ended", "grown"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        settings = ToySettings()
        if name == "ended":
            for count in (2, 3, 4):
                with pytest.raises(Ended):
                    run_study(TOY, settings, "out", workers=1, on_progress=end_after(count))
        if name == "grown":
            run_study(TOY, settings.updated(seeds=2), "out", workers=1)
        run_study(TOY, settings, "out", workers=2 if name == "two" else 1)
        found[name] = written(tmp_path / name / "out")
    assert len(found["one"]) > 5
    assert {name: differing(found["one"], other) for name, other in found.items()} == {name: [] for name in found}


def draw(seed, rule):
    return xr.Dataset(
        {"x": ("row", np.random.default_rng([seed, len(rule)]).random(3))}, attrs={"of": {"a": [1, None]}}
    )


def test_the_order_of_cells_is_not_seen_in_what_a_sweep_writes(tmp_path):
    cells = [{"seed": seed, "rule": rule} for seed in (0, 1, 2) for rule in ("a", "bb")]
    first = sweep(draw, cells, tmp_path / "first")
    assert sweep(draw, cells[::-1], tmp_path / "second").identical(first)
    assert differing(written(tmp_path / "first"), written(tmp_path / "second")) == []


def test_a_difference_is_found(tmp_path):
    first = sweep(draw, [{"seed": 0, "rule": "a"}], tmp_path / "first")
    sweep(draw, [{"seed": 1, "rule": "a"}], tmp_path / "second")
    assert len(differing(written(tmp_path / "first"), written(tmp_path / "second"))) == 2
    with xr.set_options(keep_attrs=True):
        assert digest(first) != digest(first + np.finfo(float).eps)
    assert digest(first) != digest(first.assign_attrs(of={}))
