"""Shared setting of the tests: one torch thread, a quiet matplotlib, hypothesis without deadlines, Ctrl-C heard."""

from __future__ import annotations

import contextlib
import os
import signal

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("neurogames", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("neurogames")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" not in os.environ:
    # Two workers that compile its ufuncs at once can leave a cache that aborts whoever loads it (numba issue 10128).
    with contextlib.suppress(ImportError):
        import quantecon  # noqa: F401

_CRASHED = pytest.StashKey[bool]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Remember a worker that crashed; if all do before their first test, the run would else end as a success."""
    if error:
        node.config.stash[_CRASHED] = True


def pytest_sessionfinish(session):
    """Fail a run in which a worker crashed."""
    if session.config.stash.get(_CRASHED, False):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
