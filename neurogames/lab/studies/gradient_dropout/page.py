"""The page of the study of gradient dropout, and the study itself."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from neurogames.lab.data.tables import short_name
from neurogames.lab.studies.gradient_dropout import plots
from neurogames.lab.studies.gradient_dropout.analysis import pooled_table, search_table
from neurogames.lab.studies.gradient_dropout.course import DROPOUT
from neurogames.lab.studies.gradient_dropout.course_figure import fitted_stretch, law_factor, plot_course
from neurogames.lab.studies.gradient_dropout.law_tables import course_table, distance_table, layer_table
from neurogames.lab.studies.gradient_dropout.measure import measure_law, measure_masks, measure_prediction
from neurogames.lab.studies.gradient_dropout.repetition import check_data
from neurogames.lab.studies.gradient_dropout.settings import GradientDropoutSettings
from neurogames.lab.studies.gradient_dropout.verdicts import (
    answer,
    composing_sentence,
    course_sentence,
    distance_sentence,
    gaussian_sentence,
    layer_sentence,
    study_verdicts,
)
from neurogames.lab.studies.page import DrawnFigure, Finding, Page, ShownTable
from neurogames.lab.studies.study import Study

TERMS = (
    "A shortcut is a planted part of the inputs that agrees with the target in training; it is broken by exchanging it "
    "between test rows. A network that answers from it takes the detour. A unit composes if the error with the "
    "shortcut broken rises when the unit is held at its mean. The law is plain training with the mean of the mask. A "
    "cell is one combination of data, strength of the shortcut, optimizer with rate, batch size and keep probability."
)
READING = (
    "What is compared and what counts was registered before the search was run: in a cell, gradient dropout anneals if "
    "its error with the shortcut broken is below the law's (paired by seed, t test, p corrected over all cells by "
    "Holm's method, below .05), and also below that of the law at equal training loss (95 % t interval excludes 0). "
    "Errors are mean squared errors in variances of the training target, or shares of wrong classes. Seeds share a "
    "table, so an interval speaks of training anew on these data. "
    "A difference that cannot be claimed is not shown to be 0. Under Adam the law is no exact mean: its second moment "
    "is estimated by two draws of coins in each step, so that a small difference can be that estimate's."
)


def gradient_dropout_page(results: xr.Dataset, settings: GradientDropoutSettings) -> Page:
    """Return what the study says, with its figures and tables."""
    cells, pooled = search_table(results), pooled_table(results)
    distances, layers = distance_table(results), layer_table(results, settings)
    courses = course_table(results, settings)
    drawn = DrawnFigure(
        "search",
        plots.plot_search(cells),
        "Every cell of the search, by optimizer with rate, and batch size: left of 0 gradient dropout has the lower "
        "error where the shortcut is broken, right of 0 its law has. Filled marks have a corrected p < .05. In each "
        "row the upper marks are of the larger keep probability. "
        "Differences below .02 are drawn in proportion, larger ones by their logarithm.",
    )
    return Page(
        title="Gradient dropout: does the noise of the mask let units leave a detour?",
        subtitle=_subtitle(results, settings),
        lead=drawn,
        answer=answer(cells),
        findings=_findings(results, settings, cells, distances, layers, courses),
        terms=TERMS,
        verdicts=study_verdicts(cells, pooled, distances, layers, courses),
        reading=READING,
        notes=_notes(results),
        figures=[],
        tables=_tables(cells, pooled, distances, layers, courses),
    )


def _subtitle(results: xr.Dataset, settings: GradientDropoutSettings) -> str:
    names = ", ".join(map(short_name, settings.data))
    layers = " and ".join(str(units) for units in settings.hidden)
    return (
        f"A shortcut is planted in {names}, and broken in testing. Networks of {layers} hidden units are trained with "
        "gradient dropout, which lets a unit learn in a step only with the keep probability, and with its law, plain "
        f"training slowed as the mask slows it on average. {results.sizes['seed']} seeds, {settings.epochs} epochs."
    )


def _findings(
    results: xr.Dataset,
    settings: GradientDropoutSettings,
    cells: pd.DataFrame,
    distances: pd.DataFrame,
    layers: pd.DataFrame,
    courses: pd.DataFrame,
) -> list[Finding]:
    first, strength = settings.data[0], settings.strengths[0]
    chosen = results.sel(dataset=first, strength=strength)
    stretch = fitted_stretch(chosen, DROPOUT)
    factor = law_factor(settings.course_keep, "adam")
    found = [
        Finding(
            "Does the law predict when units compose?",
            f"time × {stretch.factor:.2f} ({stretch.low:.2f} to {stretch.high:.2f}); by the law {factor:.2f} for the "
            "last layer",
            f"{course_sentence(courses)} Units first learn what composes, then the detour takes them; with masks they "
            "do so later. The number is the factor that brings plain training's course closest to that with masks (95 "
            "% jackknife interval). By the law the layer below is slowed more, and the output layer not at all. The "
            "game's players who hold their action without feedback are slowed in the same way, but move one way only: "
            "its parameters are no measurement, and only the stretch of time is compared.",
            DrawnFigure(
                "course",
                plot_course(chosen, keep_prob=settings.course_keep, optimizer="adam"),
                f"{short_name(first)}, strength {strength:g}, keep {settings.course_keep:g}, Adam "
                f"{settings.adam_rates[0]:g}: predicted, and measured with 95 % t intervals. Below, the game.",
            ),
        ),
        Finding(
            "Do more units compose than under the law?",
            f"median {cells['composing'].median():+.3f} of the units, over {len(cells)} cells",
            f"{composing_sentence(cells)} The units are those of the last hidden layer at the end; one that never "
            "fires does not compose. Annealing would show on the upper left: a lower error, and more units that "
            "compose.",
            DrawnFigure(
                "composing",
                plots.plot_against(cells, "composing", "units that compose, dropout minus law"),
                "One point for each cell; means over seeds.",
            ),
        ),
        Finding(
            "Is it more than noise of this size?",
            f"median {cells['minus_gaussian'].median():+.4f} of the error",
            f"{gaussian_sentence(cells)} At 0 the mask does what any noise of this size does.",
            DrawnFigure(
                "gaussian",
                plots.plot_against(cells, "minus_gaussian", "dropout minus normal noise"),
                "One point for each cell; means over seeds.",
            ),
        ),
    ]
    if len(distances):
        slope = distances.loc[distances["optimizer"] == "sgd", "slope"].mean()
        law = Finding(
            "Does the law hold?",
            f"distance falls as rate to the power {slope:.2f} (SGD; a diffusion has 0.5)",
            f"{distance_sentence(distances)} {layer_sentence(layers)}",
            DrawnFigure(
                "distances",
                plots.plot_distances(results),
                "Root mean square distance of predictions of gradient dropout to those of its law, at equal time (rate "
                "times steps); a line for each table.",
            ),
        )
        found.insert(0, law)
    return found


def _notes(results: xr.Dataset) -> list[str]:
    ended = results["broken_dropout"].isel(fit_time=-1)
    lost = int(ended.isnull().sum())
    return [f"{lost} of {ended.size} networks with masks diverged, and are left out."] if lost else []


def _tables(
    cells: pd.DataFrame, pooled: pd.DataFrame, distances: pd.DataFrame, layers: pd.DataFrame, courses: pd.DataFrame
) -> list[ShownTable]:
    return [
        ShownTable(
            name="pooled",
            title="Averaged over tables and strengths",
            caption="Error with the shortcut broken, gradient dropout minus law, in each seed averaged over tables and "
            "strengths; 95 % t interval, t test, corrected over these rows (Holm). 'composing': difference of the "
            "shares of units that compose.",
            frame=pooled,
        ),
        ShownTable(
            name="cells",
            title="Every cell",
            caption="'plain', 'law': mean errors with the shortcut broken. 'difference': gradient dropout minus law, "
            "with its 95 % t interval; 'p holm' is corrected over all cells. 'at equal fit': minus the law at equal "
            "training loss. 'minus gaussian': minus normal noise of the mask's covariance.",
            frame=cells,
            unfolded=False,
        ),
        ShownTable(
            name="courses",
            title="The course of composition",
            caption="Share of units of the last hidden layer that compose, at shares of training; 'largest distance' "
            "to the mean course of gradient dropout; 'stretch': the factor of time against plain training.",
            frame=courses,
        ),
        ShownTable(
            name="distances",
            title="Distance to the law",
            caption="Root mean square distance of predictions on test rows to gradient dropout; 'slope': exponent of "
            "the learning rate, with its 95 % t interval over seeds.",
            frame=distances,
        ),
        ShownTable(
            name="layers",
            title="Rates of single layers under SGD",
            caption="In units of plain training's; 95 % t intervals over seeds.",
            frame=layers,
        ),
    ]


GRADIENT_DROPOUT = Study(
    name="gradient-dropout",
    settings=GradientDropoutSettings,
    # In this order: the prediction is stored before any network with a mask is trained.
    parts={"prediction": measure_prediction, "masks": measure_masks, "law": measure_law},
    page=gradient_dropout_page,
    check=check_data,
)
