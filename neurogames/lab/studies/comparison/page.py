"""The page of a comparison, and the study that it belongs to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.comparison import analysis, plots
from neurogames.lab.studies.comparison.equal_error import MAIN_METRIC
from neurogames.lab.studies.comparison.measure import check_data, measure_repetition, measure_simulation
from neurogames.lab.studies.comparison.settings import ComparisonSettings
from neurogames.lab.studies.comparison.verdicts import comparison_verdicts
from neurogames.lab.studies.page import DrawnFigure, Page, ShownTable
from neurogames.lab.studies.study import Study

TERMS = (
    "Gradient dropout lets each unit learn from a sample only with the keep probability; at keep 1 it is plain "
    "backpropagation. A curve is the error against input noise, and its area the mean distance from the clean error, "
    "which is the error without noise: the smaller, the flatter. A unit composes if it serves many groups of "
    "samples, a player of the simulated game if it joins what others do; composition is the share of those that do. "
    "A masked player, one without feedback, keeps its action (hold) or tosses a coin (blind); players revise one at "
    "a time or all at once. A 95 % interval that includes 0 supports no claim."
)
READING = (
    "How to read this: a claim about gradient dropout stands only if plain training with the same amount of work "
    "(epochs or learning rate reduced to the keep probability) does not show the same, and at equal clean error. "
    "Intervals of differences are over "
    "repetitions on the same tables, and say nothing about other tables. Correlations are over settings (dataset, "
    "keep probability), never over runs; settings with neighbouring keep probabilities are less independent than "
    "intervals and p-values assume, and an association is no mechanism."
)


def comparison_page(results: xr.Dataset, settings: ComparisonSettings) -> Page:
    """Return what a comparison says, with its figures and tables."""
    rng = np.random.default_rng([settings.first_seed, 1])
    controls = analysis.against_controls(results, rng=rng)
    correlated = analysis.correlations(results, rng=rng)
    return Page(
        title=f"Gradient dropout on {', '.join(settings.data)}: simulation against training",
        subtitle=_subtitle(results, settings),
        terms=TERMS,
        verdicts=comparison_verdicts(controls, correlated),
        reading=READING,
        notes=_notes(results),
        figures=_figures(results, correlated),
        tables=_tables(results, controls, correlated),
    )


def _subtitle(results: xr.Dataset, settings: ComparisonSettings) -> str:
    networks = int(np.prod([results.sizes[d] for d in ("dataset", "seed", "target_noise")]))
    networks *= 3 * results.sizes["keep_prob"] - 2
    layers = "-".join(str(units) for units in settings.hidden)
    return (
        f"{results.attrs['task']}; {networks:,} networks with hidden layers {layers}: "
        f"{results.sizes['keep_prob']} keep probabilities, {results.sizes['target_noise']} target noises, "
        f"{results.sizes['seed']} seeds, two equal-work controls; beside them a public goods game of "
        f"{settings.n_players} players."
    )


def _notes(results: xr.Dataset) -> list[str]:
    notes = []
    # At keep 1 the three ways of training are one network.
    networks = np.append(results["diverged"].isel(keep_prob=slice(None, -1)), results["diverged"][..., 0, -1])
    if networks.any():
        notes.append(
            f"{networks.sum()} of {networks.size} networks diverged; their values are missing and medians leave "
            "them out."
        )
    if results.attrs["task"] == "classification":
        notes.append("Target noise is defined for regression only, so classification is trained without it.")
    return notes


def _figures(results: xr.Dataset, correlated: pd.DataFrame) -> list[DrawnFigure]:
    main = MAIN_METRIC[results.attrs["task"]]
    noise = str(results["target_noise"].values[0])
    first = correlated[correlated["target noise"] == noise]
    drawn = [
        (
            "simulation",
            plots.plot_simulation(results),
            "What the game predicts. Composing costs a player something, and pays if enough others compose too. "
            "Left: mean share of players that compose at the end, starting from none; lines are the exact law, "
            "markers agents with two standard errors. Right: exact expected time to the tipping point, the number of "
            "composers from which on composing pays. The three meanings of a masked player disagree, so each is kept "
            "apart.",
        ),
        (
            "curves",
            plots.plot_curves(results, main),
            f"What training did. Median over seeds of the {plots.LABELS[main]} on test rows with Gaussian input "
            f"noise, scaled per feature (target noise: {noise}). The constant predictor is as flat as can be.",
        ),
        (
            "area",
            plots.plot_area(results, main),
            "Area between curve and clean value; smaller is flatter. Lines are medians, bands the range over seeds. "
            "Where the lines lie together, less work explains the flatness.",
        ),
        (
            "equal-error",
            plots.plot_equal_error(results, main),
            "The same at equal clean error: each path runs from keep 1, where all are one network, to the smallest. "
            "A way of training helps only if its path lies below the others at the same place on the horizontal axis. "
            "Points are medians over seeds; the verdict compares network by network, where an opponent exists. "
            "The baselines, in the table below, lie outside.",
        ),
        (
            "composition",
            plots.plot_composition(results),
            "Composition measured inside the networks: share of hidden units whose removal hurts many groups of rows "
            "rather than few. Left over training, right at its end (bands: range over seeds) with the simulated law.",
        ),
        (
            "correlations",
            plots.plot_correlations(first),
            f"Spearman correlation of simulated composition with what was measured, with its bootstrap interval over "
            f"settings (target noise: {noise}). If the controls correlate as well, the game explains nothing that "
            "the amount of work does not.",
        ),
    ]
    return [DrawnFigure(*parts) for parts in drawn]


def _tables(results: xr.Dataset, controls: pd.DataFrame, correlated: pd.DataFrame) -> list[ShownTable]:
    return [
        ShownTable(
            name="controls",
            title="Gradient dropout against its controls",
            caption="Difference of areas, gradient dropout minus opponent, in units of plain backpropagation's "
            "area, averaged over keep probabilities below 1; negative is flatter. 'matched' is the share of "
            "comparisons for which an opponent exists.",
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
            f"for the {len(correlated)} rows.",
            frame=correlated,
            unfolded=False,
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


COMPARISON = Study(
    name="comparison",
    settings=ComparisonSettings,
    parts={"training": measure_repetition},
    once={"simulation": measure_simulation},
    page=comparison_page,
    check=check_data,
)
