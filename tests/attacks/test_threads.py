"""Games and engine may be asked from several threads at once: the numbers are those of one thread."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from neurogames import engine, games
from tests.attacks.recorded_calls import recorded_calls
from tests.bridge.test_laws import equal, numbers

# Their examples take the folder away in which they read or write.
FILES = {"read_efg", "read_nfg", "write_nfg"}


@pytest.fixture
def quick_switches():
    """Threads take turns as often as Python lets them."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("quick_switches")
def test_threads_do_not_disturb_each_other(tmp_path):
    compared = 0
    with ThreadPoolExecutor(4) as pool:
        for name, call in recorded_calls((games, engine), tmp_path).items():
            if name in FILES:
                continue
            expected = numbers(call.again())
            if equal(expected, numbers(call.again())):  # what holds functions of its own cannot be compared
                for found in pool.map(lambda _, call=call: numbers(call.again()), range(4)):
                    assert equal(expected, found), name
                compared += 1
    assert compared > 100
