"""What the toy study says: which estimate lies nearer to the center."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.inference.statistics import paired_difference


def distance_table(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return how much farther from the center the mean lies than the median, paired by seed."""
    distance = results["distance"]
    mean, median = (distance.sel(estimate=name).values for name in ("mean", "median"))
    found = paired_difference(mean, median, rng=rng)
    return pd.DataFrame([{"difference": found.estimate, "low": found.low, "high": found.high, "n": found.n}])
