"""Shared setting of the tests: one torch thread, a quiet matplotlib, hypothesis without deadlines, Ctrl-C heard."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("neurogames", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("neurogames")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
