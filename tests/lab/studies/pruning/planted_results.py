"""Results of a pruning study with planted answers."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames.lab.studies.pruning.game import PREDICTIONS
from neurogames.lab.studies.pruning.measure import METHODS
from neurogames.lab.studies.pruning.settings import PAPER_CONFIGURATIONS, PruningSettings
from neurogames.lab.studies.study import RESULTS_FORMAT

PLANTED = PruningSettings(data="digits", hidden=(20, 10), unit_budgets=(12, 4), seeds=3, paper_epochs=30)
GAINS = {
    "equilibrium": 0.0,
    "from scratch": 0.02,
    "magnitude": -0.03,
    "Taylor": 0.0,
    "random": -0.1,
    "magnitude, matched layer widths": -0.01,
    "Taylor, matched layer widths": 0.01,
}
"""What a method's accuracy is beyond that of the equilibrium, but for some noise of each seed."""


def planted_results() -> xr.Dataset:
    """Scratch wins, magnitude and random lose; one run of six is no equilibrium; two configurations collapse."""
    rng = np.random.default_rng(0)
    seeds, sizes, epochs, profiles = 3, 2, 30, 20
    accuracy = np.empty((seeds, len(METHODS), sizes))
    for index, method in enumerate(METHODS):
        noise = 1e-4 * rng.standard_normal((seeds, sizes)) if method != "Taylor" else np.array([[0.04], [-0.05], [0]])
        accuracy[:, index] = np.array([0.97, 0.9]) + GAINS[method] + noise
    grid = ("seed", "method", "unit_budget")
    layers = np.tile([[8, 4], [2, 2]], (seeds, len(METHODS), 1, 1))
    layers[:, METHODS.index("magnitude"), 1] = [3, 1]
    layers[1:, METHODS.index("random"), 0] = [11, 1]
    units = np.broadcast_to(np.array([12.0, 4.0]), accuracy.shape)
    history = np.linspace(0.5, 0.98, epochs)
    paper = np.tile(history, (seeds, 4, 1))
    paper[:, 1, 25:] = 0.1
    paper[0, 3, 15:] = 0.1
    kept = np.full((seeds, 4, epochs), 30)
    kept[:, 1, 25:] = 0
    share = np.tile(np.geomspace(0.01, 0.6, profiles), (seeds, 1))
    real = share * rng.uniform(0.5, 2.0, share.shape)
    predicted = np.stack([0.5 * real, real, rng.standard_normal(real.shape), share], axis=1)
    by_paper = ("seed", "configuration", "paper_epoch")
    return xr.Dataset(
        {
            "accuracy": (grid, accuracy),
            "test_loss": (grid, 1 - accuracy),
            "units": (grid, units),
            "multiply_adds": (grid, 100 * units),
            "layer_units": ((*grid, "layer"), layers),
            "residual": (("seed", "unit_budget"), [[0.0, 0.2], [0.0, 0.0], [0.01, 0.0]]),
            "fraction_off_best_response": (("seed", "unit_budget"), np.zeros((seeds, sizes))),
            "clearing_price": (("seed", "unit_budget"), [[0.01, 0.1]] * seeds),
            "worth_over_fee": (("seed", "unit_budget"), [[1.5, 0.9], [1.2, np.inf], [1.0, 2.0]]),
            "dense_accuracy": ("seed", [0.97, 0.98, 0.975]),
            "dense_units": ("seed", [30.0] * seeds),
            "dense_multiply_adds": ("seed", [3000.0] * seeds),
            "paper_accuracy": (by_paper, paper),
            "paper_units": (by_paper, kept),
            "paper_loss": (by_paper, 1 - paper),
            "paper_residual": (by_paper, np.tile(np.linspace(1, 0.5, epochs), (seeds, 4, 1))),
            "paper_fraction_off_best_response": (by_paper, np.ones(paper.shape)),
            "game_extraction_seconds": ("seed", [0.1, 0.2, 0.3]),
            "game_solution_seconds": ("seed", [0.01, 0.02, 0.03]),
            "game_price": ("seed", [0.01] * seeds),
            "game_participating": ("seed", [20, 21, 22]),
            "game_residual": ("seed", [1e-10] * seeds),
            "game_regret": ("seed", [1e-20] * seeds),
            "game_unique": ("seed", [0, 1, 0]),
            "game_smallest_eigenvalue": ("seed", [0.0, 0.5, np.nan]),
            "game_eigenvalue_error": ("seed", [1e-12, 1e-12, np.nan]),
            "game_eigenvalue_status": ("seed", ["ok", "ok", "Lanczos iteration did not converge"]),
            "game_anarchy": ("seed", [2.0, 1.5, np.inf]),
            "game_anarchy_certain": ("seed", [0, 0, 0]),
            "game_dominated": (("seed", "unit"), np.eye(3, 30, dtype=int) * 2),
            "game_removed_share": (("seed", "profile"), share),
            "game_real": (("seed", "profile"), real),
            "game_test": (("seed", "profile"), real[:, ::-1]),
            "game_predicted": (("seed", "prediction", "profile"), predicted),
        },
        coords={
            "seed": np.arange(seeds),
            "method": list(METHODS),
            "unit_budget": list(PLANTED.unit_budgets),
            "configuration": list(PAPER_CONFIGURATIONS),
            "paper_epoch": np.arange(1, epochs + 1),
            "prediction": list(PREDICTIONS),
        },
        attrs={
            "study": "pruning",
            "format": RESULTS_FORMAT,
            "settings": PLANTED.to_dict(),
            "versions": {"python": "3"},
        },
    )
