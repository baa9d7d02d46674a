"""The report of the pruning study: one page that can be read offline, made from ``results.nc`` alone."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.page import DrawnFigure, Page, ShownTable
from neurogames.lab.studies.pruning import analysis, game_findings, plots
from neurogames.lab.studies.pruning.measure import CONTROLS
from neurogames.lab.studies.pruning.verdicts import pruning_verdicts
from neurogames.lab.studies.study import Findings, publish, study_results

READING = (
    "How to read this: an interval that contains zero claims nothing. Every method had the same number of epochs: the "
    "corrected rule and the networks from scratch all of them; magnitude, Taylor and random half for the whole network "
    "and half for what was kept of it. They keep as many units as the rule did with the same seed, and share them out "
    "over the layers as their own order says, down to one in a layer: multiply-adds differ, and a gap may be due to "
    "that alone. In equal shape they keep as many of each layer as the rule did. Random pruning that is trained on is "
    "a control that is hard to beat. No run looks at the test rows while it trains. An equilibrium says that no unit "
    "gains by leaving alone; it does not say that no other set of units is better."
)


def write_pruning_page(folder: str | Path) -> Findings:
    """Write ``report.html``, the figures (PNG, SVG) and the tables (CSV) beside the results of a pruning study.

    Args:
        folder: a folder in which a pruning study has left its ``results.nc``.

    Returns:
        The path of the page and what it says.

    Raises:
        ValueError: there is no ``results.nc``, or it is none of a pruning study.
    """
    folder = Path(folder).resolve()
    results = study_results(folder, "pruning")
    settings = results.attrs["settings"]
    rng = np.random.default_rng([settings["first_seed"], 1])
    differences = analysis.difference_table(results, rng=rng)
    page = Page(
        title=f"Pruning as a game on {settings['data'].replace('_', '-')}: who earns its place",
        subtitle=_subtitle(results),
        verdicts=pruning_verdicts(results, differences, rng=rng),
        reading=READING,
        notes=_notes(results),
        figures=_figures(results, differences),
        tables=_tables(results, differences),
        rerun=shlex.join(
            ["neurogames", "study", "pruning", "--settings-from", folder.name, "--out", f"{folder.name}-again"]
        ),
        settings=settings,
        versions=results.attrs["versions"],
    )
    return publish(page, folder)


def _subtitle(results: xr.Dataset) -> str:
    settings = results.attrs["settings"]
    layers = "-".join(map(str, settings["hidden"]))
    return (
        f"{settings['architecture'].upper()} with {layers} units, {results.sizes['seed']} seeds; the corrected rule at "
        f"{results.sizes['unit_budget']} sizes with {len(CONTROLS)} controls of {settings['epochs']} epochs each; the "
        f"paper's four configurations over {settings['paper_epochs']} epochs; the game of the network trained plainly."
    )


def _notes(results: xr.Dataset) -> list[str]:
    notes = [
        "Seconds were measured while other processes may have been running.",
        f"Worths and games are measured on the first {results.attrs['settings']['game_rows']:,} training rows.",
    ]
    if congestion := results.attrs["settings"]["congestion"]:
        notes.append(
            f"A unit pays the price times (x_l / x)^{congestion:g}, where x_l is the share of its layer's units that "
            "take part and x that of all units."
        )
    if decay := results.attrs["settings"]["weight_decay"]:
        notes.append(
            f"Weights decay by {decay:g} in every training but the paper's: the corrected rule, its controls, the game."
        )
    if analysis.published(results):
        notes.append(
            "The paper names neither its optimizer nor its rate for the weights; the rerun takes Adam at "
            f"{results.attrs['settings']['paper_learning_rate']:g}."
        )
    return notes


def _figures(results: xr.Dataset, differences: pd.DataFrame) -> list[DrawnFigure]:
    stop, last = analysis.stopping_epoch(results), int(results["paper_epoch"][-1])
    shown = " Hollow: the paper's four points as published." if analysis.published(results) else ""
    drawn = [
        (
            "accuracy-units",
            plots.plot_accuracy(results, "units"),
            "Test accuracy against the number of units kept. Lines are medians over seeds, small marks the seeds, the "
            "horizontal line the whole network trained without a price. Crosses are the paper's runs, "
            f"upright where the paper stops (epoch {stop}), slanting at epoch {last}, at 1 if none is left.{shown}",
        ),
        (
            "accuracy-work",
            plots.plot_accuracy(results, "multiply_adds"),
            "Test accuracy against the multiply-adds of one picture, which is what a smaller network saves.",
        ),
        (
            "differences",
            plots.plot_differences(differences),
            "Accuracy of the equilibrium minus that of each control, paired by seed, with a t interval of 95 %: above "
            "zero the equilibrium is better, and an interval across zero claims nothing. Linear within one point.",
        ),
        (
            "paper",
            plots.plot_paper(results),
            "The paper's configurations, epoch by epoch: medians over seeds, bands from least to greatest. The dotted "
            "line is where the paper stops. In an equilibrium the residual is 0.",
        ),
        (
            "predictions",
            plots.plot_predictions(results),
            "Predicted against real rise of the loss of the plainly trained network when random units are removed, on "
            "the rows of the game: by the second-order game, with exact worths of single units and the same "
            "interactions, by second-order worths added up, and by slopes. On the line a prediction is exact; the "
            "darker a dot, the more units are removed. Axes are linear near zero.",
        ),
    ]
    return [DrawnFigure(*parts) for parts in drawn]


def _tables(results: xr.Dataset, differences: pd.DataFrame) -> list[ShownTable]:
    return [
        ShownTable(
            name="methods",
            title="Accuracy at every size",
            caption="Medians over seeds; accuracy in %, with the least and greatest over seeds. 'layers' is the median "
            "number of units kept of each layer. 'dense' is the whole "
            "network trained without a price, with every unit.",
            frame=analysis.method_table(results),
        ),
        ShownTable(
            name="differences",
            title="Equilibrium minus opponent",
            caption="Percentage points of accuracy, paired by seed, with a t interval of 95 %; 'p' is the sign-flip "
            "test. 'all' is the mean over sizes. No correction is made for the number of rows.",
            frame=differences,
        ),
        ShownTable(
            name="paper",
            title="The paper's configurations",
            caption="Medians over seeds where the paper stops and at the end. 'fraction_off_best_response' is the "
            "percentage of units whose best response is more than 0.01 away.",
            frame=analysis.paper_table(results),
        ),
        ShownTable(
            name="equilibrium",
            title="Is the end of the corrected rule an equilibrium?",
            caption="'price' is what cleared, in units of the loss. 'least_worth' is the least exact worth of a unit "
            "over what it pays: from 1 on nobody gains by leaving. "
            "'residual' (greatest over seeds) is that of the certificate, which asks for partial shares too.",
            frame=analysis.equilibrium_table(results),
        ),
        ShownTable(
            name="game",
            title="The game of the plainly trained network",
            caption="A row per seed, at the price of the median unit.",
            frame=game_findings.game_table(results),
        ),
        ShownTable(
            name="ranking",
            title="Does the game rank real losses?",
            caption="Spearman correlation of predicted with real rise of the loss over random profiles: median over "
            "seeds, least, greatest; on test rows; and predicted over real (median). 'share removed' only counts.",
            frame=game_findings.prediction_table(results),
        ),
    ]
