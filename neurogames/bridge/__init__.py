"""Games and torch networks, mapped onto each other."""

from neurogames.bridge.composition import ablation_composition, primitive_composition, quantile_groups
from neurogames.bridge.ensemble import Trained, train_ensemble
from neurogames.bridge.feedback import GradientDropout, attach_gradient_dropout
from neurogames.bridge.networks import Ensemble, initial_ensemble
from neurogames.bridge.robustness import (
    CLASSIFICATION_METRICS,
    REGRESSION_METRICS,
    area_from_clean,
    curve_slope,
    noise_curve,
)
from neurogames.bridge.targets import GaussianNoise, NoNoise, StableNoise, TargetNoise, UniformNoise, sample_noise

__all__ = [
    "CLASSIFICATION_METRICS",
    "REGRESSION_METRICS",
    "Ensemble",
    "GaussianNoise",
    "GradientDropout",
    "NoNoise",
    "StableNoise",
    "TargetNoise",
    "Trained",
    "UniformNoise",
    "ablation_composition",
    "area_from_clean",
    "attach_gradient_dropout",
    "curve_slope",
    "initial_ensemble",
    "noise_curve",
    "primitive_composition",
    "quantile_groups",
    "sample_noise",
    "train_ensemble",
]
