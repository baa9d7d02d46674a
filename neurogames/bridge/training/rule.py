"""What acts on a training beside the optimizer: a game among the units, a schedule of a layer, a control.

A rule is built for the network that is trained, and asked twice in each step:

1. ``exchange``, before the loss: which tensors stand in for parameters in this step, such as one gate for each row;
2. ``step``, behind the optimizer's step: what the rule does with the slopes, and what it decides now and then.

An optimizer may ask for the loss several times in one step (a line search). ``exchange`` holds for the first time, at
which the slopes are taken that ``step`` reads; after it the rule's own parameters stand still until ``step``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor


class Moment(NamedTuple):
    """Where a training stands.

    Attributes:
        step: number of steps taken, from 0.
        steps: number of steps of the whole training.
        rows: rows of the mini-batch of this step.
    """

    step: int
    steps: int
    rows: int

    @property
    def progress(self) -> float:
        """Share of the training that has passed, in [0, 1).

        >>> Moment(5, 20, 32).progress
        0.25
        """
        return self.step / self.steps


class Rule:
    """The rule that does nothing: plain training. Others override what they need.

    >>> Rule().exchange(Moment(0, 1, 32)), Rule().state_dict()
    ({}, {})
    """

    @property
    def own_parameters(self) -> tuple[str, ...]:
        """Names of the parameters that the rule moves itself; the optimizer does not see them."""
        return ()

    def exchange(self, moment: Moment) -> dict[str, Tensor]:  # noqa: ARG002
        """Tensors to use in place of the parameters of these names, in the loss of this step."""
        return {}

    def step(self, moment: Moment) -> None:
        """Act, behind the optimizer's step; no gradients are recorded meanwhile."""

    def state_dict(self) -> dict[str, Any]:
        """What the rule remembers from step to step, as plain tensors and numbers; parameters are saved anyway."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
