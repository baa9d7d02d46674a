"""The participation game of a network trained plainly: its equilibrium, and how well it predicts losses.

The game is that of the second-order model of the loss (benefit "taylor"), at the price of the median unit: half of
those that are worth something would not pay it if they were alone. Its potential predicts how the loss rises when
units are removed, for any set of them. The prediction is held against the real rise on the same rows, and against
simpler predictions: gradients alone ("descent"), exact values of single units with the same interactions ("ablation"),
and the second-order values of single units without interactions ("no interaction").
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurogames.bridge.extraction.participation_game import participation_game
from neurogames.bridge.gates.gates import insert_gates
from neurogames.engine.participation.complementarity import solve_participation
from neurogames.engine.participation.efficiency import price_of_anarchy
from neurogames.engine.participation.rationalizable import rationalizable_box
from neurogames.engine.participation.uniqueness import ParticipationUniqueness, participation_uniqueness
from neurogames.games.participation import ParticipationGame
from neurogames.lab.data.images import grey_images
from neurogames.lab.studies.pruning.measure import falling_rate, train_plainly
from neurogames.lab.studies.pruning.settings import PruningSettings, draw_weights, untrained

PREDICTIONS = ("taylor", "ablation", "descent", "no interaction")
LEAST_REMOVED, MOST_REMOVED = 0.01, 0.6


def measure_game(seed: int, *, settings: PruningSettings) -> xr.Dataset:
    """Train the dense network plainly, solve the game of its units, and predict the loss without some of them.

    Args:
        seed: number of the repetition; decides first weights, order of the rows, and profiles.
        settings: those of the study.

    Returns:
        All names begin with ``game_``. ``extraction_seconds`` and ``solution_seconds``; ``price``, ``participating``
        units, ``residual`` and ``regret`` of the equilibrium; ``unique`` (1 if proved, else 0), the
        ``smallest_eigenvalue`` of M with its ``eigenvalue_error`` and ``eigenvalue_status``; ``anarchy`` and whether
        it is certain; over unit the round in which it was found ``dominated``, 0 if never. Over profile the
        ``removed_share``, the ``real`` rise of the loss on the rows of the game and on ``test`` rows, and
        ``predicted`` over (prediction, profile).
    """
    images, rng = grey_images(settings.data, rows=settings.rows), torch.Generator().manual_seed(seed)
    start = draw_weights(untrained(settings, images.shape, images.n_classes, settings.hidden), rng)
    dense = train_plainly(start, images, settings, settings.epochs, falling_rate(settings), rng)
    data = images.inputs[: settings.game_rows], images.targets[: settings.game_rows]
    began = time.perf_counter()
    free = participation_game(dense, nn.functional.cross_entropy, data)
    extraction_seconds = time.perf_counter() - began
    values = free.utilities(np.ones(free.n_players))
    found = game_equilibrium(at_price(free, median_worth(free)))
    profiles = random_profiles(free.n_players, settings.profiles, rng)
    predicted = {
        "taylor": rises(free, profiles),
        "ablation": rises(participation_game(dense, nn.functional.cross_entropy, data, benefit="ablation"), profiles),
        "descent": rises(
            participation_game(dense, nn.functional.cross_entropy, data, benefit="descent", ridge=0.0), profiles
        ),
        "no interaction": (1 - profiles) @ values,
    }
    result = xr.Dataset(
        {
            "extraction_seconds": extraction_seconds,
            "solution_seconds": found.seconds,
            "price": median_worth(free),
            "participating": int((found.profile > 0).sum()),
            "residual": found.residual,
            "regret": found.regret,
            "unique": int(found.unique),
            "smallest_eigenvalue": found.uniqueness.eigenvalue,
            "eigenvalue_error": found.uniqueness.error,
            "eigenvalue_status": found.uniqueness.status,
            "anarchy": found.anarchy,
            "anarchy_certain": int(found.anarchy_certain),
            "dominated": ("unit", found.dominated),
            "removed_share": ("profile", 1 - profiles.mean(axis=1)),
            "real": ("profile", real_rises(dense, profiles, *data)),
            "test": ("profile", real_rises(dense, profiles, images.test_inputs, images.test_targets)),
            "predicted": (("prediction", "profile"), [predicted[name] for name in PREDICTIONS]),
        }
    )
    return result.rename({name: f"game_{name}" for name in result.data_vars}).assign_coords(
        prediction=list(PREDICTIONS)
    )


def at_price(game: ParticipationGame, price: ArrayLike) -> ParticipationGame:
    """Return the same game at another price.

    >>> at_price(ParticipationGame([1.0], [[1.0]], 0.5), 0.25).drive
    array([0.75])
    """
    return ParticipationGame(game.benefit, game.factors, game.ridge, price, game.competition, game.blocks)


def median_worth(game: ParticipationGame) -> float:
    """Return the median worth of the units that are worth something where all take part in full.

    >>> median_worth(ParticipationGame([0.5, 2.0, -1.0], [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], 0.0))
    1.25
    """
    values = game.utilities(np.ones(game.n_players))
    values = values[values > 0]
    return float(np.median(values)) if values.size else 0.0


def random_profiles(n: int, count: int, rng: torch.Generator) -> NDArray[np.float64]:
    """Draw profiles in which 1 % to 60 % of the units are removed, evenly on the scale of the logarithm.

    Args:
        n: number of units.
        count: number of profiles.
        rng: source of the draws.

    Returns:
        (count, n) shares, 0 for those removed (one at least) and 1 for all others.

    >>> profiles = random_profiles(100, 3, torch.Generator().manual_seed(0))
    >>> (1 - profiles).sum(axis=1)
    array([ 1.,  8., 60.])
    """
    profiles = np.ones((count, n))
    for profile, share in zip(profiles, np.geomspace(LEAST_REMOVED, MOST_REMOVED, count), strict=True):
        removed = max(1, round(share * n))
        profile[torch.randperm(n, generator=rng)[:removed].numpy()] = 0.0
    return profiles


def rises(game: ParticipationGame, profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much the loss rises from full participation to each profile, by a game without price, (profiles,)."""
    return game.potential(np.ones(game.n_players)) - game.potential(profiles)


@torch.no_grad()
def real_rises(model: nn.Module, profiles: NDArray[np.float64], inputs: Tensor, targets: Tensor) -> NDArray[np.float64]:
    """Return how much the loss of a network rises from full participation to each profile, (profiles,).

    Args:
        model: any module without gates; left as it is.
        profiles: (profiles, n) shares.
        inputs: (rows, ...) inputs.
        targets: (rows,) classes.

    Returns:
        (profiles,) mean cross-entropies, less that of the whole network.
    """
    gates = insert_gates(copy.deepcopy(model).eval())
    losses = []
    for profile in (np.ones(gates.n_players), *profiles):
        gates.assign(profile)
        outputs = torch.cat([gates.model(rows) for rows in inputs.split(2000)])
        losses.append(float(nn.functional.cross_entropy(outputs, targets)))
    return np.array(losses[1:]) - losses[0]


@dataclass(frozen=True, eq=False)
class GameEquilibrium:
    """An equilibrium of a participation game with all that is certain about it.

    Attributes:
        profile: (n,) participations.
        seconds: time of the solution alone.
        residual: best-response residual.
        regret: the most that a unit could gain by deviating alone.
        unique: whether it is proved to be the only equilibrium.
        uniqueness: the smallest eigenvalue of M with its error, or why it is not known.
        anarchy: price of anarchy, of the equilibria found.
        anarchy_certain: whether these are all.
        dominated: (n,) the round of elimination in which it was found that a unit stays out, 0 if never.
    """

    profile: NDArray[np.float64]
    seconds: float
    residual: float
    regret: float
    unique: bool
    uniqueness: ParticipationUniqueness
    anarchy: float
    anarchy_certain: bool
    dominated: NDArray[np.intp]


def game_equilibrium(game: ParticipationGame) -> GameEquilibrium:
    """Solve a participation game and ask everything that the engine can tell about it.

    >>> found = game_equilibrium(ParticipationGame([1.0, -1.0], [[1.0], [1.0]], 1.0, competition=0.5))
    >>> found.profile, found.unique, found.dominated
    (array([0.5, 0. ]), True, array([0, 1]))
    """
    # One unit first, so that the seconds are those of solving and not of compiling.
    solve_participation(ParticipationGame([1.0], [[1.0]], 0.5, competition=1.0))
    began = time.perf_counter()
    solution = solve_participation(game)
    seconds = time.perf_counter() - began
    uniqueness, efficiency, box = participation_uniqueness(game), price_of_anarchy(game), rationalizable_box(game)
    return GameEquilibrium(
        profile=solution.profile,
        seconds=seconds,
        residual=float(game.residual(solution.profile)),
        regret=float(solution.regret),
        unique=bool(solution.unique) or bool(uniqueness.unique) or box.dominance_solvable,
        uniqueness=uniqueness,
        anarchy=efficiency.anarchy,
        anarchy_certain=efficiency.complete,
        dominated=np.where(box.upper == 0, box.decided, 0),
    )


def uniqueness_words(unique: bool, eigenvalue: float, error: float, status: str) -> str:
    """Say whether an equilibrium is proved to be the only one, and on what ground.

    >>> uniqueness_words(False, 0.0, 1e-14, "ok")
    'not proved (smallest eigenvalue 0.0e+00, error 1e-14)'
    """
    ground = f"smallest eigenvalue {eigenvalue:.1e}, error {error:.0e}" if status == "ok" else status
    return f"{'proved' if unique else 'not proved'} ({ground})"
