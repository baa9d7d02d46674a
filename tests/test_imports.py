"""Importing is cheap: what is not used is not loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

import neurogames


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that a fresh process has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import neurogames", {"torch", "scipy", "numba", "pandas", "xarray", "numpy", "matplotlib", "sklearn"}),
        ("from neurogames import PublicGoodsGame", {"torch", "scipy", "numba", "pandas", "xarray", "matplotlib"}),
        ("import neurogames.engine", {"torch", "pandas", "xarray", "matplotlib", "sklearn"}),
        ("import neurogames.bridge", {"torch", "scipy", "numba", "pandas", "xarray", "matplotlib", "sklearn"}),
        ("import neurogames.bridge; dir(neurogames.bridge)", {"torch"}),
        ("from neurogames.bridge import TargetNoise", {"pandas", "xarray", "matplotlib", "sklearn"}),
    ],
)
def test_a_floor_loads_only_what_it_stands_on(statement, absent):
    assert loaded_by(statement) & absent == set()


def test_the_root_names_what_games_and_engine_name():
    from neurogames import engine, games

    expected = {"engine", "games", *engine.__all__, *games.__all__}
    assert set(neurogames.__all__) == expected
    for floor in (engine, games):
        for name in floor.__all__:
            assert getattr(neurogames, name) is getattr(floor, name)
