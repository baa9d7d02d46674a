"""Which alignment is played in a step: one for all steps, a random one, or what a bandit chooses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from neurogames._arguments import invalid_argument, number
from neurogames.bridge.modules.evaluation import evaluating
from neurogames.engine.learning.bandits import BanditState, Exp3PlusPlus

Choice = Literal["fixed", "random", "bandit"]
Reward = Callable[[nn.Module], float]


@dataclass(eq=False)
class AlignmentChoice:
    """Plays one of several arms, and learns from what it earns.

    Args:
        kind: "fixed" (always the first), "random" or "bandit" (EXP3++).
        n_arms: number of alignments.
        reward: of the model in evaluation mode, in [0, 1]; for a bandit only.
        rng: source of random numbers; for "random" and "bandit" only.

    Raises:
        ValueError: an argument is missing, or there for nothing.
    """

    kind: Choice
    n_arms: int
    reward: Reward | None
    rng: np.random.Generator | None
    state: BanditState | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Refuse what does not fit."""
        if self.kind not in ("fixed", "random", "bandit"):
            raise invalid_argument("alignment", self.kind, "'fixed', 'random' or 'bandit'")
        if (self.rng is None) != (self.kind == "fixed") or not isinstance(self.rng, np.random.Generator | None):
            raise invalid_argument("rng", self.rng, "a numpy generator for a random choice of alignments, else None")
        if (self.reward is None) != (self.kind != "bandit"):
            raise invalid_argument("reward", self.reward, "a function of the model for alignment='bandit', else None")
        if self.kind == "bandit" and self.n_arms > 1:
            self.state = self._bandit.start()

    @property
    def _bandit(self) -> Exp3PlusPlus:
        """The algorithm."""
        return Exp3PlusPlus(self.n_arms)

    def draw(self) -> int:
        """The arm of the next step."""
        if self.rng is None or self.n_arms == 1:
            return 0
        if self.state is None:
            return int(self.rng.integers(self.n_arms))
        return int(self._bandit.draw(self.state, rng=self.rng))

    def learn(self, arm: int, model: nn.Module) -> tuple[float | None, float]:
        """What an arm has earned, and how many seconds it took to find out."""
        if self.reward is None:
            return None, 0.0
        begun = time.perf_counter()
        with evaluating(model), torch.no_grad():
            earned = number("reward", self.reward(model), "a number in [0, 1]", lambda value: 0 <= value <= 1)
        if self.state is not None:
            self.state = self._bandit.learn(self.state, np.asarray(arm), np.asarray(1.0 - earned))
        return earned, time.perf_counter() - begun

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next choices depend on, as numbers, strings and lists."""
        known = None if self.state is None else [self.state.round, self.state.loss.tolist()]
        return {"bandit": known, "generator": None if self.rng is None else self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        if state["bandit"] is not None:
            self.state = BanditState(int(state["bandit"][0]), np.asarray(state["bandit"][1], dtype=np.float64))
        if self.rng is not None:
            self.rng.bit_generator.state = state["generator"]
