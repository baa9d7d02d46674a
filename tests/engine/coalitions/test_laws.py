"""Laws that hold for every way of valuing players: the axioms, exactly or within standard errors."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.coalitions.transforms import coalition_rows
from tests.laws import VALUE_METHODS, TableGame

N = 8
POWERS = 1 << np.arange(N)
ROWS = coalition_rows(np.arange(1 << N), N)
SHAPLEY = {name: method for name, method in VALUE_METHODS.items() if name.startswith("Shapley,") or name == "Shapley"}
every_method = pytest.mark.parametrize("method", VALUE_METHODS.values(), ids=VALUE_METHODS)
every_shapley = pytest.mark.parametrize("method", SHAPLEY.values(), ids=SHAPLEY)
seeds = pytest.mark.parametrize("seed", range(3))


def table(seed: int) -> np.ndarray:
    """Worths that rise with the coalition, with noise, v(empty) not 0."""
    rng = np.random.default_rng(seed)
    return 0.5 + np.sqrt(ROWS @ rng.random(N)) + 0.1 * rng.normal(size=1 << N)


def relabelled(worths: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The same game in which player ``order[i]`` is called i."""
    return worths[ROWS @ POWERS[order]]


def assert_close(found, expected, *, errors=None):
    """Equal up to rounding, or within 4.5 standard errors of what is estimated."""
    slack = 1e-11 if errors is None else 4.5 * errors + 1e-11
    assert (np.abs(found - expected) <= slack).all(), np.abs(found - expected) - slack


@every_method
@seeds
def test_estimates_are_within_their_errors_of_the_exact_values(method, seed):
    found, exact = method(TableGame(table(seed)), seed), method.exact(TableGame(table(seed)))
    assert_close(found.values, exact.values, errors=found.stderr)
    assert found.index == exact.index
    assert found.exact == (not method.estimates)
    assert found.budget <= 1 << N


@every_shapley
@seeds
def test_shapley_values_add_up_to_what_all_players_gain(method, seed):
    worths = table(seed)
    assert_close(method(TableGame(worths), seed).values.sum(), worths[-1] - worths[0])


@every_method
@seeds
def test_a_null_player_gets_nothing(method, seed):
    worths = table(seed)
    without_last = np.where(ROWS[:, -1], np.roll(worths, 1 << (N - 1)), worths)
    found = method(TableGame(without_last), seed)
    assert_close(found.values[-1], 0.0, errors=found.stderr[-1])


@every_method
@seeds
def test_players_who_are_alike_get_alike(method, seed):
    worths, swap = table(seed), np.array([1, 0, *range(2, N)])
    found = method(TableGame((worths + relabelled(worths, swap)) / 2), seed)
    values, errors = found.values, found.stderr
    if values.ndim == 2:
        values, errors = values[:2, 2:], errors[:2, 2:]
    assert_close(values[0], values[1], errors=np.hypot(errors[0], errors[1]))


@every_method
@seeds
def test_values_follow_a_change_of_scale_and_of_origin(method, seed):
    worths = table(seed)
    found, changed = method(TableGame(worths), seed), method(TableGame(7.0 - 3.0 * worths), seed)
    if "until" in str(method.values):  # who is at the top of -v is another question, that may stop elsewhere
        changed = method(TableGame(7.0 + 3.0 * worths), seed)
        assert_close(changed.values, 3.0 * found.values)
    else:
        assert_close(changed.values, -3.0 * found.values)
    assert_close(changed.stderr, 3.0 * found.stderr)


@every_method
@seeds
def test_the_names_of_players_do_not_matter(method, seed):
    worths, order = table(seed), np.random.default_rng(seed).permutation(N)
    found, renamed = method(TableGame(worths), seed), method(TableGame(relabelled(worths, order)), seed)
    place = np.argsort(order)
    pairs = np.ix_(place, place) if found.values.ndim == 2 else place
    errors = np.hypot(found.stderr, renamed.stderr[pairs]) if method.estimates else None
    assert_close(renamed.values[pairs], found.values, errors=errors)


@every_method
def test_the_same_seed_gives_the_same_and_the_game_stays_as_it_is(method):
    worths = table(0)
    given = worths.copy()
    results = [method(TableGame(worths), seed) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(worths, given)
    np.testing.assert_array_equal(results[0].values, results[1].values)
    np.testing.assert_array_equal(results[0].stderr, results[1].stderr)
    assert method.estimates == (not np.array_equal(results[0].values, results[2].values))


@every_method
def test_a_game_asked_for_many_coalitions_answers_as_if_asked_for_each(method):
    many, each = (method(TableGame(table(1), one_by_one=alone)) for alone in (False, True))
    np.testing.assert_array_equal(many.values, each.values)
    np.testing.assert_array_equal(many.stderr, each.stderr)
