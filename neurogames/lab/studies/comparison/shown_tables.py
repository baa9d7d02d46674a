"""The tables of the page of a comparison, each with what its columns mean."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from neurogames.lab.studies.comparison import analysis
from neurogames.lab.studies.comparison.coverage import coverage_table
from neurogames.lab.studies.comparison.sensitivity import sensitivity_sentence
from neurogames.lab.studies.page import ShownTable


def comparison_tables(
    results: xr.Dataset,
    parts: pd.DataFrame,
    compared: pd.DataFrame,
    courses: pd.DataFrame,
    controls: pd.DataFrame,
    correlated: pd.DataFrame,
    varied: pd.DataFrame,
) -> list[ShownTable]:
    """Return the tables of a comparison, in the order of the page."""
    return [
        ShownTable(
            name="effects",
            title="The effect on robustness: law and noise of the mask",
            caption="Differences of areas in units of plain training's, mean over keep probabilities below 1; whole = "
            "by the law + beyond the law. Low and high: 95 % t interval over repetitions; p: t test. Negative is "
            "flatter; the paper's claim needs 'beyond the law' below 0.",
            frame=parts,
        ),
        ShownTable(
            name="prediction",
            title="Prediction and training at every keep probability",
            caption="Change of area against plain training, in units of plain's area. The band is the 90 % band of the "
            "prediction for the mean over repetitions; low and high are 95 % t intervals, p the t test.",
            frame=compared,
            unfolded=False,
        ),
        ShownTable(
            name="course",
            title="The course of composition where a shortcut is planted",
            caption="Difference of the shares of units that compose, gradient dropout minus opponent at one keep "
            "probability, mean over the times of training, with 95 % t interval and t test over repetitions. "
            "'largest': the largest distance of the means at one time.",
            frame=courses,
            unfolded=False,
        ),
        ShownTable(
            name="coverage",
            title="How often the bands of the prediction hold the training",
            caption="A band of level .9 is to hold 90 %. 'means inside': of settings (dataset, keep probability), by "
            "their mean over repetitions; 'networks inside': of single networks, where there are repetitions enough "
            "for such a band (19 for .9).",
            frame=coverage_table(results),
            unfolded=False,
        ),
        ShownTable(
            name="controls",
            title="Gradient dropout against its controls",
            caption="Difference of areas, gradient dropout minus opponent, in units of plain backpropagation's "
            "area, averaged over keep probabilities below 1; negative is flatter, as the paper says it is. Low "
            "and high: 95 % t interval; p: t test; 'matched': the share of comparisons for which an opponent exists.",
            frame=controls,
        ),
        ShownTable(
            name="baselines",
            title="Baselines",
            caption="Medians over seeds. A network that does not beat these has learnt little.",
            frame=analysis.baseline_table(results),
        ),
        ShownTable(
            name="correlations",
            title="Correlations of simulation with measurement",
            caption="Unit: setting (dataset, keep probability). p-values are of permutations and are not corrected "
            f"for the {len(correlated)} rows. 'distinct': how many different predictions the n settings hold; 'least' "
            "and 'greatest': Spearman's when one parameter of the game is changed, see the next table.",
            frame=correlated,
            unfolded=False,
        ),
        ShownTable(
            name="sensitivity",
            title="How these correlations depend on the parameters of the game",
            caption="Spearman's correlation of the simulated share that composes with keep probability, robustness and "
            "measured composition of gradient dropout, with one parameter of the game changed at a time: cost c, yield "
            "kappa, temperature, number of players N. " + sensitivity_sentence(varied),
            frame=varied,
        ),
        ShownTable(
            name="settings",
            title="Every setting",
            caption="Medians over seeds of clean test metrics, area from the clean value, slope of the curve, and "
            "composition at the end of training.",
            frame=analysis.settings_table(results),
            unfolded=False,
        ),
    ]
