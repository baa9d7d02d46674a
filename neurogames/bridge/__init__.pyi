# Public goods: feedback that is lost, and noise on what is learnt.
from .feedback.attached import AttachedGradientDropout as AttachedGradientDropout
from .feedback.attached import attach_gradient_dropout as attach_gradient_dropout
from .feedback.fluctuation import best_keep_prob as best_keep_prob
from .feedback.fluctuation import expected_loss_change as expected_loss_change
from .feedback.fluctuation import stationary_covariance as stationary_covariance
from .feedback.fluctuation import stationary_variance as stationary_variance
from .feedback.gradient_dropout import GradientDropout as GradientDropout
from .feedback.law import feedback_factors as feedback_factors
from .feedback.mean_feedback import MeanFeedback as MeanFeedback
from .feedback.mean_feedback import attach_mean_feedback as attach_mean_feedback
from .feedback.mean_feedback import second_moment_coins as second_moment_coins
from .feedback.mean_feedback_adam import MeanFeedbackAdam as MeanFeedbackAdam
from .feedback.target_noise import GaussianNoise as GaussianNoise
from .feedback.target_noise import NoNoise as NoNoise
from .feedback.target_noise import StableNoise as StableNoise
from .feedback.target_noise import TargetNoise as TargetNoise
from .feedback.target_noise import UniformNoise as UniformNoise
from .feedback.target_noise import sample_noise as sample_noise

# Ensembles: many small networks trained at once.
from .ensembles.ensemble import Trained as Trained
from .ensembles.ensemble import train_ensemble as train_ensemble
from .ensembles.networks import Ensemble as Ensemble
from .ensembles.networks import initial_ensemble as initial_ensemble
from .ensembles.predicted_training import TrainingPrediction as TrainingPrediction
from .ensembles.predicted_training import predict_training as predict_training

# Measures: how robust a network is, and how far its units compose.
from .measures.composition import Composition as Composition
from .measures.ablation import ablation_composition as ablation_composition
from .measures.composition import primitive_composition as primitive_composition
from .measures.ablation import quantile_groups as quantile_groups
from .measures.held_out import held_out_measures as held_out_measures
from .measures.robustness import CLASSIFICATION_METRICS as CLASSIFICATION_METRICS
from .measures.robustness import REGRESSION_METRICS as REGRESSION_METRICS
from .measures.robustness import area_from_clean as area_from_clean
from .measures.robustness import curve_slope as curve_slope
from .measures.robustness import noise_curve as noise_curve
from .measures.shortcut import shortcut_composition as shortcut_composition

# Participation: gates on units, the game that the units play, and training in which they may leave.
from .gates.gates import Gates as Gates
from .gates.gates import insert_gates as insert_gates
from .participation.certificate import FeeCertificate as FeeCertificate
from .participation.joint_training import train_participation as train_participation
from .participation.price_path import UnitBudget as UnitBudget
from .participation.price_path import rising_price as rising_price
from .participation.training_result import ParticipationTraining as ParticipationTraining

# Curvature: second derivatives in the gates, and natural gradients by Kronecker factors.
from .curvature.gate_curvature import GateCurvature as GateCurvature
from .curvature.gate_curvature import SmallestCurvature as SmallestCurvature
from .curvature.gate_curvature import gate_curvature as gate_curvature
from .curvature.gate_curvature import smallest_curvature as smallest_curvature
from .curvature.kfac import EKFAC as EKFAC
from .curvature.kfac import KFAC as KFAC

# Games out of networks: what its players are, what they would gain by a change of their own, and how they interact.
from .extraction.nash_gap import NashCost as NashCost
from .extraction.nash_gap import nash_gap as nash_gap
from .extraction.nash_verdict import NashGap as NashGap
from .extraction.open_network import OpenNetwork as OpenNetwork
from .extraction.open_network import open_game as open_game
from .extraction.public_goods_game import LayerGame as LayerGame
from .extraction.public_goods_game import public_goods_game as public_goods_game
from .extraction.update_game import normal_form as normal_form
from .extraction.interaction import interaction_graph as interaction_graph
from .extraction.participation_game import participation_game as participation_game

# Pruning: networks without the units that left, and what that saves.
from .pruning.coupling import CoupledGroups as CoupledGroups
from .pruning.coupling import coupled_groups as coupled_groups
from .pruning.importance import magnitude_importance as magnitude_importance
from .pruning.importance import taylor_importance as taylor_importance
from .pruning.prune import Pruned as Pruned
from .pruning.prune import prune as prune
from .pruning.rebuilding import rebuild as rebuild
from .pruning.work import count_parameters as count_parameters
from .pruning.work import measured_speed as measured_speed
from .pruning.work import multiply_adds as multiply_adds

# Layers as players: training as a dynamic game.
from .dgnopt.dgnopt import DGNOpt as DGNOpt
from .dgnopt.layer_rules import DiagonalCurvature as DiagonalCurvature
from .dgnopt.metric import LayerMetric as LayerMetric
from .dgnopt.stages import StageGraph as StageGraph
from .dgnopt.stages import stage_graph as stage_graph
from .dgnopt.step_report import StepReport as StepReport

# Coalitions: what the units of a layer are worth to the network.
from .coalitions.coalition_values import NetworkCoalitionGame as NetworkCoalitionGame
from .coalitions.coalition_values import coalition_game as coalition_game
from .coalitions.pathways import banzhaf_pathways as banzhaf_pathways
from .coalitions.removal import RemovalCurve as RemovalCurve
from .coalitions.removal import removal_curve as removal_curve
from .coalitions.removal import removal_orders as removal_orders
from .coalitions.unit_scores import activation_magnitude as activation_magnitude
from .coalitions.unit_scores import gradient_activation as gradient_activation

# Coalition filter: coalitions of neighbouring activations inside a network, and maps of what it looks at.
from .coalition_filter.attribution import AttributionCurve as AttributionCurve
from .coalition_filter.attribution import deletion_curve as deletion_curve
from .coalition_filter.grad_cam import grad_cam as grad_cam
from .coalition_filter.attribution import insertion_curve as insertion_curve
from .coalition_filter.attribution import rank_agreement as rank_agreement
from .coalition_filter.attribution import shapley_map as shapley_map
from .coalition_filter.coalition_layers import CoalitionFilter as CoalitionFilter
from .coalition_filter.coalition_layers import CoalitionReport as CoalitionReport
from .coalition_filter.coalition_layers import set_progress as set_progress
from .coalition_filter.neurogame_net import MagnitudeMask as MagnitudeMask
from .coalition_filter.neurogame_net import NeuroGameNet as NeuroGameNet
from .coalition_filter.neurogame_net import RandomMask as RandomMask
from .coalition_filter.neurogame_net import matched_mlp as matched_mlp

# Modules and training.
from .modules.stacked_modules import StackedModules as StackedModules
from .modules.stacked_modules import stack_modules as stack_modules
from .training.rule import Moment as Moment
from .training.rule import Rule as Rule
from .training.train import TrainedModel as TrainedModel
from .training.train import train as train
