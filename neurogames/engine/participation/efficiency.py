"""What selfish play costs in a participation game: welfare of its equilibria against the greatest welfare.

Welfare sum_i U_i is the potential of the same game with twice the competition, because every pair's term is paid by
both. So its maximum over the box is itself an equilibrium problem: the best equilibrium of that other game.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import instance
from neurogames.engine.participation.participation_equilibria import participation_equilibria
from neurogames.games.participation import ParticipationGame


@dataclass(frozen=True, eq=False)
class ParticipationEfficiency:
    """What selfish play costs.

    Attributes:
        anarchy: price of anarchy, greatest welfare over the welfare of the worst equilibrium, >= 1; inf where the
            worst equilibrium is worth nothing although something could be had.
        stability: price of stability, the same with the best equilibrium.
        optimum: (n,) profile of greatest welfare.
        complete: True if all equilibria and the optimum are certain; otherwise the ratios hold for those found.
    """

    anarchy: float
    stability: float
    optimum: NDArray[np.float64]
    complete: bool


def price_of_anarchy(game: ParticipationGame, *, starts: ArrayLike | None = None) -> ParticipationEfficiency:
    """Greatest welfare against the welfare of the equilibria.

    No equilibrium has negative welfare, since every player can stay out.

    Args:
        game: the game.
        starts: as in ``participation_equilibria``.

    Returns:
        Both prices, and whether they are certain.

    >>> rivals = ParticipationGame([1.0, 1.0], [[1.0], [1.0]], ridge=0.25, competition=1.0)
    >>> round(price_of_anarchy(rivals).anarchy, 9)
    3.375

    Reference: E. Koutsoupias and C. Papadimitriou, Worst-case equilibria, STACS (1999); E. Anshelevich et al., The
    price of stability for network design with fair cost allocation, SIAM Journal on Computing 38 (2008).
    """
    instance("game", game, ParticipationGame, "a ParticipationGame")
    united = ParticipationGame(game.benefit, game.factors, game.ridge, game.price, 2.0 * game.competition, game.blocks)
    ours, best = participation_equilibria(game, starts=starts), participation_equilibria(united, starts=starts)
    # Welfare is also compared at the equilibria, so that a sampled optimum cannot lie below them.
    profiles = np.concatenate([best.profiles, ours.profiles])
    welfare = game.welfare(profiles)
    top = int(welfare.argmax())
    worst, greatest = float(ours.welfare.min()), float(welfare[top])
    return ParticipationEfficiency(
        anarchy=_ratio(greatest, worst),
        stability=_ratio(greatest, float(ours.welfare.max())),
        optimum=profiles[top],
        complete=ours.complete and best.complete and not ours.continuum.any(),
    )


def _ratio(greatest: float, welfare: float) -> float:
    """Ratio of greatest welfare to another, 1 where both are nothing."""
    if greatest <= 0.0:
        return 1.0
    return greatest / welfare if welfare > 0.0 else float("inf")
