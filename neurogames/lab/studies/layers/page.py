"""The study of layers as players, and its page."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames.lab.studies.layers import analysis, plots
from neurogames.lab.studies.layers.course import measure_course
from neurogames.lab.studies.layers.defence import measure_defence
from neurogames.lab.studies.layers.freezing import measure_freezing
from neurogames.lab.studies.layers.leading import answer, findings
from neurogames.lab.studies.layers.networks import check_data
from neurogames.lab.studies.layers.settings import LayersSettings
from neurogames.lab.studies.layers.steps import measure_steps
from neurogames.lab.studies.layers.tuning import measure_tuning
from neurogames.lab.studies.layers.verdicts import layers_verdicts
from neurogames.lab.studies.page import DrawnFigure, Page, ShownTable
from neurogames.lab.studies.study import Study

TERMS = (
    "Players are the layers of a network; all share its loss. The gain of a layer is by how much it can lower the loss "
    "alone, the others staying. The coordination gap is what all together were found to gain beyond that. A claim is "
    "supported where the 95 % t intervals of paired differences exclude 0 on the side that was registered, against "
    "every control named; the unit is the repetition."
)
READING = (
    "What counts as a success was written down before the run, in the modules that measure (tuning, freezing, steps, "
    "defence). Intervals speak of training anew on these data: repetitions share the test rows. Of all single layers "
    "and both rates the check rows choose the rate for each, so that no choice of layers is handicapped by one rate. "
    "Seconds are processor time in one process. In the course, gains are reached, and so lower bounds; the last "
    "layer's best deviation is known exactly, and may fit the rows it is found on. A mixture of networks draws "
    "one for each row."
)


def layers_page(results: xr.Dataset, settings: LayersSettings) -> Page:
    """Return what the study says, with its figures and tables."""
    rng = np.random.default_rng([settings.first_seed, 3])
    tuning, freezing = analysis.tuning_table(results, rng=rng), analysis.freezing_table(results)
    steps, defence = analysis.step_table(results, rng=rng), analysis.defence_table(results, rng=rng)
    tables = [
        ShownTable(
            "tuning",
            "Which layer to fine-tune",
            "Accuracy in %, mean over shifts, networks and repetitions; the differences are the layer with the largest "
            "gain on the adaptation rows ('gain'), and that with the largest gain on the check rows ('check gain'), "
            "minus each policy, in points.",
            tuning,
        ),
        ShownTable(
            "shifts",
            "Shift by shift",
            "Accuracy in %, mean over repetitions; 'chosen' is how often each layer had the largest gain.",
            analysis.shift_table(results),
            unfolded=False,
        ),
        ShownTable(
            "freezing",
            "Is a layer finished",
            "Accuracy in %; difference to no freezing in points; seconds as a ratio to no freezing, with the rule's "
            "own; 'rule' is the share of the seconds that the rule takes. Mean over networks.",
            freezing,
        ),
        ShownTable(
            "steps",
            "Largest steps, in turn over together",
            "Mean absolute error of the logarithm of the ratio; the difference is the curvature prediction's error "
            "minus the other's. 'points' is how many could be predicted.",
            steps,
        ),
        ShownTable(
            "points",
            "Checkpoint by checkpoint",
            "Medians over repetitions.",
            analysis.point_table(results),
            unfolded=False,
        ),
        ShownTable(
            "course",
            "The gap through training",
            "Medians over repetitions; the loss is that on the rows of the certificate.",
            analysis.course_table(results),
            unfolded=False,
        ),
        ShownTable(
            "defence",
            "Networks against perturbations",
            "Accuracy in % on perturbations that the game has not seen, on other rows: the worst of them and the mean; "
            "differences of the optimal mixture to each, in points.",
            defence,
        ),
    ]
    drawn = [
        DrawnFigure(
            "tuning",
            plots.plot_tuning(results),
            "Accuracy on shifted rows by what is fine-tuned, mean over repetitions. 'Gain' fine-tunes the layer that "
            "could gain most alone.",
        ),
        DrawnFigure(
            "freezing",
            plots.plot_freezing(results),
            "Accuracy and seconds of each rule, relative to no freezing; dots are repetitions, squares means.",
        ),
        DrawnFigure(
            "steps",
            plots.plot_steps(results),
            "Ratio of the largest step in turn to the largest step together: measured against predicted by the "
            "curvature along the gradient (left) and by eigenvalues (right). One mark per checkpoint and repetition.",
        ),
        DrawnFigure(
            "course",
            plots.plot_course(results),
            "Loss, gap, coordination gap and curvature through training: medians over repetitions.",
        ),
        DrawnFigure(
            "defence",
            plots.plot_defence(results),
            "The game of networks against perturbations, mean over repetitions: accuracy in %, in brackets the mean "
            "probability in the optimal mixture and in the worst mixture.",
        ),
    ]
    figures = {figure.name: figure for figure in drawn}
    return Page(
        title=f"Layers as players on {settings.data.replace('_', '-')}: what is the equilibrium good for?",
        subtitle=f"An MLP and a CNN of four layers each, {results.sizes['seed']} repetitions.",
        lead=figures["tuning"],
        answer=answer(tuning),
        findings=findings(freezing, steps, defence, figures),
        terms=TERMS,
        verdicts=layers_verdicts(results, tuning, freezing, steps, defence),
        reading=READING,
        notes=["Seconds were measured while other processes may have been running."],
        figures=[figures["course"]],
        tables=tables,
    )


LAYERS_STUDY = Study(
    name="layers",
    settings=LayersSettings,
    parts={
        "tuning": measure_tuning,
        "freezing": measure_freezing,
        "steps": measure_steps,
        "course": measure_course,
        "defence": measure_defence,
    },
    page=layers_page,
    check=check_data,
)
