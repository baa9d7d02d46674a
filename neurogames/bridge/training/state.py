"""A training after an epoch as plain tensors and numbers, and how it goes on from there.

The state is a dictionary for ``torch.save``; ``torch.load(path, weights_only=True)`` reads it back, as there is nothing
in it but tensors, numbers, strings and containers of these. A training that goes on from it ends exactly as if it had
never stopped, with the same model, data and settings. What modules keep outside of parameters and buffers (generators
of their own, counters in Python) is not in it; torch's global generators, from which dropout draws, are.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from neurogames._arguments import invalid_argument
from neurogames.bridge.training.loop import Plan, Training

_EXPECTED = "a state that such a training gave to on_state"


def training_state(
    trainings: Sequence[Training], plan: Plan, rng: torch.Generator, *, epoch: int, history: Sequence[Any]
) -> dict[str, Any]:
    """Copy everything from which trainings go on.

    Args:
        trainings: what is trained.
        plan: how often which rows are seen.
        rng: source of the order of the rows.
        epoch: number of epochs done.
        history: for each training what was noted so far, plain tensors and numbers.

    Returns:
        The state; nothing in it is shared with the trainings.
    """
    state = {
        "epoch": epoch,
        "plan": _plan_numbers(plan),
        "generator": rng.get_state(),
        "global_generators": _global_generators(trainings),
        "trainings": [
            {
                "parameters": {name: value.detach() for name, value in training.network.parameters.items()},
                "buffers": {name: value.detach() for name, value in training.network.buffers.items()},
                "optimizer": {"name": type(training.optimizer).__name__, "state": training.optimizer.state_dict()},
                "rule": {"name": type(training.rule).__name__, "state": training.rule.state_dict()},
                "history": noted,
            }
            for training, noted in zip(trainings, history, strict=True)
        ],
    }
    return copy.deepcopy(state)


def resume(
    state: Any, trainings: Sequence[Training], plan: Plan, rng: torch.Generator, *, name: str = "resume_from"
) -> tuple[int, list[Any]]:
    """Set trainings that have not begun to a saved state.

    Args:
        state: what ``training_state`` gave; it stays as it is.
        trainings: those that it was taken of, built again.
        plan: as it was.
        rng: its state is set, and that of torch's global generators.
        name: what the caller called the state.

    Returns:
        The number of epochs done, and the history of each training.

    Raises:
        ValueError: if it is no such state, or that of another model, optimizer, rule or length; whatever was set by
            then is the caller's own copy of the model.
    """
    keys = {"epoch", "plan", "generator", "global_generators", "trainings"}
    if not isinstance(state, Mapping) or set(state) != keys:
        raise invalid_argument(name, type(state).__name__, _EXPECTED)
    if state["plan"] != _plan_numbers(plan):
        raise invalid_argument(name, f"a state for {state['plan']}", f"one for {_plan_numbers(plan)}")
    if len(state["trainings"]) != len(trainings):
        raise invalid_argument(name, f"a state of {len(state['trainings'])} trainings", f"one of {len(trainings)}")
    state = copy.deepcopy(dict(state))
    for training, saved in zip(trainings, state["trainings"], strict=True):
        _refuse_others(training, saved, name)
    for training, saved in zip(trainings, state["trainings"], strict=True):
        with torch.no_grad():
            for kind in ("parameters", "buffers"):
                for key, value in getattr(training.network, kind).items():
                    value.copy_(saved[kind][key])
        try:
            training.optimizer.load_state_dict(saved["optimizer"]["state"])
        except (ValueError, KeyError, TypeError) as error:
            raise invalid_argument(name, f"an optimizer's state that it refuses ({error})", _EXPECTED) from error
        training.rule.load_state_dict(saved["rule"]["state"])
    try:
        rng.set_state(state["generator"].cpu())
    except (RuntimeError, TypeError) as error:
        raise invalid_argument(name, f"a generator's state that rng refuses ({error})", _EXPECTED) from error
    torch.set_rng_state(state["global_generators"]["cpu"].cpu())
    if "cuda" in state["global_generators"]:
        torch.cuda.set_rng_state(state["global_generators"]["cuda"].cpu(), _device(trainings))
    return state["epoch"], [saved["history"] for saved in state["trainings"]]


def _refuse_others(training: Training, saved: Mapping[str, Any], name: str) -> None:
    """Refuse the state of another network, optimizer or rule."""
    if set(saved) != {"parameters", "buffers", "optimizer", "rule", "history"}:
        raise invalid_argument(name, f"a training with {sorted(saved)}", _EXPECTED)
    for kind in ("parameters", "buffers"):
        ours = {key: value.shape for key, value in getattr(training.network, kind).items()}
        if {key: value.shape for key, value in saved[kind].items()} != ours:
            raise invalid_argument(name, f"{kind} of other names or shapes", f"the {kind} of the model")
    for kind in ("optimizer", "rule"):
        own = type(getattr(training, kind)).__name__
        if saved[kind]["name"] != own:
            raise invalid_argument(name, f"a state of the {kind} {saved[kind]['name']}", f"one of {own}")


def _plan_numbers(plan: Plan) -> dict[str, int]:
    """What the progress and the batches of a training depend on."""
    return {"rows": plan.rows, "epochs": plan.epochs, "batch_size": plan.batch_size, "steps": plan.steps}


def _device(trainings: Sequence[Training]) -> torch.device:
    """Where the trainings are."""
    return next(iter(trainings[0].network.parameters.values())).device


def _global_generators(trainings: Sequence[Training]) -> dict[str, Tensor]:
    """States of the generators from which layers such as dropout draw."""
    device = _device(trainings)
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states
