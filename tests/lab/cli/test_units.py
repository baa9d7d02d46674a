"""Units of a saved model: values, curves, figures, and the command as it is typed."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

from neurogames.bridge.coalitions.coalition_values import coalition_game
from neurogames.bridge.coalitions.removal import RemovalCurve
from neurogames.engine.coalitions.values import shapley
from neurogames.lab.cli.units import units
from neurogames.lab.data.images import load_images
from neurogames.lab.data.models import load_model, save_model
from neurogames.lab.figures import save_figure
from neurogames.lab.studies.units import plots as unit_plots
from neurogames.lab.studies.units.saved import value_saved_units


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A perceptron that knows digits a little, in which unit 3 of 6 is dead."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10))
    images, optimizer = load_images("digits"), torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(40):
        loss = nn.functional.cross_entropy(net(images.inputs), images.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        net[3].weight[:, 3] = 0
    path = tmp_path_factory.mktemp("models") / "net.pt"
    save_model(net, path)
    return path


def run(*words: object):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(units)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_values_of_few_units_are_the_exact_ones(model):
    found = value_saved_units(model, "digits", "2", budget=200, rows=300, rng=np.random.default_rng(0))
    images = load_images("digits")
    game = coalition_game(load_model(model).model, "2", (images.inputs[:300], images.targets[:300]))
    exact = shapley(game).values
    assert found.exact
    assert np.allclose(found.table.set_index("unit")["shapley"].sort_index(), exact)
    assert (found.table["shapley"].diff().dropna() <= 0).all()
    assert float(found.table.set_index("unit").loc[3, "shapley"]) == pytest.approx(0, abs=1e-12)
    assert found.overlap == 1.0


def test_estimates_agree_with_exact_values_within_their_errors(model):
    exact = value_saved_units(model, "digits", "1", budget=128, rows=200, rng=np.random.default_rng(0))
    rough = value_saved_units(model, "digits", "1", budget=80, rows=200, rng=np.random.default_rng(1))
    assert exact.exact
    assert not rough.exact
    pair = [found.table.set_index("unit").sort_index() for found in (exact, rough)]
    gap = (pair[1]["shapley"] - pair[0]["shapley"]).abs()
    assert (gap <= 6 * pair[1]["shapley_stderr"] + 0.05).all()
    assert rough.calls <= 160


def test_curves_start_from_the_whole_network_on_test_rows_and_end_without_units(model):
    found = value_saved_units(model, "digits", "2", budget=200, rows=200, rng=np.random.default_rng(0))
    assert list(found.curves) == ["Shapley", "Banzhaf", "magnitude", "gradient x activation", "random"]
    images = load_images("digits")
    game = coalition_game(load_model(model).model, "2", (images.test_inputs[:200], images.test_targets[:200]))
    for curve in found.curves.values():
        assert curve.worths[0] == pytest.approx(float(game.value(np.ones(6, dtype=bool))))
        assert curve.worths[-1] == pytest.approx(float(game.value(np.zeros(6, dtype=bool))))
    assert found.curves["Shapley"].order.tolist() == found.table["unit"].tolist()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere.pt"], "neurogames prune MODEL --out FILE"),
        (["{model}"], "data: got 'nothing'"),
        (["{model}", "--data", "cats"], "data: got 'cats'"),
        (["{model}", "--data", "digits"], "layer: got 'nothing', expected --layer with one of 0, 1, 2, 3"),
        (["{model}", "--data", "digits", "--layer", "relu"], "layer: got 'relu', expected one of 0, 1, 2, 3"),
        (["{model}", "--data", "digits", "--layer", "2", "--budget", "9"], "budget: got 9"),
        (["{model}", "--data", "digits", "--layer", "2", "--top", "0"], "top: got 0"),
        (["{model}", "--data", "digits", "--layer", "2", "--metric", "gold"], "metric: got 'gold'"),
        (["{model}", "--data", "digits", "--layer", "2", "--pathways-to", "3"], "pathways_to: got '3'"),
        (["{model}", "--data", "digits", "--layer", "2", "--seed", "-1"], "seed: got -1"),
        (["{model}", "--data", "digits", "--layer", "2", "--out", "{model}"], "out: got"),
        (
            ["{model}", "--data", "digits", "--layer", "2", "--out", "{folder}", "--pathways-to", "1"],
            "called after '2'",
        ),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(words, expected, model, tmp_path):
    done = run(*(word.format(model=model, folder=tmp_path / "new") for word in words))
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert expected in lines[0]
    assert not (tmp_path / "new").exists()


def test_the_command_prints_a_table_and_leaves_files(model, tmp_path):
    out = tmp_path / "units"
    done = run(
        model,
        "--data",
        "digits",
        "--layer",
        "2",
        "--pathways-to",
        "3",
        "--rows",
        "200",
        "--budget",
        "200",
        "--out",
        out,
    )
    assert done.exit_code == 0, done.stderr
    for word in ("Shapley", "Banzhaf", "magnitude", "area", "exact"):
        assert word in done.stdout
    table = pd.read_csv(out / "units.csv")
    assert sorted(table["unit"]) == list(range(6))
    names = {"units.csv"} | {f"{name}.{kind}" for name in ("units", "removal", "pathways") for kind in ("png", "svg")}
    assert {path.name for path in out.iterdir()} == names


def test_halves_that_differ_are_reported(model):
    done = run(model, "--data", "digits", "--layer", "2", "--rows", "100", "--budget", "80", "--top", "2")
    assert done.exit_code == 0, done.stderr
    assert "of their best 2 units; rank correlation of all values" in done.stdout


def test_layers_are_drawn_from_left_to_right_and_lonely_units_left_out(tmp_path):
    graph = nx.DiGraph()
    for layer, unit in (("b", 0), ("a", 0), ("a", 1), ("a", 2), ("c", 0)):
        graph.add_node((layer, unit), layer=layer, units=(unit,))
    graph.add_edge(("a", 0), ("b", 0), weight=1.0, share=0.7)
    graph.add_edge(("a", 1), ("b", 0), weight=-0.4, share=0.3)
    graph.add_edge(("b", 0), ("c", 0), weight=0.4, share=1.0)
    figure = unit_plots.plot_pathways(graph)
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["layer a", "layer b", "layer c"]
    assert [len(lines.get_segments()) for lines in axis.collections] == [2, 1]
    assert len(axis.texts) == 4
    save_figure(figure, tmp_path, "pathways")


def test_a_curve_without_any_worth_is_drawn(tmp_path):
    flat = RemovalCurve(np.arange(3), np.full(4, 0.5))
    figure = unit_plots.plot_removal({"Shapley": flat, "mine": flat}, "accuracy")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Shapley: area nan", "mine: area nan"]
    save_figure(figure, tmp_path, "removal")
