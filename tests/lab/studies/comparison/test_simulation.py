from __future__ import annotations

import numpy as np
import pytest

from neurogames.games import PublicGoodsGame
from neurogames.lab.studies.comparison.simulation import MASKS, simulate_composition, tipping_count

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
    once = {"temperature": 0.1, "replicas": 5, "rng": rng}
    with pytest.raises(ValueError, match="^masks: got .*each named once"):
        simulate_composition(GAME, keep_probs=[1.0], sweeps=5, masks=["blind, one at a time"] * 2, **once)
    with pytest.raises(ValueError, match="^keep_probs: got .*each named once"):
        simulate_composition(GAME, keep_probs=[1.0, 1.0], sweeps=5, **once)
    with pytest.raises(ValueError, match="^sweeps: got 0"):
        simulate_composition(GAME, keep_probs=[1.0], sweeps=0, **once)


@pytest.mark.parametrize("sweeps", [1, 7, 45, 59, 500])
def test_the_end_of_the_simulation_is_recorded(sweeps: int) -> None:
    result = simulate_composition(
        GAME, keep_probs=[1.0], temperature=0.1, sweeps=sweeps, replicas=2, rng=np.random.default_rng(0)
    )
    assert result.sweep.values[[0, -1]].tolist() == [0, sweeps]
    assert result.sizes["sweep"] <= 21
