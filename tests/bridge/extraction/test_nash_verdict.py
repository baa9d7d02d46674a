"""Which notion of Nash equilibrium numbers meet, at the border of each, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.bridge.extraction.nash_verdict import NashGap

EPSILON = 0.25
BEST = {  # a strict local equilibrium of two players whose deviations are not bounded
    "gradient": [0.0, 0.0],
    "smallest_curvature": [1.0, 2.0],
    "largest_curvature": [2.0, 4.0],
    "strict_curvature": [1.0, 2.0],
    "gain": [0.0, 0.125],
    "bound": [np.inf, np.inf],
}


def found(joint_gain=0.5, symmetries=(), **changes):
    given = {name: np.array(value, dtype=float) for name, value in {**BEST, **changes}.items()}
    return NashGap(
        players=("a", "b"),
        loss=1.5,
        epsilon=EPSILON,
        relative_gradient=np.zeros(2),
        method=("search", "search"),
        held_out_gain=None,
        held_out_stderr=None,
        joint_gain=joint_gain,
        pair_gain={},
        joint_curvature=1.0,
        symmetries=symmetries,
        status="ok",
        **given,
    )


FLAT = 2e-3
CASES = [
    ({}, "differential Nash"),
    ({"gain": [0.0, 0.25]}, "differential Nash"),
    ({"gain": [0.0, 0.26]}, "not Nash"),
    ({"gain": [0.26, 0.0], "bound": [0.0, 0.0]}, "not Nash"),
    ({"bound": [0.25, 0.25]}, "Nash up to epsilon"),
    ({"bound": [0.25, 0.26]}, "differential Nash"),
    # A gradient step gains g^2 / (2 h): 1 / 4 at g = 1, h = 2.
    ({"gradient": [1.0, 0.0]}, "differential Nash"),
    ({"gradient": [1.01, 0.0]}, "undecided"),
    ({"gradient": [0.0, 1.5]}, "undecided"),
    ({"gradient": [0.0, 0.1], "largest_curvature": [2.0, np.nan]}, "undecided"),
    ({"gradient": [0.1, 0.0], "largest_curvature": [0.0, 4.0], "smallest_curvature": [0.0, 2.0]}, "undecided"),
    ({"gradient": [0.1, 0.0], "largest_curvature": [-1.0, 4.0], "smallest_curvature": [-1.0, 2.0]}, "undecided"),
    # Without a gradient no curvature is needed for the first order.
    ({"largest_curvature": [np.nan, 4.0], "smallest_curvature": [np.nan, 2.0]}, "first-order"),
    # What Lanczos cannot tell from 0 is 2e-3 of the largest size of a curvature.
    ({"smallest_curvature": [-2.0 * FLAT, 2.0]}, "differential Nash"),
    ({"smallest_curvature": [-2.1 * FLAT, 2.0]}, "first-order"),
    ({"smallest_curvature": [-3.0, 2.0]}, "first-order"),
    ({"strict_curvature": [2.1 * FLAT, 2.0]}, "differential Nash"),
    ({"strict_curvature": [2.0 * FLAT, 2.0]}, "local Nash"),
    ({"strict_curvature": [1.0, 4.0 * FLAT]}, "local Nash"),
    ({"strict_curvature": [np.nan, 1.0]}, "local Nash"),
]


@pytest.mark.parametrize(("changes", "notion"), CASES)
def test_the_strongest_notion_that_is_met(changes, notion):
    gap = found(**changes)
    assert gap.notion == notion
    assert gap.local_notion == notion or notion in ("not Nash", "Nash up to epsilon")


def test_who_gains_most_alone_and_what_all_gain_beyond():
    gap = found(gain=[0.75, 0.5], joint_gain=2.0)
    assert (gap.gap, gap.deviator, gap.coordination_gap) == (0.75, "a", 1.25)
    assert found(gain=[0.5, 0.75], joint_gain=0.25).coordination_gap == 0.0


NONE = "no deviation of one player that gains more than 0.25 was found, which rules out none."
TOGETHER = " All together gain 0.5 or more (coordination gap 0.375)."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, f"Differential (strict local) Nash: {NONE}"),
        ({"symmetries": ("shifts", "scales")}, f"Differential (strict local) Nash modulo shifts, scales: {NONE}"),
        ({"strict_curvature": [0.0, 1.0]}, f"Local Nash to second order, not strict: {NONE}"),
        (
            {"smallest_curvature": [-0.5, -0.75]},
            f"First-order only: the own curvature of 'b' is negative; {NONE}",
        ),
        (
            {"largest_curvature": [np.nan, 4.0], "smallest_curvature": [np.nan, 2.0]},
            f"First-order only: not every player's own curvature is known; {NONE}",
        ),
        (
            {"gradient": [3.0, 0.0]},
            "Undecided: no deviation that gains more than 0.25 was found, but a gradient step of one should gain more.",
        ),
        (
            {"gradient": [3.0, 0.0], "largest_curvature": [np.nan, 4.0]},
            "Undecided: no deviation that gains more than 0.25 was found, "
            "but not every player's own curvature is known.",
        ),
        ({"bound": [0.1, 0.2]}, "Nash up to 0.25: no player can gain more alone."),
    ],
)
def test_the_verdict_says_why(changes, said):
    assert found(**changes).verdict == said + TOGETHER


def test_the_verdict_names_who_deviates():
    verdict = found(gain=[0.0, 0.5], joint_gain=1.0).verdict
    assert verdict.startswith("Not Nash: 'b' alone gains 0.5 or more of a loss of 1.5. All together gain 1 or more")
