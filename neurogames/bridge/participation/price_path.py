"""How the price of taking part rises during a joint training, and when units may leave.

Either the price is given, and who stays is found; or the number who stay is given, and the price is found that clears.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import integer, number
from neurogames.engine.schedules import Parameter, Schedule

FIRST_EXIT, LAST_EXIT = 0.05, 0.5
"""Shares of training between which units may leave."""
LEAST_STEPS = 40
"""Steps below which there may be no decision between the moment the budget is reached and the last exit."""
_FULL_PRICE, _FIRST_SHARE = 0.45, 1e-3
_BUDGET_REACHED = 0.47


def rising_price(price: float) -> Schedule:
    """Return the price path that lets units leave one after another: small first, ``price`` from 45 % of training on.

    price(x) = 0 before x = 0.05, then price * 1e-3^((1 - u)^2) with u = (x - 0.05) / 0.4, the rise flat at its end.

    Args:
        price: the height >= 0, in units of the loss.

    Returns:
        The schedule.

    Raises:
        ValueError: if the price is negative or not finite.

    >>> [round(float(rising_price(2.0)(x)), 3) for x in (0.0, 0.05, 0.25, 0.45, 1.0)]
    [0.0, 0.002, 0.356, 2.0, 2.0]
    """
    return partial(_rising, price=number("price", price, "a price >= 0", lambda value: value >= 0))


@dataclass(frozen=True)
class UnitBudget:
    """As a price: the one that clears when so many units may stay.

    The budget falls from all units to ``units``. At every decision the price is the least at which the units beyond it
    would leave, by their worths and the fullness of their layers before. Worths change with the weights, so
    that it may fall.

    Args:
        units: how many units of the network stay, at least 1.

    Raises:
        ValueError: if ``units`` is not a whole number of at least 1.

    >>> [UnitBudget(10).units_at(x, 1000) for x in (0.0, 0.05, 0.26, 0.47, 1.0)]
    [1000, 1000, 100, 10, 10]
    """

    units: int

    def __post_init__(self) -> None:
        """Refuse a number of units that is none."""
        integer("units", self.units, minimum=1)

    def units_at(self, progress: float, n_units: int) -> int:
        """How many of n units may still take part at a share x of training, n (units / n)^((x - 0.05) / 0.42)."""
        u: float = min(max((progress - FIRST_EXIT) / (_BUDGET_REACHED - FIRST_EXIT), 0.0), 1.0)
        units: float = n_units * (self.units / n_units) ** u
        return round(units)


def price_path(price: Parameter | UnitBudget) -> Schedule | UnitBudget:
    """A price as a schedule, or as the unit budget; a number rises to its height.

    >>> price_path(UnitBudget(3)), float(price_path(2.0)(1.0))
    (UnitBudget(units=3), 2.0)
    """
    return price if isinstance(price, UnitBudget) or callable(price) else rising_price(price)


def _rising(progress: ArrayLike, price: float) -> NDArray[np.float64]:
    x = np.asarray(progress, dtype=np.float64)
    u = np.clip((x - FIRST_EXIT) / (_FULL_PRICE - FIRST_EXIT), 0.0, 1.0)
    return np.asarray(np.where(x < FIRST_EXIT, 0.0, price * _FIRST_SHARE ** np.square(1 - u)))
