"""An array may lie in memory as it likes; what is masked, complex or text is no number, and is refused.

numpy would take the numbers below a mask, drop the imaginary part, and read the text.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from neurogames import engine, games
from tests.attacks.recorded_calls import RecordedCall, recorded_calls
from tests.bridge.test_laws import equal, numbers

LAYOUTS = {
    "of the other order of bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "backwards in memory": lambda a: np.ascontiguousarray(a[::-1])[::-1] if a.ndim else a,
    "by columns": np.asfortranarray,
}
NO_NUMBERS = {
    "masked": lambda a: np.ma.masked_array(a, mask=np.arange(a.size).reshape(a.shape) == 0),
    "complex": lambda a: a + 1j,
    "text": lambda a: a.astype(str),
}
# What is called in every step of a solver takes its arrays as they are.
UNCHECKED = {"best_response_velocity", "gradient_velocity", "projection_velocity", "replicator_velocity"}
# Lists of two things, which are no arrays.
PAIRS = {("TwoPopulationGame", "n_players"), ("simulate_two_populations", "start")}


def arrays(recorded: RecordedCall) -> dict[str, np.ndarray]:
    """Arguments of a call that are arrays of numbers, or lists of them."""
    found = {}
    kinds = inspect.signature(recorded.function).parameters
    for name, value in recorded.arguments.items():
        variable = kinds[name].kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if variable or not isinstance(value, (np.ndarray, list, tuple)):
            continue
        try:
            array = np.array(value)
        except ValueError:
            continue
        if array.dtype.kind in "fiu" and array.size:
            found[name] = array
    return found


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Good calls with at least one array."""
    found = recorded_calls((games, engine), tmp_path_factory.mktemp("examples"))
    return {name: call for name, call in found.items() if name not in UNCHECKED and arrays(call)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_an_array_in_memory_changes_no_number(calls, layout):
    for name, call in calls.items():
        expected = numbers(call.again())
        comparable = equal(expected, numbers(call.again()))  # what holds functions of its own is not
        for argument, array in arrays(call).items():
            if (name, argument) not in PAIRS:
                found = numbers(call.again(**{argument: LAYOUTS[layout](array)}))
                assert not comparable or equal(expected, found), (name, argument)


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_refused(calls, kind):
    for name, call in calls.items():
        for argument, array in arrays(call).items():
            with pytest.raises(ValueError, match=": got ") as refused:
                print(name, argument, call.again(**{argument: NO_NUMBERS[kind](array)}))
            assert "\n" not in str(refused.value), (name, argument)
