"""The drawn stages of a network."""

from __future__ import annotations

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch
from torch import nn

from neurogames.bridge import stage_graph
from neurogames.lab import plot_stages
from tests.bridge.dgnopt.networks import Inception, Residual


def boxes(figure):
    """Stage, player and line style of each box."""
    found = set()
    for patch in figure.axes[0].patches:
        if isinstance(patch, FancyBboxPatch):
            x, y = patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2
            found.add((round(x), round(y), patch.get_linestyle()))
    return found


def test_a_layer_stands_at_its_stage_and_a_dotted_box_where_else_it_may_act():
    graph = stage_graph(Residual(), torch.ones(2, 3))
    figure = plot_stages(graph)
    fixed = {(0, 0, "-"), (1, 0, "-"), (2, 0, "-"), (3, 0, "-")}
    assert boxes(figure) == fixed | {(1, 1, "--"), (2, 1, ":")}
    late = graph.aligned(graph.alignments[1])
    assert boxes(plot_stages(late)) == fixed | {(2, 1, "--"), (1, 1, ":")}
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {"input", "stem", "one", "two", "project\nstages 1 to 2", "head", "output"}
    assert figure.axes[0].get_title() == "4 stages, 2 players, 2 alignments"


def test_shortcuts_have_their_own_look():
    def shortcuts(model, x):
        figure = plot_stages(stage_graph(model, x))
        arrows = [patch for patch in figure.axes[0].patches if not isinstance(patch, FancyBboxPatch)]
        return len(arrows), sum(to_hex(arrow.get_edgecolor()) == "#009e73" for arrow in arrows)

    assert shortcuts(Residual(projection=False), torch.ones(2, 3)) == (6, 1)
    assert shortcuts(Inception(), torch.ones(2, 1, 4, 4)) == (11, 2)
    assert shortcuts(nn.Sequential(nn.Linear(2, 1)), torch.ones(1, 2)) == (2, 0)


def test_something_else_is_refused():
    with pytest.raises(ValueError, match="graph: got"):
        plot_stages(nn.Linear(2, 1))
