"""Every result of a process can be drawn, put into a table, labelled, and said in a line."""

from __future__ import annotations

import dataclasses
import inspect
import re

import matplotlib as mpl
import networkx as nx
import numpy as np
import pytest

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import neurogames.engine
from neurogames.engine import (
    FictitiousPlay,
    Process,
    anneal,
    escape_times,
    graph_snapshots,
    imitation,
    linear,
    logit,
    mean_field,
    polymatrix_chain,
    population_chain,
    repeated_play,
    replicator,
    simulate,
    simulate_learning,
    simulate_network,
    simulate_on_graph,
    simulate_strategies,
    simulate_two_populations,
    small_mutation_limit,
    strategy_chain,
    strategy_mean_field,
    two_population_chain,
)
from neurogames.engine.display import simplex
from neurogames.games import (
    GraphGame,
    NetworkPublicGoodsGame,
    NormalFormGame,
    PolymatrixGame,
    PopulationGame,
    PublicGoodsGame,
    TwoPopulationGame,
    classic_strategy,
)

GAME = PopulationGame.from_matrix([[3, 0, 0], [0, 2, 0], [0, 0, 1]], 12, ("bold", "shy", "odd"))
CLUB = PublicGoodsGame(10, 0.4, 1.0)
GRID = nx.grid_2d_graph(4, 5)
PENNIES = TwoPopulationGame([[1, -1], [-1, 1]], [[-1, 1], [1, -1]], (5, 6))
COPY, COOL = Process(imitation(1.0), mutation=0.1), Process(logit(0.1))


def draws():
    return np.random.default_rng(0)


def pairs_on_a_ring():
    graph = nx.cycle_graph(5)
    nx.set_edge_attributes(graph, np.eye(2), "payoffs")
    return PolymatrixGame(graph)


def on_grid():
    game = GraphGame(GAME.matrix, GRID, labels=GAME.labels)
    return simulate_on_graph(game, COPY, start=np.arange(20) % 3, sweeps=4, replicas=2, rng=draws())


def on_network():
    game = NetworkPublicGoodsGame(nx.cycle_graph(6), 0.4, 1.0)
    return simulate_network(game, COOL, start=np.zeros(6, dtype=bool), sweeps=4, replicas=2, rng=draws())


SHOWN = {
    "strategies": lambda: simulate_strategies(GAME, COOL, start=[4, 4, 4], sweeps=5, replicas=3, rng=draws()),
    "graph": on_grid,
    "network": on_network,
    "actors": lambda: simulate(CLUB, COOL, start=0, sweeps=5, replicas=3, rng=draws()),
    "law of actors": lambda: population_chain(CLUB, COOL).stationary(),
    "laws of actors": lambda: population_chain(CLUB, COOL).transient(0, [1, 2]),
    "escape": lambda: escape_times(CLUB, COOL, start=0, target=7, replicas=8, rng=draws(), max_sweeps=50),
    "annealed": lambda: anneal(
        CLUB, Process(logit(0.1), "one", linear(0.5, 1.0), "blind"), start=0, sweeps=4, replicas=3, rng=draws()
    ),
    "law of compositions": lambda: strategy_chain(GAME, COPY).stationary(),
    "small mutation": lambda: small_mutation_limit(GAME, COPY),
    "path of shares": lambda: strategy_mean_field(GAME, COOL).path([0.3, 0.3, 0.4], [0.0, 1.0, 2.0]),
    "take-over": lambda: strategy_chain(GAME, Process(imitation(1.0))).absorption([4, 4, 4]),
    "two populations": lambda: simulate_two_populations(
        PENNIES, COOL, start=([2, 3], [3, 3]), sweeps=4, replicas=2, rng=draws()
    ),
    "law of two populations": lambda: two_population_chain(PENNIES, COOL).stationary(),
    "take-over of a pair": lambda: two_population_chain(PENNIES, Process(imitation(1.0))).absorption(([2, 3], [3, 3])),
    "law of profiles": lambda: polymatrix_chain(pairs_on_a_ring(), COOL).stationary(),
    "learning": lambda: simulate_learning(
        NormalFormGame.zero_sum([[1, -1], [-1, 1]]), FictitiousPlay(), rounds=20, rng=draws()
    ),
    "repeated game": lambda: repeated_play(
        [[3, 0], [5, 1]], [classic_strategy(name) for name in ("tit for tat", "all defect", "Joss")]
    ),
}
FOLDERS = {
    "graphs",
    "learning",
    "matrix_dynamics",
    "polymatrix",
    "population",
    "repeated",
    "solution",
    "strategies",
    "two_populations",
}
SHOWN_OTHERWISE = {
    "asked, and what they answer is shown": {
        "MeanField",
        "PolymatrixChain",
        "PolymatrixMeanField",
        "PopulationChain",
        "StrategyChain",
        "StrategyMeanField",
        "TwoPopulationChain",
        "TwoPopulationMeanField",
    },
    "a rule of play": {"Exp3", "Exp3PlusPlus", "BanditState", "FictitiousPlay", "QLearning", "RegretMatching"}
    | {"Reproduction"},
    "single numbers": {"EscapeTime", "Fixation", "MeanFieldEquilibrium", "MetastableEscape"},
    "drawn in the plot of a mean field": {"RestPoint", "RestPoints"},
    "drawn with its graph": {"GraphSnapshot"},
    "of a game that is played once": {"ParticipationSolution", "FittedProcess", "ProcessFit"},
}


def test_every_public_result_of_agents_is_shown():
    found = (getattr(neurogames.engine, name) for name in dir(neurogames.engine))
    results = {
        each.__name__
        for each in found
        if inspect.isclass(each) and dataclasses.is_dataclass(each) and each.__module__.split(".")[2] in FOLDERS
    }
    shown = {type(make()).__name__ for make in SHOWN.values()}
    otherwise = set().union(*SHOWN_OTHERWISE.values())
    # A new result gets a line in SHOWN, or says why it has no plot and no table of its own.
    assert results == (shown | otherwise) & results, results - shown - otherwise
    assert not shown & otherwise


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("result", SHOWN.values(), ids=SHOWN)
def test_a_result_is_drawn_tabled_and_said(result):
    found = result()
    axis = Figure().subplots()
    assert found.plot(axis) is axis
    assert axis.lines or axis.collections or axis.images or axis.patches
    assert found.plot().figure in map(plt.figure, plt.get_fignums())
    assert found.to_xarray().sizes
    if found.to_xarray().sizes.get("law_0", 1) == 1:
        assert len(found.to_dataframe()) > 1
    assert "\n" not in repr(found)
    assert len(repr(found)) < 160
    with pytest.raises(ValueError, match="axis: got 3"):
        found.plot(3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("strategies", r"StrategyTrajectory\(3 replicas, 6 times up to sweep 5; at the end bold \S+, .*\)"),
        ("graph", r"GraphTrajectory\(2 replicas of 20 players up to sweep 4; at the end .*\)"),
        ("network", r"NetworkTrajectory\(2 replicas of 6 players up to sweep 4; share acting at the end \S+\)"),
        ("actors", r"Trajectory\(3 replicas of 10 players up to sweep 5; share acting at the end \S+\)"),
        ("law of actors", r"CountDistribution\(10 players; mean share acting 0\.9974; residual \S+; ok\)"),
        ("laws of actors", r"CountDistribution\(10 players; \(2,\) laws; residual \S+; ok\)"),
        ("escape", r"SimulatedEscape\(8 replicas, \d censored; mean \S+ ± \S+ sweeps\)"),
        ("annealed", r"Annealed\(4 sweeps: mean share acting \S+, exact 0\.639; deviation \S+ standard errors\)"),
        (
            "law of compositions",
            r"CompositionDistribution\(12 players, 91 compositions; bold 0\.765, shy 0\.155, odd 0\.0796; .*; ok\)",
        ),
        (
            "small mutation",
            r"SmallMutationLimit\(bold 0\.993, shy 0\.00669, odd 4\.51e-05; 12 players; residual \S+; ok\)",
        ),
        ("path of shares", r"MatrixPath\(3 times up to 2, 3 actions; ok\)"),
    ],
)
def test_a_result_is_said_with_its_numbers(name, words):
    assert re.fullmatch(words, repr(SHOWN[name]()))


@pytest.mark.parametrize("name", ["strategies", "graph", "network", "actors", "annealed", "path of shares"])
def test_tables_are_labelled(name):
    table = SHOWN[name]().to_xarray()
    np.testing.assert_array_equal(table["time"], np.arange(table.sizes["time"]))
    for axis in ("strategy", "action_1"):
        if axis in table.dims:
            assert table[axis].values.tolist() == ["bold", "shy", "odd"]


def test_tables_hold_the_numbers_and_the_names():
    path = SHOWN["strategies"]()
    table = path.to_dataframe().set_index(["replica", "time", "strategy"])
    assert table.loc[(2, 5.0, "shy"), "count"] == path.count[2, 5, 1]
    assert path.to_xarray()["share"].sel(strategy="odd", replica=1, time=3.0) == path.share[1, 3, 2]
    law = SHOWN["law of compositions"]()
    table = law.to_dataframe()
    assert list(table.columns) == ["bold", "shy", "odd", "log_probability"]
    np.testing.assert_array_equal(table[["bold", "shy", "odd"]], law.states)
    limit = SHOWN["small mutation"]()
    pairs = limit.to_dataframe().set_index(["resident", "mutant"])
    assert pairs.loc[("odd", "bold"), "log_fixation"] == limit.log_fixation[2, 0]
    states = SHOWN["path of shares"]()
    rows = states.to_dataframe()
    assert rows[(rows.time == 2.0) & (rows.action == "shy")]["share"].item() == states.states[0][2, 1]
    points = strategy_mean_field(GAME, Process(replicator())).rest_points()
    assert points.to_dataframe()["odd"].tolist() == [point.share[2] for point in points]
    absorbed = strategy_chain(GAME, Process(imitation(1.0))).absorption([4, 4, 4])
    assert absorbed.to_dataframe().set_index("strategy")["log_probability"]["shy"] == absorbed.log_probability[1]
    assert "bold" in repr(absorbed)
    absorbed = SHOWN["take-over of a pair"]()
    table = absorbed.to_dataframe().set_index(["strategy_1", "strategy_2"])
    assert table.loc[("2", "1"), "log_probability"] == absorbed.log_probability[1, 0]
    assert absorbed.pairs() == ("1 | 1", "1 | 2", "2 | 1", "2 | 2")


@pytest.mark.parametrize(
    "game", [GAME, GraphGame(GAME.matrix, GRID), TwoPopulationGame(GAME.matrix, GAME.matrix, (9, 9)), pairs_on_a_ring()]
)
def test_a_game_and_its_chain_are_said_in_a_line(game):
    assert repr(game).startswith(type(game).__name__)
    assert "\n" not in repr(game)
    assert len(repr(game)) < 120


def test_the_triangle_has_its_corners_where_all_use_one_strategy():
    np.testing.assert_array_equal(simplex.to_plane(np.eye(3)), simplex.CORNERS)
    np.testing.assert_allclose(simplex.to_plane(np.full(3, 1 / 3)), simplex.CORNERS.mean(axis=0))


def test_a_portrait_marks_each_rest_point_where_it_is_by_its_kind():
    field = strategy_mean_field(GAME, Process(replicator()))
    axis = field.plot()
    marked = {line.get_label(): line.get_xydata() for line in axis.lines if line.get_linestyle() == "None"}
    found = field.rest_points()
    assert set(marked) == {"stable", "saddle", "unstable"} == {point.kind for point in found}
    for kind, places in marked.items():
        expected = [simplex.to_plane(point.share) for point in found if point.kind == kind]
        np.testing.assert_allclose(places, expected)
    assert len(found.to_dataframe()) == len(found)
    assert "7 found" in repr(found)


def test_a_portrait_flows_as_the_compositions_below_it_do():
    asked = []

    def velocity(share):
        asked.append(share)
        return share * (share @ GAME.matrix.T - ((share @ GAME.matrix.T) * share).sum(axis=-1, keepdims=True))

    simplex.plot_portrait(None, velocity, (), GAME.labels)
    shares = np.concatenate(asked)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares >= 0).all()
    assert (np.abs(shares - shares.round()).max(axis=1) < 1e-12).sum() >= 3
    assert (np.ptp(shares, axis=0) > 0.99).all()


def test_lines_for_two_strategies_and_a_refusal_for_four():
    pair = PopulationGame.from_matrix([[2, 0], [0, 1]], 9)
    axis = strategy_mean_field(pair, Process(replicator())).plot()
    assert axis.get_xlabel() == "share of 1"
    law = strategy_chain(pair, COPY).stationary()
    axis = law.plot()
    assert axis.get_ylim()[0] == 0.0
    heights = axis.lines[0].get_xydata()
    np.testing.assert_allclose(heights[:, 1], [law.probability[law.states[:, 0] == k].item() for k in range(10)])
    assert mean_field(CLUB, COOL).plot().get_legend() is not None
    assert strategy_chain(pair, COPY).stationary().plot().get_xlabel() == "number of 1"
    four = PopulationGame.from_matrix(np.eye(4), 4)
    with pytest.raises(ValueError, match="4 strategies', expected two or three"):
        strategy_mean_field(four, COPY).plot()
    assert len(strategy_chain(four, COPY).stationary().plot().patches) == 4
    with pytest.raises(ValueError, match="no unique law"):
        strategy_chain(four, Process(imitation(1.0))).stationary().plot()


def test_only_several_replicas_have_a_band_and_say_so():
    runs = (simulate(CLUB, COOL, start=0, sweeps=3, replicas=k, rng=draws()).plot(Figure().subplots()) for k in (1, 4))
    one, four = runs
    assert (one.get_title(loc="left"), len(one.collections)) == ("", 0)
    assert four.get_title(loc="left") == "mean of 4 replicas, band: 5 % to 95 %"
    assert len(four.collections) == 1


def test_arrows_of_an_invasion_lead_to_favoured_mutants():
    dilemma = PopulationGame.from_matrix([[3, 0], [4, 1]], 20, ("C", "D"))
    limit = small_mutation_limit(dilemma, COPY)
    arrows = [text.get_text() for text in limit.plot().texts if "\n" not in text.get_text()]
    assert arrows == [f"{20 * np.exp(limit.log_fixation[0, 1]):.2g}"]
    neutral = PopulationGame.from_matrix(np.ones((3, 3)), 20)
    axis = small_mutation_limit(neutral, COPY).plot()
    assert all("\n" in text.get_text() for text in axis.texts)


def test_a_grid_is_an_image_of_its_strategies_and_another_graph_is_nodes():
    path = on_grid()
    image = path.plot_graph(GRID, replica=1).images[0].get_array()
    for player, (row, column) in enumerate(GRID.nodes):
        assert image[row, column] == path.strategies[1, player]
    shares = [np.mean(path.strategies[1] == k) for k in range(3)]
    legend = [text.get_text() for text in path.plot_graph(GRID, replica=1).get_legend().get_texts()]
    assert legend == [f"{name} ({share:.0%})" for name, share in zip(GAME.labels, shares, strict=True)]
    at_the_end = [(path.strategies == k).mean() for k in range(3)]
    words = [f"{name} {share:.3g}" for name, share in zip(GAME.labels, at_the_end, strict=True) if share > 0]
    assert all(each in repr(path) for each in words)
    ring = nx.cycle_graph(20)
    for graph in (ring, nx.to_scipy_sparse_array(ring, format="csr")):
        drawn = path.plot_graph(graph).collections
        assert sum(len(each.get_offsets()) for each in drawn if each.get_offsets().shape[1:] == (2,)) >= 20
    for graph, words in ((nx.cycle_graph(5), "5 nodes"), ("ring", "str")):
        with pytest.raises(ValueError, match=f"graph: got '?{words}"):
            path.plot_graph(graph)


def test_a_snapshot_is_drawn_and_tabled_with_its_graph():
    game = GraphGame(GAME.matrix, GRID, labels=GAME.labels)
    seen = list(graph_snapshots(game, COPY, start=np.arange(20) % 3, sweeps=2, replicas=2, rng=draws()))
    last = seen[-1]
    assert last.plot_graph(GRID, replica=1).images[0].get_array().shape == (4, 5)
    table = last.to_dataframe().set_index(["replica", "strategy"])
    assert table.loc[(1, "shy"), "share"] == last.share[1, 1]
    assert last.to_xarray().attrs == {"sweep": 2}
    assert "bold" in repr(last)


def test_a_tournament_is_drawn_from_the_best_score_down():
    play = SHOWN["repeated game"]()
    axis = play.plot()
    names = [text.get_text() for text in axis.get_xticklabels()]
    assert names == [play.labels[k] for k in np.argsort(-play.scores)]
    best = int(play.scores.argmax())
    assert axis.texts[0].get_text() == f"{play.payoffs[best, best]:.2f}"
    table = play.to_dataframe().set_index(["strategy", "opponent"])
    assert table.loc[("Joss", "all defect"), "payoff"] == play.payoffs[2, 1]
    assert table.loc[("Joss", "all defect"), "cooperation"] == play.cooperation[2, 1]
