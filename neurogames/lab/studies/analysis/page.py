"""The page of the analysis of a network."""

from __future__ import annotations

import xarray as xr

from neurogames.lab.studies.analysis.analysis import (
    fee_table,
    gap_sentences,
    good_table,
    layer_sentences,
    player_table,
)
from neurogames.lab.studies.analysis.measure import nash_gap_of
from neurogames.lab.studies.analysis.plots import plot_gap, plot_layer
from neurogames.lab.studies.analysis.units import unit_sentences, unit_table
from neurogames.lab.studies.page import DrawnFigure, Finding, Page, ShownTable

_TERMS = (
    "Players are the network's layers, units or blocks; all share one loss. The gain of a player is by how much it can "
    "lower the loss by changing its own parameters, the others staying. It was reached, so the best deviation gains at "
    "least as much; where an upper bound is known, it gains no more than that. The coordination gap is what all "
    "players together were found to gain beyond what one gains alone."
)
_READING = (
    "First-order: no gradient step of a player alone gains more than epsilon. Local Nash: besides, no own curvature is "
    "negative. Differential Nash: besides, all own curvatures are positive, apart from the symmetries listed. Nash up "
    "to epsilon: no deviation of a player alone, near or far, gains more than epsilon. A search that finds none does "
    "not rule one out. A deviation is fitted to the training rows; held-out rows say what it is worth."
)
_LAYER = (
    "A unit that takes part keeps its values, others are set to 0. The gain is what one more unit adds beside so many "
    "others. Predictions: own, a curve for each unit; alike, the common curve; additive, Shapley values; context, own "
    "curves with the variance of the others' company."
)


def analysis_page(results: xr.Dataset, source: str) -> Page:
    """Make the page.

    Args:
        results: from ``measure_network``.
        source: the network and its rows, in words.

    Returns:
        The page.
    """
    found = nash_gap_of(results)
    about_gap, about_layer = gap_sentences(results), layer_sentences(results)
    caption = (
        f"Left: gain of each player, on a loss of {found.loss:.3g}; the dotted line is epsilon. Right: the ends of the "
        "spectrum of its own block of the Hessian."
    )
    tables = [
        ShownTable(
            "players", "Players", "Gains in units of the loss, and curvature of the own block.", player_table(results)
        )
    ]
    findings, about_units = [], list[str]()
    if results.attrs["layer"]:
        tables.append(
            ShownTable("fees", "Who stays at a fee", "Shares of units; fees in units of the loss.", fee_table(results))
        )
        about_units = unit_sentences(results)
        tables.append(
            ShownTable(
                "units",
                "Who is worth what, and who is dominated",
                "Shapley values in units of the loss; shares that no other is better than, whatever others do.",
                unit_table(results),
                unfolded=False,
            )
        )
        if "good" in results.coords:
            tables.append(ShownTable("goods", "Which public good", "Smaller criterion is better.", good_table(results)))
        findings.append(
            Finding(
                question=f"Which public goods game do the units of {results.attrs['layer']!r} play?",
                number=about_layer[0],
                text=" ".join(about_layer[1:]),
                figure=DrawnFigure("layer", plot_layer(results), _LAYER),
            )
        )
    return Page(
        title="Which equilibrium is this network in?",
        subtitle=source,
        terms=_TERMS,
        verdicts=[*about_gap, *about_layer, *about_units],
        reading=_READING,
        notes=[],
        figures=[],
        tables=tables,
        lead=DrawnFigure("gap", plot_gap(results), caption),
        answer=about_gap[0],
        findings=findings,
    )
