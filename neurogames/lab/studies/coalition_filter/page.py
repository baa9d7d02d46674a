"""The report of the NEUROGAME study: one page that can be read offline, made from ``results.nc`` alone."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.coalition_filter import analysis, plots
from neurogames.lab.studies.coalition_filter.verdicts import neurogame_verdicts
from neurogames.lab.studies.page import DrawnFigure, Page, ShownTable
from neurogames.lab.studies.study import Findings, publish, study_results

READING = (
    "How to read this: an interval that contains zero claims nothing. Energy, payoff and threshold are not published "
    "in full; what is tested is a completion (Ising energy of the signs against the median, closed-form Shapley "
    "values, threshold g times their first quartile). The filter in question and its density were named before the "
    "runs, and the masks keep as many units of each map as it would. On a plain background the windows tie, and the "
    "first row by row win; a filter then lets many zeros through, and a magnitude mask of the same density may let "
    "everything pass that is not 0: compare the units that are active. Random masks are drawn anew at every pass, in "
    "testing too. All networks had the same rate, epochs and order of rows, and nothing was chosen by the test rows; "
    "a rate tuned for each of them might order them otherwise. Grad-CAM is no ground truth: it is the other opinion. "
    "Shapley values here are those of an energy, which knows of no class."
)


def write_neurogame_page(folder: str | Path) -> Findings:
    """Write ``report.html``, the figures (PNG, SVG) and the tables (CSV) beside the results of a NEUROGAME study.

    Args:
        folder: a folder in which a NEUROGAME study has left its ``results.nc``.

    Returns:
        The path of the page and what it says.

    Raises:
        ValueError: there is no ``results.nc``, or it is none of a NEUROGAME study.
    """
    folder = Path(folder).resolve()
    results = study_results(folder, "neurogame")
    settings = results.attrs["settings"]
    rng = np.random.default_rng([settings["first_seed"], 2])
    differences = analysis.difference_table(results, rng=rng)
    maps = analysis.map_differences(results, rng=rng)
    page = Page(
        title=f"NEUROGAME on {settings['data'].replace('_', '-')}: do strong coalitions help?",
        subtitle=_subtitle(results),
        verdicts=neurogame_verdicts(results, differences, maps),
        reading=READING,
        notes=["Seconds were measured while other processes may have been running."],
        figures=_figures(results),
        tables=_tables(results, differences, maps),
        rerun=shlex.join(
            ["neurogames", "study", "neurogame", "--settings-from", folder.name, "--out", f"{folder.name}-again"]
        ),
        settings=settings,
        versions=results.attrs["versions"],
    )
    return publish(page, folder)


def _subtitle(results: xr.Dataset) -> str:
    filters = analysis.filters_of(results)
    return (
        f"The network with three convolution filters and {len(filters)} coalition filters, the same trunk without a "
        f"gate, with a random and a magnitude mask of the density of '{filters[0]}', and an MLP of as many parameters; "
        f"{results.sizes['seed']} seeds, {results.sizes['epoch']} epochs."
    )


def _figures(results: xr.Dataset) -> list[DrawnFigure]:
    name = analysis.filters_of(results)[0]
    explained = results.attrs["settings"]["explained"]
    drawn = [
        (
            "accuracy",
            plots.plot_accuracy(results),
            "Test accuracy of every arm, and how many units speak. Dots are seeds; squares and diamonds means with "
            "their 95 % t interval. Right: units that are not 0 behind the gate, and (bars) those let through.",
        ),
        (
            "losses",
            plots.plot_losses(results),
            f"Loss over epochs of '{name}' and its controls: medians over seeds, bands from least to greatest. Filters "
            "are tested with the last level of their threshold, also while it is still rising in training.",
        ),
        (
            "examples",
            plots.plot_examples(results),
            f"The first test rows through '{name}' (first seed). Energy, Shapley values and the number of strong units "
            "are sums over the three convolution filters; the windows of least energy win. The white line is the "
            "picture's outline.",
        ),
        (
            "maps",
            plots.plot_curves(results),
            f"Do maps say what matters? Means over seeds and {explained} test rows of '{name}', bands from least to "
            "greatest seed; pixels not shown have the value of the background. Right: Spearman correlation over "
            "pixels, a mark per seed.",
        ),
    ]
    return [DrawnFigure(*parts) for parts in drawn]


def _tables(results: xr.Dataset, differences: pd.DataFrame, maps: pd.DataFrame) -> list[ShownTable]:
    return [
        ShownTable(
            name="arms",
            title="Every arm",
            caption="Means over seeds after the last epoch; accuracy in % with a 95 % t interval; 'least_test_loss' is "
            "the least over epochs, which only the test rows could have found; 'passed' and 'active' in % of units.",
            frame=analysis.arm_table(results),
        ),
        ShownTable(
            name="differences",
            title="Filter minus opponent",
            caption="Paired by seed, with a t interval of 95 %; accuracy in percentage points. 'p' is the sign-flip "
            "test. No correction is made for the number of rows.",
            frame=differences,
        ),
        ShownTable(
            name="maps",
            title="Maps",
            caption="Means over seeds: rank correlation with Grad-CAM over the 'pictures' where neither map is "
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
