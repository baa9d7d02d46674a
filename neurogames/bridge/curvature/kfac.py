"""KFAC and EKFAC as torch optimizers for any model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from neurogames.bridge.curvature.kronecker import Sharing
from neurogames.bridge.curvature.kronecker_optimizer import KroneckerOptimizer
from neurogames.bridge.curvature.layer_curvature import EKFACCurvature, KFACCurvature


class KFAC(KroneckerOptimizer):
    r"""Natural gradient with Kronecker factors of the empirical Fisher matrix, layer by layer.

    For a layer with inputs a (1 at the end for the bias) and gradients g of the loss of one row at its outputs::

        A = E[a a'],    B = E[g g'],    D = (B + sqrt(damping)/p I)^-1  dL/dW  (A + sqrt(damping) p I)^-1,
        M <- momentum M + D,            W <- (1 - lr weight_decay) W - lr M

    with p^2 the ratio of the mean eigenvalues of A and B. The factors are running averages over steps. Preconditioned
    are Linear layers and convolutions without groups whose weights are their own; what is left, such as norms and
    embeddings, is listed in ``not_preconditioned`` and goes along g / (rows E[g^2] + damping). Use it as any optimizer:
    zero_grad, forward, backward, step, or a closure. Backward passes that add up before a step count together.

    The loss must be a mean over the rows of the model's inputs (their first axis); the gradients of single rows are
    ``rows`` times what autograd gives, and from gradients alone a sum cannot be told from a mean. Autocast to bfloat16
    works, since weights stay in 32 bits; a ``GradScaler`` is refused.

    Args:
        model: what is trained; it gets hooks until ``remove()``, or until the optimizer is gone. Copies of the model
            have none.
        lr: learning rate >= 0.
        damping: > 0, in units of the Fisher matrix; each group may have its own, that of the weight is the layer's.
        momentum: in [0, 1).
        weight_decay: >= 0, decoupled.
        factor_interval: steps from one average of the factors to the next.
        refresh: steps from one inverse to the next; before, also at the steps 0, 1, 2, 4, 8 and so on.
        factor_decay: in [0, 1), weight of the past in the averages.
        sharing: "expand" or "reduce", how weights that are used at several places of a row (tokens, positions of a
            kernel) are counted; see ``kronecker_factors``.
        params: parameters of the model, or groups of them; all that require gradients when left out.
        modules: names of the layers to precondition; all that can be when left out.
        largest_factor: layers with more inputs (channels times kernel) or outputs are not preconditioned: the time of
            a refresh grows with the cube.

    Attributes:
        preconditioned: names of layers.
        not_preconditioned: names of parameters.
        skipped_steps: number of steps that were not taken, since something was not finite.

    Raises:
        ValueError: an argument is out of range, or a parameter is not the model's.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 3) * torch.tensor([1.0, 0.1, 0.01])
    >>> model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> optimizer = KFAC(model, lr=0.1, damping=0.01)
    >>> losses = []
    >>> for _ in range(30):
    ...     optimizer.zero_grad()
    ...     loss = (model(x)[:, 0] - x.sum(dim=1)).square().mean()
    ...     loss.backward()
    ...     optimizer.step()
    ...     losses.append(loss.item())
    >>> losses[-1] < 0.1 * losses[0], optimizer.preconditioned, optimizer.not_preconditioned
    (True, ('0', '2'), ())

    Reference: J. Martens and R. Grosse, arXiv 1503.05671; R. Grosse and J. Martens, arXiv 1602.01407 (convolutions);
    R. Eschenhagen et al., arXiv 2311.00636 (sharing).
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float = 0.01,
        *,
        damping: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        factor_interval: int = 10,
        refresh: int = 100,
        factor_decay: float = 0.95,
        sharing: Sharing = "expand",
        params: Iterable[Any] | None = None,
        modules: Sequence[str] | None = None,
        largest_factor: int = 8192,
    ) -> None:
        settings = {"lr": lr, "damping": damping, "momentum": momentum, "weight_decay": weight_decay}
        curvature = KFACCurvature(factor_interval, refresh, factor_decay, sharing)
        super().__init__(model, params, settings, curvature=curvature, modules=modules, largest_factor=largest_factor)


class EKFAC(KroneckerOptimizer):
    r"""Natural gradient with exact second moments in the eigenbasis of the Kronecker factors, layer by layer.

    With U_A, U_B the eigenvectors of the factors A and B of ``KFAC``, and G_r the gradient of the loss of row r::

        S = E[(U_B' G_r U_A)^2],    D = U_B ( U_B' dL/dW U_A / (S + damping) ) U_A',
        M <- momentum M + D,        W <- (1 - lr weight_decay) W - lr M

    S is exact for each row, also where weights are shared. It is a running average that begins anew with each basis.
    What is preconditioned, what is not, and what the loss must be: see ``KFAC``.

    Args:
        model: what is trained; it gets hooks until ``remove()``, or until the optimizer is gone. Copies of the model
            have none.
        lr: learning rate >= 0.
        damping: > 0, in units of the Fisher matrix; each group may have its own, that of the weight is the layer's.
        momentum: in [0, 1).
        weight_decay: >= 0, decoupled.
        factor_interval: steps from one average of the factors to the next.
        refresh: steps from one eigenbasis to the next; before, also at the steps 0, 1, 2, 4, 8 and so on.
        moment_interval: steps from one average of S to the next.
        factor_decay: in [0, 1), weight of the past in the averages of the factors.
        moment_decay: the same for S.
        sharing: "expand" or "reduce", for the factors; see ``kronecker_factors``.
        params: parameters of the model, or groups of them; all that require gradients when left out.
        modules: names of the layers to precondition; all that can be when left out.
        largest_factor: layers with more inputs (channels times kernel) or outputs are not preconditioned: the time of
            a refresh grows with the cube.

    Attributes:
        preconditioned: names of layers.
        not_preconditioned: names of parameters.
        skipped_steps: number of steps that were not taken, since something was not finite.

    Raises:
        ValueError: an argument is out of range, or a parameter is not the model's.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 3) * torch.tensor([1.0, 0.1, 0.01])
    >>> model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 1))
    >>> optimizer = EKFAC(model, lr=0.02, damping=0.01, momentum=0.0)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (model(x)[:, 0] - x.sum(dim=1)).square().mean()
    ...     loss.backward()
    ...     return loss
    >>> losses = [optimizer.step(closure).item() for _ in range(30)]
    >>> losses[-1] < 0.1 * losses[0], optimizer.not_preconditioned
    (True, ('2.weight', '2.bias'))

    Reference: T. George, C. Laurent, X. Bouthillier, N. Ballas and P. Vincent, arXiv 1806.03884.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float = 0.01,
        *,
        damping: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        factor_interval: int = 10,
        refresh: int = 100,
        moment_interval: int = 1,
        factor_decay: float = 0.95,
        moment_decay: float = 0.75,
        sharing: Sharing = "expand",
        params: Iterable[Any] | None = None,
        modules: Sequence[str] | None = None,
        largest_factor: int = 8192,
    ) -> None:
        settings = {"lr": lr, "damping": damping, "momentum": momentum, "weight_decay": weight_decay}
        curvature = EKFACCurvature(factor_interval, refresh, moment_interval, factor_decay, moment_decay, sharing)
        super().__init__(model, params, settings, curvature=curvature, modules=modules, largest_factor=largest_factor)
