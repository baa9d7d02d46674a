"""The study itself: its measurements beside plain torch, one small run, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from neurogames.bridge import initial_ensemble
from neurogames.lab import load_study, run_study
from neurogames.lab.data.images import Images
from neurogames.lab.studies.gradient_dropout.chain import measure_layer_rates
from neurogames.lab.studies.gradient_dropout.course import planted_rows
from neurogames.lab.studies.gradient_dropout.measure import measure_law
from neurogames.lab.studies.gradient_dropout.repetition import are_images, check_data, open_data, shortcut_kind
from neurogames.lab.studies.gradient_dropout.search import errors, losses, measure_cells
from neurogames.lab.studies.gradient_dropout.settings import GradientDropoutSettings

STUDY = load_study("gradient-dropout")
TINY = GradientDropoutSettings(data=("diabetes",)).quick().updated(epochs=2, hidden=(6, 5), seeds=2, rate_steps=50)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run_study(STUDY, TINY, tmp_path_factory.mktemp("runs") / "first", workers=1)


def test_a_small_run_has_every_number(finished):
    results = finished.results
    for way in ("plain", "law", "dropout", "gaussian"):
        assert np.isfinite(results[f"broken_{way}"]).all()
        assert np.isfinite(results[f"composing_share_{way}"]).all()
    assert set(results["broken_law"].dims) - set(results["broken_plain"].dims) == {"keep_prob"}
    assert set(finished.tables) == {"cells", "pooled", "courses", "distances", "layers"}
    assert "what counts was registered before" in finished.report.read_text(encoding="utf-8")
    at_start = results.isel(fit_time=0)
    for way in ("law", "dropout", "gaussian"):
        xr.testing.assert_allclose(
            at_start[f"broken_{way}"], at_start["broken_plain"].broadcast_like(at_start[f"broken_{way}"])
        )


def test_more_seeds_leave_the_first_as_they_were(finished):
    more = run_study(STUDY, TINY.updated(seeds=3), finished.folder, workers=1)
    xr.testing.assert_identical(more.results.isel(seed=slice(0, 2)).drop_attrs(), finished.results.drop_attrs())


def test_a_way_gives_the_same_alone_and_in_company():
    data = open_data("diabetes", 0, TINY)
    together = measure_cells(data, ("law", "dropout"), TINY, 5)
    alone = measure_cells(data, ("dropout",), TINY, 5)
    # The networks are the same; outputs of a stack of them are rounded otherwise.
    xr.testing.assert_allclose(together["broken_dropout"], alone["broken_dropout"], rtol=1e-5)


def test_errors_and_losses_are_torchs():
    ensemble = initial_ensemble((4, 3, 3), seeds=[0, 1])
    inputs, classes = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    for k in range(2):
        outputs = ensemble.network(k)(inputs).detach()
        assert errors(ensemble, inputs, classes)[k] == pytest.approx(
            float((outputs.argmax(1) != classes).double().mean())
        )
        expected = float(torch.nn.functional.cross_entropy(outputs, classes))
        assert losses(ensemble, inputs, classes)[k] == pytest.approx(expected, rel=1e-5)
    numbers = torch.linspace(-1, 1, 20)
    single = initial_ensemble((4, 3, 1), seeds=[0])
    expected = float((single.network(0)(inputs).detach()[:, 0] - numbers).square().mean())
    assert errors(single, inputs, numbers)[0] == pytest.approx(expected, rel=1e-5)
    assert losses(single, inputs, numbers)[0] == pytest.approx(expected, rel=1e-5)


def test_layers_learn_at_the_rate_of_the_law():
    settings = TINY.updated(hidden=(32, 32), rate_steps=1500, course_keep=0.4)
    data = open_data("diabetes", 0, settings)
    rows, _ = planted_rows(data, strength=0.9, seed=0)
    rates = np.mean([measure_layer_rates(rows, settings, seed) for seed in range(3)], axis=0)
    np.testing.assert_allclose(rates, [0.16, 0.4, 1.0], rtol=0.06)


def test_images_are_drawn_small_and_classes_have_no_distance():
    assert are_images("digits")
    assert not are_images("diabetes")
    settings = TINY.updated(data=("digits",), image_rows=60)
    data = open_data("digits", 0, settings)
    assert isinstance(data, Images)
    assert data.inputs.shape == (60, 1, 8, 8)
    assert data.test_inputs.shape == (60, 1, 8, 8)
    assert shortcut_kind(data) == "mark"
    other = open_data("digits", 1, settings)
    assert not torch.equal(data.inputs, other.inputs)
    found = measure_law("digits", 0, settings=settings)
    assert np.isnan(found["distance_law"]).all()
    assert np.isfinite(found["layer_rate"]).all()
    cells = measure_cells(data, ("law",), settings, 0)
    assert ((cells["broken_law"] >= 0) & (cells["broken_law"] <= 1)).all()


def test_data_are_checked_before_any_work():
    assert set(check_data(TINY)) == {"diabetes"}
    with pytest.raises(ValueError, match="^batch_sizes: got 1000, expected at most the 353 training rows of diabetes"):
        check_data(TINY.updated(batch_sizes=(1000,)))
    with pytest.raises(ValueError, match="^data: got 'nothing_here'"):
        check_data(TINY.updated(data=("nothing_here",)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data": "diabetes"}, "^data: got 'diabetes', expected a sequence of names"),
        ({"data": ()}, "^data: got"),
        ({"strengths": (0.9, 0.9)}, "^strengths: got .* expected at least one, each named once"),
        ({"strengths": (1.1,)}, "^strengths: got 1.1, expected a strength"),
        ({"keep_probs": (1.0,)}, "^keep_probs: got 1.0, expected a probability below 1"),
        ({"keep_probs": (0.0,)}, "^keep_probs: got 0.0"),
        ({"sgd_rates": (0.0,)}, "^sgd_rates: got 0.0, expected a number > 0"),
        ({"law_rates": 1}, "^law_rates: got 1, expected an integer >= 2"),
        ({"hidden": ()}, "^hidden: got"),
        ({"seeds": 1}, "^seeds: got 1"),
    ],
)
def test_settings_out_of_range_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        GradientDropoutSettings(**values)
