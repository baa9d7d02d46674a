"""Everything that the study of DGNOpt depends on, and what was registered before it was run.

Registered:

- **Tuning.** Every method has the same number of trials, on one start of each network: half as many rates, evenly in
  the logarithm over its range (``methods.METHODS``), times two values of a second setting. The trial with the highest
  accuracy on held-out training rows (the earlier of equals) is trained anew on all training rows, from every seed.
  Test rows decide nothing before the verdicts.
- **Accuracy.** In each network the game structure (feedback, cooperation, both) and the opponent with the highest
  held-out accuracy are compared on the test rows, paired by seed. The claim is supported where the difference is above
  0 with p < .05 (t test, Holm over the networks).
- **Structures.** Each game structure minus the open loop, which has the same curvature and the same trials; Holm over
  structures and networks.
- **Cost.** Steps, seconds and operations to a target accuracy, as logarithms of the ratio of the chosen game structure
  to the chosen opponent. "Less" where p < .05 (Holm over networks and costs) among seeds in which both reach it; a
  network where more than a fifth of the seeds miss it is not decided.
- **Large steps.** At each rate, feedback minus the open loop with the same curvature, and minus gradient descent
  whose every step is as long as that of feedback. Feedback stabilises where both differences are above 0 with p < .05
  (Holm over rates, networks and curvatures), at rates where plain SGD is over a point short of its own best rate.
- **Fictitious players.** N players are explained by the rate if rate times N needs as many steps in every seed.
- **Alignments.** The bandit minus the fixed one, a random one and a bandit with shuffled rewards; supported if all
  three are above 0 with p < .05 (Holm over the three). At the rate that was registered first, .3, no network learnt
  anything. The rate is now .1, the best of .1, .05 and .02 for the fixed alignment on held-out rows.
- **Runtime.** The claim is a step of at most 1.4 times EKFAC's, as medians over seeds in each network.

Differences are of accuracy at the end of equal epochs. Networks that diverge count with the accuracy they have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from neurogames._arguments import integer, invalid_argument, number
from neurogames.lab.studies.dgnopt.networks import NETWORKS
from neurogames.lab.studies.settings import StudySettings, one_name

HELD_OUT = 0.2
"""Share of the training rows on which settings are chosen."""


@dataclass(frozen=True)
class DGNOptSettings(StudySettings):
    """Settings of one study of DGNOpt.

    Args:
        data: images, as for :func:`neurogames.lab.load_images`.
        seeds: number of independent repetitions (first weights, order of the rows), at least 2.
        first_seed: seed of the first repetition; the others follow.
        networks: some of "residual", "inception" and "cooperative".
        width: channels of the first block; a multiple of 4. Dense layers have four times as many units.
        epochs: passes over the training rows.
        batch_size: rows of a mini-batch.
        trials: even number of settings that are tried for each method.
        target: test accuracy in (0, 1) to which steps, seconds and operations are counted.
        record: steps from one test of the accuracy to the next.
        refresh: steps from one eigenbasis to the next, of all methods with Kronecker factors.
        large_networks: networks of the test of large steps.
        large_rates: learning rates of the test of large steps, increasing; at least 2.
        players: numbers of fictitious players; the first is 1.
        rows: training rows; all if ``None``.
        test_rows: test rows; all if ``None``.
        side: images are averaged down until a side is below twice this.
    """

    data: str = "digits"
    seeds: int = 10
    first_seed: int = 0
    networks: tuple[str, ...] = NETWORKS
    width: int = 8
    epochs: int = 4
    batch_size: int = 64
    trials: int = 6
    target: float = 0.9
    record: int = 4
    refresh: int = 20
    large_networks: tuple[str, ...] = ("cooperative",)
    large_rates: tuple[float, ...] = (0.1, 0.5, 1.0, 2.0)
    players: tuple[int, ...] = (1, 2, 4, 6)
    rows: int | None = None
    test_rows: int | None = None
    side: int = 14

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        super().__post_init__()
        for name in ("networks", "large_networks"):
            chosen = getattr(self, name)
            if not chosen or not set(chosen) <= set(NETWORKS) or len(set(chosen)) < len(chosen):
                raise invalid_argument(name, chosen, f"some of {', '.join(NETWORKS)}, each named once")
        if integer("width", self.width, minimum=4) % 4:
            raise invalid_argument("width", self.width, "a multiple of 4")
        if integer("trials", self.trials, minimum=2) % 2:
            raise invalid_argument("trials", self.trials, "an even number")
        number("target", self.target, "a number in (0, 1)", lambda value: 0 < value < 1)
        for name in ("epochs", "batch_size", "record", "refresh", "side"):
            integer(name, getattr(self, name), minimum=1)
        for rate in self.large_rates:
            number("large_rates", rate, "a number > 0", lambda value: value > 0)
        if len(self.large_rates) < 2 or list(self.large_rates) != sorted(set(self.large_rates)):
            raise invalid_argument("large_rates", self.large_rates, "at least two increasing rates")
        for players in self.players:
            integer("players", players, minimum=1)
        if self.players[:1] != (1,) or list(self.players) != sorted(set(self.players)):
            raise invalid_argument("players", self.players, "increasing numbers of players, the first 1")
        for name in ("rows", "test_rows"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), minimum=20)

    @classmethod
    def for_data(cls, *names: str) -> Self:
        """Return what suits the images: few rows of all but the digits.

        >>> DGNOptSettings.for_data("fashion_mnist").rows
        2000
        """
        plan = cls(one_name(names))
        if plan.data == "digits":
            return plan
        target = 0.8 if plan.data == "mnist" else 0.65 if plan.data == "fashion_mnist" else 0.25
        return replace(plan, rows=2000, test_rows=2000, seeds=5, target=target)

    def quick(self) -> Self:
        """Return a smaller copy for a first look: one network, two seeds, two trials, one epoch.

        >>> DGNOptSettings().quick().networks
        ('cooperative',)
        """
        return replace(
            self,
            seeds=2,
            networks=("cooperative",),
            large_networks=("cooperative",),
            large_rates=(self.large_rates[0], self.large_rates[-1]),
            players=self.players[:2],
            epochs=1,
            trials=2,
            width=4,
            rows=min(self.rows or 400, 400),
            test_rows=min(self.test_rows or 200, 200),
        )
