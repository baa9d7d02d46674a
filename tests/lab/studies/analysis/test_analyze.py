"""The report of one network: numbers, sentences, page, and the command."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

from neurogames.bridge.extraction.nash_gap import nash_gap
from neurogames.lab.cli.analyze import analyze as command
from neurogames.lab.cli.app import app
from neurogames.lab.data.models import save_model
from neurogames.lab.runs.store import read_dataset, write_dataset
from neurogames.lab.studies.analysis.analysis import gap_sentences, layer_sentences
from neurogames.lab.studies.analysis.measure import measure_network, nash_gap_of
from neurogames.lab.studies.analysis.rows import rows_for
from neurogames.lab.studies.analysis.run import analyze, write_analysis
from neurogames.lab.studies.analysis.settings import AnalysisSettings
from neurogames.lab.studies.analysis.units import unit_sentences, unit_table

SETTINGS = AnalysisSettings(starts=1, steps=10, coalitions=200)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 3))


def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(40, 4, generator=generator), torch.randint(3, (40,), generator=generator)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "analysis"
    return analyze(network(), nn.functional.cross_entropy, data(), folder, held_out=data(1), settings=SETTINGS)


def test_the_numbers_are_those_of_nash_gap_and_come_back_from_the_file(finished):
    stored = nash_gap_of(read_dataset(finished.folder / "results.nc"))
    found = nash_gap(
        network(),
        nn.functional.cross_entropy,
        data(),
        held_out=data(1),
        starts=1,
        steps=10,
        rng=np.random.default_rng(0),
    )
    for name in ("gain", "bound", "gradient", "smallest_curvature", "held_out_gain", "held_out_stderr"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(found, name))
    assert (stored.verdict, stored.notion, stored.symmetries) == (found.verdict, found.notion, found.symmetries)
    assert finished.verdicts[0] == found.verdict


def test_the_folder_has_a_page_with_the_verdict_its_figures_and_its_tables(finished):
    page = finished.report.read_text(encoding="utf-8")
    assert finished.verdicts[0].replace("'", "&#39;") in page
    for name in ("gap.png", "gap.svg", "layer.png", "players.csv", "fees.csv", "goods.csv", "units.csv", "results.nc"):
        assert (finished.folder / name).is_file()
    players = pd.read_csv(finished.folder / "players.csv")
    assert (players["gain"].diff().dropna() <= 0).all()
    assert (players["gain"] <= players["at_most"]).all()
    fees = finished.tables["fees"]
    assert (fees["exact_removal"].diff().dropna() <= 0).all()
    assert list(fees.columns) == ["fee", "exact_removal", "own", "alike", "additive", "context"]


def test_units_are_worth_shapley_values_and_those_that_hurt_are_dominated():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3, 4))
        model[0].bias.fill_(1.0)
        model[2].weight.copy_(torch.tensor([[1.0, 0.0, -1.0]]))
        model[2].bias.zero_()
    inputs = torch.rand(40, 4)
    targets = torch.relu(inputs[:, :1] + 1)  # the first unit is right, the second is unused, the third spoils it
    found = measure_network(model, nn.functional.mse_loss, (inputs, targets), settings=replace(SETTINGS, layer="0"))
    table = unit_table(found).set_index("unit")
    assert table.loc[2, "shapley_value"] < 0 < table.loc[0, "shapley_value"]
    assert list(table.loc[[0, 1, 2], "dominated"]) == [False, False, True]
    said = " ".join(unit_sentences(found))
    assert "1 of 3 units are dominated" in said
    hidden = measure_network(model, nn.functional.mse_loss, (inputs, targets), settings=replace(SETTINGS, layer="1"))
    assert "it is no Linear layer or convolution" in unit_sentences(hidden)[-1]
    np.testing.assert_allclose(found["unit_value"].sum(), found["size_gain"].sum(), rtol=1e-9)


def test_the_report_can_be_written_again_by_function_and_command(finished, tmp_path):
    page = finished.report.read_bytes()
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(finished.folder / "results.nc", again)
    assert write_analysis(again).verdicts == finished.verdicts
    assert (again / "report.html").read_bytes() == page
    (again / "report.html").unlink()
    done = CliRunner().invoke(app, ["report", str(again)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (again / "report.html").read_bytes() == page
    results = read_dataset(again / "results.nc")
    for changed, expected in (({"study": "pruning"}, "of an analysis"), ({"format": 0}, "an older version wrote")):
        write_dataset(results.assign_attrs(changed), again / "results.nc")
        with pytest.raises(ValueError, match=expected):
            write_analysis(again)


def test_sentences_say_what_was_planted(finished):
    results = finished.results.copy(deep=True)
    results["held_out_gain"][:] = -0.5
    results["held_out_stderr"][:] = 0.1
    results["smallest_curvature"][0] = -1.0
    results["largest_curvature"][0] = 2.0
    results["synergy"], results["synergy_stderr"] = -0.3, 0.01
    results.attrs |= {"status": "not finished: the gain of '0'", "good": "", "symmetries": []}
    said = " ".join([*gap_sentences(results), *layer_sentences(results)])
    assert "changes the loss by +0.5 (standard error 0.1; the 95 % interval excludes 0)" in said
    assert "The own curvature of '0' is negative" in said
    assert "no equilibrium can be strict: none found" in said
    assert "Bounded answer: not finished: the gain of '0'." in said
    assert "less together (redundancy)" in said
    assert "none fits" in said
    results["held_out_stderr"][:] = 0.4
    assert "the 95 % interval includes 0" in " ".join(gap_sentences(results))


def test_without_a_hidden_layer_or_a_known_loss_the_game_is_left_out_with_a_reason(tmp_path):
    single = analyze(nn.Linear(4, 3), nn.functional.cross_entropy, data(), tmp_path / "a", settings=SETTINGS)
    assert single.verdicts[-1].startswith("No public goods game was fitted: no hidden layer")
    rows = data()[0], torch.zeros(40, 3)
    other = analyze(network(), nn.functional.huber_loss, rows, tmp_path / "b", settings=SETTINGS)
    assert "the loss is neither" in other.verdicts[-1]
    assert list(other.tables) == ["players"]


def test_a_folder_of_something_else_is_refused_and_one_of_an_analysis_replaced(finished, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="^folder: got .*expected a new folder, or one of an earlier analysis"):
        analyze(network(), nn.functional.cross_entropy, data(), tmp_path, settings=SETTINGS)
    wrong = AnalysisSettings(layer="9")
    with pytest.raises(ValueError, match="^layer: got '9'"):
        analyze(network(), nn.functional.cross_entropy, data(), finished.folder, settings=wrong)
    assert finished.report.is_file()


def run(*words):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_reads_a_table_and_a_file_of_arrays_and_says_the_verdict(tmp_path):
    save_model(network(), tmp_path / "net.pt")
    done = run(tmp_path / "net.pt", "--data", "iris", "--rows", 40, "--coalitions", 60, "--out", tmp_path / "iris")
    assert done.exit_code == 0, done.output
    assert "2 players with 59 parameters" in done.output
    assert "Nash" in done.output
    page = (tmp_path / "iris" / "report.html").read_text(encoding="utf-8")
    assert "neurogames analyze" in page
    inputs, targets = data()
    np.savez(tmp_path / "rows.npz", inputs=inputs.numpy(), targets=targets.numpy())
    found = rows_for(network(), str(tmp_path / "rows.npz"), rows=30, rng=np.random.default_rng(0))
    torch.testing.assert_close(found.training[0], inputs[:30])
    assert found.held_out is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "iris", "--players", "neuron"), "players: got 'neuron'"),
        ((), "data: got 'nothing'"),
        (("--data", "digits"), "data: got 'digits, images of 8 x 8'"),
        (("--data", "wine"), "data: got"),
        (("--data", "iris", "--budget", "1e-9"), "budget: got 1e-09, expected at least"),
        (("--data", "rows.npz"), 'data: got "rows.npz'),
    ],
)
def test_wrong_words_end_with_one_line_and_exit_code_2(tmp_path, words, message):
    save_model(network(), tmp_path / "net.pt")
    done = run(tmp_path / "net.pt", *words, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.output.count("\n") <= 2
    assert f"neurogames: {message}" in done.output
