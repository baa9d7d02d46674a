"""Networks against perturbations: the game solved on half of the test rows, and tried on perturbations it has not seen.

Registered before the run. Networks are MLPs: an early and the last checkpoint of plain training (SGD), gradient dropout
at two keep probabilities, the twin of one, Adam, and one trained with noise. The claim, that the optimal mixture is
more robust than the best single network, counts as supported if its worst accuracy over the fresh perturbations, on
the other half of the test rows, is higher than that of the best single network and than that of the plain average, with
95 % t intervals over repetitions that exclude 0.
"""

from __future__ import annotations

import torch
import xarray as xr
from torch import nn

from neurogames.lab.robustness.perturbations import Perturbation, gradient_attack, perturbation
from neurogames.lab.robustness.robustness_game import POLICIES, robustness_game
from neurogames.lab.studies.layers.course import checkpoints
from neurogames.lab.studies.layers.networks import SGD, StudyRows, build_network, cut, study_rows, trained_network
from neurogames.lab.studies.layers.settings import LayersSettings

_RADIUS, _FRESH_RADIUS = 0.25, 0.2
_MILD_KEEP = 0.8
_SEEN = (("noise", 0.0), ("noise", 0.8), ("missing", 0.3), ("blur", 0.8), ("contrast", 0.7), ("occlusion", 0.25))
_FRESH = (("uniform noise", 0.7), ("missing", 0.2), ("blur", 0.6), ("translation", 0.125), ("rotation", 0.2))


def measure_defence(seed: int, *, settings: LayersSettings) -> xr.Dataset:
    """Solve the game of one repetition.

    Returns:
        Over (defender, attack): ``payoff``. Over defender: ``defender_probability`` and its standard error; over
        attack the same. ``game_value`` with ``game_low`` and ``game_high``. Over (policy, fresh):
        ``fresh_accuracy``.
    """
    rows = study_rows(settings, seed)
    networks = defenders(rows, settings, seed)
    attacks, fresh = seen_perturbations(networks), fresh_perturbations(networks)
    half = len(rows.test[0]) // 2
    game = robustness_game(
        networks,
        cut(rows.test, 0, half),
        attacks,
        fresh=fresh,
        fresh_data=cut(rows.test, half, half),
        rng=torch.Generator().manual_seed(seed),
    )
    values = {
        "payoff": (("defender", "attack"), game.accuracy),
        "defender_probability": ("defender", game.network_mixture),
        "defender_stderr": ("defender", game.network_stderr),
        "attack_probability": ("attack", game.perturbation_mixture),
        "attack_stderr": ("attack", game.perturbation_stderr),
        "game_value": game.value,
        "game_low": game.value_interval[0],
        "game_high": game.value_interval[1],
        "fresh_accuracy": (("policy", "fresh"), game.fresh_accuracy),
    }
    places = {"defender": list(networks), "attack": list(attacks), "policy": list(POLICIES), "fresh": list(fresh)}
    return xr.Dataset(values, places)


def defenders(rows: StudyRows, settings: LayersSettings, seed: int) -> dict[str, nn.Module]:
    """Train the networks to choose from."""
    plain = checkpoints("SGD", rows, settings, seed)
    keep = settings.keep_prob
    inputs, targets = rows.training
    noisy = perturbation("noise", 0.8)(inputs, targets, torch.Generator().manual_seed(seed))
    both = torch.cat([inputs, noisy]), torch.cat([targets, targets])
    start = build_network("MLP", rows, seed)
    return {
        "early checkpoint": plain[min(1, len(plain) - 1)],
        "last checkpoint": plain[-1],
        "Adam": checkpoints("Adam", rows, settings, seed)[-1],
        f"gradient dropout {keep:g}": checkpoints("gradient dropout", rows, settings, seed)[-1],
        f"gradient dropout {_MILD_KEEP:g}": checkpoints("gradient dropout", rows, settings, seed, _MILD_KEEP)[-1],
        f"mean feedback {keep:g}": checkpoints("mean feedback", rows, settings, seed)[-1],
        "trained with noise": trained_network(
            start, both, optimizer=SGD, epochs=max(1, settings.epochs // 2), seed=seed
        ),
    }


def seen_perturbations(networks: dict[str, nn.Module]) -> dict[str, Perturbation]:
    """What the column player of the game may choose: corruptions, and attacks on single networks."""
    found = {f"{kind} {level:g}" if level else "none": perturbation(kind, level) for kind, level in _SEEN}
    found["FGSM on last checkpoint"] = gradient_attack(networks["last checkpoint"], _RADIUS)
    found["PGD on last checkpoint"] = gradient_attack(networks["last checkpoint"], _RADIUS, steps=10)
    found["PGD on trained with noise"] = gradient_attack(networks["trained with noise"], _RADIUS, steps=10)
    return found


def fresh_perturbations(networks: dict[str, nn.Module]) -> dict[str, Perturbation]:
    """What nobody has seen: other kinds and levels, and attacks on another network."""
    found = {f"{kind} {level:g}": perturbation(kind, level) for kind, level in _FRESH}
    found["FGSM on Adam"] = gradient_attack(networks["Adam"], _FRESH_RADIUS)
    found["PGD on Adam"] = gradient_attack(networks["Adam"], _FRESH_RADIUS, steps=10)
    return found
