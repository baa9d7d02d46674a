"""What a rule of joint training is, and what a run of it starts from and is charged.

Words of all rules: s_i is unit i's share, its gate; g_i = dL/ds_i the slope of the loss in it; theta_i its own incoming
weights and bias. The two rules stand in ``paper_rule`` and ``fee_rule``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames.bridge.modules.data import Data, Loss
from neurogames.bridge.participation.certificate import FeeCertificate
from neurogames.bridge.participation.gated_stack import GatedStack
from neurogames.bridge.participation.price_path import UnitBudget
from neurogames.bridge.training.rule import Rule
from neurogames.engine.schedules import Parameter


@dataclass(frozen=True, eq=False)
class Run:
    """What one run starts from and is charged.

    Attributes:
        model: the module, without gates.
        price: what taking part costs.
        ridge: beta of the paper's utility.
        competition: eta of the paper's utility.
    """

    model: nn.Module
    price: Parameter | UnitBudget = 0.0
    ridge: float = 0.0
    competition: float = 0.0


@dataclass(frozen=True)
class RuleSettings:
    """What all runs of one joint training have in common.

    Attributes:
        steps: steps of the whole training.
        congestion: how much more the units of fuller layers pay.
        participation_rate: rate at which gates climb their utility.
    """

    steps: int
    congestion: float = 0.0
    participation_rate: float = 1e-3


class ParticipationRule(Rule, ABC):
    """How the units of a stack of gated networks revise their participation.

    Attributes:
        stack: the networks; their gates are the rule's own parameters.
    """

    stack: GatedStack

    @abstractmethod
    def price_at(self, progress: float) -> Tensor:
        """(runs, 1) prices at a share of training."""

    @abstractmethod
    def residual(self, slope: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """How far the runs are from an equilibrium.

        Args:
            slope: (runs, n) dL/ds_i.
            progress: share of training that has passed.

        Returns:
            max_i |BR_i(s) - s_i| and the share of units off their best response, each (runs,).
        """

    @abstractmethod
    def certificate(
        self, run: int, model: nn.Module, profile: NDArray[np.float64], price: float, loss: Loss, data: Data
    ) -> FeeCertificate | None:
        """The end of a run checked by running its network without each unit; None where nobody is charged a fee.

        Args:
            run: which run.
            model: its network, without gates.
            profile: (n,) participation at the end.
            price: the last price.
            loss: (outputs, targets) -> mean loss.
            data: the rows on which it is checked.
        """
