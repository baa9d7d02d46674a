"""One table of what the bridge does with a network: one line makes a new member, and test_laws.py holds it to all laws.

A member takes the network, its case, and data (inputs, targets).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from neurogames.bridge import (
    EKFAC,
    KFAC,
    DGNOpt,
    GaussianNoise,
    StableNoise,
    UnitBudget,
    activation_magnitude,
    attach_gradient_dropout,
    attach_mean_feedback,
    banzhaf_pathways,
    coalition_game,
    count_parameters,
    coupled_groups,
    deletion_curve,
    feedback_factors,
    gate_curvature,
    grad_cam,
    gradient_activation,
    insert_gates,
    insertion_curve,
    interaction_graph,
    magnitude_importance,
    measured_speed,
    multiply_adds,
    nash_gap,
    normal_form,
    open_game,
    participation_game,
    prune,
    public_goods_game,
    rebuild,
    removal_orders,
    shortcut_composition,
    smallest_curvature,
    stack_modules,
    stage_graph,
    taylor_importance,
    train,
    train_participation,
)
from neurogames.bridge.modules.evaluation import evaluating
from neurogames.bridge.training.loop import OptimizerFactory
from neurogames.engine import linear, shapley
from tests.bridge.cases import Case

Data = tuple[Tensor, Tensor]
Member = Callable[[nn.Module, Case, Data], Any]


def draws() -> np.random.Generator:
    return np.random.default_rng(0)


def torch_draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def metric(case: Case) -> str:
    return "loss" if case.loss is functional.mse_loss else "logit"


def played(model: nn.Module, case: Case, data: Data) -> Any:
    game = coalition_game(model, case.layer, data, metric="loss")
    return shapley(game, 40, rng=draws())


def ordered(model: nn.Module, case: Case, data: Data) -> Any:
    game = coalition_game(model, case.layer, data, metric="loss")
    return removal_orders(game, model, data, budget=40, rng=draws())


def pathways(model: nn.Module, case: Case, data: Data) -> Any:
    first, second = list(case.units)[:2]
    return banzhaf_pathways(model, (first, second), data[0], budget=40, rng=draws())


def gated(model: nn.Module, case: Case, data: Data) -> Any:
    gates = insert_gates(model)
    try:
        gates.assign(np.full(gates.n_players, 0.5))
        with evaluating(model):
            return model(data[0])
    finally:
        gates.remove()


def masked(model: nn.Module, case: Case, data: Data) -> Any:
    with evaluating(model), attach_gradient_dropout(model, 0.5, rng=torch_draws()):
        model.get_submodule(case.layer).training = True
        return torch.autograd.grad(case.loss(model(data[0]), data[1]), list(model.parameters()))


def mean_feedback(model: nn.Module, case: Case, data: Data) -> Any:
    with evaluating(model), attach_mean_feedback(model, 0.5):
        model.get_submodule(case.layer).training = True
        return torch.autograd.grad(case.loss(model(data[0]), data[1]), list(model.parameters()))


def cut(model: nn.Module, case: Case, data: Data) -> Any:
    profile = np.arange(sum(case.units.values())) % 2
    return prune(model, profile, data[0])


def cut_again(model: nn.Module, case: Case, data: Data) -> Any:
    pruned = cut(model, case, data)
    return rebuild(model, pruned.model.state_dict(), pruned.sizes)


def seen(model: nn.Module, case: Case, data: Data) -> Any:
    return grad_cam(model, model.get_submodule(case.layer), *data)


def deleted(model: nn.Module, case: Case, data: Data) -> Any:
    return deletion_curve(model, data[0], data[0].sum(dim=1), data[1], steps=3)


def inserted(model: nn.Module, case: Case, data: Data) -> Any:
    return insertion_curve(model, data[0], data[0].sum(dim=1), data[1], steps=3)


def updated(model: nn.Module, case: Case, data: Data) -> Any:
    layers = [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]
    return normal_form(model, {name: {"stay": 0.0, "step": 0.1} for name in layers[:3]}, case.loss, data)


def trained(make: OptimizerFactory, **settings: Any) -> Member:
    def fit(model: nn.Module, case: Case, data: Data) -> Any:
        common = {"optimizer": make, "batch_size": 3, "epochs": 2, "rng": torch_draws()}
        return train(model, case.loss, data, **common | settings)

    return fit


def trained_jointly(**settings: Any) -> Member:
    def fit(model: nn.Module | list[nn.Module], case: Case, data: Data) -> Any:
        common = {"loss": case.loss, "batch_size": 3, "epochs": 2, "rng": torch_draws()}
        return train_participation(model, *data, **common | settings)

    return fit


# Games and scores of networks, whatever the network. None of them may leave a trace in it.
FUNCTIONS: dict[str, Member] = {
    "participation game, paper": lambda model, case, data: participation_game(
        model, case.loss, data, benefit="paper", ridge=0.1
    ),
    "participation game, taylor": lambda model, case, data: participation_game(model, case.loss, data),
    "participation game, ablation": lambda model, case, data: participation_game(
        model, case.loss, data, benefit="ablation"
    ),
    "participation game, shapley": lambda model, case, data: participation_game(
        model, case.loss, data, benefit="shapley", budget=40, rng=draws()
    ),
    "gate curvature": lambda model, case, data: gate_curvature(model, case.loss, data),
    "smallest curvature": lambda model, case, data: smallest_curvature(model, case.loss, data),
    "nash gap": lambda model, case, data: nash_gap(
        model, case.loss, data, "block", starts=1, steps=1, held_out=data, rng=draws()
    ),
    "public goods game": lambda model, case, data: (
        public_goods_game(model, case.layer, data, budget=40, rng=draws()).curves
    ),
    "stage graph": lambda model, _, data: np.array([stage_graph(model, data[0]).n_stages]),
    "normal form": lambda model, case, data: updated(model, case, data).payoffs,
    "open game": lambda model, case, data: open_game(model).gradients(case.loss, *data),
    "interaction graph": lambda model, *_: interaction_graph(model),
    "coalition game": played,
    "removal orders": ordered,
    "pathways": pathways,
    "activation magnitude": lambda model, case, data: activation_magnitude(model, case.layer, data[0]),
    "gradient activation": lambda model, case, data: gradient_activation(model, case.layer, data, metric=metric(case)),
    "shortcut composition": lambda model, case, data: shortcut_composition(model, *data, layer=case.layer),
    "magnitude importance": lambda model, *_: magnitude_importance(model),
    "taylor importance": lambda model, case, data: taylor_importance(model, case.loss, data),
    "prune": cut,
    "rebuild": cut_again,
    "coupled groups": lambda model, _, data: coupled_groups(model, data[0]),
    "count parameters": lambda model, *_: count_parameters(model),
    "multiply adds": lambda model, _, data: multiply_adds(model, data[0]),
    "measured speed": lambda model, _, data: measured_speed(model, model, data[0], repeats=1),
    "stack": lambda model, _, data: stack_modules([model, model])(data[0]),
    "gates that come off": gated,
    "gradient dropout that comes off": masked,
    "mean feedback that comes off": mean_feedback,
    "feedback factors": lambda model, *_: feedback_factors(model, 0.5, optimizer="sgd"),
}

# What two calls cannot have in common; what does not take every network, and says so.
TIMED = {"measured speed"}
CHOOSY = {"stage graph", "feedback factors"}

# For maps of images only.
OF_IMAGES: dict[str, Member] = {"grad cam": seen, "deletion curve": deleted, "insertion curve": inserted}

# Trainings in which units take part or leave, of one module or of several at once.
PARTICIPATION: dict[str, Member] = {
    "participation, fee": trained_jointly(price=0.01),
    "participation, unit budget": trained_jointly(price=UnitBudget(5), epochs=14),
    "participation, paper": trained_jointly(rule="paper", price=0.01, ridge=0.1, competition=0.01),
    "participation, plain": trained_jointly(),
}

# Trainings of any module.
TRAINERS: dict[str, Member] = PARTICIPATION | {
    "training, adam": trained(torch.optim.Adam),
    "training, falling rate": trained(partial(torch.optim.SGD, momentum=0.9), learning_rate=linear(0.1, 0.0)),
    "training, line search": trained(partial(torch.optim.LBFGS, max_iter=3, line_search_fn="strong_wolfe")),
    "training, kfac": trained(partial(KFAC, lr=0.01)),
    "training, ekfac": trained(partial(EKFAC, lr=0.01)),
    "training, dgnopt": trained(partial(DGNOpt, lr=0.01)),
}

# Trainings of many small networks.
ENSEMBLES: dict[str, dict[str, Any]] = {
    "adam": {},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.05},
    "gradient dropout of units": {"keep_prob": 0.5},
    "gradient dropout of samples": {"keep_prob": 0.5, "granularity": "sample"},
    "gradient dropout of layers, rescaled": {"keep_prob": 0.5, "granularity": "layer", "rescale": True},
    "noise on targets": {"target_noise": GaussianNoise(0.1)},
    "heavy-tailed noise on targets": {"target_noise": StableNoise(1.5)},
}
