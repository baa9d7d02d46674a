"""The graph of who competes with whom."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.extraction.interaction import interaction_graph
from neurogames.bridge.extraction.participation_game import participation_game
from neurogames.bridge.gates.gates import insert_gates, present_gates


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))


def data():
    return torch.randn(20, 3), torch.arange(20) % 2


def test_edges_are_inner_products_of_incoming_weights_inside_a_layer():
    model = network()
    graph = interaction_graph(model)
    assert list(graph) == [("0", i) for i in range(5)] + [("2", i) for i in range(4)]
    assert graph.nodes["2", 1] == {"layer": "2", "unit": 1}
    assert sorted(map(len, nx.connected_components(graph))) == [4, 5]
    theta = torch.cat([model[0].weight, model[0].bias[:, None]], dim=1).detach().double().numpy()
    for i in range(5):
        for j in range(i):
            edge = graph.edges[("0", i), ("0", j)]
            assert edge["weight"] == pytest.approx(theta[i] @ theta[j])
            norms = np.linalg.norm(theta[i]) * np.linalg.norm(theta[j])
            assert edge["cosine"] == pytest.approx(theta[i] @ theta[j] / norms)


def test_the_graph_of_a_game_has_its_matrix_and_benefits():
    model = network()
    game = participation_game(model, functional.cross_entropy, data())
    graph = interaction_graph(model, game)
    matrix = nx.to_numpy_array(graph, nodelist=list(graph))
    expected = game.matrix()
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(matrix, expected, atol=1e-15)
    np.testing.assert_array_equal([benefit for _, benefit in graph.nodes(data="benefit")], game.benefit)


def test_weak_edges_are_left_out_and_orthogonal_or_empty_units_have_none():
    model = network()
    with torch.no_grad():
        model[0].weight[0], model[0].bias[0] = 0.0, 0.0
    full, strong = interaction_graph(model), interaction_graph(model, least=0.5)
    assert full.degree(("0", 0)) == 0
    assert {frozenset(edge) for edge in strong.edges} == {
        frozenset((a, b)) for a, b, cosine in full.edges(data="cosine") if abs(cosine) > 0.5
    }
    assert 0 < strong.number_of_edges() < full.number_of_edges()
    assert len(strong) == len(full)


def test_units_follow_the_gates_that_are_there_or_the_choice():
    model = network()
    assert {name for name, _ in interaction_graph(model, modules=["2"])} == {"2"}
    gates = insert_gates(model, modules=["0"])
    assert len(interaction_graph(model)) == 5
    gates.remove()
    interaction_graph(model)
    assert present_gates(model) is None
    attention = nn.ModuleList([nn.MultiheadAttention(6, 3)])
    heads = interaction_graph(attention, units="heads")
    assert list(heads) == [("0", 0), ("0", 1), ("0", 2)]
    insert_gates(attention, "heads")
    assert nx.utils.graphs_equal(interaction_graph(attention), heads)


def test_a_game_of_other_units_or_another_limit_is_refused():
    model = network()
    game = participation_game(model, functional.cross_entropy, data(), modules=["0"])
    with pytest.raises(ValueError, match="game: got"):
        interaction_graph(model, game)
    assert len(interaction_graph(model, game, modules=["0"])) == 5
    with pytest.raises(ValueError, match="least"):
        interaction_graph(model, least=1.0)
