"""What a joint training of weights and participation notes after each epoch, and what it returns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames.bridge.modules.data import Data, Loss
from neurogames.bridge.participation.certificate import FeeCertificate
from neurogames.bridge.participation.participation_rule import ParticipationRule


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
        status: per run "ok", or why its end is no equilibrium: by the certificate where there is one, else by the last
            residual.
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


Note = dict[str, Tensor]
"""How the runs of one stack stand after an epoch: the fields of the result that have an axis of epochs."""


def epoch_note(rule: ParticipationRule, loss: Loss, data: Data, mean: Tensor, progress: float) -> Note:
    """Write down how the runs of a stack stand.

    Args:
        rule: the rule, with the stack.
        loss: (outputs, targets) -> mean loss.
        data: the rows on which residuals are taken.
        mean: (runs,) mean loss of the epoch.
        progress: share of training that has passed.
    """
    slope = rule.stack.slopes_on(loss, data)
    with torch.no_grad():
        residual, off = rule.residual(slope, progress)
        note = {
            "participation": rule.stack.shares.clone(),
            "loss": mean,
            "price": rule.price_at(progress).squeeze(1).clone(),
            "residual": residual,
            "fraction_off_best_response": off,
        }
    return {name: value.cpu() for name, value in note.items()}


def stack_result(
    rule: ParticipationRule, notes: Sequence[Note], loss: Loss, data: Data, tolerance: float
) -> ParticipationTraining:
    """Take the networks out of a stack and say how it went.

    Args:
        rule: the rule, with the stack.
        notes: one for each epoch.
        loss: (outputs, targets) -> mean loss.
        data: the rows on which certificates are taken.
        tolerance: greatest residual that counts as an equilibrium.
    """
    record = {name: torch.stack([note[name] for note in notes]).double().numpy() for name in notes[0]}
    profile, models, certificates, status = record["participation"][-1], [], [], []
    for run in range(rule.stack.network.runs):
        module, finite = rule.stack.model(run), bool(np.isfinite(record["loss"][-1, run]))
        price = float(record["price"][-1, run])
        certificate = rule.certificate(run, module, profile[run], price, loss, data) if finite else None
        residual = float(record["residual"][-1, run]) if certificate is None else certificate.residual
        models.append(module)
        certificates.append(certificate)
        status.append(_status(residual, tolerance) if finite else "diverged: the loss is not finite")
    return ParticipationTraining(
        tuple(models), profile, certificate=tuple(certificates), status=tuple(status), **record
    )


def joined_results(parts: Sequence[ParticipationTraining]) -> ParticipationTraining:
    """The runs of all parts, in order."""
    merged: dict[str, Any] = {}
    for field in fields(ParticipationTraining):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], tuple):
            merged[field.name] = tuple(itertools.chain.from_iterable(values))
        else:
            merged[field.name] = np.concatenate(values, axis=0 if field.name == "profile" else 1)
    return ParticipationTraining(**merged)


def _status(residual: float, tolerance: float) -> str:
    """What a residual says."""
    return "ok" if residual <= tolerance else f"not converged: residual {residual:.2g} above {tolerance:.2g}"
