"""Pathways between layers against Banzhaf values computed game by game."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.coalitions.pathways import banzhaf_pathways
from neurogames.engine.coalitions.values import banzhaf
from neurogames.games.coalition import FunctionCoalitionGame


def network():
    torch.manual_seed(3)
    return nn.Sequential(
        *(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    ).double()


def slow_game(model, start, end, inputs, targets, groups):
    """Mean activation of the target units as a game of groups of units behind module ``start``."""
    with torch.no_grad():
        values = model[: start + 1](inputs)

    def metric(coalitions):
        result = []
        for row in coalitions:
            masked = values.clone()
            for group, present in zip(groups, row, strict=True):
                if not present:
                    masked[:, group] = 0
            with torch.no_grad():
                result.append(float(model[start + 1 : end + 1](masked)[:, targets].mean()))
        return result

    return FunctionCoalitionGame(len(groups), metric)


def weights(graph, n, m, layers):
    return np.array([[graph.edges[(layers[0], i), (layers[1], j)]["weight"] for j in range(m)] for i in range(n)])


@pytest.mark.parametrize(("start", "end"), [(1, 3), (1, 5), (0, 2), (1, 2), (3, 6)])
def test_edges_are_banzhaf_values_of_the_game_of_each_unit(start, end):
    model, inputs = network(), torch.randn(13, 3, dtype=torch.float64)
    layers = (str(start), str(end))
    graph = banzhaf_pathways(model, layers, inputs, budget=64, rng=np.random.default_rng(0), share=0.0)
    n, m = (len([1 for _, layer in graph.nodes(data="layer") if layer == name]) for name in layers)
    groups = [[unit] for unit in range(n)]
    for j in range(m):
        expected = banzhaf(slow_game(model, start, end, inputs, [j], groups)).values
        found = [
            graph.edges[(layers[0], i), (layers[1], j)]["weight"]
            if graph.has_edge((layers[0], i), (layers[1], j))
            else 0.0
            for i in range(n)
        ]
        np.testing.assert_allclose(found, expected, atol=1e-10)
    assert all(error == 0 for *_, error in graph.edges(data="stderr"))


def test_coalitions_act_as_one_and_are_worth_the_mean_of_their_members():
    model, inputs = network(), torch.randn(13, 3, dtype=torch.float64)
    sources, targets = [[0, 2], [4, 1]], [[0, 3], [1], [1, 2]]
    graph = banzhaf_pathways(
        *(model, ("1", "3"), inputs),
        budget=4,
        rng=np.random.default_rng(0),
        share=0.0,
        sources=sources,
        targets=targets,
    )
    found = weights(graph, 2, 3, ("1", "3"))
    for j, group in enumerate(targets):
        np.testing.assert_allclose(
            found[:, j], banzhaf(slow_game(model, 1, 3, inputs, group, sources)).values, atol=1e-10
        )
    assert graph.nodes["3", 2]["units"] == (1, 2)


def test_estimates_come_near_the_exact_values_and_their_errors_are_honest():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 14), nn.ReLU(), nn.Linear(14, 5), nn.ReLU()).double()
    inputs = torch.randn(20, 3, dtype=torch.float64)
    exact, *estimates = (
        banzhaf_pathways(model, ("1", "3"), inputs, budget=budget, rng=np.random.default_rng(seed), share=0.0)
        for budget, seed in [(1 << 14, 0), *((1000, seed) for seed in range(5))]
    )
    scores = [
        (edge["weight"] - exact.edges[a, b]["weight"]) / edge["stderr"]
        for graph in estimates
        for a, b, edge in graph.edges(data=True)
        if exact.has_edge(a, b)
    ]
    assert 0.6 < np.std(scores) < 1.5
    assert np.abs(scores).max() < 6


def test_units_of_maps_are_channels_and_the_mean_is_over_positions():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2))
    inputs = torch.randn(6, 2, 6, 6)
    graph = banzhaf_pathways(model, ("0", "2"), inputs, budget=16, rng=np.random.default_rng(0), share=0.0)
    with torch.no_grad():  # the convolution is linear in what the activation gives
        maps = model[1](model[0](inputs))
        for i in range(4):
            alone = torch.zeros_like(maps)
            alone[:, i] = maps[:, i]
            expected = (model[2](alone) - model[2](0 * maps)).mean(dim=(0, 2, 3)).numpy()
            np.testing.assert_allclose(weights(graph, 4, 3, ("0", "2"))[i], expected, atol=1e-5)


def test_small_edges_are_left_out_and_graphs_join_to_paths():
    model, inputs, rng = network(), torch.randn(13, 3, dtype=torch.float64), np.random.default_rng(0)
    full = banzhaf_pathways(model, ("1", "3"), inputs, budget=32, rng=rng, share=0.0)
    kept = banzhaf_pathways(model, ("1", "3"), inputs, budget=32, rng=rng, share=0.2)
    assert 0 < kept.number_of_edges() < full.number_of_edges()
    assert all(edge["share"] >= 0.2 for *_, edge in kept.edges(data=True))
    assert {pair for *pair, share in full.edges(data="share") if share >= 0.2 for pair in [tuple(pair)]} == set(
        kept.edges
    )
    both = nx.compose(full, banzhaf_pathways(model, ("3", "5"), inputs, budget=32, rng=rng, share=0.0))
    assert set(nx.descendants(both, ("1", 0))) & {("5", unit) for unit in range(6)}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"layers": ("3", "1")}, "until"),
        ({"layers": ("1", "9")}, "layer"),
        ({"layers": ("1",)}, "layers"),
        ({"inputs": torch.zeros(0, 3)}, "inputs"),
        ({"share": 1.5}, "share"),
        ({"budget": 13}, "budget"),
        ({"sources": [[0, 1], [1]]}, "sources"),
        ({"sources": [[]]}, "sources"),
        ({"targets": [[9]]}, "targets"),
    ],
)
def test_bad_input_is_refused(changes, name):
    arguments = {"layers": ("1", "3"), "inputs": torch.zeros(4, 3, dtype=torch.float64), "budget": 40}
    with pytest.raises(ValueError, match=f"^{name}:"):
        banzhaf_pathways(network(), rng=np.random.default_rng(0), **arguments | changes)
