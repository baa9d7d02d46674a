"""The methods that are compared, and the settings that are tried for each."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from neurogames._arguments import invalid_argument
from neurogames.bridge import EKFAC, DGNOpt
from neurogames.lab.studies.dgnopt.emsa import EMSA

EXTRA = "optimizers"
MOMENTUM = 0.9
OPEN, FEEDBACK, COOPERATION, BOTH = "open loop", "feedback", "cooperation", "group rationality"
GAMES = {FEEDBACK: (True, False), COOPERATION: (False, True), BOTH: (True, True)}
"""Switches ``feedback`` and ``cooperative`` of the structures of the game."""

Build = Callable[[nn.Module, float, float, int], torch.optim.Optimizer]


@dataclass(frozen=True)
class Method:
    """A method of training.

    Attributes:
        build: makes the optimizer of a model, a rate, a value of the second setting, and steps between eigenbases.
        rates: lowest and highest rate that is tried.
        second: name of the second setting.
        values: its two values.
        clips: whether the second setting is the norm at which gradients are clipped, with a warm-up of the rate.
    """

    build: Build
    rates: tuple[float, float]
    second: str
    values: tuple[float, float]
    clips: bool = False

    def trials(self, count: int) -> list[tuple[float, float]]:
        """Return pairs of a rate and a value of the second setting: half as many rates as trials, times two values.

        >>> METHODS["SGD"].trials(4)
        [(0.01, 0.0), (0.01, 0.9), (1.0, 0.0), (1.0, 0.9)]
        """
        rates = np.geomspace(*self.rates, count // 2) if count > 2 else [float(np.sqrt(np.prod(self.rates)))]
        return [(float(rate), value) for rate in rates for value in self.values]


def check_peers() -> None:
    """Refuse to begin where the package with SOAP and Muon is missing.

    Raises:
        ValueError: it is.
    """
    if importlib.util.find_spec("pytorch_optimizer") is None:
        raise invalid_argument("methods", "no package pytorch_optimizer", f"pip install 'neurogames[{EXTRA}]'")


def game(**switches: Any) -> Build:
    """Return what makes DGNOpt with these switches; the second setting is the damping."""

    def build(model: nn.Module, rate: float, second: float, refresh: int) -> torch.optim.Optimizer:
        return DGNOpt(model, lr=rate, damping=second, momentum=MOMENTUM, refresh=refresh, **switches)

    return build


def _sgd(model: nn.Module, rate: float, second: float, _: int) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=second)


def _clipped_sgd(model: nn.Module, rate: float, *_: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)


def _adamw(model: nn.Module, rate: float, second: float, _: int) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=second)


def _soap(model: nn.Module, rate: float, second: float, refresh: int) -> torch.optim.Optimizer:
    peers: Any = importlib.import_module("pytorch_optimizer")
    frequency = min(refresh, 10)  # its own default, or more often
    made: torch.optim.Optimizer = peers.SOAP(
        model.parameters(), lr=rate, weight_decay=second, precondition_frequency=frequency
    )
    return made


def _muon(model: nn.Module, rate: float, second: float, _: int) -> torch.optim.Optimizer:
    peers: Any = importlib.import_module("pytorch_optimizer")
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    hidden = [layer.weight for layer in layers[1:-1]]
    known = {id(weight) for weight in hidden}
    rest = [each for each in model.parameters() if id(each) not in known]
    groups = [{"params": hidden, "use_muon": True}, {"params": rest, "use_muon": False, "lr": second}]
    made: torch.optim.Optimizer = peers.Muon(groups, lr=rate, adamw_lr=second)
    return made


def _ekfac(model: nn.Module, rate: float, second: float, refresh: int) -> torch.optim.Optimizer:
    return EKFAC(model, lr=rate, damping=second, momentum=MOMENTUM, refresh=refresh)


def _emsa(model: nn.Module, rate: float, second: float, _: int) -> torch.optim.Optimizer:
    return EMSA(model, rho=1 / rate, iterations=int(second))


_DAMPING = ("damping", (0.05, 0.5))
_RATES, _KRONECKER_RATES = (0.01, 1.0), (2e-3, 2e-1)
OPPONENTS = {
    "SGD": Method(_sgd, _RATES, "momentum", (0.0, MOMENTUM)),
    "SGD, clipped": Method(_clipped_sgd, _RATES, "clipped norm", (0.3, 1.0), clips=True),
    "AdamW": Method(_adamw, (1e-3, 1e-1), "weight decay", (0.0, 0.1)),
    "SOAP": Method(_soap, (1e-3, 1e-1), "weight decay", (0.0, 0.1)),
    "Muon": Method(_muon, (2e-3, 2e-1), "rate of AdamW", (1e-3, 1e-2)),
    "EKFAC": Method(_ekfac, _KRONECKER_RATES, *_DAMPING),
    "EMSA": Method(_emsa, (0.03, 3.0), "iterations", (1.0, 3.0)),
}
"""What DGNOpt is compared with. The rate of EMSA is 1 / rho."""
METHODS = {
    **OPPONENTS,
    OPEN: Method(game(feedback=False), _KRONECKER_RATES, *_DAMPING),
    **{
        name: Method(game(feedback=feedback, cooperative=cooperative), _KRONECKER_RATES, *_DAMPING)
        for name, (feedback, cooperative) in GAMES.items()
    },
}
"""Every method, the open loop of DGNOpt before the structures of the game."""
