"""The paper's protocol in a tiny form, and its analysis on results whose answer is known."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from neurogames.bridge import NoNoise, noise_curve, train_ensemble
from neurogames.bridge.measures.robustness import smape
from neurogames.lab import load_dataset, prepare
from neurogames.lab.cli.app import app
from neurogames.lab.studies.comparison.differences import BEYOND, BY_LAW, WHOLE
from neurogames.lab.studies.comparison.paper.analysis import (
    DROPOUT,
    PUBLISHED,
    curve_table,
    distance_to_paper,
    effect_table,
)
from neurogames.lab.studies.comparison.paper.measure import METRICS, _all_pairs, _open
from neurogames.lab.studies.comparison.paper.page import PAPER_PROTOCOL, paper_page
from neurogames.lab.studies.comparison.paper.published import READ_OFF
from neurogames.lab.studies.comparison.paper.settings import PaperSettings
from neurogames.lab.studies.comparison.repetition import seeds_of
from neurogames.lab.studies.study import FinishedStudy, run_study

TINY = PaperSettings(
    data=("diabetes", "iris"),
    target_noises=("NoNoise", "StableA1.5B0"),
    seeds=2,
    networks=((5,), (4, 3)),
    epochs=1,
    batch_size=40,
    learning_rate=1e-2,
    levels=(0.0, 1.0, 1.96),
)


@pytest.fixture(scope="session")
def paper_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    """A finished run; not to be written to."""
    return run_study(PAPER_PROTOCOL, TINY, tmp_path_factory.mktemp("paper") / "tiny", workers=1)


def test_the_defaults_are_those_of_the_paper() -> None:
    settings = PaperSettings()
    assert len(settings.data) == 10
    assert len(settings.levels) == 50
    assert (settings.levels[1], settings.levels[-1]) == (0.04, 1.96)
    assert settings.networks == ((150,) * 5, (1024, 1024))
    assert settings.keep_probs == (0.1, 0.5, 1.0)
    assert {settings.task_of(name) for name in ("wine_quality", "1030_ERA", "294_satellite_image")} == {"regression"}
    assert PaperSettings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("keep_probs", (0.5, 0.9), "end at 1"),
        ("target_noises", ("pink",), "TDS6"),
        ("target_noises", (), "at least one noise"),
        ("networks", ((),), "hidden layers"),
        ("networks", ((0,),), ">= 1"),
        ("levels", (0.1, 1.0), "start at 0"),
        ("batch_size", 0, ">= 1"),
        ("learning_rate", 0.0, "> 0"),
        ("data", "wine", "sequence of names"),
        ("task", "clustering", "classification"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(argument: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: got .*{expected}"):
        PaperSettings(**{argument: value})


def test_the_noise_of_a_table_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="^target_noises: got 'TDS6', expected wine_quality, the paper's table 6"):
        PaperSettings(data=("1030_ERA",), target_noises=("TDS6",))
    assert PaperSettings(data=("1030_ERA",), target_noises=("TDS10",)).target_noises == ("TDS10",)


def test_rows_and_targets_stay_in_their_own_units() -> None:
    repetition = _open("diabetes", 0, TINY)
    table = load_dataset("diabetes")
    rows = repetition.data.train_rows
    np.testing.assert_array_equal(repetition.data.train_inputs, table.features.to_numpy(np.float32)[rows])
    np.testing.assert_array_equal(repetition.data.train_targets, table.target.to_numpy(np.float32)[rows])


def test_a_number_in_the_name_keeps_a_noise_to_its_table(tmp_path: Path) -> None:
    path = tmp_path / "1030_ERA.csv"
    path.write_text("\n".join(["a,b,y", *[f"{row},{row * 7 % 11},{row * 3 % 17}" for row in range(60)]]))
    settings = replace(TINY, data=(str(path), "diabetes"), target="y", target_noises=("TDS10", "TDS"))
    assert list(_open(str(path), 0, settings).noises) == ["TDS10", "TDS"]
    assert list(_open("diabetes", 0, replace(settings, target=None)).noises) == ["TDS"]


def test_the_published_loss_is_what_its_shapes_make_of_it() -> None:
    torch.manual_seed(0)
    outputs, labels = torch.randn(7, 1, requires_grad=True), torch.randn(7)
    ours = _all_pairs(outputs, labels, noise=NoNoise(), deviation=1.0, rng=torch.Generator())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.nn.functional.mse_loss(outputs, labels)
    torch.testing.assert_close(ours, theirs)
    (slope,) = torch.autograd.grad(ours, outputs)
    torch.testing.assert_close(slope, 2 * (outputs - labels.mean()).detach() / 7)


def test_what_is_stored_is_labelled_and_nothing_is_made_up(paper_run: FinishedStudy) -> None:
    results = paper_run.results
    assert results.sizes["network"] == 2
    assert list(results["network"].values) == ["1x5", "4-3"]
    whole = ("dataset", "network", "seed", "target_noise", "keep_prob", "metric", "level")
    numbers, classes = results.sel(dataset="diabetes"), results.sel(dataset="iris")
    assert results["curve"].dims == whole
    assert np.isfinite(numbers["curve"].sel(metric=["mse", "r2", "smape"])).all()
    assert np.isfinite(numbers["published_curve"].sel(metric="smape")).all()
    assert np.isfinite(classes["curve"].sel(metric="accuracy", target_noise="NoNoise")).all()
    assert np.isnan(classes["curve"].sel(target_noise="StableA1.5B0")).all()
    assert np.isnan(classes["published_curve"]).all()
    assert np.isnan(numbers["curve"].sel(metric="accuracy")).all()
    assert np.isnan(results["law_curve"].sel(keep_prob=1.0)).all()
    assert np.isfinite(numbers["law_curve"].sel(metric="smape", keep_prob=[0.1, 0.5])).all()
    assert list(results["metric"].values) == list(METRICS)


def test_the_law_is_stored_before_any_network_with_a_mask_is_trained(paper_run: FinishedStudy) -> None:
    stored, trained = (list((paper_run.folder / part / "cells").iterdir()) for part in ("law", "training"))
    assert len(stored) == len(trained) == 8
    assert max(path.stat().st_mtime_ns for path in stored) < min(path.stat().st_mtime_ns for path in trained)


@pytest.mark.parametrize(("variable", "feedback"), [("curve", "dropout"), ("law_curve", "mean")])
def test_a_curve_is_that_of_one_network_trained_alone(paper_run: FinishedStudy, variable: str, feedback: str) -> None:
    repetition = _open("diabetes", 1, TINY)
    data = repetition.data
    alone = train_ensemble(
        torch.from_numpy(data.train_inputs),
        torch.from_numpy(data.train_targets),
        seeds=[repetition.network_seed],
        hidden=(4, 3),
        keep_prob=0.5,
        feedback=feedback,
        epochs=1,
        batch_size=40,
        learning_rate=1e-2,
    )
    expected = noise_curve(
        alone.ensemble,
        torch.from_numpy(data.test_inputs),
        torch.from_numpy(data.test_targets),
        levels=TINY.levels,
        metrics={"smape": smape},
        scale=1.0,
        rng=torch.Generator().manual_seed(repetition.noise_seed),
    )["smape"][0]
    place = {"dataset": "diabetes", "network": "4-3", "seed": 1, "target_noise": "NoNoise", "keep_prob": 0.5}
    np.testing.assert_allclose(paper_run.results[variable].sel(place).sel(metric="smape"), expected, rtol=1e-5)


def test_the_baselines_are_the_mean_and_least_squares_on_raw_rows(paper_run: FinishedStudy) -> None:
    data = prepare(load_dataset("diabetes"), standardise=False, rng=np.random.default_rng(seeds_of("diabetes", 0)[0]))
    ones = [np.column_stack([np.ones(len(rows)), rows]).astype(float) for rows in (data.train_inputs, data.test_inputs)]
    weights = np.linalg.lstsq(ones[0], data.train_targets.astype(float), rcond=None)[0]
    truth = data.test_targets
    for name, guess in {
        "linear": ones[1] @ weights,
        "constant": np.full(len(truth), data.train_targets.mean()),
    }.items():
        expected = np.mean(2 * np.abs(truth - guess) / (np.abs(truth) + np.abs(guess)))
        found = paper_run.results["baseline_curve"].sel(dataset="diabetes", seed=0, baseline=name, metric="smape")
        np.testing.assert_allclose(found.isel(network=0, level=0), expected, rtol=1e-4)


def test_the_page_leads_with_curves_and_a_sentence(paper_run: FinishedStudy) -> None:
    page = (paper_run.folder / "report.html").read_text(encoding="utf-8")
    for sentence in paper_run.verdicts:
        assert sentence in page
    names = {path.name for path in paper_run.folder.iterdir()}
    assert {"beside-paper.svg", "effects.svg", "curves-4-3.png", "curves.csv", "effects.csv"} <= names
    assert "classification is trained without it" in page


def _planted(rises: dict[str, float]) -> tuple[xr.Dataset, PaperSettings]:
    """Straight curves of wine_quality on the network 5x150 from .12, with these rises at the largest level."""
    settings = PaperSettings(data=("wine_quality",), seeds=3, networks=((150,) * 5,), levels=(0.0, 0.98, 1.96))
    levels, keeps = np.array(settings.levels), np.array(settings.keep_probs)
    labels = {
        "dataset": ["wine_quality"],
        "network": ["5x150"],
        "seed": [0, 1, 2],
        "target_noise": list(settings.target_noises),
        "keep_prob": keeps,
        "metric": list(METRICS),
        "level": levels,
    }
    shape = tuple(len(values) for values in labels.values())
    wobble = np.array([-1.0, 0.0, 1.0])[None, None, :, None, None, None, None] * 1e-3
    masked = (keeps < 1)[None, None, None, None, :, None, None]

    def curves(rise: float) -> np.ndarray:
        flatter = np.where(masked, rise, rises["plain"]) + wobble
        return 0.12 + np.broadcast_to(flatter * levels / 1.96, shape)

    law = np.where(masked, curves(rises["law"]), np.nan)
    variables = {name: (tuple(labels), curves(rises["dropout"])) for name in ("curve", "published_curve")}
    variables["law_curve"] = (tuple(labels), law)
    regression = (("dataset", "network", "seed"), np.ones(shape[:3], dtype=bool))
    return xr.Dataset({**variables, "regression": regression}, coords=labels), settings


def test_networks_that_say_the_same_for_every_row_still_give_a_page(paper_run: FinishedStudy) -> None:
    flat = {name: paper_run.results[name] * 0 + 0.5 for name in ("curve", "law_curve", "published_curve")}
    page = paper_page(paper_run.results.assign(flat), TINY)
    assert page.findings == []
    assert "Of 0 pairs of table and network" in page.verdicts[-1]


def test_the_effect_splits_into_law_and_the_rest() -> None:
    results, settings = _planted({"plain": 0.08, "dropout": 0.05, "law": 0.06})
    table = effect_table(results, settings)
    assert len(table) == 9
    found = table[table["target noise"] == "NoNoise"].set_index("part")["difference"]
    assert found[WHOLE] == pytest.approx(-0.375)
    assert found[BY_LAW] == pytest.approx(-0.25)
    assert found[BEYOND] == pytest.approx(-0.125)


def test_read_off_numbers_stand_beside_the_setting_that_they_are_of() -> None:
    results, settings = _planted({"plain": 0.07, "dropout": 0.05, "law": 0.05})
    table = curve_table(results, settings)
    known = table.dropna(subset="paper clean")
    assert len(known[known["training"] == DROPOUT]) == 6
    assert not (known["target noise"] == "TDS").any()
    wine = READ_OFF[READ_OFF["dataset"] == "wine_quality"]
    ours = {1.0: 0.19, 0.5: 0.17, 0.1: 0.17}
    gaps = [
        (abs(row["paper clean"] - 0.12) + abs(row["paper noisy"] - ours[row["keep"]])) / 2 for _, row in wine.iterrows()
    ]
    assert distance_to_paper(table)[DROPOUT] == pytest.approx(np.mean(gaps))
    assert distance_to_paper(table)[PUBLISHED] == pytest.approx(np.mean(gaps))


def test_other_networks_are_not_held_against_the_paper() -> None:
    results, settings = _planted({"plain": 0.07, "dropout": 0.05, "law": 0.05})
    other = results.assign_coords(network=["2x1024"])
    table = curve_table(other, replace(settings, networks=((1024, 1024),)))
    assert table["paper clean"].isna().all()
    assert distance_to_paper(table) == {}


def test_the_command_takes_the_protocol_and_refuses_what_it_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["compare", "--protocol", "paper", "--n-players", "3"])
    assert ended.value.code == 2
    assert "n_players: got 3, expected one of the settings" in capsys.readouterr().err
