"""The page of a comparison, and the study that it belongs to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.data.tables import short_name
from neurogames.lab.studies.comparison import analysis, leading_plots, plots
from neurogames.lab.studies.comparison.course import course_finding, course_table
from neurogames.lab.studies.comparison.differences import (
    BEYOND,
    BY_LAW,
    WHOLE,
    effects,
    first_noise,
    predicted_and_measured,
)
from neurogames.lab.studies.comparison.equal_error import MAIN_METRIC
from neurogames.lab.studies.comparison.measure import (
    TABLE_FACTS,
    check_data,
    measure_prediction,
    measure_repetition,
    measure_simulation,
)
from neurogames.lab.studies.comparison.sensitivity import (
    sensitivity_sentence,
    sensitivity_table,
)
from neurogames.lab.studies.comparison.settings import ComparisonSettings
from neurogames.lab.studies.comparison.shown_tables import comparison_tables
from neurogames.lab.studies.comparison.verdicts import answer, comparison_verdicts, composition_text, p_text, percent
from neurogames.lab.studies.page import DrawnFigure, Finding, Page
from neurogames.lab.studies.study import Study
from neurogames.lab.studies.tables import rows_by

TERMS = (
    "A curve is the error against input noise, and its area the mean distance from the clean error, which is the error "
    "without noise: the smaller, the flatter. A unit composes if it serves many groups of samples, a player of the "
    "simulated game if it joins what others do; composition is the share of those that do. A masked player, one "
    "without feedback, keeps its action (hold) or tosses a coin (blind); players revise one at a time or all at once."
)
READING = (
    "Intervals and p-values of differences are both Student's t, over repetitions (split, initial weights and draws) "
    "of the same tables, so that the 95 % interval excludes 0 exactly where p < .05; they say nothing about other "
    "tables, and are not corrected for their number. Older controls train plainly with as little work as gradient "
    "dropout leaves: reduced epochs (epochs × keep) and reduced learning rate (learning rate × keep). They slow the "
    "output layer too, which gradient dropout does not, and under Adam they slow down too much. Correlations are over "
    "settings (dataset, keep probability), never over runs, with bootstrap intervals and permutation p-values; "
    "settings with neighbouring keep probabilities are less independent than these assume, and an association is no "
    "mechanism."
)


def comparison_page(results: xr.Dataset, settings: ComparisonSettings) -> Page:
    """Return what a comparison says, with its figures and tables."""
    rng = np.random.default_rng([settings.first_seed, 1])
    parts, compared = effects(results), predicted_and_measured(results)
    controls = analysis.against_controls(results)
    correlated, varied = analysis.correlations(results, rng=rng), sensitivity_table(results)
    courses = course_table(results)
    return Page(
        title=f"What does gradient dropout do to a network trained on {', '.join(map(short_name, settings.data))}?",
        subtitle=_subtitle(results, settings),
        lead=_lead(results, compared),
        answer=answer(parts),
        findings=[course_finding(results, courses), *_findings(results, parts, compared), _simulation_finding(varied)],
        terms=TERMS,
        verdicts=comparison_verdicts(parts, controls, correlated),
        reading=READING,
        notes=_notes(results),
        figures=_figures(results, correlated),
        tables=comparison_tables(results, parts, compared, courses, controls, correlated, varied),
    )


def _subtitle(results: xr.Dataset, settings: ComparisonSettings) -> str:
    layers = " and ".join(str(units) for units in settings.hidden)
    return (
        f"{'; '.join(_about(results, str(name)) for name in results['dataset'].values)}. Networks have {layers} hidden "
        f"units, {results.sizes['seed']} repetitions. Gradient dropout lets each hidden unit learn in a step only "
        "with the keep probability; at 1 it is plain training."
    )


def _about(results: xr.Dataset, dataset: str) -> str:
    """Part of a sentence about a table: rows, features, split, missing values and encoded columns."""
    name, facts = short_name(dataset), results.sel(dataset=dataset).isel(seed=0)
    rows, train, features, texts, inputs, missing = (int(facts[f"table_{fact}"]) for fact in TABLE_FACTS)
    gaps = f"{missing} missing values filled in" if missing else "no missing values"
    coded = f"{texts} text columns encoded ({inputs} inputs)" if texts else "no encoded columns"
    return f"{name}: {rows:,} rows, {train:,} for training, {features} features, {gaps}, {coded}"


def _lead(results: xr.Dataset, compared: pd.DataFrame) -> DrawnFigure:
    inside, count = int(first_noise(compared)["inside"].sum()), len(first_noise(compared))
    return DrawnFigure(
        "prediction",
        leading_plots.plot_prediction(results, compared),
        "Prediction and training on one axis. Input noise raises the error; the mean rise over the noise levels is the "
        "area of the robustness curve; the smaller it is, the flatter the curve. Blue: the law, plain training in "
        "which each hidden layer gets the mean of what the mask would let through. It was trained and stored before "
        f"any network with a mask; its 90 % band is for the noise of the mask, and holds {inside} of {count} points. "
        "Orange: gradient dropout, with 95 % t intervals over repetitions. Grey: older controls (epochs × keep, "
        "learning rate × keep).",
    )


def _findings(results: xr.Dataset, parts: pd.DataFrame, compared: pd.DataFrame) -> list[Finding]:
    rows = rows_by(first_noise(parts), "part")
    whole, law, beyond = (rows[name] for name in (WHOLE, BY_LAW, BEYOND))
    return [
        Finding(
            "How much is the law, how much the mask's noise?",
            f"law {percent(law)}; beyond the law {percent(beyond)}",
            f"The whole effect on the area is {percent(whole)}, in percent of plain training's, mean over keep "
            f"probabilities below 1 and {int(whole['n'])} repetitions. The law is the mean of the mask: it slows "
            f"hidden layers down. The rest is the noise of the mask ({p_text(beyond)}, t test). The paper says "
            "that noisy feedback anneals; its claim needs the second number below 0.",
            DrawnFigure(
                "beyond",
                leading_plots.plot_beyond(compared),
                "Measured minus predicted, by keep probability, with 95 % t intervals; 0 is the law.",
            ),
        ),
        Finding(
            "Do more units compose?",
            composition_text(results),
            "A unit composes if taking it out raises the error of many groups of rows rather than of few. The number "
            "is the share of composing units at the end of training, gradient dropout minus law (95 % t interval, "
            "mean over keep probabilities below 1). The paper's claim needs it above 0.",
            DrawnFigure(
                "predicted-composition",
                leading_plots.plot_predicted_composition(results),
                "Share of composing units, predicted by the law and measured, by keep probability.",
            ),
        ),
    ]


def _simulation_finding(varied: pd.DataFrame) -> Finding:
    rows = varied[varied["with"] == "robustness"].set_index("simulated")
    ends = [f"{play}: {row['as set']:+.2f}" for play, row in rows.iterrows()]
    return Finding(
        "Does the simulated game go with robustness?",
        "; ".join(ends),
        "Players of a public goods game compose (join what others do, at a cost) or not; a player without feedback "
        "keeps its action (hold) or tosses a coin (blind), and players revise one at a time or all at once. The number "
        "is Spearman's correlation of the simulated share that composes with robustness, minus the area, over settings "
        f"(dataset, keep probability). The paper's claim needs it above 0. {sensitivity_sentence(varied)}",
        DrawnFigure(
            "sensitivity",
            leading_plots.plot_sensitivity(varied),
            "Grey: one parameter of the game changed, cost c, yield kappa, temperature or number of players N.",
        ),
    )


def _notes(results: xr.Dataset) -> list[str]:
    notes = []
    # At keep 1 the ways of training are one network.
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
            "Where gradient dropout lies on the law, slower hidden layers explain the flatness.",
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


COMPARISON = Study(
    name="comparison",
    settings=ComparisonSettings,
    # In this order: the prediction is stored before any network with a mask is trained.
    parts={"prediction": measure_prediction, "training": measure_repetition},
    once={"simulation": measure_simulation},
    page=comparison_page,
    check=check_data,
)
