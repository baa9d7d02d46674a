"""Robustness as a solved zero-sum game: one side chooses a network, the other a perturbation of the inputs.

    A[i, j] = share of rows that network i gets right under perturbation j

The row player maximises, the column player minimises. The value is the accuracy that a random choice of networks can
guarantee against every mixture of the perturbations listed, and the column player's optimum is the worst mixture. A
mixture of networks draws one of them for each row: its accuracy under j is the mean of A[:, j], linear in the mixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import instance, integer, invalid_argument
from neurogames.bridge.modules.data import data_pair, trial_outputs
from neurogames.bridge.modules.hooks import frozen_copy
from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.games.normal_form import NormalFormGame
from neurogames.lab.figures import drawn_in_style, panels
from neurogames.lab.robustness.perturbations import Perturbation

POLICIES = ("mixture", "best single network", "plain average")
"""The optimal mixture; the network with the largest worst accuracy; every network with the same probability."""
_ROWS = 500


@dataclass(frozen=True, eq=False)
class RobustnessGame:
    """A game of networks against perturbations with its solution; made by :func:`robustness_game`.

    Attributes:
        networks: (m) names.
        perturbations: (n) names.
        right: (m, n, rows) whether a network is right on a perturbed row.
        value: accuracy that the optimal mixture guarantees against the perturbations.
        network_mixture: (m,) optimal probabilities of the networks.
        perturbation_mixture: (n,) the worst mixture of perturbations.
        value_interval: 95 % percentile interval of the value over resampled rows, each sample solved anew; the networks
            are the same, and no bias is corrected.
        network_stderr: (m,) standard errors of the probabilities, over the same samples.
        perturbation_stderr: (n,) the same of the perturbations.
        fresh_perturbations: (k) names of those that the game has not seen.
        fresh_accuracy: (3, k) accuracy of ``POLICIES`` under them.
        status: "ok", or what the solver says.
    """

    networks: tuple[str, ...]
    perturbations: tuple[str, ...]
    right: NDArray[np.bool_]
    value: float
    network_mixture: NDArray[np.float64]
    perturbation_mixture: NDArray[np.float64]
    value_interval: tuple[float, float]
    network_stderr: NDArray[np.float64]
    perturbation_stderr: NDArray[np.float64]
    fresh_perturbations: tuple[str, ...]
    fresh_accuracy: NDArray[np.float64]
    status: str

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """The payoffs A, (m, n)."""
        return np.asarray(self.right.mean(axis=2))

    @property
    def best_single(self) -> str:
        """The network whose worst accuracy is largest."""
        return self.networks[int(self.accuracy.min(axis=1).argmax())]

    def to_dataframe(self) -> pd.DataFrame:
        """Accuracy of each network under each perturbation, with both mixtures; the last row has the worst mixture."""
        table = pd.DataFrame(self.accuracy, columns=list(self.perturbations))
        table.insert(0, "network", list(self.networks))
        table["probability"] = self.network_mixture
        last = {"network": "worst mixture", **dict(zip(self.perturbations, self.perturbation_mixture, strict=True))}
        return pd.concat([table, pd.DataFrame([last])], ignore_index=True)

    def plot(self) -> Figure:
        """Draw the payoffs, and both mixtures at the margins."""
        return plot_payoffs(
            self.accuracy, self.networks, self.perturbations, self.network_mixture, self.perturbation_mixture
        )


def robustness_game(
    networks: Mapping[str, nn.Module],
    data: tuple[Tensor, Tensor],
    perturbations: Mapping[str, Perturbation],
    *,
    fresh: Mapping[str, Perturbation] | None = None,
    fresh_data: tuple[Tensor, Tensor] | None = None,
    resamples: int = 200,
    rng: torch.Generator,
) -> RobustnessGame:
    """Measure and solve the game of networks against perturbations.

    All networks see the same perturbed rows. An attack on one network is a perturbation like any other: the column
    player knows the networks, and not which of them is drawn.

    Args:
        networks: classifiers that give logits, by name; they stay as they are.
        data: inputs (rows, ...) and class ids (rows,), not those that the networks were trained on.
        perturbations: by name, such as ``perturbation`` and ``gradient_attack`` give; each must keep the shape.
        fresh: further ones, on which the optimal mixture is compared with the best single network and the average.
        fresh_data: further rows, on which the fresh perturbations are tried; the same rows if not given.
        resamples: bootstrap samples of the rows, each solved anew; at least 2.
        rng: draws perturbations and samples.

    Returns:
        Payoffs, value, optimal mixture of networks, worst mixture of perturbations, and intervals.

    Raises:
        ValueError: there are no networks or perturbations, rows do not fit, or a perturbation does not keep the shape
            or gives numbers that are not finite.

    Two networks that each fail under the shift that the other one bears are best mixed:

    >>> left, right = nn.Linear(1, 2, bias=False), nn.Linear(1, 2, bias=False)
    >>> sides = torch.tensor([[-1.0], [1.0]])
    >>> _ = left.weight.data.copy_(sides), right.weight.data.copy_(-sides)
    >>> data = sides, torch.tensor([0, 1])
    >>> shifts = {"none": lambda x, y, rng: x, "negative": lambda x, y, rng: -x}
    >>> game = robustness_game({"left": left, "right": right}, data, shifts, rng=torch.Generator().manual_seed(0))
    >>> game.value, game.network_mixture, game.perturbation_mixture
    (0.5, array([0.5, 0.5]), array([0.5, 0.5]))
    """
    instance("rng", rng, torch.Generator, "a torch.Generator")
    resamples = integer("resamples", resamples, minimum=2)
    inputs, classes = _classified(data, "data")
    others = (inputs, classes) if fresh_data is None else _classified(fresh_data, "fresh_data")
    if not isinstance(networks, Mapping) or not networks:
        raise invalid_argument("networks", networks, "at least one network by name")
    for name, model in networks.items():
        instance(f"networks[{name!r}]", model, nn.Module, "a torch module")
    given = {"perturbations": perturbations, "fresh": {} if fresh is None else fresh}
    for name, group in given.items():
        if not isinstance(group, Mapping) or not all(map(callable, group.values())):
            raise invalid_argument(name, group, "functions of inputs, classes and a generator, by name")
    if not perturbations:
        raise invalid_argument("perturbations", perturbations, "at least one perturbation by name")
    copies = {name: frozen_copy(model).eval() for name, model in networks.items()}
    with torch.no_grad():
        for name, model in copies.items():
            outputs = trial_outputs(model, inputs[:2], name=f"networks[{name!r}]")
            if outputs.ndim != 2 or outputs.shape[1] <= int(classes.max()):
                got = f"outputs of shape {tuple(outputs.shape)}"
                raise invalid_argument(
                    f"networks[{name!r}]", got, f"a logit for each of {int(classes.max()) + 1} classes"
                )
        right = _right(copies, inputs, classes, "perturbations", perturbations, rng)
        tried = _right(copies, *others, "fresh", given["fresh"], rng)
    payoffs = right.mean(axis=2)
    found = solve_zero_sum(NormalFormGame.zero_sum(payoffs))
    samples = [_solved_sample(right, rng) for _ in range(resamples)]
    values, rows, columns = (np.array(part) for part in zip(*samples, strict=True))
    low, high = np.quantile(values, [0.025, 0.975])
    best = np.eye(len(copies))[int(payoffs.min(axis=1).argmax())]
    policies = np.stack([found.profile[0], best, np.full(len(copies), 1 / len(copies))])
    return RobustnessGame(
        networks=tuple(networks),
        perturbations=tuple(perturbations),
        right=right,
        value=found.value,
        network_mixture=found.profile[0],
        perturbation_mixture=found.profile[1],
        value_interval=(float(low), float(high)),
        network_stderr=rows.std(axis=0, ddof=1),
        perturbation_stderr=columns.std(axis=0, ddof=1),
        fresh_perturbations=tuple(given["fresh"]),
        fresh_accuracy=policies @ tried.mean(axis=2),
        status=found.status,
    )


def _classified(data: tuple[Tensor, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Rows with class ids, or an error."""
    inputs, classes = data_pair(data, name=name)
    if classes.is_floating_point() or classes.ndim != 1:
        raise invalid_argument(name, f"targets {classes.dtype} of {classes.ndim} axes", "class ids (rows,)")
    return inputs, classes


def _right(
    networks: Mapping[str, nn.Module],
    inputs: Tensor,
    classes: Tensor,
    argument: str,
    perturbations: Mapping[str, Perturbation],
    rng: torch.Generator,
) -> NDArray[np.bool_]:
    """Whether each network is right on each row, (networks, perturbations, rows)."""
    found = np.empty((len(networks), len(perturbations), len(inputs)), dtype=np.bool_)
    for column, (name, change) in enumerate(perturbations.items()):
        changed = change(inputs.clone(), classes.clone(), rng)
        if not isinstance(changed, Tensor) or changed.shape != inputs.shape or not changed.isfinite().all():
            got = f"shape {tuple(changed.shape)}" if isinstance(changed, Tensor) else type(changed).__name__
            expected = f"finite inputs of shape {tuple(inputs.shape)}"
            raise invalid_argument(f"{argument}[{name!r}]", got, expected)
        for row, model in enumerate(networks.values()):
            outputs = torch.cat([model(part) for part in changed.split(_ROWS)])
            found[row, column] = (outputs.argmax(dim=1) == classes).cpu().numpy()
    return found


def _solved_sample(
    right: NDArray[np.bool_], rng: torch.Generator
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Value and both mixtures on a bootstrap sample of the rows."""
    count = right.shape[2]
    rows = torch.randint(count, (count,), generator=rng, device=rng.device).cpu().numpy()
    solved = solve_zero_sum(NormalFormGame.zero_sum(right[:, :, rows].mean(axis=2)))
    return solved.value, *solved.profile


@drawn_in_style
def plot_payoffs(
    accuracy: NDArray[np.float64],
    networks: tuple[str, ...],
    perturbations: tuple[str, ...],
    network_mixture: NDArray[np.float64],
    perturbation_mixture: NDArray[np.float64],
) -> Figure:
    """Draw the payoffs of a game of networks against perturbations, with both mixtures written at the margins."""
    rows, columns = accuracy.shape
    figure, ((axis,),) = panels(2.6 + 0.5 * columns, 1.8 + 0.34 * rows)
    drawn = axis.imshow(accuracy, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for i in range(rows):
        for j in range(columns):
            colour = "white" if accuracy[i, j] < 0.5 else "black"
            axis.text(j, i, f"{100 * accuracy[i, j]:.0f}", ha="center", va="center", color=colour, fontsize=8)
    axis.set_yticks(range(rows), [f"{n}  ({p:.2f})" for n, p in zip(networks, network_mixture, strict=True)])
    labels = [f"{name}  ({p:.2f})" for name, p in zip(perturbations, perturbation_mixture, strict=True)]
    axis.set_xticks(range(columns), labels, rotation=45, ha="right")
    axis.grid(visible=False)
    figure.colorbar(drawn, ax=axis, label="accuracy")
    return figure
