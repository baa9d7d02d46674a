"""The page of the NEUROGAME study, and the study itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.coalition_filter import analysis, plots
from neurogames.lab.studies.coalition_filter.measure import check_data, measure_neurogame
from neurogames.lab.studies.coalition_filter.settings import NeurogameSettings
from neurogames.lab.studies.coalition_filter.verdicts import neurogame_verdicts
from neurogames.lab.studies.page import DrawnFigure, Page, ShownTable
from neurogames.lab.studies.study import Study

TERMS = (
    "A coalition filter is a gate behind a convolution: it lets a unit through if the unit is a strong member of the "
    "window around it, by an energy and by Shapley values (what a unit adds, averaged over all orders of joining); top "
    "is the share of the windows that win. The controls have no gate, or a mask that lets as many units through, at "
    "random or those of largest magnitude. A 95 % interval that includes 0 supports no claim."
)
READING = (
    "How to read this: energy, payoff and threshold are not published in full; what is tested is a completion (Ising "
    "energy of the signs against the median, closed-form Shapley values, threshold g times their first quartile). "
    "The filter in question and its density were named before the runs, and the masks keep as many units of each map "
    "as it would. On a plain background the windows tie, and the first row by row win; a filter then lets many zeros "
    "through, and a magnitude mask of the same density may let everything pass that is not 0: compare the units that "
    "are active. Random masks are drawn anew at every pass, in testing too. All networks had the same rate, epochs "
    "and order of rows, and nothing was chosen by the test rows; a rate tuned for each of them might order them "
    "otherwise. Grad-CAM is no ground truth: it is the other opinion. Shapley values here are those of an energy, "
    "which knows of no class."
)


def neurogame_page(results: xr.Dataset, settings: NeurogameSettings) -> Page:
    """Return what a NEUROGAME study says, with its figures and tables."""
    rng = np.random.default_rng([settings.first_seed, 2])
    differences = analysis.difference_table(results, rng=rng)
    maps = analysis.map_differences(results, rng=rng)
    return Page(
        title=f"NEUROGAME on {settings.data.replace('_', '-')}: do strong coalitions help?",
        subtitle=_subtitle(results, settings),
        terms=TERMS,
        verdicts=neurogame_verdicts(results, differences, maps),
        reading=READING,
        notes=["Seconds were measured while other processes may have been running."],
        figures=_figures(results, settings),
        tables=_tables(results, differences, maps),
    )


def _subtitle(results: xr.Dataset, settings: NeurogameSettings) -> str:
    filters = settings.filters
    return (
        f"The network with three convolution filters and {len(filters)} coalition filters, the same trunk "
        "(convolution and classifier) without a gate, with a random and a magnitude mask of the density of "
        f"'{filters[0]}', and an MLP of as many parameters; {results.sizes['seed']} seeds, {results.sizes['epoch']} "
        "epochs."
    )


def _figures(results: xr.Dataset, settings: NeurogameSettings) -> list[DrawnFigure]:
    name = settings.filters[0]
    drawn = [
        (
            "accuracy",
            plots.plot_accuracy(results),
            "Test accuracy of every arm (one kind of network), and how many units are active. Dots are seeds; "
            "squares and diamonds means with their 95 % t interval. Right: units that are not 0 behind the gate, and "
            "(bars) those let through.",
        ),
        (
            "losses",
            plots.plot_losses(results),
            f"Loss over epochs of '{name}' and its controls: medians over seeds, bands from minimum to maximum. "
            "Filters are tested with the last level of their threshold, also while it is still rising in training.",
        ),
        (
            "examples",
            plots.plot_examples(results),
            f"The first test rows through '{name}' (first seed). Energy, Shapley values and the number of strong units "
            "are sums over the three convolution filters; the windows of smallest energy win. The white line is the "
            "outline of the image.",
        ),
        (
            "maps",
            plots.plot_curves(results),
            f"Do maps say what matters? Means over seeds and {settings.explained} test rows of '{name}', bands from "
            "minimum to maximum over seeds; pixels not shown have the value of the background. Right: Spearman "
            "correlation over pixels, a mark per seed.",
        ),
    ]
    return [DrawnFigure(*parts) for parts in drawn]


def _tables(results: xr.Dataset, differences: pd.DataFrame, maps: pd.DataFrame) -> list[ShownTable]:
    return [
        ShownTable(
            name="arms",
            title="Every arm",
            caption="Means over seeds after the last epoch; accuracy in % with a 95 % t interval; 'minimum_test_loss' "
            "is that over epochs, which only the test rows could have found; 'passed' and 'active' in % of units.",
            frame=analysis.arm_table(results),
        ),
        ShownTable(
            name="differences",
            title="Filter minus opponent",
            caption="Paired by seed, with a 95 % t interval; accuracy in percentage points. 'p' is the sign-flip "
            "test. No correction is made for the number of rows.",
            frame=differences,
        ),
        ShownTable(
            name="maps",
            title="Maps",
            caption="Means over seeds: rank correlation with Grad-CAM over the 'images' where neither map is "
            "constant, and areas under the deletion curve (small is "
            "good) and the insertion curve (large is good).",
            frame=analysis.map_table(results),
        ),
        ShownTable(
            name="map-differences",
            title="Shapley map minus other map",
            caption="Paired by seed, as above.",
            frame=maps,
            unfolded=False,
        ),
    ]


NEUROGAME = Study(
    name="neurogame",
    settings=NeurogameSettings,
    parts={"training": measure_neurogame},
    page=neurogame_page,
    check=check_data,
)
