"""What a joint training of weights and participation returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from neurogames.bridge.participation.certificate import FeeCertificate


@dataclass(frozen=True, eq=False)
class ParticipationTraining:
    """Networks trained together with the participation of their units.

    Attributes:
        models: one module per run, without gates; gating them by ``profile`` gives what was trained.
        profile: (runs, n) participation at the end.
        participation: (epochs, runs, n) participation after each epoch.
        loss: (epochs, runs) mean training loss of the epoch, each batch before its step.
        price: (epochs, runs) price at the end of each epoch; with ``UnitBudget`` the last that cleared.
        residual: (epochs, runs) max_i |BR_i(s) - s_i| after each epoch, with slopes on the check rows; under
            "equilibrium" with the running curvature too, so a noisy estimate.
        fraction_off_best_response: (epochs, runs) share of the participants who would leave, or of all units that
            would move by more than 0.01 under "paper".
        certificate: per run of a price > 0 or ``UnitBudget`` under "equilibrium": the end checked by running the
            network without each unit, on the check rows; None for other runs, and for those that diverged.
        status: per run "converged", or why not: by the certificate where there is one, else by the last residual.
    """

    models: tuple[nn.Module, ...]
    profile: NDArray[np.float64]
    participation: NDArray[np.float64]
    loss: NDArray[np.float64]
    price: NDArray[np.float64]
    residual: NDArray[np.float64]
    fraction_off_best_response: NDArray[np.float64]
    certificate: tuple[FeeCertificate | None, ...]
    status: tuple[str, ...]
