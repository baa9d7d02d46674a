"""The public goods game of a layer: planted layers, and the network itself as the judge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.extraction.public_goods_game import public_goods_game


def copies(weights):
    """Hidden units that all give the input; the output is their weighted sum."""
    n = len(weights)
    model = nn.Sequential(nn.Linear(1, n, bias=False), nn.ReLU(), nn.Linear(n, 1, bias=False)).double()
    model[0].weight.data = torch.ones(n, 1, dtype=torch.float64)
    model[2].weight.data = torch.tensor([weights], dtype=torch.float64)
    return model


def rows(target):
    return torch.ones(3, 1, dtype=torch.float64), torch.full((3, 1), target, dtype=torch.float64)


def test_units_that_share_one_task_are_redundant_and_alike():
    """The loss (1 - k/n)^2 falls by (2 (n - k) - 1) / n^2 with the next unit."""
    n = 8
    found = public_goods_game(copies([1 / n] * n), "1", rows(1.0), budget=200, rng=np.random.default_rng(0))
    k = np.arange(n)
    np.testing.assert_allclose(found.game().gain, (2 * (n - k) - 1) / n**2, atol=1e-12)
    slope, error = found.synergy
    assert slope < -10 * error
    for players in ("own", "alike"):
        assert found.predicted(players).staying(0.1) == found.removed().staying(0.1)


def test_units_of_which_each_counts_only_with_all_others_are_a_club_like_synergy():
    def worth(outputs, targets):
        return (outputs[:, 0] ** 2).double() + 0 * targets[:, 0]

    n = 10
    found = public_goods_game(
        copies([1 / n] * n), "1", rows(0.0), metric=worth, budget=400, rng=np.random.default_rng(0)
    )
    assert found.fits[0].good == "club"
    assert found.fits[0].multiplier == pytest.approx(2 / n)
    assert found.good is not None
    assert found.synergy[0] > 0
    # (2 k + 1) / n^2 = fee at k = (fee n^2 - 1) / 2 others, the unit itself counted
    assert found.tipping_point(0.09) == pytest.approx((0.09 * n**2 - 1) / 2 + 1)


def test_units_that_differ_are_told_apart_and_those_who_stay_are_an_equilibrium_of_the_network():
    found = public_goods_game(copies([0.02] * 6 + [0.25] * 3), "1", rows(1.0), budget=400, rng=np.random.default_rng(0))
    assert found.curves.heterogeneity > 0.5
    fee = 0.05
    members = found.predicted().members(fee)
    np.testing.assert_array_equal(np.flatnonzero(members), [6, 7, 8])
    leaving, joining = found.regret(members, fee)
    assert leaving <= 0
    assert joining <= 0
    np.testing.assert_array_equal(found.removed().members(fee), members)


def test_a_budget_below_two_pairs_of_orders_is_refused():
    with pytest.raises(ValueError, match="^budget: got 20"):
        public_goods_game(copies([0.1] * 8), "1", rows(1.0), budget=20, rng=np.random.default_rng(0))
