"""Shared setting of the tests: one torch thread per worker, a quiet matplotlib, hypothesis without deadlines."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("neurogames", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("neurogames")
