"""The factors that weigh the feedback to hidden units, for all networks of an ensemble at once.

With keep probability p and a uniform number u for each unit (or row and unit, or layer) and step::

    dropout     1 if u < p else 0                        the mask of gradient dropout
    mean        p                                        its mean: the mean-field twin
    gaussian    p + sqrt(p (1 - p)) z,  z ~ N(0, 1)      its mean and variance, hence the covariance of its gradients
    signs       sqrt(p) if u < (1 + sqrt(p)) / 2 else -sqrt(p)

The last has the mask's mean and second moment and a constant square, for the second moments of Adam's twin (see
``feedback.mean_feedback``). All are divided by p with ``rescale``. ``step_kernels`` draws the same numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurogames.bridge.ensembles.streams import words

FEEDBACK = ("dropout", "mean", "gaussian")
DROPOUT, MEAN, GAUSSIAN, SIGNS = range(4)


def coins(
    kinds: Tensor, seeds: Tensor, keeps: Tensor, *, purpose: int, step: int, shape: tuple[int, int], rescale: bool
) -> Tensor:
    """Draw the factors of one step.

    Args:
        kinds: (networks,) int64, which factors, as numbered above.
        seeds: (networks,) int64.
        keeps: (networks,) float64, p.
        purpose: which of the network's streams.
        step: which draw for that purpose.
        shape: rows and units of one network's draw.
        rescale: divide by p.

    Returns:
        (networks, rows, units) float64.

    >>> seeds, keeps = torch.tensor([1, 1]), torch.tensor([0.25, 0.25], dtype=torch.float64)
    >>> drawn = coins(torch.tensor([MEAN, SIGNS]), seeds, keeps, purpose=3, step=0, shape=(1, 2), rescale=False)
    >>> drawn.abs().tolist()
    [[[0.25, 0.25]], [[0.5, 0.5]]]
    """
    bits = words(seeds, purpose, step, shape)
    # Other bits for normal numbers, so that they know nothing of the same network's masks.
    uniform, angle, radius = (
        ((bits >> place).bitwise_and_(2**count - 1).double() + 0.5) * 0.5**count
        for place, count in ((41, 23), (18, 23), (0, 18))
    )
    kinds, keep = kinds[:, None, None], keeps[:, None, None]
    root = keep.sqrt()
    factor = (uniform < keep).double()
    factor = torch.where(kinds == MEAN, keep, factor)
    normal = (-2 * radius.log()).sqrt() * (2 * math.pi * angle).cos()
    factor = torch.where(kinds == GAUSSIAN, keep + (keep * (1 - keep)).sqrt() * normal, factor)
    factor = torch.where(kinds == SIGNS, torch.where(uniform < (1 + root) / 2, root, -root), factor)
    return factor / keep if rescale else factor
