"""String diagrams: every game is a box, every wire is drawn, and nothing lies on anything else."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from torch import nn

from neurogames.bridge import open_game
from neurogames.lab import string_diagram


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x)
        return self.last(x + torch.tanh(self.inner(x)))


@pytest.mark.parametrize(("columns", "wires"), [(9, 9), (3, 11)])
def test_a_residual_network_has_its_boxes_and_wires(columns, wires):
    network = open_game(Residual())
    assert network.reads == ((-1,), (0,), (1,), (0, 2), (3,))
    assert (network.kinds, network.moves) == (("Linear", "Linear", "tanh", "add", "Linear"), 4)
    axis = string_diagram(network, columns=columns).axes[0]
    boxes = [each.get_window_extent() for each in axis.patches if isinstance(each, FancyBboxPatch)]
    assert len(boxes) == 5
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    # Two curves for each wire: 7 that are read, 2 where a value waits, 2 that go on in the next of the short lines.
    assert sum(isinstance(each, FancyArrowPatch) for each in axis.patches) == 2 * wires
    assert sum(isinstance(each, Circle) for each in axis.patches) == 1
    words = [text.get_text() for text in axis.texts]
    assert words.count("θ") == 3
    assert {"x", "y", "r", "+", "first", "inner", "last"} <= set(words)


def test_what_is_no_open_network_is_refused():
    with pytest.raises(ValueError, match="network: .*OpenNetwork"):
        string_diagram(Residual())
    with pytest.raises(ValueError, match="columns: .*2"):
        string_diagram(open_game(Residual()), columns=1)
