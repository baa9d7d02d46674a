"""The measures of the study of layers give what its page is made of."""

from __future__ import annotations

import dataclasses

import pytest
import xarray as xr

from neurogames.lab.studies.layers.page import LAYERS_STUDY
from neurogames.lab.studies.layers.settings import LayersSettings
from neurogames.lab.studies.study import run_study
from tests.lab.studies.layers.planted_results import planted_results

TINY = LayersSettings(
    rows=120,
    test_rows=40,
    epochs=1,
    adaptation_rows=10,
    check_rows=10,
    adaptation_epochs=1,
    adaptation_rates=(0.01,),
    search_steps=1,
    freezing_epochs=2,
    freezing_checks=1,
    certificate_rows=10,
    certificate_steps=1,
    curvature_rows=10,
    checkpoints=(0,),
)


def test_every_measure_gives_its_part_of_what_the_page_shows():
    parts = [measure(seed=0, settings=TINY) for measure in LAYERS_STUDY.parts.values()]
    results = xr.merge(parts, join="exact", compat="no_conflicts")
    planted = planted_results().isel(seed=0, drop=True)
    assert {name: value.dims for name, value in results.items()} == {
        name: value.dims for name, value in planted.items()
    }
    for name in ("network", "shift", "choice", "layer", "rule", "way", "policy", "sweeps"):
        assert results[name].values.tolist() == planted[name].values.tolist()
    assert float(results["defender_probability"].sum()) == pytest.approx(1)
    assert ((results["tuned_accuracy"] >= 0) & (results["tuned_accuracy"] <= 1)).all()


def test_too_few_rows_are_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="^rows: got 50"):
        run_study(LAYERS_STUDY, dataclasses.replace(TINY, rows=50, curvature_rows=40), tmp_path / "new", workers=1)
    assert not (tmp_path / "new").exists()
