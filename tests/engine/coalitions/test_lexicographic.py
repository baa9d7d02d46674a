"""Stages by pivots and stages by HiGHS, and which of them is believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurogames.engine.coalitions import lexicographic
from neurogames.engine.coalitions.lexicographic import minimise_by_rows, minimise_lexicographically


def random_table(seed, n):
    table = np.random.default_rng(seed).uniform(-1, 1, size=1 << n)
    table[0] = 0.0
    return table


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_both_ways_end_at_the_same_allocation(seed, n):
    table, floor = random_table(seed, n), np.full(n, -np.inf)
    fast, slow = minimise_lexicographically(table, floor), minimise_by_rows(table, floor)
    np.testing.assert_allclose(fast.allocation, slow.allocation, atol=1e-8)
    np.testing.assert_allclose([s.excess for s in fast.stages][:1], [s.excess for s in slow.stages][:1], atol=1e-8)


def test_pivots_are_tried_first_and_believed_only_without_objections(monkeypatch):
    table, floor = random_table(0, 4), np.full(4, -np.inf)
    right = minimise_by_rows(table, floor)

    def unused(*_):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(lexicographic, "minimise_by_rows", unused)
        assert minimise_lexicographically(table, floor).status == "ok"
    moved = replace(right, allocation=right.allocation + np.array([0.1, -0.1, 0.0, 0.0]))
    for answer in (None, moved):
        with monkeypatch.context() as patch:
            patch.setattr(lexicographic, "_pivot_stages", lambda *_, answer=answer: answer)
            found = minimise_lexicographically(table, floor)
        np.testing.assert_allclose(found.allocation, right.allocation, atol=1e-9)
