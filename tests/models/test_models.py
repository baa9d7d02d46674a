"""Models that people bring: no wrong answer, no crash; what cannot be done is refused in one clear line.

All models, with torch-pruning's result beside: ``python -m tests.models.table``, which writes docs/models.md.
"""

from __future__ import annotations

import functools

import pytest

from tests.models.checks import CHECKS, bring, line
from tests.models.zoo import MODELS

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

# What is refused, and why; everything else has to work.
REFUSED = {("nn.LSTM", "participation game"): "Batching rule not implemented for aten::lstm.input"}


@functools.lru_cache(maxsize=1)
def brought(name):
    return bring(MODELS[name])


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", MODELS)
def test_model(name, check):
    pytest.importorskip(MODELS[name].package)
    found = line(CHECKS[check], MODELS[name], brought(name))
    if found.startswith("refused"):
        assert REFUSED.get((name, check), "nothing refused") in found
    else:
        assert (name, check) not in REFUSED
