"""Games and torch networks, mapped onto each other."""

from neurogames.bridge.attribution import (
    AttributionCurve,
    deletion_curve,
    grad_cam,
    insertion_curve,
    rank_agreement,
    shapley_map,
)
from neurogames.bridge.coalition_layers import CoalitionFilter, CoalitionReport, set_progress
from neurogames.bridge.coalition_values import NetworkCoalitionGame, coalition_game
from neurogames.bridge.composition import ablation_composition, primitive_composition, quantile_groups
from neurogames.bridge.curvature import GateCurvature, SmallestCurvature, gate_curvature, smallest_curvature
from neurogames.bridge.ensemble import Trained, train_ensemble
from neurogames.bridge.extract import participation_game
from neurogames.bridge.feedback import GradientDropout, attach_gradient_dropout
from neurogames.bridge.gates import Gates, insert_gates
from neurogames.bridge.interaction import interaction_graph
from neurogames.bridge.networks import Ensemble, initial_ensemble
from neurogames.bridge.neurogame_net import MagnitudeMask, NeuroGameNet, RandomMask, matched_mlp
from neurogames.bridge.participation_course import ParticipationTraining, rising_price
from neurogames.bridge.participation_training import train_participation
from neurogames.bridge.pathways import banzhaf_pathways
from neurogames.bridge.pruning import Pruned, prune
from neurogames.bridge.removal import RemovalCurve, removal_curve, removal_orders
from neurogames.bridge.robustness import (
    CLASSIFICATION_METRICS,
    REGRESSION_METRICS,
    area_from_clean,
    curve_slope,
    noise_curve,
)
from neurogames.bridge.stacked_modules import StackedModules, stack_modules
from neurogames.bridge.targets import GaussianNoise, NoNoise, StableNoise, TargetNoise, UniformNoise, sample_noise
from neurogames.bridge.unit_importance import magnitude_importance, taylor_importance
from neurogames.bridge.unit_scores import activation_magnitude, gradient_activation
from neurogames.bridge.work import count_parameters, measured_speed, multiply_adds

__all__ = [
    "CLASSIFICATION_METRICS",
    "REGRESSION_METRICS",
    "AttributionCurve",
    "CoalitionFilter",
    "CoalitionReport",
    "Ensemble",
    "GateCurvature",
    "Gates",
    "GaussianNoise",
    "GradientDropout",
    "MagnitudeMask",
    "NetworkCoalitionGame",
    "NeuroGameNet",
    "NoNoise",
    "ParticipationTraining",
    "Pruned",
    "RandomMask",
    "RemovalCurve",
    "SmallestCurvature",
    "StableNoise",
    "StackedModules",
    "TargetNoise",
    "Trained",
    "UniformNoise",
    "ablation_composition",
    "activation_magnitude",
    "area_from_clean",
    "attach_gradient_dropout",
    "banzhaf_pathways",
    "coalition_game",
    "count_parameters",
    "curve_slope",
    "deletion_curve",
    "gate_curvature",
    "grad_cam",
    "gradient_activation",
    "initial_ensemble",
    "insert_gates",
    "insertion_curve",
    "interaction_graph",
    "magnitude_importance",
    "matched_mlp",
    "measured_speed",
    "multiply_adds",
    "noise_curve",
    "participation_game",
    "primitive_composition",
    "prune",
    "quantile_groups",
    "rank_agreement",
    "removal_curve",
    "removal_orders",
    "rising_price",
    "sample_noise",
    "set_progress",
    "shapley_map",
    "smallest_curvature",
    "stack_modules",
    "taylor_importance",
    "train_ensemble",
    "train_participation",
]
