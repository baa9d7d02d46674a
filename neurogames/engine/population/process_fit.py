"""What comes out of a comparison of processes with recorded states: candidates, a control, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurogames._arguments import one_of
from neurogames.engine.process import Process

Question = Literal["choice", "revision", "masked"]

CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, eq=False)
class FittedProcess:
    """One candidate, and how well it tells what it has not seen.

    Attributes:
        choice: "logit" or "better reply".
        process: the process with the parameters that fit all populations best.
        game: number of the game that fits best.
        sweeps: between two records.
        held_out: log-likelihood of held-out populations, nats for each player and record.
        behind: how much more the best candidate has, with its interval: difference, low, high.
        plausible: whether the interval does not exclude 0; True of the best.
    """

    choice: str
    process: Process
    game: int
    sweeps: int
    held_out: float
    behind: tuple[float, float, float]
    plausible: bool

    @property
    def name(self) -> str:
        """In words, such as "logit, one, hold"."""
        return f"{self.choice}, {self.process.revision}, {self.process.masked}"

    def is_of(self, question: Question) -> str:
        """What this candidate says to a question."""
        return self.choice if question == "choice" else str(getattr(self.process, question))


@dataclass(frozen=True, eq=False)
class ProcessFit:
    """Which process recorded states resemble; made by :func:`fit_process`.

    Attributes:
        candidates: the best on held-out populations first.
        constant_rates: held-out log-likelihood of the control, nats for each player and record.
        ahead: how much more the best candidate has than the control: difference, low, high.
    """

    candidates: tuple[FittedProcess, ...]
    constant_rates: float
    ahead: tuple[float, float, float]

    @property
    def plausible(self) -> tuple[FittedProcess, ...]:
        """Candidates that are not told from the best; none where constant rates do as well."""
        return tuple(each for each in self.candidates if each.plausible) if self.ahead[1] > 0 else ()

    def answer(self, question: Question) -> str:
        """What all plausible candidates say to a question, or "cannot tell".

        Args:
            question: "choice", "revision" or "masked".
        """
        one_of("question", question, ("choice", "revision", "masked"))
        said = {each.is_of(question) for each in self.plausible}
        return said.pop() if len(said) == 1 else CANNOT_TELL

    @property
    def verdict(self) -> str:
        """One sentence."""
        names = [each.name for each in self.plausible]
        if not names:
            return f"{CANNOT_TELL}: players who switch at constant rates do as well as the best process"
        return names[0] if len(names) == 1 else f"{CANNOT_TELL}: {' | '.join(names)}"
