"""The page of the pruning study, and the study itself.

Its parts are "sizes" (the corrected rule with smaller and smaller budgets of units, with its controls), "paper" (the
paper's four configurations, epoch by epoch) and "game" (the game of a network trained plainly).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.page import DrawnFigure, Page, ShownTable
from neurogames.lab.studies.pruning import analysis, game_findings, plots
from neurogames.lab.studies.pruning.game import measure_game
from neurogames.lab.studies.pruning.measure import CONTROLS, check_data, measure_paper, measure_sizes
from neurogames.lab.studies.pruning.settings import PruningSettings
from neurogames.lab.studies.pruning.verdicts import pruning_verdicts
from neurogames.lab.studies.study import Study

TERMS = (
    "Every hidden unit is a player that takes part in the network with a share between 0 and 1 and pays a price for "
    "it; units that do not take part are removed. In an equilibrium no unit gains by changing its share alone; the "
    "residual is the largest distance of a share from its best response, 0 in an equilibrium. The corrected rule "
    "trains weights and shares together, at the price at which as many units stay as the budget allows. Its controls "
    "keep as many units: from scratch trains the small network from the first step; magnitude, Taylor and random "
    "remove units of a trained network by the size of their weights, by the first-order change of the loss, or at "
    "random. With matched layer widths a control keeps as many units of each layer as the equilibrium. A 95 % "
    "interval that includes 0 supports no claim."
)
READING = (
    "How to read this: every method had the same number of epochs: the corrected rule and the networks from scratch "
    "all of them; magnitude, Taylor and random half for the whole network and half for what was kept of it. They "
    "keep as many units as the rule did with the same seed, and share them out over the layers as their own order "
    "says, down to one in a layer: multiply-adds differ, and a gap may be due to that alone. Random pruning that is "
    "trained on is a control that is hard to beat. No run looks at the test rows while it trains. An equilibrium "
    "says that no unit gains by leaving alone; it does not say that no other set of units is better."
)


def pruning_page(results: xr.Dataset, settings: PruningSettings) -> Page:
    """Return what a pruning study says, with its figures and tables."""
    rng = np.random.default_rng([settings.first_seed, 1])
    differences = analysis.difference_table(results, rng=rng)
    return Page(
        title=f"Pruning as a game on {settings.data.replace('_', '-')}: which units stay",
        subtitle=_subtitle(results, settings),
        terms=TERMS,
        verdicts=pruning_verdicts(results, differences, rng=rng),
        reading=READING,
        notes=_notes(results, settings),
        figures=_figures(results, differences),
        tables=_tables(results, differences),
    )


def _subtitle(results: xr.Dataset, settings: PruningSettings) -> str:
    layers = "-".join(map(str, settings.hidden))
    return (
        f"{settings.architecture.upper()} with {layers} units, {results.sizes['seed']} seeds; the corrected rule at "
        f"{results.sizes['unit_budget']} sizes with {len(CONTROLS)} controls of {settings.epochs} epochs each; the "
        f"paper's four configurations over {settings.paper_epochs} epochs; the game of the network trained plainly."
    )


def _notes(results: xr.Dataset, settings: PruningSettings) -> list[str]:
    notes = [
        "Seconds were measured while other processes may have been running.",
        f"What units are worth and games are measured on the first {settings.game_rows:,} training rows.",
    ]
    if settings.congestion:
        notes.append(
            f"A unit pays the price times (x_l / x)^{settings.congestion:g}, where x_l is the share of its layer's "
            "units that take part and x that of all units."
        )
    if settings.weight_decay:
        notes.append(
            f"Weights decay by {settings.weight_decay:g} in every training but the paper's: the corrected rule, its "
            "controls, the game."
        )
    if analysis.published(results):
        notes.append(
            "The paper names neither its optimizer nor its rate for the weights; the rerun takes Adam at "
            f"{settings.paper_learning_rate:g}."
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
            "Test accuracy against the multiply-adds of one image, which is what a smaller network saves.",
        ),
        (
            "differences",
            plots.plot_differences(differences),
            "Accuracy of the equilibrium minus that of each control, paired by seed, with a 95 % t interval: above 0 "
            "the equilibrium is better, and an interval that includes 0 supports no claim. Linear within one point.",
        ),
        (
            "paper",
            plots.plot_paper(results),
            "The paper's configurations, epoch by epoch: medians over seeds, bands from minimum to maximum. The dotted "
            "line is where the paper stops.",
        ),
        (
            "predictions",
            plots.plot_predictions(results),
            "Predicted against real rise of the loss of the plainly trained network when random units are removed, "
            "on the rows of the game: by the second-order game, with what single units are exactly worth and the "
            "same interactions, by second-order values added up, and by gradients. On the line a prediction is exact; "
            "the darker a dot, the more units are removed. Axes are linear near zero.",
        ),
    ]
    return [DrawnFigure(*parts) for parts in drawn]


def _tables(results: xr.Dataset, differences: pd.DataFrame) -> list[ShownTable]:
    return [
        ShownTable(
            name="methods",
            title="Accuracy at every size",
            caption="Medians over seeds; accuracy in %, with minimum and maximum over seeds. 'layers' is the median "
            "number of units kept of each layer. 'dense' is the whole "
            "network trained without a price, with every unit.",
            frame=analysis.method_table(results),
        ),
        ShownTable(
            name="differences",
            title="Equilibrium minus opponent",
            caption="Percentage points of accuracy, paired by seed, with a 95 % t interval; 'p' is the sign-flip "
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
            caption="'price' is what cleared, in units of the loss. 'minimum_worth' is the smallest exact worth of a "
            "unit (the rise of the loss without it) over what it pays: from 1 on no unit gains by leaving. "
            "'residual' (maximum over seeds) is that of the certificate, which asks for partial shares too.",
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
            "seeds, minimum, maximum; on test rows; and predicted over real (median). 'share removed' only counts.",
            frame=game_findings.prediction_table(results),
        ),
    ]


PRUNING = Study(
    name="pruning",
    settings=PruningSettings,
    parts={"sizes": measure_sizes, "paper": measure_paper, "game": measure_game},
    page=pruning_page,
    check=check_data,
)
