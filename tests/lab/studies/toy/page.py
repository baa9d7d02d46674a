"""The page of the toy study, and the study itself."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames.lab.figures import panels
from neurogames.lab.studies.page import DrawnFigure, Page, ShownTable
from neurogames.lab.studies.study import Study
from tests.lab.studies.toy.analysis import distance_table
from tests.lab.studies.toy.measure import check_draws, measure_law, measure_sample
from tests.lab.studies.toy.settings import ToySettings


def toy_page(results: xr.Dataset, settings: ToySettings) -> Page:
    """Return what the toy study says."""
    table = distance_table(results, rng=np.random.default_rng(settings.first_seed))
    figure, ((axis,),) = panels(4, 3)
    axis.plot(results["estimate"], results["distance"].T, "o")
    return Page(
        title="Mean or median?",
        subtitle=f"{results.sizes['seed']} samples of {settings.draws} draws.",
        terms="The center is where the samples lie.",
        verdicts=[f"The mean lies farther from the center by {table['difference'].iloc[0]:.3f}."],
        reading="How to read this: as a toy.",
        notes=[],
        figures=[DrawnFigure("distances", figure, "Distances from the center. A dot per sample.")],
        tables=[ShownTable("distances", "Distances", "Paired by seed.", table)],
    )


TOY = Study(
    name="toy",
    settings=ToySettings,
    parts={"samples": measure_sample},
    once={"law": measure_law},
    page=toy_page,
    check=check_draws,
)
