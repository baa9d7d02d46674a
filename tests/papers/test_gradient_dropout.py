"""Facts behind the published robustness figures of gradient dropout, arXiv 2507.19143."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from neurogames.bridge import REGRESSION_METRICS, area_from_clean, noise_curve, train_ensemble
from neurogames.lab import load_dataset, prepare

needs_tables = pytest.mark.skipif("NEUROGAMES_DATA" not in os.environ, reason="NEUROGAMES_DATA names no folder")


def _clean_smape(name: str, *, linear: bool) -> float:
    """SMAPE in the target's own unit, mean over five splits, of the mean target or of least squares."""
    values = []
    for seed in range(5):
        data = prepare(load_dataset(name, task="regression"), rng=np.random.default_rng(seed))
        outputs = np.zeros(len(data.test_targets))
        if linear:
            outputs = LinearRegression().fit(data.train_inputs, data.train_targets).predict(data.test_inputs)
        units = [torch.as_tensor(y * data.target_std + data.target_mean) for y in (outputs, data.test_targets)]
        values.append(float(REGRESSION_METRICS["smape"](units[0][:, None].double(), units[1][:, None].double())))
    return float(np.mean(values))


@needs_tables
@pytest.mark.parametrize(
    ("name", "constant", "published_at_best"),
    [("StudentPerformanceFactors", 0.0422, 0.0447), ("wine_quality", 0.119, 0.1235)],
)
def test_fig_smape_of_the_published_networks_is_no_better_than_that_of_a_constant(
    name: str, constant: float, published_at_best: float
) -> None:
    measured = _clean_smape(name, linear=False)
    assert measured == pytest.approx(constant, abs=0.002)
    assert measured < published_at_best


@needs_tables
def test_fig_smape_of_least_squares_is_far_below_the_published_networks() -> None:
    assert _clean_smape("StudentPerformanceFactors", linear=True) == pytest.approx(0.0067, abs=0.001)


def test_labels_broadcast_against_outputs_teach_the_mean_target() -> None:
    """MSELoss of outputs (B, 1) against labels (B,) is the loss of predicting the mean label, plus a constant."""
    rng = torch.Generator().manual_seed(0)
    outputs, labels = torch.randn(12, 1, generator=rng), torch.randn(12, generator=rng)
    wrong = (outputs - labels).square().mean()
    assert wrong == pytest.approx(((outputs - labels.mean()).square().mean() + labels.var(correction=0)).item())


def test_little_feedback_flattens_the_curve_and_little_training_flattens_it_more() -> None:
    """Keep 0.1 for 10 epochs beside plain training for ten epochs, and for one (as much feedback per unit)."""
    data = prepare(load_dataset("diabetes"), rng=np.random.default_rng(0))
    inputs, targets = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_targets)
    runs = 8
    trained = train_ensemble(
        inputs,
        targets,
        seeds=list(range(runs)) * 3,
        keep_prob=[1.0] * runs + [0.1] * runs + [1.0] * runs,
        epochs=[10.0] * runs + [10.0] * runs + [1.0] * runs,
        hidden=(64,),
        batch_size=12,
        optimizer="sgd",
        learning_rate=0.02,
    )
    levels = [0.0, 0.5, 1.0, 1.5]
    curve = noise_curve(
        trained.ensemble,
        torch.from_numpy(data.test_inputs),
        torch.from_numpy(data.test_targets),
        levels=levels,
        metrics=REGRESSION_METRICS,
        repeats=8,
        rng=torch.Generator().manual_seed(1),
    )["mse"]
    plain, masked, short = area_from_clean(levels, curve).reshape(3, runs).mean(axis=1)
    assert short < masked < plain
