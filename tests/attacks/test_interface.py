"""A default or a range of arguments that changes is seen: as a difference to what is written down."""

from __future__ import annotations

import pytest

from tests.attacks.interface import PAGE, PUBLIC, defaults, taken_numbers

LINES = PAGE.read_text(encoding="utf-8").splitlines()


def test_defaults_are_those_written_down():
    """If one is to change: ``python -m tests.attacks.interface``, and read the difference."""
    assert [line for name in sorted(PUBLIC) for line in defaults(name)] == [line for line in LINES if " = " in line]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflows of steps that are far too long
@pytest.mark.parametrize("name", PUBLIC)
def test_numbers_are_taken_as_written_down(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert taken_numbers(name) == [line for line in LINES if line.startswith(f"{name}.") and " takes " in line]
