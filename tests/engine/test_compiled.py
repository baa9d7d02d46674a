"""What numba keeps of compiled functions is valid for their sources alone, and never ends a call."""

from __future__ import annotations

import importlib
import re
import sys
from errno import ENOSPC
from pathlib import Path

import numba
import pytest
from numba.core.caching import CacheImpl, FunctionCache

import neurogames
from neurogames.engine.compiled import compiled

CALLER = """
from neurogames.engine.compiled import compiled
from kept_package import rates
from kept_package.callee import shifted

@compiled
def caller(x):
    return shifted(x) + rates.RATE + rates.doubled(x) + sum([rates.deep(y) for y in range(1)])
"""
CALLEE = """
from neurogames.engine.compiled import compiled

@compiled
def shifted(x):
    return x + {shift}
"""
RATES = """
from kept_package import rates_of_their_own
from neurogames.engine.compiled import compiled

RATE = {rate}

@compiled
def doubled(x):
    return {double} * x

@compiled
def deep(x):
    return rates_of_their_own.INNER + rates_of_their_own.LINE[1500] + x
"""
INNER = """
import numpy as np

INNER = {inner}
LINE = np.zeros(3000, dtype=np.int64)
LINE[1500] = {entry}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package of three files, and load its caller as a new process would."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    folder = tmp_path / "kept_package"
    folder.mkdir()

    def load(**changed):
        numbers = {"shift": 1, "rate": 10, "double": 2, "entry": 0, "inner": 0, **changed}
        sources = {"__init__": "", "caller": CALLER, "callee": CALLEE, "rates": RATES, "rates_of_their_own": INNER}
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source.format(**numbers))
        for name in [name for name in sys.modules if name.startswith("kept_package")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return importlib.import_module("kept_package.caller").caller

    yield load
    for name in [name for name in sys.modules if name.startswith("kept_package")]:
        del sys.modules[name]


def hits(function) -> int:
    return sum(function.stats.cache_hits.values())


def kept(folder: Path, ending: str) -> list[Path]:
    return sorted((folder / "kept_package" / "__pycache__").glob(f"caller.caller*.{ending}"))


def test_a_function_is_found_compiled_while_its_sources_are_the_same(package):
    first = package()
    assert (first(3), hits(first)) == (20, 0)
    second = package()
    assert (second(3), hits(second)) == (20, 1)


@pytest.mark.parametrize(
    ("change", "value"),
    [({"shift": 2}, 21), ({"rate": 11}, 21), ({"double": 3}, 23), ({"entry": 4}, 24), ({"inner": 5}, 25)],
)
def test_a_function_is_compiled_anew_when_another_file_changes_that_it_uses(package, change, value):
    assert package()(3) == 20
    changed = package(**change)
    assert (changed(3), hits(changed)) == (value, 0)


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 20])
def test_what_is_damaged_is_compiled_anew_and_kept_again(package, tmp_path, ending, left):
    package()(3)
    for path in kept(tmp_path, ending):
        path.write_bytes(path.read_bytes()[:left])
    second = package()
    assert (second(3), hits(second)) == (20, 0)
    third = package()
    assert (third(3), hits(third)) == (20, 1)


def test_a_full_disk_ends_no_call(package, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(FunctionCache, "save_overload", full)
    assert package()(3) == 20
    assert not kept(tmp_path, "nbc")


def test_without_a_place_to_keep_it_a_function_is_still_compiled(package, tmp_path, monkeypatch):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    function = package()
    assert (function(3), function.nopython_signatures[0].return_type) == (20, numba.int64)
    assert not kept(tmp_path, "nbi")


def test_every_compiled_function_of_the_project_is_kept_by_its_sources():
    for path in Path(neurogames.__file__).parent.rglob("*.py"):
        if path.name != "compiled.py":
            assert not re.search(r"numba\.n?jit|numba import.*jit", path.read_text(encoding="utf-8")), path


def test_options_are_passed_on():
    @compiled(error_model="numpy")
    def inverse(x):
        return 1.0 / x

    assert inverse(0.0) == float("inf")
