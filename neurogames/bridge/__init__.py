"""Games and torch networks, mapped onto each other."""

from neurogames.bridge.coalition_filter.attribution import (
    AttributionCurve,
    deletion_curve,
    grad_cam,
    insertion_curve,
    rank_agreement,
    shapley_map,
)
from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter, CoalitionReport, set_progress
from neurogames.bridge.coalition_filter.neurogame_net import MagnitudeMask, NeuroGameNet, RandomMask, matched_mlp
from neurogames.bridge.coalitions.coalition_values import NetworkCoalitionGame, coalition_game
from neurogames.bridge.coalitions.pathways import banzhaf_pathways
from neurogames.bridge.coalitions.removal import RemovalCurve, removal_curve, removal_orders
from neurogames.bridge.coalitions.unit_scores import activation_magnitude, gradient_activation
from neurogames.bridge.curvature.gate_curvature import (
    GateCurvature,
    SmallestCurvature,
    gate_curvature,
    smallest_curvature,
)
from neurogames.bridge.ensembles.ensemble import Trained, train_ensemble
from neurogames.bridge.ensembles.networks import Ensemble, initial_ensemble
from neurogames.bridge.ensembles.predicted_training import TrainingPrediction, predict_training
from neurogames.bridge.extraction.interaction import interaction_graph
from neurogames.bridge.extraction.participation_game import participation_game
from neurogames.bridge.feedback.attached import attach_gradient_dropout
from neurogames.bridge.feedback.fluctuation import (
    best_keep_prob,
    expected_loss_change,
    stationary_covariance,
    stationary_variance,
)
from neurogames.bridge.feedback.gradient_dropout import GradientDropout
from neurogames.bridge.feedback.law import feedback_factors
from neurogames.bridge.feedback.mean_feedback import MeanFeedback, attach_mean_feedback, second_moment_coins
from neurogames.bridge.feedback.mean_feedback_adam import MeanFeedbackAdam
from neurogames.bridge.feedback.target_noise import (
    GaussianNoise,
    NoNoise,
    StableNoise,
    TargetNoise,
    UniformNoise,
    sample_noise,
)
from neurogames.bridge.gates.gates import Gates, insert_gates
from neurogames.bridge.measures.composition import ablation_composition, primitive_composition, quantile_groups
from neurogames.bridge.measures.held_out import held_out_measures
from neurogames.bridge.measures.robustness import (
    CLASSIFICATION_METRICS,
    REGRESSION_METRICS,
    area_from_clean,
    curve_slope,
    noise_curve,
)
from neurogames.bridge.modules.stacked_modules import StackedModules, stack_modules
from neurogames.bridge.participation.joint_training import train_participation
from neurogames.bridge.participation.price_path import UnitBudget, rising_price
from neurogames.bridge.participation.training_result import ParticipationTraining
from neurogames.bridge.pruning.importance import magnitude_importance, taylor_importance
from neurogames.bridge.pruning.prune import Pruned, prune
from neurogames.bridge.pruning.work import count_parameters, measured_speed, multiply_adds

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
    "MeanFeedback",
    "MeanFeedbackAdam",
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
    "TrainingPrediction",
    "UniformNoise",
    "UnitBudget",
    "ablation_composition",
    "activation_magnitude",
    "area_from_clean",
    "attach_gradient_dropout",
    "attach_mean_feedback",
    "banzhaf_pathways",
    "best_keep_prob",
    "coalition_game",
    "count_parameters",
    "curve_slope",
    "deletion_curve",
    "expected_loss_change",
    "feedback_factors",
    "gate_curvature",
    "grad_cam",
    "gradient_activation",
    "held_out_measures",
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
    "predict_training",
    "primitive_composition",
    "prune",
    "quantile_groups",
    "rank_agreement",
    "removal_curve",
    "removal_orders",
    "rising_price",
    "sample_noise",
    "second_moment_coins",
    "set_progress",
    "shapley_map",
    "smallest_curvature",
    "stack_modules",
    "stationary_covariance",
    "stationary_variance",
    "taylor_importance",
    "train_ensemble",
    "train_participation",
]
