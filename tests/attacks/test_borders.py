"""Arrays and sequences at the border of what an argument may be are taken, those just beyond are refused by its name.

Single numbers stand in ``interface.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from neurogames import bridge, engine, games
from neurogames.engine.schedules import piecewise

ONES = np.ones
DILEMMA = np.array([[3.0, 0.0], [5.0, 1.0]])
PAIR = games.NormalFormGame.symmetric(DILEMMA)
RING = nx.cycle_graph(3)
CLOSE, FAR = 1e-10, 1e-4
"""Of a sum of probabilities from 1: rounding, and more than that."""
NOISY, GREEDY = engine.Process(engine.logit(0.5)), engine.Process(engine.best_response())
GOODS = games.PublicGoodsGame(3, 0.4, 1.0)
CYCLING = games.PopulationGame.from_matrix([[0.0, 2.0], [1.0, 0.0]], 3)
BANDIT, ARMS = engine.Exp3(), engine.Exp3PlusPlus(2)
RNG = np.random.default_rng


def edge(matrix: Any) -> nx.DiGraph:
    """Two players with one matrix for each direction."""
    graph = nx.DiGraph()
    graph.add_edge(0, 1, payoffs=matrix)
    graph.add_edge(1, 0, payoffs=np.transpose(matrix))
    return graph


def columns(neighbour: list[int], weight: float = 1.0) -> csr_array:
    """A graph of three players in CSR format that all hear one other."""
    graph = csr_array(np.roll(np.eye(3), 1, axis=1))
    graph.indices, graph.data = np.array(neighbour), np.full(3, weight)
    return graph


def network(*widths: int) -> bridge.Ensemble:
    return bridge.initial_ensemble(widths, seeds=[0])


def trained(seeds: int) -> bridge.TrainingPrediction:
    """Predictions of a quantity at one time on so many seeds."""
    law = np.arange(float(seeds))[:, None]
    return bridge.TrainingPrediction(tuple(range(seeds)), ONES(1), {"loss": law}, {"loss": law**2})


@dataclass(frozen=True)
class Border:
    """What is called with a value, what it takes and what it refuses, and the argument that the refusal names."""

    argument: str
    call: Any
    taken: list[Any]
    refused: list[Any]


ROWS = torch.linspace(-1.0, 1.0, 6)[:, None]
CLASSES = torch.tensor([0, 0, 1, 1, 1, 1])
GAMES = [
    Border("values", games.TabularCoalitionGame, [[0, 1]], [[0], [0, 1, 2]]),
    Border("weights", lambda v: games.WeightedVotingGame(v, 1), [[0, 1], [1]], [[-0.1, 1], []]),
    Border("costs", games.AirportGame, [[0, 1]], [[-0.1, 1]]),
    Border("claims", lambda v: games.BankruptcyGame(v, 0.5), [[0, 1]], [[-0.1, 1]]),
    Border("coefficients", lambda v: games.UnanimityGame([[True]], v), [2.0, [2.0]], [[1, 2]]),
    Border("matrix", lambda v: games.GraphGame(v, RING), [DILEMMA], [[[1.0]], [[1, 2, 3], [1, 2, 3]]]),
    Border("graph", lambda v: games.GraphGame(DILEMMA, columns(v)), [[1, 2, 0]], [[1, 3, 0], [-1, 2, 0]]),
    Border("graph", lambda v: games.GraphGame(DILEMMA, columns([1, 2, 0], v)), [1e-9], [0.0, np.inf]),
    Border("graph", lambda v: games.GraphGame(DILEMMA, csr_array(np.zeros((v, v)))), [1], [0]),
    Border("graph", lambda v: games.PolymatrixGame(edge(v)), [[[1.0]], [[1.0], [2.0]]], [np.zeros((0, 1))]),
    Border("cost", lambda v: games.NetworkPublicGoodsGame(RING, v, 1.0), [1e-9, ONES(3)], [[0, 1, 1], ONES(2)]),
    Border("ridge", lambda v: games.ParticipationGame(ONES(2), ONES((2, 1)), v), [0.0, [0, 1]], [-0.1, [-0.1, 1]]),
    Border(
        "profile",
        lambda v: games.ParticipationGame(ONES(2), ONES((2, 1)), 1.0).welfare(v),
        [[0, 1], [[0, 1], [1, 0]]],
        [[-0.1, 1], [0, 1.1], [0, 1, 0]],
    ),
    Border("matrix", lambda v: games.PopulationGame.from_matrix(v, 3), [DILEMMA], [[[1.0]], [[1, 2, 3], [1, 2, 3]]]),
    Border(
        "contributions",
        lambda v: games.contribution_game(v, group_size=2, n_players=4, multiplier=1.5),
        [[0, 1]],
        [[1], [-0.1, 1]],
    ),
    Border("gain", games.SymmetricGame, [[1, 2]], [[1]]),
    Border("first", lambda v: games.TwoPopulationGame(v, v, (2, 2)), [DILEMMA], [[[1, 2]], [[1], [2]]]),
    Border(
        "profile",
        lambda v: games.regret(PAIR, [v, v]),
        [[0, 1], [0.5, 0.5 + CLOSE], [-CLOSE, 1]],
        [[0.5, 0.5 + FAR], [0.5, 0.5 - FAR], [-FAR, 1 + FAR]],
    ),
    Border(
        "play", lambda v: games.RepeatedStrategy(v, [[0, 0]], "s"), [[[0, 1]]], [[[-0.1, 1.1]], [[0.5, 0.6]], [[1]]]
    ),
    Border("after", lambda v: games.RepeatedStrategy([[0, 1]], v, "s"), [[[0, 0]]], [[[0, 1]], [[-1, 0]], [[0.0, 0]]]),
    Border("cooperation", lambda v: games.memory_one(v, 1, "s"), [[0, 1, 0, 1]], [[0, 1, 0, 1.1], [-0.1, 1, 0, 1]]),
    Border("actions", lambda v: games.moore_machine(v, [[0, 1], [1, 0]], "s"), [[0, 1]], [[0, 2], [-1, 1]]),
    Border(
        "hessian",
        lambda v: games.LinearQuadraticStage([[1.0]], [[[1.0]]], np.eye(2)[None] + [[[0, v], [0, 0]]]),
        [0.0, 1e-13],
        [1e-11],
    ),
]
ENGINE = [
    Border("game", lambda v: engine.least_core(games.AirportGame(v)), [[1, 2]], [[1]]),
    Border("gain", lambda v: engine.fit_goods(v, ONES(len(v))), [np.arange(6.0)], [np.arange(5.0)]),
    Border("stderr", lambda v: engine.fit_goods(np.arange(6.0), v), [np.full(6, 1e-3)], [np.zeros(6), ONES(5)]),
    Border(
        "distribution",
        lambda v: engine.correlated_regret(PAIR, v),
        [[[0, 1], [0, 0]], [[0, 1 + CLOSE], [0, 0]], [[-CLOSE, 1], [0, 0]]],
        [[[0, 1 + FAR], [0, 0]], [[0, 1 - FAR], [0, 0]], [[-FAR, 1 + FAR], [0, 0]]],
    ),
    Border(
        "strategy",
        lambda v: engine.is_evolutionarily_stable(PAIR, v),
        [[0, 1], [0, 1 + 1e-15]],
        [[0, 1.1], [-0.1, 1.1], [0, 0, 1], [0, 0.9]],
    ),
    Border(
        "start",
        lambda v: engine.simulate_on_graph(games.GraphGame(DILEMMA, RING), NOISY, start=v, sweeps=1, rng=RNG(0)),
        [[0, 1, 1], [[0, 1, 1]]],
        [[0, 1, 2], [-1, 0, 0], [0, 1], [0.0, 1, 1]],
    ),
    Border(
        "keep_probs",
        lambda v: engine.simulate_heterogeneous(
            games.GraphGame(DILEMMA, RING), NOISY, keep_probs=v, start=[0, 1, 1], sweeps=1, rng=RNG(0)
        ),
        [[1e-3, 1, 1]],
        [[0, 1, 1], [1, 1, 1.1], [1, 1]],
    ),
    Border(
        "temperatures",
        lambda v: engine.simulate_heterogeneous(
            games.GraphGame(DILEMMA, RING), NOISY, temperatures=v, start=[0, 1, 1], sweeps=1, rng=RNG(0)
        ),
        [[1e-3, 1, 1]],
        [[0, 1, 1]],
    ),
    Border(
        "intensities",
        lambda v: engine.simulate_heterogeneous(
            games.GraphGame(DILEMMA, RING),
            engine.Process(engine.imitation(1.0)),
            intensities=v,
            start=[0, 1, 1],
            sweeps=1,
            rng=RNG(0),
        ),
        [[0, 1, 1]],
        [[-0.1, 1, 1]],
    ),
    Border(
        "start",
        lambda v: engine.simulate(GOODS, NOISY, start=v, sweeps=1, replicas=2, rng=RNG(0)),
        [0, 3, [0, 3]],
        [-1, 4, [-1, 3], [0, 4], [0, 1, 2], 1.0],
    ),
    Border(
        "start",
        lambda v: engine.simulate_strategies(CYCLING, NOISY, start=v, sweeps=1, rng=RNG(0)),
        [[0, 3], [3, 0]],
        [[-1, 4], [1, 1], [2, 2], [3]],
    ),
    Border(
        "start",
        lambda v: engine.simulate_polymatrix(
            games.PolymatrixGame(edge(DILEMMA)), GREEDY, start=v, sweeps=1, rng=RNG(0)
        ),
        [[0, 1]],
        [[-1, 1], [0, 2], [0]],
    ),
    Border(
        "start",
        lambda v: engine.simulate_two_populations(
            games.TwoPopulationGame(DILEMMA, DILEMMA, (2, 2)), NOISY, start=([1, 1], v), sweeps=1, rng=RNG(0)
        ),
        [[0, 2], [2, 0]],
        [[-1, 3], [1, 0], [2, 1], [2]],
    ),
    Border(
        "times",
        lambda v: engine.simulate_learning(PAIR, BANDIT, rounds=9, times=v, rng=RNG(0)),
        [[1, 9], [9]],
        [[0, 9], [1, 8], [9, 9], [1, 10], []],
    ),
    Border(
        "times",
        lambda v: engine.integrate_dynamics(
            engine.one_population_fitness(PAIR), engine.replicator_velocity, [[0.5, 0.5]], v
        ),
        [[0, 1], [1]],
        [[-0.1, 1], [1, 1], [1, 0]],
    ),
    Border(
        "sweeps",
        lambda v: engine.population_chain(GOODS, NOISY).transient(1, v),
        [0, [0, 1]],
        [[1, 1], [], -1, [-1, 0]],
    ),
    Border(
        "sweeps",
        lambda v: engine.strategy_chain(CYCLING, NOISY).transient([1, 2], v),
        [0, [0, 1]],
        [[1, 1], [], -1, [-1, 0]],
    ),
    Border(
        "mutation",
        lambda v: engine.Process(engine.logit(1.0), mutation=v),
        [0, 0.999, [[1, 0], [0, 1]], [[1, 0], [1e-10, 1]]],
        [1, -0.1, [[1, 0], [0, 1.1]], [[1.1, -0.1], [0, 1]], [[1, 0]], [[1, 0], [1e-8, 1]]],
    ),
    Border("points", piecewise, [[(0, 1), (1, 2)], [(0.5, 1)]], [[(-0.1, 1)], [(0, 1), (1.1, 2)], [(0, 1), (0, 2)]]),
    Border(
        "stage", lambda v: engine.repeated_play(v, [games.classic_strategy("random")]), [DILEMMA], [[[1]], [[1, 2]]]
    ),
    Border(
        "arm",
        lambda v: ARMS.learn(ARMS.start(), v, 0.5),
        [0, 1],
        [-1, 2, 0.0],
    ),
    Border("loss", lambda v: ARMS.learn(ARMS.start(), 0, v), [0.0, 1.0], [-0.1, 1.1, [0.5]]),
]
BRIDGE = [
    Border("widths", lambda v: bridge.initial_ensemble(v, seeds=[0]), [(1, 1)], [(1,), (0, 1)]),
    Border("layer", lambda v: network(*v).forward_from(0, torch.ones(1, 2, 3)), [(1, 3, 1)], [(1, 1)]),
    Border("first, second", lambda v: bridge.rank_agreement(v, v), [torch.ones(1, 2)], [torch.ones(2)]),
    Border("level", lambda v: trained(v).band("loss", level=0.9), [19], [18]),
    Border("seeds", lambda v: trained(v).mean_band("loss"), [2], [1]),
    Border("learning_rate", lambda v: bridge.stationary_variance(2.0, 1.0, learning_rate=v), [0.999], [1.0, 1.001]),
    Border(
        "hessian",
        lambda v: bridge.stationary_covariance(v, np.eye(2), learning_rate=0.1),
        [np.diag([1e-9, 1.0])],
        [np.diag([0.0, 1.0]), np.diag([-1.0, 1.0]), ONES((1, 2)), [[1, 1e-3], [0, 1]]],
    ),
    Border(
        "blocks",
        lambda v: bridge.stationary_covariance(np.eye(2), np.eye(2), learning_rate=0.1, keep_prob=0.5, blocks=v),
        [[-1, 0], [0, 0]],
        [[-2, 0], [0], [0.0, 1.0]],
    ),
    Border(
        "profile",
        lambda v: bridge.insert_gates(torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Linear(2, 1))).assign(v),
        [[0, 1]],
        [[-0.1, 1], [0, 1.1], [0, 1, 0]],
    ),
    Border(
        "groups",
        lambda v: bridge.ablation_composition(network(1, 3, 2), ROWS, CLASSES, torch.tensor(v)),
        [[0, 0, 0, 0, 0, 1]],
        [[0] * 6, [0] * 5],
    ),
    Border(
        "targets",
        lambda v: bridge.ablation_composition(network(1, 3, 2), ROWS, torch.tensor(v), CLASSES),
        [[0, 0, 0, 0, 0, 1]],
        [[-1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 2], [0] * 5],
    ),
    Border(
        "targets",
        lambda v: bridge.shortcut_composition(network(1, 3, 2), ROWS, torch.tensor(v)),
        [[0, 0, 0, 0, 0, 1]],
        [[-1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 2], [0] * 5],
    ),
    Border("targets", lambda v: bridge.quantile_groups(torch.tensor(v), 2), [[0.0, 1.0]], [[1.0, 1.0]]),
    Border(
        "levels",
        lambda v: bridge.area_from_clean(v, np.zeros(len(v))),
        [[0, 1]],
        [[0], [0.1, 1], [0, 0], [0, 1, 0.5]],
    ),
    Border("curve", lambda v: bridge.area_from_clean([0, 1], v), [[0, 1], [[0, 1]]], [1.0, [0, 1, 2]]),
    Border(
        "scale",
        lambda v: bridge.noise_curve(
            network(1, 2, 1),
            ROWS,
            ROWS,
            levels=[0, 1],
            metrics={"size": lambda outputs, _: outputs.mean(dim=(-2, -1))},
            rng=torch.Generator(),
            scale=v,
        ),
        [0.0, torch.zeros(1)],
        [-0.1, torch.tensor([-1.0]), torch.ones(2)],
    ),
    Border(
        "betas",
        lambda v: bridge.MeanFeedbackAdam([torch.zeros(1, requires_grad=True)], rng=torch.Generator(), betas=v),
        [(0.0, 0.0), (0.999, 0.999)],
        [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, -0.1)],
    ),
    Border(
        "layer_rates",
        lambda v: bridge.train_ensemble(ROWS, ROWS, seeds=[0], hidden=[2], batch_size=6, epochs=1, layer_rates=v),
        [[0, 1], [[0, 1]]],
        [[-0.1, 1], [1], [1, np.inf]],
    ),
]
ALL = [
    (f"{floor} {k} {border.argument}", border)
    for floor, borders in (("games", GAMES), ("engine", ENGINE), ("bridge", BRIDGE))
    for k, border in enumerate(borders)
]


@pytest.mark.parametrize("border", [each for _, each in ALL], ids=[name for name, _ in ALL])
def test_the_border_is_taken_and_what_lies_beyond_is_refused_by_name(border):
    for value in border.taken:
        border.call(value)
    for value in border.refused:
        with pytest.raises(ValueError, match=rf"^[\w ,]*{border.argument}\S*: got "):
            border.call(value)
