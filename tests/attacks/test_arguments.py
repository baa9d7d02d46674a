"""Every argument of every public function, given what it cannot mean, is refused: one line, in which it is named.

The good calls come from the examples of the functions, so a new function is attacked as soon as it is public.
"""

from __future__ import annotations

import inspect
import signal
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import pytest

from neurogames import bridge, engine, games
from tests.attacks.recorded_calls import copied, recorded_call

NONSENSE: dict[str, Any] = {
    "None": None,
    "an object": object(),
    "a text": "nonsense",
    "not a number": float("nan"),
    "infinite": float("inf"),
    "negative": -3,
    "huge": 10**12,
    "no float": 10**30,
    "far below 0": -1e30,
    "empty": [],
    "no rows": np.zeros((0, 2)),
    "three axes": np.zeros((2, 1, 3)),
    "an array of NaN": np.full(3, np.nan),
    "ragged": [[1.0], [2.0, 3.0]],
    "complex": 1j,
    "a mapping": {},
    "a function": lambda *_: None,
    "a truth": True,
}
NEVER_RIGHT = ("an object", "not a number", "ragged", "complex", "a mapping", "an array of NaN", "three axes")
"""What no argument of this project can mean, but for those below."""

RIGHT = {
    ("NormalFormGame.payoffs", "three axes"): "two players with one and three actions",
    ("core_violation.allocation", "three axes"): "a batch of allocations",
    ("player.actions", "ragged"): "an action may be anything",
    ("area_from_clean.curve", "three axes"): "a batch of curves",
    ("area_from_clean.curve", "an array of NaN"): "a measure that is not known",
    ("curve_slope.curve", "three axes"): "a batch of curves",
    ("curve_slope.curve", "an array of NaN"): "a measure that is not known",
    ("rebuild.sizes", "a mapping"): "nothing has left",
}
FITS_OR_NOT = ("three axes", "a truth", "huge", "no float")
NAMED_OTHERWISE = {
    "MeanFeedbackAdam.lr": "the recorded parameters are used up",
    "activation_magnitude.inputs": "unit_axis",
    "banzhaf_pathways.inputs": "unit_axis",
    "prune.profile": "modules, which it names",
    "read_efg.path": "the file that is read",
    "train_participation.models": "runs of price",
}
"""Where the error names what the argument is about."""
ANSWERS_NOTHING = {"noise_curve.predict", "train_participation.price"}
"""Functions of the user's own, whose answer fails where it is used."""
PLAIN_FORMULAS = {"replicator_velocity", "best_response_velocity", "projection_velocity", "gradient_velocity"}
"""One line of arithmetic each, called in inner loops: what calls them checks."""
LONG_WORK = {
    "iterate_dynamics.steps",
    "logit_branch.precision",
    "logit_equilibrium.precision",
    "shapley_by_components.budget",
    "shapley_until.max_budget",
    "split_half.budget",
}
"""Huge numbers that can be done, in time."""

LONG_WORK |= {"noise_curve.repeats", "train_participation.epochs"}
LAZY = {"second_moment_coins"}
"""Begins when it is entered."""
MADE_BY_RULES = {"LayerMetric"}
"""What a rule of curvature returns in each step; nobody else makes one."""

NAMES = sorted(
    name
    for floor in (games, engine, bridge)
    for name in floor.__all__
    if callable(getattr(floor, name))
    and name not in {"CoalitionFunction", "Schedule", *PLAIN_FORMULAS, *LAZY, *MADE_BY_RULES}
    and not getattr(getattr(floor, name), "_is_protocol", False)
)


class LateError(BaseException):
    """A call took longer than it should before it was refused."""


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """Raise in the midst of what takes too long."""

    def late(*_: object) -> None:
        raise LateError

    usual = signal.signal(signal.SIGALRM, late)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, usual)


def _answer(call: Callable[[], object], names: Collection[str], alarm: Callable[[float], None]) -> str:
    """What is wrong with the answer to nonsense; "accepted" if there was none, "" if it was refused by one of names."""
    try:
        alarm(20.0)
        call()
    except (ValueError, TypeError) as error:
        text = str(error)
        if not any(name in text for name in names):
            return f"does not name it: {type(error).__name__}: {text}"
        return f"several lines: {text}" if "\n" in text else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    except LateError:
        return "late"
    finally:
        alarm(0.0)
    return "accepted"


@pytest.mark.parametrize("name", NAMES)
def test_nonsense_is_refused_in_one_line_that_names_the_argument(name, alarm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function = next(getattr(floor, name) for floor in (games, engine, bridge) if name in floor.__all__)
    recorded = recorded_call(function)
    if recorded is None:
        pytest.skip("its example shows how it is returned, and not how it is made")
    wrong = []
    for argument in recorded.arguments:
        kind = inspect.signature(function).parameters[argument].kind
        if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        for what, nonsense in NONSENSE.items():
            place = f"{name}.{argument}"
            if (place in LONG_WORK and what in ("huge", "no float")) or (
                place in ANSWERS_NOTHING and what == "a function"
            ):
                continue
            again = type(recorded)(function, copied(recorded.arguments))
            begun = time.process_time()
            # Of two arguments that do not fit, either may be named.
            names = recorded.arguments if what in FITS_OR_NOT else [argument.removesuffix("s")]
            found = _answer(lambda again=again, bad={argument: nonsense}: again(**bad), names, alarm)
            if found.startswith("does not name it") and place in NAMED_OTHERWISE:
                continue
            if found == "accepted" and (what not in NEVER_RIGHT or (place, what) in RIGHT):
                continue
            if found:
                wrong.append(f"{place} given {what}: {found}")
            elif time.process_time() - begun > 1.0:
                wrong.append(f"{place} given {what}: refused after work was done")
    assert not wrong, "\n".join(wrong)
