"""A training with gradient dropout, predicted before it is run: by its mean-field twin, with a band for the masks.

The prediction needs no mask. Two ensembles are trained on the same seeds (initial weights, order of the rows, noise of
the labels):

- the law: feedback is the mean of the mask (``feedback="mean"``);
- the noise: the mask's factors are replaced by normal ones of the same mean p and variance p (1 - p)
  (``feedback="gaussian"``). Coins are independent and enter a gradient linearly, each at most once on a path; so the
  noise of this ensemble's gradients has exactly the covariance of the masked ones, in each layer and between layers,
  given the parameters. It is the diffusion that stochastic gradient descent with masks is for small steps.

A network's course with masks is predicted to lie at the law's course plus the spread of (noise - law) over the seeds.
There is no closed form for that spread along a path with large changes; near a minimum there is
(``feedback.fluctuation``).

Measured over 60 settings (five tables; keep .7, .4, .2, .1; Adam .002 and .001, SGD .02; 32-32 units, 40 epochs,
batches of 32, 30 seeds; loss, predictions, robustness and composition at 10, 30 and 100 % of training): the 90 % band
of single networks held .90 to .96 of the later masked ones under Adam, .86 to .96 under SGD. The 90 % band of means
held .75 to 1.0 under Adam later than 10 % (at 10 %: .35 to .65 for loss and robustness) and .60 to .95 under SGD: means
show what is small. Early under Adam a second moment comes from few arrivals, and the mean of a root is below the root
of the mean; and the mask of a small keep is skewed, which normal factors are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from neurogames._arguments import instance, invalid_argument, number
from neurogames.bridge.ensembles.ensemble import Feedback, Schedule, train_ensemble
from neurogames.bridge.ensembles.networks import Ensemble

Measure = Callable[[Ensemble], ArrayLike]
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingPrediction:
    """Predicted courses of measured quantities, by name.

    Args:
        seeds: of the networks.
        record_at: (times,) shares of training.
        law: each quantity of the mean-field twin, (networks, times, ...).
        noise: each quantity with normal factors, (networks, times, ...).
    """

    seeds: tuple[int, ...]
    record_at: Array
    law: Mapping[str, Array]
    noise: Mapping[str, Array]

    def band(self, name: str, *, level: float = 0.9) -> tuple[Array, Array]:
        """Band for the course of each network with masks.

        It goes from the law plus the (1 - level)/2 quantile of noise - law over the seeds to the law plus the
        (1 + level)/2 quantile. Quantiles are those of n + 1 equal parts, so that a further draw of the same law
        falls between them with probability ``level``.

        Args:
            name: which quantity.
            level: share of networks in (0, 1) that the band is to hold.

        Returns:
            Lower and upper ends, (networks, times, ...) each; NaN where a network of the prediction diverged.

        Raises:
            ValueError: the name is not known, or there are fewer than 2 / (1 - level) - 1 seeds.
        """
        law, noise = self._known(name)
        level = number("level", level, "a share in (0, 1)", lambda share: 0 < share < 1)
        needed = math.ceil(2 / (1 - level) - 1 - 1e-9)
        if len(self.seeds) < needed:
            raise invalid_argument("level", level, f"at least {needed} seeds for it, where there are {len(self.seeds)}")
        ends = [(1 - level) / 2, (1 + level) / 2]
        lower, upper = np.quantile(noise - law, ends, axis=0, method="weibull")
        return law + lower, law + upper

    def mean_band(self, name: str, *, level: float = 0.9) -> tuple[Array, Array]:
        """Band for the mean over as many networks with masks, on the same seeds.

        The mean of the noise's courses, plus and minus Student's t times sqrt(2 / n) times the deviation of
        noise - law: two means of n independent differences from the law.

        Args:
            name: which quantity.
            level: probability in (0, 1) that the mean falls into the band.

        Returns:
            Lower and upper ends, (times, ...) each.

        Raises:
            ValueError: the name is not known, the level is out of range, or there is one seed only.
        """
        law, noise = self._known(name)
        level = number("level", level, "a share in (0, 1)", lambda share: 0 < share < 1)
        n = len(self.seeds)
        if n < 2:
            raise invalid_argument("seeds", f"{n} seed", "at least two seeds for a band")
        half = stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt(2 / n) * (noise - law).std(axis=0, ddof=1)
        return noise.mean(axis=0) - half, noise.mean(axis=0) + half

    def _known(self, name: str) -> tuple[Array, Array]:
        if name not in self.law:
            raise invalid_argument("name", name, " or ".join(map(repr, self.law)))
        return self.law[name], self.noise[name]


def predict_training(
    inputs: Tensor,
    targets: Tensor,
    *,
    seeds: Sequence[int],
    keep_prob: float | Schedule | Sequence[float | Schedule],
    measures: Mapping[str, Measure],
    record_at: Sequence[float] = (1.0,),
    on_progress: Callable[[float], object] | None = None,
    **settings: Any,
) -> TrainingPrediction:
    """Predict what training by gradient dropout will give, before any network with masks is trained.

    The costs are those of two ensembles (of about three with Adam; see ``train_ensemble``).

    Args:
        inputs: (rows, features), as for ``train_ensemble``.
        targets: as for ``train_ensemble``.
        seeds: of the networks to be predicted, at least 19 for a band of 90 %.
        keep_prob: in [0, 1], or a schedule; one for all, or one per network.
        measures: name -> function of an ``Ensemble``, which gives numbers (networks, ...); ``held_out_measures`` has
            loss, predictions, robustness and composition.
        record_at: shares of training in [0, 1], increasing, at which they are measured.
        on_progress: called with the fraction of all steps done, in [0, 1].
        settings: the other arguments of ``train_ensemble``, but ``feedback`` and ``on_record``.

    Returns:
        The courses of all quantities, and bands for them.

    Raises:
        ValueError: a setting is out of range, or a measure gives no numbers for every network.

    >>> import torch
    >>> inputs = torch.linspace(-1, 1, 64)[:, None]
    >>> settings = {"seeds": range(19), "hidden": (8,), "keep_prob": 0.5, "epochs": 10, "learning_rate": 0.02}
    >>> error = lambda ensemble: (ensemble(inputs) - inputs**2).square().mean(dim=(1, 2))
    >>> prediction = predict_training(inputs, inputs**2, measures={"error": error}, **settings)
    >>> lower, upper = prediction.band("error")
    >>> measured = error(train_ensemble(inputs, inputs**2, **settings).ensemble).numpy()[:, None]
    >>> bool(((lower <= measured) & (measured <= upper)).mean() > 0.6)
    True
    """
    instance("measures", measures, Mapping, "a mapping")
    for name in ("feedback", "on_record"):
        if name in settings:
            raise invalid_argument(name, settings[name], "nothing: it is the prediction's own")
    if not measures or not all(callable(measure) for measure in measures.values()):
        raise invalid_argument("measures", measures, "at least one function of an ensemble, by name")
    kinds: tuple[Feedback, Feedback] = ("mean", "gaussian")
    courses: list[dict[str, Array]] = []
    for part, kind in enumerate(kinds):
        seen: dict[str, list[Array]] = {name: [] for name in measures}

        def note(_: float, ensemble: Ensemble, seen: dict[str, list[Array]] = seen) -> None:
            for name, measure in measures.items():
                seen[name].append(_measured(name, measure, ensemble))

        def advance(fraction: float, part: int = part) -> None:
            if on_progress is not None:
                on_progress((part + fraction) / len(kinds))

        train_ensemble(
            inputs,
            targets,
            seeds=seeds,
            keep_prob=keep_prob,
            feedback=kind,
            record_at=record_at,
            on_record=note,
            on_progress=advance,
            **settings,
        )
        courses.append({name: np.stack(values, axis=1) for name, values in seen.items()})
    return TrainingPrediction(tuple(seeds), np.array(record_at, dtype=np.float64), *courses)


def _measured(name: str, measure: Measure, ensemble: Ensemble) -> Array:
    """Numbers (networks, ...) of an ensemble, or refuse the measure."""
    expected = f"a function that gives numbers ({len(ensemble)}, ...)"
    try:
        values = np.asarray(measure(ensemble), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise invalid_argument(f"measures[{name!r}]", f"{type(error).__name__}: {error}", expected) from error
    if values.ndim == 0 or len(values) != len(ensemble):
        raise invalid_argument(f"measures[{name!r}]", f"shape {values.shape}", expected)
    return values
