"""The study of DGNOpt: one small run, its parts beside plain torch, and what it refuses."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn import functional

from neurogames.bridge import stage_graph
from neurogames.lab import load_study, run_study
from neurogames.lab.studies.dgnopt.controls import LARGE_WAYS, measure_players
from neurogames.lab.studies.dgnopt.emsa import EMSA, _backward
from neurogames.lab.studies.dgnopt.methods import METHODS, OPPONENTS, check_peers
from neurogames.lab.studies.dgnopt.networks import CHAIN, NETWORKS, untrained
from neurogames.lab.studies.dgnopt.settings import DGNOptSettings
from neurogames.lab.studies.dgnopt.training import Rows, fresh_network, steps_in, study_rows, train_one, tuning_rows

TINY = DGNOptSettings().quick().updated(rows=160, test_rows=60, record=1, target=0.2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    pytest.importorskip("pytorch_optimizer")
    return run_study(load_study("dgnopt"), TINY, tmp_path_factory.mktemp("runs") / "first", workers=1)


def test_a_small_run_has_every_number_and_a_page(finished):
    results = finished.results
    assert list(results["optimizer"].values) == list(METHODS)
    assert np.isfinite(results["accuracy"]).all()
    assert np.isfinite(results["large_accuracy"]).all()
    assert (results["flops"] > 0).all()
    assert results["arms"].values.tolist() == [4, 4]
    assert len(finished.verdicts) == 7
    page = finished.report.read_text(encoding="utf-8")
    assert "was registered before the study was run" in page
    assert {"accuracy", "claims", "structures", "cost", "prices", "large", "stability", "players", "alignments"} == set(
        finished.tables
    )


def test_the_open_loop_of_the_game_is_ekfac(finished):
    # With the same rate, damping, momentum and times between eigenbases.
    trials = finished.results["trial_accuracy"]
    np.testing.assert_array_equal(trials.sel(optimizer="open loop"), trials.sel(optimizer="EKFAC"))


def test_a_step_of_sgd_can_be_as_long_as_one_of_feedback(finished):
    lengths = finished.results["large_length"].isel(large_rate=0)
    for way, found in LARGE_WAYS.items():
        if found.as_long_as is not None:
            np.testing.assert_allclose(lengths.sel(way=way), lengths.sel(way=found.as_long_as), rtol=1e-6)


def test_more_seeds_leave_the_first_as_they_were(finished):
    more = run_study(load_study("dgnopt"), TINY.updated(seeds=3), finished.folder, workers=1)
    xr.testing.assert_identical(more.results.isel(seed=slice(0, 2)).drop_attrs(), finished.results.drop_attrs())


def test_fictitious_players_under_gradient_descent_are_a_larger_rate():
    found = measure_players(0, settings=TINY.updated(players=(1, 3)))
    assert (found["player_gap"].sel(player_curvature="identity") < 1e-6).all()


@pytest.mark.parametrize("name", [*NETWORKS, CHAIN])
def test_networks_are_what_they_are_called(name):
    model, example = untrained(name, (1, 8, 8), 10, 8, 0), torch.ones(2, 1, 8, 8)
    graph = stage_graph(model, example)
    arms = {"residual": 4, "inception": 1, "cooperative": 1, CHAIN: 1}
    side_by_side = {"residual": 2, "inception": 4, "cooperative": 2, CHAIN: 1}
    assert (len(graph.alignments), graph.n_players) == (arms[name], side_by_side[name])
    assert model(example).shape == (2, 10)


def test_a_network_leaves_torchs_generator_alone():
    before = torch.random.get_rng_state()
    first, again = (untrained("residual", (1, 8, 8), 10, 8, 3) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for one, two in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_training_by_sgd_is_that_of_a_plain_loop():
    rows, settings = study_rows(TINY), TINY.updated(epochs=2)
    model, plain = (fresh_network("cooperative", rows, settings, 1) for _ in range(2))
    course = train_one(model, torch.optim.SGD(model.parameters(), lr=0.1), rows, settings, 5)
    optimizer, generator = torch.optim.SGD(plain.parameters(), lr=0.1), torch.Generator().manual_seed(5)
    for _ in range(2):
        order = torch.randperm(160, generator=generator)
        for batch in (order[:64], order[64:128]):
            optimizer.zero_grad()
            functional.cross_entropy(plain(rows.inputs[batch]), rows.targets[batch]).backward()
            optimizer.step()
    for one, two in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    assert steps_in(rows, settings) == len(course.lengths) == 4
    with torch.no_grad():
        expected = (plain(rows.test_inputs).argmax(1) == rows.test_targets).double().mean()
    assert course.final == float(expected)


def test_clipped_steps_are_short_and_the_rate_warms_up():
    rows = study_rows(TINY)
    model = fresh_network("cooperative", rows, TINY, 1)
    settings = TINY.updated(epochs=10)
    course = train_one(model, torch.optim.SGD(model.parameters(), lr=0.1), rows, settings, 5, clip=1e-3)
    # Twenty steps, of which the first two have a half and the whole rate.
    np.testing.assert_allclose(course.lengths, [5e-5, *[1e-4] * 19], rtol=2e-2)


def test_a_training_that_diverges_ends_and_says_so():
    rows = study_rows(TINY)
    model = fresh_network("cooperative", rows, TINY, 1)
    course = train_one(model, torch.optim.SGD(model.parameters(), lr=1e30), rows, TINY.updated(epochs=5), 5)
    assert course.diverged
    assert len(course.lengths) < 10
    assert 0 <= course.final <= 1


def test_held_out_rows_are_none_of_those_trained_on():
    rows = study_rows(TINY)
    tuning = tuning_rows(rows)
    assert torch.equal(torch.cat([tuning.inputs, tuning.test_inputs]), rows.inputs)
    assert len(tuning.test_inputs) == 32


@pytest.mark.parametrize(("stride", "padding", "kernel", "side"), [(2, 1, 3, 8), (1, 2, 5, 5), (2, 0, 1, 7)])
def test_emsas_costates_are_those_of_autograd(stride, padding, kernel, side):
    layer = nn.Conv2d(2, 3, kernel, stride=stride, padding=padding)
    inputs = torch.randn(2, 2, side, side, requires_grad=True)
    outputs = layer(inputs)
    slopes = torch.randn_like(outputs)
    (expected,) = torch.autograd.grad(outputs, inputs, slopes)
    torch.testing.assert_close(_backward(layer, inputs, slopes), expected)


def test_emsa_goes_to_the_minimum_of_a_layers_hamiltonian():
    # One linear layer: g x' + rho (dW x x' + g g' dW), averaged over rows, is 0 at the step dW.
    torch.manual_seed(0)
    inputs, targets = torch.randn(40, 3, dtype=torch.float64), torch.randn(40, 2, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(3, 2, bias=False)).double()
    before = model[0].weight.detach().clone()
    optimizer, rho = EMSA(model, rho=2.0, iterations=200), 2.0

    def closure():
        optimizer.zero_grad()
        loss = (model(inputs) - targets).square().sum(dim=1).mean()
        loss.backward()
        return loss.detach()

    optimizer.step(closure)
    slopes, moved = 2 * (inputs @ before.T - targets), model[0].weight.detach() - before
    slope = slopes.T @ inputs + rho * (moved @ inputs.T @ inputs + slopes.T @ slopes @ moved)
    assert moved.abs().max() > 1e-3
    assert slope.abs().max() / 40 < 1e-4


def test_every_method_has_as_many_trials():
    for count in (2, 6):
        for method in METHODS.values():
            trials = method.trials(count)
            assert len(set(trials)) == count
            low, high = method.rates
            assert all(low * 0.999 <= rate <= high * 1.001 for rate, _ in trials)
    assert len(OPPONENTS) == 7


def test_a_missing_package_is_named_before_any_work(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"^methods: got 'no package pytorch_optimizer'.*neurogames\[optimizers\]"):
        check_peers()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("networks", ("residual", "tower")),
        ("large_networks", ()),
        ("width", 6),
        ("trials", 3),
        ("target", 1.0),
        ("large_rates", (1.0, 0.5)),
        ("players", (2, 4)),
        ("rows", 3),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name}: got"):
        DGNOptSettings().updated(**{name: value})


def test_rows_in_colour_fit_too():
    rows = Rows(torch.zeros(4, 3, 16, 16), torch.arange(4), torch.zeros(2, 3, 16, 16), torch.arange(2))
    for name in NETWORKS:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fresh_network(name, rows, TINY, 0)(rows.inputs).shape == (4, 4)
