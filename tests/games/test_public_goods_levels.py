"""Public goods with several amounts, punishment and staying out, beside closed forms and sums over groups."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from neurogames.games import contribution_game, punishment_game


def test_amounts_pay_as_summed_over_all_groups():
    amounts, players, size, r = [0.0, 0.5, 2.0], 7, 3, 1.7
    game = contribution_game(amounts, group_size=size, n_players=players, multiplier=r, threshold=1.0)
    others = np.array([2, 3, 1])
    agents = np.repeat(amounts, others)
    for k, own in enumerate(amounts):
        pays = []
        for mates in combinations(agents, size - 1):
            given = own + sum(mates)
            pays.append((r * given / size if given >= 1.0 else 0.0) - own)
        assert game.payoffs(others)[k] == pytest.approx(np.mean(pays))


def test_punishment_in_a_large_population_pays_as_published():
    d, r, fine, fee = 5, 3.0, 1.2, 0.4
    game = punishment_game(group_size=d, n_players=50, multiplier=r, fine=fine, fee=fee)
    for x, y, w in np.random.default_rng(0).dirichlet(np.ones(3), size=20):
        common = r * (d - 1) * (x + w) / d
        expected = [common + r / d - 1, common - fine * (d - 1) * w, common + r / d - 1 - fee * (d - 1) * y]
        np.testing.assert_allclose(game.limit_payoffs([x, y, w]), expected, atol=1e-12)


def test_groups_may_be_pairs():
    game = punishment_game(group_size=2, n_players=9, multiplier=1.8, fine=1.0, fee=0.3)
    np.testing.assert_allclose(game.payoffs([4, 4, 0]), [0.35, 0.45, 0.2])


def test_a_voluntary_public_good_pays_as_published():
    """Hauert, De Monte, Hofbauer and Sigmund, Science 296 (2002): payoffs of defectors and of contributors."""
    d, r, outside = 5, 3.0, 1.0
    game = punishment_game(group_size=d, n_players=50, multiplier=r, fine=0.0, fee=0.0, outside=outside)
    for x, y, z in np.random.default_rng(0).dirichlet(np.ones(3), size=20):
        alone = z ** (d - 1)
        defects = outside * alone + r * x / (1 - z) * (1 - (1 - z**d) / (d * (1 - z)))
        contributes = defects - (1 + (r - 1) * alone - r / d * (1 - z**d) / (1 - z))
        pays = game.limit_payoffs([x, y, 0.0, z])
        np.testing.assert_allclose(pays[[0, 1, 3]], [contributes, defects, outside], atol=1e-12)
    assert game.labels[-1] == "stays out"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"group_size": 1}, "group_size: got 1"),
        ({"multiplier": 0}, "multiplier: got 0"),
        ({"fine": -1}, "fine: got -1"),
        ({"outside": np.nan}, "outside: got nan"),
        ({"n_players": 2}, "group_size: got 3"),
    ],
)
def test_what_is_out_of_range_is_refused(changed, expected):
    plain = {"group_size": 3, "n_players": 9, "multiplier": 2.0, "fine": 1.0, "fee": 0.1}
    with pytest.raises(ValueError, match=expected):
        punishment_game(**{**plain, **changed})
    with pytest.raises(ValueError, match="contributions: got"):
        contribution_game([1.0, -1.0], group_size=2, n_players=4, multiplier=2.0)
