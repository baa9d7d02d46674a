"""What is played: games as frozen data, on numpy alone."""

from __future__ import annotations

from neurogames.games.base import TwoActionGame
from neurogames.games.public_goods import ClubGood, Good, LinearGood, PublicGoodsGame, SigmoidGood, ThresholdGood
from neurogames.games.symmetric import SymmetricGame

__all__ = [
    "ClubGood",
    "Good",
    "LinearGood",
    "PublicGoodsGame",
    "SigmoidGood",
    "SymmetricGame",
    "ThresholdGood",
    "TwoActionGame",
]
