"""Adam for the mean-field twin of gradient dropout: the second moment is that of masked gradients.

Adam divides the mean gradient by the root of the mean squared gradient. For gradient dropout the first is that of
``mean_feedback``; the second is not its square: the coins of the units above a weight add to it. It is estimated by
gradients with coins of their own (``second_moment_coins``), whose squares have the right mean for any network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from neurogames._arguments import instance, integer, invalid_argument, number
from neurogames.bridge.feedback.mean_feedback import second_moment_coins


class MeanFeedbackAdam(torch.optim.Optimizer):
    r"""Adam whose second moment is that of gradients with masks, for a model with mean feedback attached.

    With mean gradient g, and gradients c_i with coins, i = 1..n_draws, each of them with E[c_i^2] = E[masked^2]::

        m <- b1 m + (1 - b1) g,    v <- b2 v + (1 - b2) mean_i c_i^2,
        x <- x - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Where nothing is attached, c_i = g: it is Adam. A step runs the closure 1 + n_draws times, so that it costs that
    many plain steps; what the closure changes besides gradients (running statistics of BatchNorm, draws of
    ordinary dropout) happens as often. Two draws are enough since v is itself a mean over about 1 / (1 - b2) steps: see
    ``moment_draws`` of ``train_ensemble`` for what more of them change.
    The coins of a step follow from one seed and the number of the step, both in the ``state_dict``: a training that is
    resumed from it goes on as it would have.

    Args:
        params: parameters, or groups of them, as for torch's optimizers.
        lr: learning rate > 0.
        rng: generator from which the seed of the coins is taken.
        betas: b1 and b2 in [0, 1).
        eps: > 0.
        weight_decay: >= 0, decoupled as in AdamW: x <- x - lr * weight_decay * x at the full rate.
        n_draws: gradients with coins per step.

    Raises:
        ValueError: an argument is out of range.

    Reference: Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101 (decoupled decay).

    >>> from neurogames.bridge.feedback.mean_feedback import attach_mean_feedback
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 3)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> optimizer = MeanFeedbackAdam(model.parameters(), lr=0.01, rng=torch.Generator().manual_seed(0))
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (model(x)[:, 0] - x.prod(dim=1)).square().mean()
    ...     loss.backward()
    ...     return loss
    >>> with attach_mean_feedback(model, 0.5):
    ...     losses = [optimizer.step(closure).item() for _ in range(200)]
    >>> losses[-1] < 0.5 * losses[0]
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        rng: torch.Generator,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        n_draws: int = 2,
    ) -> None:
        instance("rng", rng, torch.Generator, "a torch.Generator")
        instance("params", params, Iterable, "parameters, or groups of them")
        settings = {
            "lr": number("lr", lr, "a learning rate > 0", lambda value: value > 0),
            "betas": tuple(number("betas", beta, "numbers in [0, 1)", lambda value: 0 <= value < 1) for beta in betas),
            "eps": number("eps", eps, "a number > 0", lambda value: value > 0),
            "weight_decay": number("weight_decay", weight_decay, "a number >= 0", lambda value: value >= 0),
            "n_draws": integer("n_draws", n_draws, minimum=1),
            "seed": int(torch.randint(2**62, (), generator=rng, device=rng.device)),
            "steps": 0,
        }
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: sets the gradients to zero, computes the loss, runs it backward and returns it. Afterwards the
                gradients are the mean ones.

        Returns:
            The loss of the first call.

        Raises:
            ValueError: there is no closure.
        """
        if closure is None:
            raise invalid_argument("closure", None, "a function that computes the loss and runs it backward")
        with torch.enable_grad():
            loss = closure()
        means = [(group, parameter, parameter.grad) for group in self.param_groups for parameter in group["params"]]
        means = [(group, parameter, gradient.clone()) for group, parameter, gradient in means if gradient is not None]
        squares = [torch.zeros_like(gradient) for _, _, gradient in means]
        first = self.param_groups[0]
        draws = torch.Generator().manual_seed(first["seed"] + first["steps"])
        for _ in range(first["n_draws"]):
            with torch.enable_grad(), second_moment_coins(draws):
                closure()
            for square, (_, parameter, _) in zip(squares, means, strict=True):
                square.addcmul_(parameter.grad, parameter.grad, value=1 / first["n_draws"])
        first["steps"] += 1
        for square, (group, parameter, gradient) in zip(squares, means, strict=True):
            parameter.grad = gradient
            self._update(parameter, gradient, square, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, square: Tensor, group: dict[str, Any]) -> None:
        """Adam's step for one tensor."""
        state = self.state[parameter]
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(parameter), exp_avg_sq=torch.zeros_like(parameter))
        state["step"] += 1
        (b1, b2), rate = group["betas"], group["lr"]
        state["exp_avg"].lerp_(gradient, 1 - b1)
        state["exp_avg_sq"].lerp_(square, 1 - b2)
        scale = (state["exp_avg_sq"] / (1 - b2 ** state["step"])).sqrt_().add_(group["eps"])
        parameter.mul_(1 - rate * group["weight_decay"])
        parameter.addcdiv_(state["exp_avg"], scale, value=-rate / (1 - b1 ** state["step"]))
