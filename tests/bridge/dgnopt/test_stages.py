"""Stages and players of networks in a chain, with shortcuts and with parallel branches."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from neurogames.bridge import stage_graph
from tests.bridge.dgnopt.networks import Inception, Residual


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.one(x) if x.sum() > 0 else self.two(x)


class Shape(nn.Module):
    """Does another thing for other numbers, and hides it from recording."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(2, 2)
        self.sign = [1.0]

    def forward(self, x):
        if isinstance(x, torch.Tensor) and type(x) is torch.Tensor and x.sum() > 0:
            return 2 * self.one(x)
        return self.one(x)


def test_a_chain_is_one_player_with_a_layer_at_each_stage():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    graph = stage_graph(model, torch.ones(2, 1, 4, 4))
    assert graph.alignment == {"0": 0, "4": 1}
    assert (graph.n_stages, graph.n_players, len(graph.alignments)) == (2, 1, 1)
    assert not any(data["shortcut"] for *_, data in graph.graph.edges(data=True))


@pytest.mark.parametrize(("projection", "players", "count"), [(False, 1, 1), (True, 2, 2)])
def test_a_residual_block_has_a_shortcut_or_a_second_player(projection, players, count):
    graph = stage_graph(Residual(projection=projection), torch.ones(2, 3))
    assert (graph.n_stages, graph.n_players, len(graph.alignments)) == (4, players, count)
    assert graph.graph.edges["stem", "head"]["shortcut"] if not projection else True
    if projection:
        assert [choice["project"] for choice in graph.alignments] == [1, 2]
        later = graph.aligned(graph.alignments[1])
        assert later.graph.nodes["project"]["player"] == 1
        assert later.graph.edges["stem", "project"]["shortcut"]
        assert not later.graph.edges["project", "head"]["shortcut"]
        assert later.alignment == graph.alignments[1]


def test_an_inception_block_is_a_game_of_four_players():
    graph = stage_graph(Inception(), torch.ones(2, 1, 4, 4))
    assert graph.n_players == 4
    stages = [{name for name in graph.layers if graph.alignment[name] == t} for t in range(graph.n_stages)]
    assert [len(stage) for stage in stages] == [4, 2, 1]
    # Two branches of one layer beside two of two layers: each of the short ones has two places.
    assert len(graph.alignments) == 4
    players = {name: graph.graph.nodes[name]["player"] for name in graph.layers}
    assert players["three"] == players["three_in"]
    assert players["five"] == players["five_in"]


def test_alignments_are_all_orders_and_no_others():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.long = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
            self.short = nn.Sequential(*(nn.Linear(2, 2) for _ in range(2)))

        def forward(self, x):
            return self.long(x) + self.short(x)

    graph = stage_graph(Two(), torch.ones(1, 2))
    found = {(choice["short.0"], choice["short.1"]) for choice in graph.alignments}
    assert found == set(itertools.combinations(range(4), 2))
    assert len(graph.alignments) == len(found)


def test_what_cannot_be_recorded_is_refused_with_its_line():
    with pytest.raises(ValueError, match=r"model: got .*test_stages.py:\d+, in forward .*leaves"):
        stage_graph(Branching(), torch.ones(1, 2))
    with pytest.raises(ValueError, match="not what was recorded"):
        stage_graph(Shape(), torch.ones(1, 2))
    with pytest.raises(ValueError, match="no Linear"):
        stage_graph(nn.ReLU(), torch.ones(1, 2))


def test_leaves_are_not_looked_into():
    model = nn.Sequential(nn.Linear(2, 2), Branching(), nn.Linear(2, 1))
    assert stage_graph(model, torch.ones(1, 2), leaves=["1"]).layers == ("0", "2")


def test_the_model_stays_as_it_is():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    stage_graph(model, torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert model[2].training


def test_alignments_that_break_the_order_are_refused():
    graph = stage_graph(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.ones(1, 2))
    for wrong in ({"0": 1, "1": 0}, {"0": 0}, {"0": 0, "1": 2}):
        with pytest.raises(ValueError, match="alignment: got"):
            graph.aligned(wrong)
