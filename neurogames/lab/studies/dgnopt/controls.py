"""The tests of single claims: large steps, fictitious players, alignments; each with what could explain it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import nn

from neurogames.bridge import DGNOpt, stage_graph
from neurogames.lab.studies.dgnopt.networks import CHAIN
from neurogames.lab.studies.dgnopt.settings import DGNOptSettings
from neurogames.lab.studies.dgnopt.training import (
    Rows,
    accuracy,
    fresh_network,
    mean,
    study_rows,
    train_one,
    tuning_rows,
)


class LargeWay(NamedTuple):
    """A way of training at large rates: switches of DGNOpt, or the way of which SGD copies the length of each step."""

    switches: dict[str, Any] | None = None
    as_long_as: str | None = None


DAMPING, ALIGNMENT_RATE, PLAYER_RATE = 0.1, 0.1, 0.05
"""Settings of the tests in which nothing is chosen; none of them has momentum."""
SGD = "SGD"
LARGE_WAYS = {
    SGD: LargeWay(),
    "identity, feedback": LargeWay({"curvature": "identity"}),
    "identity, gauss-newton": LargeWay({"curvature": "identity", "value": "gauss-newton"}),
    "SGD as long as identity": LargeWay(as_long_as="identity, feedback"),
    "ekfac, open loop": LargeWay({"feedback": False}),
    "ekfac, feedback": LargeWay({}),
    "ekfac, gauss-newton": LargeWay({"value": "gauss-newton"}),
    "SGD as long as ekfac": LargeWay(as_long_as="ekfac, feedback"),
}
"""Ways of the test of large steps. With the curvature "identity" the open loop is SGD."""
LARGE_CONTROLS = {
    "identity, feedback": (SGD, "SGD as long as identity"),
    "ekfac, feedback": ("ekfac, open loop", "SGD as long as ekfac"),
}
"""What each kind of feedback is compared with: the same curvature without feedback, and SGD with steps as long."""
PLAYER_CURVATURES = ("identity", "ekfac")
FIXED, RANDOM, BANDIT, SHUFFLED = "fixed", "random", "bandit", "shuffled rewards"
ALIGNMENTS = (FIXED, RANDOM, BANDIT, SHUFFLED)


def measure_large_steps(seed: int, *, settings: DGNOptSettings) -> xr.Dataset:
    """Train at large rates: feedback beside the same curvature without it, and beside SGD with steps as long.

    Returns:
        Over large_network, way and large_rate: ``large_accuracy``, ``large_clamped``, ``large_feedback``,
        ``large_length`` (means over steps) and ``large_diverged``.
    """
    rows = study_rows(settings)
    shape = (len(settings.large_networks), len(LARGE_WAYS), len(settings.large_rates))
    names = ("accuracy", "clamped", "feedback", "length", "diverged")
    found = {f"large_{name}": np.zeros(shape) for name in names}
    for i, network in enumerate(settings.large_networks):
        for k, rate in enumerate(settings.large_rates):
            lengths: dict[str, list[float]] = {}
            for j, (name, way) in enumerate(LARGE_WAYS.items()):
                model = fresh_network(network, rows, settings, seed)
                wanted = None if way.as_long_as is None else lengths[way.as_long_as]
                if way.switches is None:
                    optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=rate)
                else:
                    optimizer = DGNOpt(model, rate, damping=DAMPING, refresh=settings.refresh, **way.switches)
                course = train_one(model, optimizer, rows, settings, seed, lengths=wanted)
                lengths[name] = course.lengths
                means = [mean(values) for values in (course.clamped, course.feedback, course.lengths)]
                for key, value in zip(found, (course.final, *means, course.diverged), strict=True):
                    found[key][i, j, k] = value
    labels = (list(settings.large_networks), list(LARGE_WAYS), list(settings.large_rates))
    dims = ("large_network", "way", "large_rate")
    coordinates = dict(zip(dims, labels, strict=True))
    return xr.Dataset({name: (dims, values) for name, values in found.items()}, coordinates)


def measure_players(seed: int, *, settings: DGNOptSettings) -> xr.Dataset:
    """Train the chain with cooperating fictitious players, and with what would explain them.

    That is N times the rate where the curvature is "identity", and damping / N where it is "ekfac".

    Returns:
        Over player_curvature and players: ``player_steps`` to the target, ``control_steps``, and ``player_gap``, the
        largest difference of the weights of both at the end, over the largest weight.
    """
    rows, shape = study_rows(settings), (len(PLAYER_CURVATURES), len(settings.players))
    found = {name: np.zeros(shape) for name in ("player_steps", "control_steps", "player_gap")}
    for i, curvature in enumerate(PLAYER_CURVATURES):
        for k, count in enumerate(settings.players):
            rate, damping = (PLAYER_RATE, DAMPING * settings.players[-1])
            control = {"lr": rate * count} if curvature == "identity" else {"damping": damping / count}
            ways: list[dict[str, Any]] = [{"fictitious_players": count}, control]
            steps, weights = [], []
            for varied in ways:
                model = fresh_network(CHAIN, rows, settings, seed)
                common: dict[str, Any] = {"curvature": curvature, "refresh": settings.refresh, "cooperative": True}
                chosen = common | {"lr": rate, "damping": damping} | varied
                course = train_one(model, DGNOpt(model, **chosen), rows, settings, seed)
                steps.append(course.steps_to(settings.target))
                weights.append(nn.utils.parameters_to_vector(model.parameters()).detach())
            gap = float((weights[0] - weights[1]).abs().max() / weights[1].abs().max())
            for key, value in zip(found, (*steps, gap), strict=True):
                found[key][i, k] = value
    dims = ("player_curvature", "players")
    coordinates = {"player_curvature": list(PLAYER_CURVATURES), "players": list(settings.players)}
    return xr.Dataset({name: (dims, values) for name, values in found.items()}, coordinates)


def measure_alignments(seed: int, *, settings: DGNOptSettings) -> xr.Dataset:
    """Train the residual network under group rationality, its alignment chosen in four ways.

    A bandit's reward is the accuracy on a minibatch of held-out training rows, on which no way trains. "Shuffled
    rewards" hands it an earlier reward drawn at random, so that it draws as a bandit does and learns nothing.

    Returns:
        Over alignment ``alignment_accuracy`` and ``alignment_steps`` to the target; ``reward_seconds_share``, the time
        that the bandit's rewards take over that of its steps; ``arms``, the number of alignments.
    """
    rows, found = study_rows(settings), np.zeros((2, len(ALIGNMENTS)))
    held = tuning_rows(rows)
    trained = Rows(held.inputs, held.targets, rows.test_inputs, rows.test_targets)
    share, arms = 0.0, 0
    for j, way in enumerate(ALIGNMENTS):
        model, rng = fresh_network("residual", rows, settings, seed), np.random.default_rng([seed, j])
        reward = _Reward(held, settings.batch_size, rng, shuffled=way == SHUFFLED)
        choice: dict[str, Any] = {"alignment": way, "rng": rng, "reward": None}
        if way == FIXED:
            choice["rng"] = None
        elif way != RANDOM:
            choice |= {"alignment": BANDIT, "reward": reward}
        optimizer = DGNOpt(model, ALIGNMENT_RATE, cooperative=True, damping=DAMPING, refresh=settings.refresh, **choice)
        course = train_one(model, optimizer, trained, settings, seed)
        found[:, j] = course.final, course.steps_to(settings.target)
        if way == BANDIT:
            share = course.reward_seconds / course.seconds
            arms = len(stage_graph(model, rows.inputs[:2]).alignments)
    variables = {
        "alignment_accuracy": ("alignment", found[0]),
        "alignment_steps": ("alignment", found[1]),
        "reward_seconds_share": share,
        "arms": arms,
    }
    return xr.Dataset(variables, {"alignment": list(ALIGNMENTS)})


class _Reward:
    """Accuracy on a minibatch of held-out rows, or an earlier value drawn at random."""

    def __init__(self, held: Rows, size: int, rng: np.random.Generator, *, shuffled: bool) -> None:
        self._held, self._size, self._rng, self._shuffled = held, size, rng, shuffled
        self._earned: list[float] = []

    def __call__(self, model: nn.Module) -> float:
        drawn = torch.from_numpy(self._rng.integers(len(self._held.test_inputs), size=self._size))
        rows = self._held._replace(
            test_inputs=self._held.test_inputs[drawn], test_targets=self._held.test_targets[drawn]
        )
        self._earned.append(accuracy(model, rows))
        return float(self._rng.choice(self._earned)) if self._shuffled else self._earned[-1]
