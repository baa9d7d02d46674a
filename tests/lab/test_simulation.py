from __future__ import annotations

import numpy as np
import pytest

from neurogames.games import PublicGoodsGame
from neurogames.lab.simulation import MASKS, simulate_composition, tipping_count

GAME = PublicGoodsGame(20, 0.4, 1.0)


def test_agents_agree_with_the_exact_law_in_every_meaning_of_a_mask() -> None:
    result = simulate_composition(
        GAME, keep_probs=[0.2, 0.9], temperature=0.08, sweeps=60, replicas=4000, rng=np.random.default_rng(1)
    )
    later = result.isel(sweep=slice(1, None))
    z = np.abs(later.simulated - later.exact) / np.maximum(later.standard_error, 1e-9)
    assert list(result["mask"].values) == list(MASKS)
    assert float(z.max()) < 5.0
    assert float(later.exact.min()) > 0.0


def test_held_one_at_a_time_revision_is_only_slowed_by_the_mask() -> None:
    result = simulate_composition(
        GAME, keep_probs=[0.5, 1.0], temperature=0.08, sweeps=10, replicas=10, rng=np.random.default_rng(0)
    ).sel(mask="hold, one at a time")
    slow, fast = result.escape_sweeps.values
    assert slow == pytest.approx(2 * fast, rel=1e-12)
    np.testing.assert_allclose(result.stationary[0], result.stationary[1], rtol=1e-12)


def test_without_a_tipping_point_nobody_escapes() -> None:
    dear = PublicGoodsGame(20, 2.0, 1.0)
    result = simulate_composition(
        dear, keep_probs=[1.0], temperature=0.1, sweeps=5, replicas=10, rng=np.random.default_rng(0)
    )
    assert tipping_count(dear) is None
    assert np.isinf(result.escape_sweeps).all()


def test_wrong_input_is_refused_by_name() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="^keep_probs: got 1.5"):
        simulate_composition(GAME, keep_probs=[1.5], temperature=0.1, sweeps=5, replicas=5, rng=rng)
    with pytest.raises(ValueError, match="^masks: got 'deaf'.*blind, one at a time"):
        simulate_composition(GAME, keep_probs=[1.0], temperature=0.1, sweeps=5, replicas=5, masks=["deaf"], rng=rng)
