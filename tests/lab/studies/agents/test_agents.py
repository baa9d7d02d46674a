"""Agents from a command line: games and graphs by name or file, sweeps, three views and whether they agree."""

from __future__ import annotations

import dataclasses
import shlex

import networkx as nx
import numpy as np
import pytest

from neurogames.engine import Process, logit, mean_field, moran, population_chain, strategy_chain, strategy_mean_field
from neurogames.games import Labels, NormalFormGame, PopulationGame, PublicGoodsGame, write_nfg
from neurogames.lab.cli import simulate as cli
from neurogames.lab.cli.app import app
from neurogames.lab.runs.store import read_dataset
from neurogames.lab.studies.agents.analysis import agreement, end_table, take_over_sentence, take_over_table
from neurogames.lab.studies.agents.measure import whole_counts
from neurogames.lab.studies.agents.plots import plot_views
from neurogames.lab.studies.agents.run import command as rerun
from neurogames.lab.studies.agents.run import run_agents, simulate_agents
from neurogames.lab.studies.agents.settings import AgentsSettings, read_values
from neurogames.lab.studies.agents.sources import read_game, read_graph

SMALL = {"players": (8,), "sweeps": 4, "replicas": 50}


@pytest.fixture
def cycle(tmp_path):
    path = tmp_path / "cycle.csv"
    path.write_text("rock,paper,scissors\n0,-1,2\n2,0,-1\n-1,2,0\n")
    return path


def command(*words):
    """Exit code of a command, run in this process."""
    return app(["simulate", *map(str, words)], standalone_mode=False) or 0


def test_the_public_goods_game_as_two_strategies_has_the_chain_of_two_actions():
    game, process = PublicGoodsGame(12, 0.4, 1.0), Process(logit(0.2))
    two = strategy_chain(PopulationGame.from_two_actions(game), process)
    law = two.stationary()
    np.testing.assert_allclose(law.probability[::-1], population_chain(game, process).stationary().probability)
    assert law.labels == ("rests", "acts")
    share = np.linspace(0, 1, 7)
    velocity = strategy_mean_field(two.game, process).velocity(np.stack([1 - share, share], axis=-1))
    np.testing.assert_allclose(velocity[:, 1], mean_field(game, process).velocity(share), atol=1e-12)
    with pytest.raises(ValueError, match="game: got 3"):
        PopulationGame.from_two_actions(3)


@pytest.mark.parametrize("process", ["logit", "imitation", "moran", "wright-fisher", "death-birth", "replicator"])
def test_three_views_of_any_process_agree(process, cycle):
    settings = AgentsSettings(game=str(cycle), process=process, mutation=(0.05,), start=(0.5, 0.25, 0.25), **SMALL)
    results = simulate_agents(settings)
    assert results["strategy"].values.tolist() == ["rock", "paper", "scissors"]
    np.testing.assert_allclose(results["exact"].sum("strategy"), 1.0)
    np.testing.assert_allclose(results["exact"].isel(time=0), results["simulated"].isel(time=0))
    answer, _ = agreement(results, settings.replicas)
    assert answer.startswith("The three views agree.")
    shifted = results.assign(simulated=results["simulated"] + 0.5 * (results["time"] == 4))
    answer, _ = agreement(shifted, settings.replicas)
    assert answer.startswith("Simulation and exact chain do not agree.")
    far = results.assign(mean_field=results["mean_field"] + 0.5)
    assert agreement(far, settings.replicas)[0].startswith("Simulation and exact chain agree; the mean field departs")


@pytest.mark.parametrize("process", ["logit", "imitation", "wright-fisher"])
def test_a_game_that_is_not_symmetric_is_between_two_populations(process, tmp_path):
    path = tmp_path / "battle.nfg"
    labels = Labels("", "", ("he", "she"), (("ball", "ring"), ("ball", "ring")))
    write_nfg(NormalFormGame(([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]), labels), path)
    small = {"players": (4,), "sweeps": 4, "replicas": 60, "mutation": (0.0 if process == "imitation" else 0.1,)}
    settings = AgentsSettings(game=str(path), process=process, start=(0.75, 0.25, 0.5, 0.5), **small)
    results = simulate_agents(settings)
    assert results["strategy"].values.tolist() == ["he: ball", "he: ring", "she: ball", "she: ring"]
    np.testing.assert_allclose(results["exact"].sum("strategy"), 2.0)
    assert results["exact"].isel(time=0).values.tolist() == [0.75, 0.25, 0.5, 0.5]
    assert "agree" in agreement(results, settings.replicas)[0]
    page = run_agents(settings, tmp_path / "out").report.read_text()
    assert ("Which pair of strategies takes over?" in page) == (process == "imitation")
    for changed, words in (({"graph": "ring:2"}, "a symmetric game"), ({"start": (0.5, 0.5)}, "4 shares: he: ball")):
        with pytest.raises(ValueError, match=words):
            simulate_agents(dataclasses.replace(settings, **changed))


@pytest.mark.parametrize(
    ("game", "graph"),
    [("pgg", "regular:4"), ("file", "ring:4"), ("file", "lattice:4x4"), ("pgg", "list"), ("file", "list")],
)
def test_agents_on_a_graph_stand_beside_the_well_mixed_mean_field(game, graph, cycle, tmp_path):
    if graph == "list":
        graph = str(tmp_path / "edges.csv")
        nx.write_edgelist(nx.path_graph(16), graph, data=False)
    settings = AgentsSettings(
        game=game if game == "pgg" else str(cycle), graph=graph, players=(16,), sweeps=4, replicas=3
    )
    results = simulate_agents(settings)
    assert results["exact"].isnull().all()
    assert int(results["n_players"]) == 16
    assert "no exact chain" in agreement(results, 3)[0]


def test_what_takes_over_is_that_of_the_chain_and_is_seen_in_the_replicas(cycle, capsys):
    common = {"game": str(cycle), "start": (0.5, 0.25, 0.25), "sweeps": 60, "replicas": 400}
    settings = AgentsSettings(process="moran", players=(6,), mutation=(0.0, 0.1), **common)
    results = simulate_agents(settings)
    game = PopulationGame.from_matrix([[0, -1, 2], [2, 0, -1], [-1, 2, 0]], 6)
    found = strategy_chain(game, Process(moran(1.0))).absorption([3, 2, 1])
    first, second = (results.isel(mutation=k) for k in range(2))
    np.testing.assert_allclose(first["takes_over"], found.probability)
    assert float(first["sweeps_until"]) == pytest.approx(found.escape.sweeps)
    assert float(first["took_over"].sum()) > 0.99
    error = np.sqrt(found.probability * (1 - found.probability) / 400)
    assert (np.abs(first["took_over"] - found.probability) < 5 * error + 0.01).all()
    assert second["takes_over"].isnull().all()
    assert second["took_over"].isnull().all()
    table = take_over_table(results)
    assert table["mutation"].tolist() == [0.0] * 3
    assert table["outcome"].tolist() == ["rock", "paper", "scissors"]
    on_graph = dataclasses.replace(settings, graph="complete", mutation=(0.0,))
    seen = simulate_agents(on_graph)
    assert seen["takes_over"].isnull().all()
    assert float(seen["took_over"].sum()) > 0.9
    words = ["--game", cycle, "--process", "moran", "--players", "6", "--sweeps", "4", "--replicas", "9"]
    assert command(*words) == 0
    assert "Takes over: rock 0.333, paper 0.333, scissors 0.333; after" in " ".join(capsys.readouterr().out.split())


def test_what_is_to_be_known_of_a_view_is_told(cycle, tmp_path):
    settings = AgentsSettings(game=str(cycle), process="best-response", players=(8,), sweeps=4, replicas=5)
    cycle.write_text("a,b\n1,0\n0,1\n")
    results = simulate_agents(settings)
    assert "from time 0 on it is one of several paths that leave a tie" in agreement(results, 5)[0]
    # Imitators of a battle who begin at equal shares are on the watershed of both agreements.
    path = tmp_path / "battle.nfg"
    write_nfg(NormalFormGame(([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]])), path)
    told = agreement(simulate_agents(AgentsSettings(str(path), "", "imitation", (6,), sweeps=120, replicas=5)), 5)[0]
    assert "it depends on rounding: a start 1e-07 away is up to" in told
    away = {"start": (0.75, 0.25, 0.75, 0.25), "sweeps": 120, "replicas": 5}
    told = agreement(simulate_agents(AgentsSettings(str(path), "", "imitation", (6,), **away)), 5)[0]
    assert "rounding" not in told
    large = AgentsSettings(str(path), "", "logit", (6, 60), sweeps=2, replicas=5)
    told = agreement(simulate_agents(large), 5)[0]
    assert "no exact chain everywhere: it would have 3,721 states, more than 1,500 (1 of 2 combinations)." in told


@pytest.mark.parametrize(
    "settings",
    [
        AgentsSettings(process="moran", sweeps=3, replicas=2, intensity=(0.5, 1 / 3), mutation=(0.0, 0.25)),
        AgentsSettings(temperature=(0.1,), sweeps=3, replicas=2, keep_prob=(0.5,), masked="blind", cost=(0.3, 0.35)),
        AgentsSettings(graph="ring:2", process="replicator", sweeps=2, replicas=3, start=(0.25, 0.75), seed=4),
        AgentsSettings(process="wright-fisher", players=(5, 6), sweeps=2, replicas=2, revision="all"),
    ],
)
def test_the_command_on_the_page_makes_the_same_settings(settings, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(cli, "_agents", lambda given, *_: made.append(given))
    words = shlex.split(rerun(settings))
    assert words[:2] == ["neurogames", "simulate"]
    assert words[-2:] == ["--out", "again"]
    assert command(*words[2:]) == 0
    assert made[0].cells() == settings.cells()
    values, expected = made[0].to_dict(), settings.to_dict()
    assert {name: values[name] for name in values if settings.uses(name)} == {
        name: expected[name] for name in expected if settings.uses(name)
    }
    assert ("--temperature" in words) == (settings.process == "logit")


def test_of_many_strategies_the_most_used_are_drawn_and_listed(cycle):
    cycle.write_text("\n".join(",".join(str(9.0 * (i == j == 8) + i / 10) for j in range(9)) for i in range(9)))
    start = (0.1,) * 8 + (0.2,)
    settings = AgentsSettings(str(cycle), "", "imitation", (10,), intensity=(5.0,), start=start, sweeps=9, replicas=20)
    results = simulate_agents(settings)
    figure = plot_views(results)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    most = results["simulated"].max("time").values
    assert named[:7] == [str(k + 1) for k in sorted(np.argsort(-most, kind="stable")[:7])]
    assert "9" in named
    assert take_over_sentence(results).count(",") == 6


def test_a_sweep_goes_on_where_it_stopped_and_says_what_it_found(cycle, tmp_path):
    settings = AgentsSettings(game=str(cycle), temperature=(0.2, 0.4), mutation=(0.0, 0.1), **SMALL)
    folder = tmp_path / "out"
    first = run_agents(settings, folder)
    cells = sorted((folder / "cells").glob("*.nc"))
    assert len(cells) == 4
    cells[1].unlink()
    kept = [path.stat().st_mtime_ns for path in cells if path.exists()]
    again = run_agents(settings, folder)
    assert [path.stat().st_mtime_ns for path in cells if path != cells[1]] == kept
    assert again.results.identical(first.results)
    assert simulate_agents(settings)["simulated"].equals(first.results["simulated"])
    page = (folder / "report.html").read_text()
    assert "agree" in page
    assert "mutation 0.1" not in page
    assert len(end_table(first.results)) == 12
    assert read_dataset(folder / "results.nc").attrs["study"] == "agents"
    cycle.write_text(cycle.read_text().replace("2", "3"))
    with pytest.raises(ValueError, match="checksums"):
        run_agents(settings, folder)


def test_the_command_prints_the_views_and_whether_they_agree(cycle, capsys):
    words = ["--game", cycle, "--process", "imitation", "--mutation", "0.1", "--players", "6,8", "--sweeps", "4"]
    assert command(*words, "--replicas", "40", "--keep-prob", "0.5", "--mask", "blind") == 0
    printed = capsys.readouterr().out
    assert "scissors" in printed
    assert "The three views agree." in " ".join(printed.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--game", "chess"], "game: got 'chess', expected pgg, or a file"),
        (["--game", "missing.nfg"], "game: got 'missing.nfg', expected a file that is there"),
        (["--process", "gossip"], "process: got 'gossip'"),
        (["--graph", "torus:4"], "graph: got 'torus:4', expected complete, ring:NEIGHBOURS"),
        (["--graph", "regular:x"], "graph: got 'regular:x'"),
        (["--graph", "regular:3", "--players", "5"], "graph: got 'regular:3 for 5 players'"),
        (["--graph", "lattice:100000x100000"], "edges', expected at most"),
        (["--process", "moran", "--temperature", "0.1,0.2"], "temperature: got '2 values'"),
        (
            ["--graph", "lattice:4x4", "--players", "9,16"],
            "players: got '2 values', expected one, since the graph lattice",
        ),
        (["--process", "moran", "--intensity=-1"], "intensity: got -1"),
        (["--process", "logit", "--temperature", "0.1:0.2"], "temperature: got '0.1:0.2'"),
        (["--process", "logit", "--players", "2.5"], "players: got '2.5', expected whole numbers"),
        (["--process", "logit", "--start", "0.5,0.6"], "start: got [0.5, 0.6]"),
        (["--process", "logit", "--start", "0.5,0.25,0.25"], "expected '2 shares: rests, acts'"),
        (["--process", "logit", "--mask", "deaf"], "masked: got 'deaf'"),
        (["--temperature", "0.1,0.2"], "temperature: got '0.1,0.2', expected one number"),
        (["--mutation", "0.1"], "mutation: got '0.1', expected it only beside --game"),
    ],
)
def test_wrong_words_are_one_line(words, expected, capsys):
    assert command(*words, "--sweeps", "2", "--replicas", "2") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert expected.replace("'2 shares", "2 shares").replace("acts'", "acts") in lines[0]


def test_games_come_from_files(tmp_path, cycle):
    path = tmp_path / "game.nfg"
    write_nfg(NormalFormGame.symmetric([[1.0, 2.0], [3.0, 0.0]]), path)
    assert read_game(str(path)).payoffs[0].tolist() == [[1.0, 2.0], [3.0, 0.0]]
    cycle.write_text("x,a,b\na,1,2\nb,3,4\n")
    game = read_game(str(cycle))
    assert game.payoffs[0].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert game.labels.actions[0] == ("a", "b")
    cycle.write_text("1,2\n3,4\n")
    assert read_game(str(cycle)).labels.actions[0] == ("1", "2")
    for text in ("1,2\n3\n", "a,b\n", "", "1,2,3\n4,5,6\n", "1,x\n2,3\n", "1,inf\n2,3\n"):
        cycle.write_text(text)
        with pytest.raises(ValueError, match="a square matrix of numbers"):
            read_game(str(cycle))


def test_graphs_come_by_name_and_from_files(tmp_path):
    assert dict(read_graph("regular:6", 20, 0).degree) == dict.fromkeys(range(20), 6)
    assert set(dict(read_graph("ring:4", 9, 0).degree).values()) == {4}
    assert read_graph("scale-free:2", 30, 1).number_of_edges() == 56
    assert nx.utils.graphs_equal(read_graph("random:0.2", 30, 1), read_graph("random:0.2", 30, 1))
    lines = tmp_path / "edges.txt"
    lines.write_text("# a comment\na b 2.5\nb,c\n")
    assert read_graph(str(lines), 99, 0).toarray().tolist() == [[0, 2.5, 0], [2.5, 0, 1], [0, 1, 0]]
    graph = nx.Graph([("a", "b", {"weight": 2.5})])
    for ending, write in ((".graphml", nx.write_graphml), (".gml", nx.write_gml)):
        write(graph, tmp_path / f"graph{ending}")
        assert read_graph(str(tmp_path / f"graph{ending}"), 99, 0)["a"]["b"]["weight"] == 2.5
        (tmp_path / f"graph{ending}").write_text("<graph")
        with pytest.raises(ValueError, match="a graph as GraphML or GML"):
            read_graph(str(tmp_path / f"graph{ending}"), 99, 0)


def test_values_are_read_as_one_several_or_a_range():
    assert read_values("cost", "0.1:0.3:3") == (0.1, 0.2, 0.3)
    assert read_values("cost", "1e-3") == (1e-3,)
    for text in ("", "a", "1:2", "1:2:1", "1:2:3:4", "inf", "nan,1"):
        with pytest.raises(ValueError, match="cost: got"):
            read_values("cost", text)


def test_shares_become_whole_numbers():
    for share in np.random.default_rng(0).dirichlet(np.ones(4), size=50):
        count = whole_counts(share, 17)
        assert count.sum() == 17
        assert (np.abs(count - 17 * share) < 1).all()
