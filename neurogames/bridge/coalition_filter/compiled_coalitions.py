"""Masks of strong coalitions on the CPU, compiled: one map after the other, its whole work in the processor's cache.

It gives the masks that ``strong_coalitions`` defines, in another order of work. No map is sorted: the median, the cut
between windows and the quartile are found by counting how many numbers lie below a guess, which takes few vector
instructions per pass over a map.

Where the strengths alpha, beta are learnt it also gives what each unit's soft gate (see ``coalition_layers``) feels of
them. With phi_i = alpha A_i + beta B_i and q the unit of the quartile, the first of the map among equals, units i of
winning windows have

    a_i d sigmoid((phi_i - rho) / T) / dalpha = a_i sigmoid' (A_i - g A_q) / T,   beta with B alike.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.bridge.coalition_filter.window_energy import count_windows
from neurogames.engine.compiled import compiled

Law = tuple[NDArray[np.float64], NDArray[np.float64]]


def mask_maps(
    maps: NDArray[np.floating],
    grid: tuple[int, int],
    window: int,
    winners: int,
    ising: bool,
    alpha: float,
    beta: float,
    level: float,
    *,
    temperature: float,
    law: Law | None = None,
) -> NDArray[np.floating]:
    """Mask of the strong units of maps (maps, units), 1 or 0 in their type; float32 or float64, contiguous.

    With a ``law``, shares (places of a window, windows) of each unit in log Z and sums (windows,) of them, payoffs and
    values are divided by the temperature, and these are taken away.

    >>> mask_maps(np.array([[5.0, 6.0, 0.0, 0.0]]), (1, 4), 1, 2, True, 1.0, 1.0, 1.0, temperature=1.0)
    array([[1., 1., 0., 0.]])
    """
    masks: NDArray[np.floating] = np.empty_like(maps)
    none = np.empty((0, 0), maps.dtype)
    _fill(maps, grid, window, winners, ising, (alpha, beta, level, temperature), law, (masks, none, none))
    return masks


def mask_and_slopes(
    maps: NDArray[np.floating],
    grid: tuple[int, int],
    window: int,
    winners: int,
    ising: bool,
    alpha: float,
    beta: float,
    level: float,
    temperature: float,
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Mask of ``mask_maps`` and the slopes in alpha and beta of activation times soft gate, all (maps, units).

    >>> mask_and_slopes(np.array([[5.0, 6.0, 0.0, 0.0]]), (1, 4), 1, 3, True, 1.0, 1.0, 0.0, 1.0)[2][0, :2].round(3)
    array([0.983, 1.18 ])
    """
    masks, by_alpha, by_beta = (np.empty_like(maps) for _ in range(3))
    _fill(maps, grid, window, winners, ising, (alpha, beta, level, temperature), None, (masks, by_alpha, by_beta))
    return masks, by_alpha, by_beta


def _fill(
    maps: NDArray[np.floating],
    grid: tuple[int, int],
    window: int,
    winners: int,
    ising: bool,
    numbers: tuple[float, float, float, float],
    law: Law | None,
    results: tuple[Any, Any, Any],
) -> None:
    """Call the kernel with its tables."""
    keys = np.empty(maps.shape[1], np.int32 if maps.itemsize == 4 else np.int64)
    unit_of, place_of, links = _tables(maps.shape[1], *grid, window)
    shares, sums = (np.empty((0, 0)), np.empty(0)) if law is None else law
    rest = (law is not None, shares, sums, *results)
    _fill_masks(maps, keys, unit_of, place_of, links, winners, ising, *numbers, *rest)


@lru_cache(maxsize=16)
def _tables(units: int, height: int, width: int, window: int) -> tuple[NDArray[np.int64], ...]:
    """Where things are: the unit (or ``units``, for none) at each place of each window, its inverse, and the edges."""
    rows, columns = -(-height // window), -(-width // window)
    numbers = np.full((rows * window, columns * window), units)
    numbers[:height, :width] = np.minimum(np.arange(height * width), units).reshape(height, width)
    unit_of = numbers.reshape(rows, window, columns, window).transpose(1, 3, 0, 2).reshape(window**2, -1)
    unit_of = np.ascontiguousarray(unit_of[:, : count_windows(units, (height, width), window)])
    place_of = np.argsort(unit_of, axis=None)[:units]
    inner = np.arange(window**2).reshape(window, window)
    across = np.stack([inner[:, :-1].ravel(), inner[:, 1:].ravel()], axis=1)
    along = np.stack([inner[:-1].ravel(), inner[1:].ravel()], axis=1)
    return unit_of, place_of, np.concatenate([across, along])


@compiled(error_model="numpy")
def _ordered(values: Any, keys: Any) -> None:
    """Fill ``keys`` with integers in the order of finite or infinite ``values``; -0 and 0 are one."""
    last = 8 * values.itemsize - 1
    rest = (1 << last) - 1
    for i in range(len(values)):
        values[i] += values.dtype.type(0.0)
    bits = values.view(keys.dtype)
    for i in range(len(values)):
        keys[i] = bits[i] ^ ((bits[i] >> last) & rest)


@compiled(error_model="numpy")
def _smallest(keys: Any, place: int) -> Any:
    """The key at ``place`` of the keys in order: bisection by passes that compilers turn into vector instructions.

    Each pass moves an end of the interval to a key that occurs, so that it ends however they are distributed.
    """
    low, high = keys[0], keys[0]
    for i in range(len(keys)):
        low = keys[i] if keys[i] < low else low
        high = keys[i] if keys[i] > high else high
    least, most = low, high
    while low < high:
        middle = keys.dtype.type((low >> 1) + (high >> 1) + (low & high & 1))
        below, last, first = 0, least, most
        for i in range(len(keys)):
            under = keys[i] <= middle
            below += under
            one, other = keys[i] if under else least, most if under else keys[i]
            last = one if one > last else last
            first = other if other < first else first
        if below == place:
            return first
        if below == place + 1:
            return last
        if below > place:
            high = last
        else:
            low = first
    return low


@compiled(error_model="numpy")
def _choose(values: Any, keys: Any, place: int) -> Any:
    """The value at ``place`` of ``values`` in order, with room for as many keys."""
    _ordered(values, keys)
    found = _smallest(keys, place)
    for i in range(len(keys)):
        if keys[i] == found:
            return values[i]
    return values[0]


@compiled(error_model="numpy")
def _fill_masks(
    maps: Any,
    row_keys: Any,
    unit_of: Any,
    place_of: Any,
    links: Any,
    winners: int,
    ising: bool,
    alpha: float,
    beta: float,
    level: float,
    temperature: float,
    has_law: bool,
    shares: Any,
    sums: Any,
    masks: Any,
    by_alpha: Any,
    by_beta: Any,
) -> None:
    """Fill ``masks`` map by map, and slopes that have room; tables are (places, windows): loops run over windows."""
    places, windows = unit_of.shape
    units = maps.shape[1]
    row = np.empty(units, maps.dtype)
    states, table = np.zeros(units + 1), np.empty((places, windows))  # the last state is that of places without unit
    pairs, values, product = np.empty((places, windows)), np.empty((places, windows)), np.empty(windows)
    payoffs, alone, together = np.empty(windows), np.empty(windows), np.empty(windows)
    wins, winning, keep = np.empty(windows, np.bool_), np.empty(windows + 1, np.int64), np.empty((places, windows))
    inside, keys = np.empty(places * winners + 1), np.empty(max(places * winners, windows), np.int64)
    factor, half = beta if ising else -0.5 * beta, 0.5 * alpha
    taught, unit_factor = len(by_alpha) > 0, 1.0 if ising else -0.5
    steep, slope_alpha, slope_beta = np.empty(windows), np.zeros((places, windows)), np.zeros((places, windows))
    for m in range(len(maps)):
        odd = False
        for i in range(units):
            row[i] = maps[m, i]
            odd |= not abs(row[i]) < np.inf
        if ising and not odd:
            median = _choose(row, row_keys, (units - 1) // 2)
            for i in range(units):
                states[i] = 1.0 if row[i] > median else -1.0
        else:
            for i in range(units):
                states[i] = row[i]
        alone[:] = 0.0
        together[:] = 0.0
        pairs[:] = 0.0
        for p in range(places):
            for w in range(windows):
                table[p, w] = states[unit_of[p, w]]
            for w in range(windows):
                values[p, w] = table[p, w] if ising else table[p, w] * table[p, w]
            for w in range(windows):
                alone[w] += values[p, w]
        for p, q in links:
            for w in range(windows):
                product[w] = table[p, w] * table[q, w]
            for w in range(windows):
                together[w] += product[w]
            for w in range(windows):
                pairs[p, w] += product[w]
            for w in range(windows):
                pairs[q, w] += product[w]
        for p in range(places):
            for w in range(windows):
                values[p, w] = factor * values[p, w] + half * pairs[p, w]
        for w in range(windows):
            payoffs[w] = alpha * together[w] + factor * alone[w]
        if has_law:
            for w in range(windows):
                payoffs[w] = payoffs[w] / temperature - sums[w]
            for p in range(places):
                for w in range(windows):
                    values[p, w] = values[p, w] / temperature - shares[p, w]
        for w in range(windows):
            odd |= not abs(payoffs[w]) < np.inf
        if odd:
            masks[m] = maps.dtype.type(1.0)
            if taught:
                by_alpha[m] = maps.dtype.type(0.0)
                by_beta[m] = maps.dtype.type(0.0)
            continue
        cut = _choose(payoffs, keys[:windows], windows - winners)
        among_equals = winners
        for w in range(windows):
            among_equals -= payoffs[w] > cut
        count = 0
        for w in range(windows):
            equal = payoffs[w] == cut
            wins[w] = (payoffs[w] > cut) | (equal & (among_equals > 0))
            among_equals -= equal
            winning[count] = w
            count += wins[w]
        count = places * winners
        if units == places * windows:
            for p in range(places):
                for k in range(winners):
                    inside[p * winners + k] = values[p, winning[k]]
        else:
            count = 0
            for p in range(places):
                for k in range(winners):
                    inside[count] = values[p, winning[k]]
                    count += unit_of[p, winning[k]] < units
        place = (count + 3) // 4 - 1
        quartile = _choose(inside[:count], keys[:count], place)
        rho = level * quartile
        for p in range(places):
            for w in range(windows):
                keep[p, w] = wins[w] & (values[p, w] >= rho)
        flat = keep.ravel()
        for i in range(units):
            masks[m, i] = flat[place_of[i]]
        if not taught:
            continue
        for k in range(count):
            place -= inside[k] < quartile  # from here on its place among equals
        quartile_a, quartile_b = 0.0, 0.0
        for i in range(units):
            p, w = place_of[i] // windows, place_of[i] % windows
            if wins[w] & (values[p, w] == quartile):
                if place == 0:
                    quartile_a = level * 0.5 * pairs[p, w]
                    quartile_b = level * unit_factor * (table[p, w] if ising else table[p, w] * table[p, w])
                    break
                place -= 1
        for p in range(places):
            for w in range(windows):
                gate = 1.0 / (1.0 + np.exp((rho - values[p, w]) / temperature)) if wins[w] else 0.0
                steep[w] = gate * (1.0 - gate) / temperature
            for w in range(windows):
                single = table[p, w] if ising else table[p, w] * table[p, w]
                slope_alpha[p, w] = steep[w] * (0.5 * pairs[p, w] - quartile_a)
                slope_beta[p, w] = steep[w] * (unit_factor * single - quartile_b)
        flat_alpha, flat_beta = slope_alpha.ravel(), slope_beta.ravel()
        for i in range(units):
            by_alpha[m, i] = maps[m, i] * flat_alpha[place_of[i]]
            by_beta[m, i] = maps[m, i] * flat_beta[place_of[i]]
