"""The page of the paper's protocol, and the study that it belongs to."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from neurogames.lab.studies.comparison.differences import BEYOND, WHOLE
from neurogames.lab.studies.comparison.paper import plots
from neurogames.lab.studies.comparison.paper.analysis import (
    DROPOUT,
    PUBLISHED,
    curve_table,
    distance_to_paper,
    effect_table,
)
from neurogames.lab.studies.comparison.paper.measure import (
    check_paper_data,
    measure_dropout,
    measure_law,
    measure_published_loss,
)
from neurogames.lab.studies.comparison.paper.settings import PaperSettings
from neurogames.lab.studies.page import DrawnFigure, Finding, Page, ShownTable
from neurogames.lab.studies.study import Study

TERMS = (
    "A curve is SMAPE (regression, in [0, 2], smaller is better) or accuracy (classification) against input noise, "
    "which has the same size for every feature, whatever its unit. Its area is the mean distance from the value "
    "without noise: the smaller, the flatter. The law is plain training in which each hidden layer gets the mean of "
    "what the mask of gradient dropout would let through. The published loss is that of the paper's public code, "
    "whose shapes make it the mean over all pairs of an output and a label."
)
READING = (
    "Intervals and p-values are both Student's t over repetitions (split, initial weights and draws) of the same "
    "tables; they are not corrected for their number. The paper's numbers are read off its plots, and are means of 10 "
    "runs. Its sampler of stable noise is no sampler of a stable law, so that only runs without target noise, or with "
    "uniform noise, can be expected to agree. Texts are encoded as one column for each value."
)


def paper_page(results: xr.Dataset, settings: PaperSettings) -> Page:
    """Return what a run of the paper's protocol says, with its figures and tables."""
    curves, effects = curve_table(results, settings), effect_table(results, settings)
    network = str(results["network"].values[0]) if "5x150" not in results["network"].values else "5x150"
    first = effects[effects["target noise"] == settings.target_noises[0]]
    sentences = [*_reproduction(curves), *_flatness(first)]
    return Page(
        title="What does the paper's own protocol give?",
        subtitle=_subtitle(results, settings),
        lead=_lead(results, curves, settings, network),
        answer=" ".join(sentences),
        findings=_findings(first),
        terms=TERMS,
        verdicts=sentences,
        reading=READING,
        notes=_notes(results),
        figures=[
            DrawnFigure(
                f"curves-{label}",
                plots.plot_all_curves(results, str(label)),
                f"All curves of the network {label}, means over repetitions. Solid: gradient dropout; dashed: the law.",
            )
            for label in results["network"].values
        ],
        tables=_tables(curves, effects),
    )


def _subtitle(results: xr.Dataset, settings: PaperSettings) -> str:
    networks = " and ".join(str(label) for label in results["network"].values)
    epochs = "1 epoch" if settings.epochs == 1 else f"{settings.epochs} epochs"
    return (
        f"{results.sizes['dataset']} tables in their own units, networks of {networks} hidden units, "
        f"{results.sizes['seed']} repetitions, {epochs} of Adam at {settings.learning_rate:g} with batches of "
        f"{settings.batch_size}, {len(settings.levels)} levels of input noise. Gradient dropout lets each hidden unit "
        "learn in a step only with the keep probability; at 1 it is plain training."
    )


def _lead(results: xr.Dataset, curves: pd.DataFrame, settings: PaperSettings, network: str) -> DrawnFigure:
    known = set(curves.dropna(subset="paper clean")["dataset"])
    shown = [name for name in settings.data if name in known] or list(settings.data[:2])
    circles = " Circles: the paper's numbers, read off its plots." if known else ""
    return DrawnFigure(
        "beside-paper",
        plots.plot_beside_paper(results, curves, shown, network),
        f"Error against input noise by keep probability, network {network}, target noise "
        f"{settings.target_noises[0]}, means over repetitions.{circles} The published loss is the mean over all pairs "
        "of an output and a label, as the shapes in the paper's public code make it; the squared error is of each "
        "output and its own label.",
    )


def _reproduction(curves: pd.DataFrame) -> list[str]:
    """How near we come to the paper's numbers, where there are any."""
    gaps = distance_to_paper(curves)
    if not gaps:
        return []
    count = 2 * len(curves[curves["training"] == DROPOUT].dropna(subset="paper clean"))
    by_loss = f"{gaps[PUBLISHED]:.4f} with the published loss and " if PUBLISHED in gaps else ""
    return [
        f"From the paper's {count} read-off numbers our SMAPE has a mean distance of {by_loss}{gaps[DROPOUT]:.4f} with "
        "the squared error."
    ]


def _flatness(effects: pd.DataFrame) -> list[str]:
    """On how many tables and networks something can be claimed."""
    whole, beyond = (effects[effects["part"] == part] for part in (WHOLE, BEYOND))
    flatter, steeper = int((whole["high"] < 0).sum()), int((whole["low"] > 0).sum())
    less, more = int((beyond["high"] < 0).sum()), int((beyond["low"] > 0).sum())
    cases = f"{len(whole)} pair of table and network" if len(whole) == 1 else f"{len(whole)} pairs of table and network"
    return [
        f"Of {cases}, gradient dropout has flatter curves than plain training in {flatter} and steeper ones in "
        f"{steeper}; than the law it has flatter ones in {less} and steeper ones in {more} (95 % intervals that "
        "exclude 0)."
    ]


def _findings(effects: pd.DataFrame) -> list[Finding]:
    if effects.empty:
        return []
    means = effects.groupby("part")["difference"].mean()
    return [
        Finding(
            "How much of the flatness is the law?",
            f"{100 * means[WHOLE]:+.1f} % in the mean, {100 * means[BEYOND]:+.1f} % beyond the law",
            "Change of area against plain training, with the loss as it should be, mean over keep probabilities below "
            "1. Whole effect = by the law + beyond the law. The law slows hidden layers down and has no mask; what is "
            "beyond it is the noise of the mask. The paper's annealing needs that part below 0.",
            DrawnFigure(
                "effects", plots.plot_effects(effects), "Points are means, lines 95 % t intervals over repetitions."
            ),
        )
    ]


def _notes(results: xr.Dataset) -> list[str]:
    notes = []
    trained = results["curve"].isel(level=0).notnull().any("metric")
    # A target noise that a table does not have is missing in every repetition.
    lost = int((trained.any("seed") & ~trained).sum())
    if lost:
        notes.append(f"{lost} networks with gradient dropout diverged; means leave them out.")
    if not bool(results["regression"].all()):
        notes.append("Target noise is defined for regression only, so classification is trained without it.")
    return notes


def _tables(curves: pd.DataFrame, effects: pd.DataFrame) -> list[ShownTable]:
    return [
        ShownTable(
            name="curves",
            title="Both ends of every curve, beside the paper's numbers",
            caption="Means over n repetitions of SMAPE or accuracy without input noise (clean) and at the largest "
            "level (noisy), and the area; 'paper': read off the paper's plots.",
            frame=curves,
        ),
        ShownTable(
            name="effects",
            title="The effect on flatness: law and noise of the mask",
            caption="Differences of areas in units of plain training's, mean over keep probabilities below 1; whole = "
            "by the law + beyond the law. Low and high: 95 % t interval over repetitions; p: t test. Negative is "
            "flatter.",
            frame=effects,
        ),
    ]


PAPER_PROTOCOL = Study(
    name="paper-protocol",
    settings=PaperSettings,
    # In this order: the law is stored before any network with a mask is trained.
    parts={"law": measure_law, "training": measure_dropout, "published-loss": measure_published_loss},
    page=paper_page,
    check=check_paper_data,
)
