"""How the price rises during a joint training, and when units may leave."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames.engine.schedules import Parameter, Schedule, constant
from neurogames.games.arguments import number

FIRST_EXIT, LAST_EXIT = 0.05, 0.5
"""Shares of training between which units may leave."""
_FULL_PRICE, _FIRST_SHARE = 0.45, 1e-3


def rising_price(price: float) -> Schedule:
    """Return the price path that lets units leave one after another: small first, ``price`` from 45 % of training on.

    price(x) = 0 before x = 0.05, then price * 1e-3^((1 - u)^2) with u = (x - 0.05) / 0.4, the rise flat at its end.

    >>> [round(float(rising_price(2.0)(x)), 3) for x in (0.0, 0.05, 0.25, 0.45, 1.0)]
    [0.0, 0.002, 0.356, 2.0, 2.0]
    """
    return partial(_rising, price=number("price", price, "a price >= 0", lambda value: value >= 0))


def price_path(price: Parameter, rule: str) -> Schedule:
    """A price as a schedule: under the equilibrium rule a number rises to its height."""
    if callable(price):
        return price
    return rising_price(price) if rule == "equilibrium" else constant(number("price", price))


def _rising(progress: ArrayLike, price: float) -> NDArray[np.float64]:
    x = np.asarray(progress, dtype=np.float64)
    u = np.clip((x - FIRST_EXIT) / (_FULL_PRICE - FIRST_EXIT), 0.0, 1.0)
    return np.asarray(np.where(x < FIRST_EXIT, 0.0, price * _FIRST_SHARE ** np.square(1 - u)))
