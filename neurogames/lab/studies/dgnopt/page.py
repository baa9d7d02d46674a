"""The page of the study of DGNOpt, and the study itself."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from neurogames.lab.data.tables import short_name
from neurogames.lab.studies.dgnopt import plots, verdicts
from neurogames.lab.studies.dgnopt.analysis import (
    accuracy_table,
    claim_table,
    cost_table,
    price_table,
    structure_table,
)
from neurogames.lab.studies.dgnopt.control_tables import alignment_table, large_table, player_table, stability_table
from neurogames.lab.studies.dgnopt.controls import measure_alignments, measure_large_steps, measure_players
from neurogames.lab.studies.dgnopt.measure import check_data, measure_accuracy, measure_tuning
from neurogames.lab.studies.dgnopt.methods import BOTH, FEEDBACK, METHODS
from neurogames.lab.studies.dgnopt.settings import DGNOptSettings
from neurogames.lab.studies.page import DrawnFigure, Finding, Page, ShownTable
from neurogames.lab.studies.study import Study

TERMS = (
    "DGNOpt takes the layers of a network for players of a dynamic game. Open loop: no player sees what others do, as "
    "in usual optimizers. Feedback: a layer sees how far the state has moved by the layers before it. Cooperation: "
    "layers of one stage solve for their steps together. Group rationality: both. The game means the last three. The "
    "clamp cuts a row's feedback off where its quadratic is not convex."
)
READING = (
    "What is compared and what counts was registered before the study was run. Every method has the same number of "
    "trials, half as many rates times two values of a second setting, on one start and held-out training rows; the "
    "game and the opponent that are compared are those with the highest held-out accuracy, so that test rows choose "
    "nothing. Differences are paired by seed, with 95 % t intervals and t tests, corrected by Holm's method. Seeds "
    "share the rows: an interval speaks of training anew on these data, and the binomial error of the test rows comes "
    "on top. Networks and trainings are small: what holds here need not hold at the paper's size. A difference that "
    "cannot be claimed is not shown to be 0."
)


def dgnopt_page(results: xr.Dataset, settings: DGNOptSettings) -> Page:
    """Return what the study says, with its figures and tables."""
    tables = {
        "accuracy": accuracy_table(results),
        "claims": claim_table(results),
        "structures": structure_table(results),
        "cost": cost_table(results, settings.target),
        "prices": price_table(results, settings.target),
        "large": large_table(results),
        "stability": stability_table(results),
        "players": player_table(results),
        "alignments": alignment_table(results),
    }
    said = _sentences(results, settings, tables)
    return Page(
        title="DGNOpt: does training as a game of layers do more than its curvature does?",
        subtitle=_subtitle(results, settings),
        lead=DrawnFigure(
            "accuracy",
            plots.plot_accuracy(tables["accuracy"]),
            "Test accuracy of each method minus that of the opponent with the highest held-out accuracy, paired by "
            "seed, with 95 % t intervals. Squares: the game; diamonds: the same without it. Yellow: what the paper "
            "reports. Grey: the error that the number of test rows leaves.",
        ),
        answer=verdicts.answer(tables["claims"]),
        findings=_findings(said, tables),
        terms=TERMS,
        verdicts=list(said.values()),
        reading=READING,
        notes=_notes(tables["accuracy"]),
        figures=[],
        tables=_shown(tables),
    )


def _sentences(results: xr.Dataset, settings: DGNOptSettings, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    share, arms = float(results["reward_seconds_share"].median()), int(results["arms"].max())
    return {
        "accuracy": verdicts.accuracy_sentence(tables["claims"], tables["accuracy"]),
        "structures": verdicts.structure_sentence(tables["structures"]),
        "cost": verdicts.cost_sentence(tables["cost"], settings.target),
        "stability": verdicts.stability_sentence(tables["stability"], tables["large"]),
        "players": verdicts.player_sentence(tables["players"]),
        "alignments": verdicts.alignment_sentence(tables["alignments"], share, arms),
        "runtime": verdicts.runtime_sentence(tables["prices"]),
    }


def _subtitle(results: xr.Dataset, settings: DGNOptSettings) -> str:
    counts = dict(zip(results["network"].values, results["parameters"].values, strict=True))
    networks = ", ".join(f"{name} ({int(count)} parameters)" for name, count in counts.items())
    return (
        f"Small networks of three kinds of blocks are trained on {short_name(settings.data)} by {len(METHODS)} methods "
        f"with {settings.trials} trials each: {networks}. {results.sizes['seed']} seeds, {settings.epochs} epochs of "
        f"{int(results['step'].values[-1]) // settings.epochs} steps, {int(results['tests'])} test rows."
    )


def _findings(said: dict[str, str], tables: dict[str, pd.DataFrame]) -> list[Finding]:
    prices, stability = tables["prices"], tables["stability"]
    slow = prices[prices["method"].isin((FEEDBACK, BOTH))]["over_ekfac"]
    same, trained = tables["players"]["same"].sum(), tables["players"]["n"].sum()
    against = tables["alignments"].set_index("control")["difference"]
    return [
        Finding(
            "Does feedback stabilise training at large steps?",
            f"median {stability['difference'].median():+.1f} points against its controls",
            said["stability"],
            DrawnFigure(
                "large-steps",
                plots.plot_large_steps(tables["large"]),
                "Accuracy at the end over the learning rate, without momentum; means with 95 % t intervals. Dashed: "
                "SGD whose every step is as long as that of feedback.",
            ),
        ),
        Finding(
            "Are fictitious players more than a larger step?",
            f"equal steps in {same} of {trained} trainings",
            said["players"],
            DrawnFigure(
                "players",
                plots.plot_players(tables["players"]),
                "Steps to the target (medians over seeds) with N players, and, circled, with one player and what "
                "would explain them. A missing mark: most seeds do not reach the target.",
            ),
        ),
        Finding(
            "Does a bandit find better alignments?",
            f"{against['shuffled rewards']:+.2f} points against shuffled rewards",
            said["alignments"],
            DrawnFigure(
                "alignments",
                plots.plot_alignments(tables["alignments"]),
                "Test accuracy with the bandit's alignments minus that with others; 95 % t intervals.",
            ),
        ),
        Finding(
            "What does a step cost?",
            f"{slow.min():.2f} to {slow.max():.2f} times EKFAC's with feedback",
            f"{said['runtime']} {said['cost']}",
            DrawnFigure("cost", plots.plot_cost(prices), "Processor time of a step, medians over seeds."),
        ),
    ]


def _notes(accuracies: pd.DataFrame) -> list[str]:
    lost = int(accuracies["diverged"].sum())
    return [f"{lost} trainings had a loss or step that was not finite; they count as they ended."] if lost else []


def _shown(tables: dict[str, pd.DataFrame]) -> list[ShownTable]:
    titles = {
        "claims": ("The game against the best opponent", "Points of test accuracy; both chosen on held-out rows."),
        "structures": ("Structures against the open loop", "Points of test accuracy, with the same curvature."),
        "accuracy": (
            "Every method",
            "Chosen settings and accuracies in percent, 95 % t intervals over seeds; 'binomial': standard error by the "
            "number of test rows; 'clamped': share of rows whose feedback is cut off; 'feedback': |K dx| over |k|.",
        ),
        "cost": ("Cost to the target", "The game over the opponent, geometric means over seeds that reach it."),
        "prices": (
            "What a step costs",
            "Milliseconds of processor time, operations as torch counts them (no eigendecompositions), and kilobytes "
            "that the optimizer keeps between steps; then medians to the target, and seconds of tuning.",
        ),
        "stability": ("Feedback at large steps", "Points of test accuracy against each control, at each rate."),
        "large": ("Every way at large steps", "Percent; 'short': points below the way's own best rate."),
        "players": ("Fictitious players", "Steps to the target beside one player with N times the rate (identity) or "
                    "the damping over N (ekfac)."),
        "alignments": ("Alignments", "The bandit minus each control, points."),
    }  # fmt: skip
    folded = {"accuracy", "prices", "large", "stability"}
    return [ShownTable(name, *titles[name], tables[name], unfolded=name not in folded) for name in titles]


DGNOPT = Study(
    name="dgnopt",
    settings=DGNOptSettings,
    once={"tuning": measure_tuning},
    parts={
        "accuracy": measure_accuracy,
        "large_steps": measure_large_steps,
        "players": measure_players,
        "alignments": measure_alignments,
    },
    building=("accuracy",),
    page=dgnopt_page,
    check=check_data,
)
"""The study, by the name "dgnopt"."""
