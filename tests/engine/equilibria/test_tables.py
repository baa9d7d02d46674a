"""Solutions as tables: every number of a profile at its player and action, counted from 1."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine import (
    alpha_rank,
    correlated_equilibrium,
    logit_branch,
    logit_equilibrium,
    solve_nash,
    solve_zero_sum,
)
from neurogames.games import NormalFormGame

BATTLE = NormalFormGame(([[3, 0, 1], [0, 2, 0]], [[2, 0, 1], [0, 3, 0]]))
PENNIES = NormalFormGame.zero_sum([[2, -1], [-1, 1]])
THREE = NormalFormGame(tuple(np.random.default_rng(p).normal(size=(2, 3, 2)) for p in range(3)))


@pytest.mark.parametrize(
    ("found", "profiles"),
    [
        (solve_nash(BATTLE), lambda found: found.profiles),
        (solve_nash(THREE, "pure"), lambda found: found.profiles),
        (solve_zero_sum(PENNIES), lambda found: [found.profile]),
        (logit_equilibrium(THREE, 0.5), lambda found: [found.profile]),
        (logit_branch(BATTLE, 0.5), lambda found: list(zip(*found.profile, strict=True))),
    ],
)
def test_mixed_profiles_are_rows(found, profiles):
    table = found.to_dataframe()
    expected = profiles(found)
    assert len(table) == sum(strategy.size for profile in expected for strategy in profile)
    for k, profile in enumerate(expected):
        for p, strategy in enumerate(profile):
            part = table[(table["profile"] == k + 1) & (table["player"] == p + 1)]
            assert part["probability"].tolist() == strategy.tolist()
            assert part["action"].tolist() == list(range(1, strategy.size + 1))


def test_what_is_known_of_each_profile_stands_beside_it():
    found = solve_nash(BATTLE)
    first = found.to_dataframe().groupby("profile").first()
    assert first["regret"].tolist() == found.regret.tolist()
    assert first["index"].tolist() == list(found.index)
    assert "index" not in solve_nash(THREE, "pure").to_dataframe().columns
    branch = logit_branch(BATTLE, 0.5)
    assert branch.to_dataframe().groupby("profile").first()["precision"].tolist() == branch.precision.tolist()


def test_a_number_for_each_pure_profile_is_labelled_by_its_actions():
    rank, correlated = alpha_rank(THREE, 1.0), correlated_equilibrium(BATTLE)
    table = rank.to_dataframe().set_index(["action_1", "action_2", "action_3"])
    assert table.loc[(2, 3, 1), "log_stationary"] == rank.log_stationary[1, 2, 0]
    table = correlated.to_dataframe().set_index(["action_1", "action_2"])
    assert table.loc[(2, 3), "probability"] == correlated.distribution[1, 2]
    assert correlated.to_xarray()["probability"].sizes == {"action_1": 2, "action_2": 3}
