"""Losses of labels that are drawn from the model's own predictions: their gradients make the true Fisher matrix.

With y drawn from p(y | x), the gradients g of -log p(y | x) have E[g g'] = F, which for the two likelihoods here is the
Gauss-Newton matrix of the loss. The empirical Fisher matrix takes the labels of the data instead; it is not F, and
falls to 0 where every label is predicted well.

Reference: F. Kunstner, L. Balles and P. Hennig, arXiv 1905.12558.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from neurogames._arguments import invalid_argument

Likelihood = Literal["categorical", "gaussian"]


def sampled_loss(outputs: Tensor, likelihood: Likelihood, *, rng: torch.Generator) -> Tensor:
    """Sum over rows of a loss whose gradients have as second moments the Hessian of the loss in the outputs.

    Args:
        outputs: (rows, classes, ...) logits for "categorical"; (rows, ...) means for "gaussian".
        likelihood: "categorical" for the loss ``cross_entropy``, "gaussian" for ``mse_loss``, both with their means.
        rng: source of the labels.

    Returns:
        A tensor without axes.

    Raises:
        ValueError: the likelihood is another, or the outputs have no axis of classes.

    >>> z = torch.zeros(20000, 2, requires_grad=True)
    >>> sampled_loss(z, "categorical", rng=torch.Generator().manual_seed(0)).backward()
    >>> (z.grad.T @ z.grad / 20000).round(decimals=3)  # p (1 - p) and -p^2 at p = 1/2
    tensor([[ 0.2500, -0.2500],
            [-0.2500,  0.2500]])
    """
    if not isinstance(rng, torch.Generator):
        raise invalid_argument("rng", rng, "a torch.Generator")
    if likelihood == "gaussian":
        noise = torch.randn(outputs.shape, generator=rng, device=rng.device, dtype=outputs.dtype).to(outputs.device)
        return math.sqrt(2 * len(outputs) / outputs.numel()) * (outputs * noise).sum()
    if likelihood != "categorical":
        raise invalid_argument("likelihood", likelihood, "'categorical' or 'gaussian'")
    if outputs.ndim < 2:
        raise invalid_argument("outputs", f"shape {tuple(outputs.shape)}", "(rows, classes, ...)")
    chances = outputs.detach().movedim(1, -1).flatten(0, -2).double().softmax(dim=1).to(rng.device)
    drawn = torch.multinomial(chances, 1, generator=rng).to(outputs.device)
    labels = drawn.reshape(outputs.shape[0], *outputs.shape[2:])
    return functional.cross_entropy(outputs, labels) * len(outputs)
