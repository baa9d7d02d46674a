"""Which process do recorded states resemble: who acts at some times, held against exact laws of the game.

The candidates are the choice rules logit and better reply, with revision of "one" at a time or of "all" at once, and,
where some players get no feedback, "hold" or "blind". Each has a free noise: the temperature of logit, or the
probability e with which better reply tosses a coin. What is not known of the game, of the keep probability and of the
time between two records may be left to choose as well. The likelihood of a record is that of the pair (how many of
those who acted still do, how many of those who rested act now) given the record before it (``unit_laws``).

Every population is held out in turn, and judged with what fits the others best. A candidate is told from the best one
where the t interval of the paired differences, corrected for the number of comparisons (Bonferroni), excludes 0. The
control, players who switch at constant rates whatever the others do, has to be beaten too, else no process is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy
from scipy.stats import t as student

from neurogames._arguments import given_array, integer, invalid_argument, number
from neurogames.engine.choice import Choice, Logs, logit
from neurogames.engine.population.process_fit import FittedProcess, ProcessFit
from neurogames.engine.population.unit_laws import pair_laws
from neurogames.engine.process import KEEP, Process, check_two_action_game
from neurogames.games.base import TwoActionGame

Vector = NDArray[np.float64]

_NOISE = {"logit": np.geomspace(0.01, 10.0, 25), "better reply": np.geomspace(0.001, 0.9, 25)}
_LEAST = 1e-300
_MOST_PLAYERS, _MOST_SWEEPS, _FOLDS, _LEAST_REPLICAS = 128, 64, 10, 3


@dataclass(frozen=True)
class BetterReply:
    """Better reply with errors: with probability ``error`` a fair coin, else accept what pays more."""

    error: float
    copies: ClassVar[bool] = False
    constant: ClassVar[bool] = True

    def logs(self, difference: Vector, spread: float, progress: ArrayLike) -> Logs:  # noqa: ARG002
        """Log probabilities to accept and to decline a change."""
        lean = (1.0 - self.error) * np.sign(difference)
        shape = np.shape(progress) + difference.shape
        with np.errstate(divide="ignore"):
            accept, decline = np.log(0.5 * (1.0 + lean)), np.log(0.5 * (1.0 - lean))
        return np.broadcast_to(accept, shape), np.broadcast_to(decline, shape)


def fit_process(
    states: ArrayLike,
    games: TwoActionGame | Sequence[TwoActionGame],
    *,
    keep_prob: float | Sequence[float] = 1.0,
    sweeps: int | Sequence[int] = 1,
    confidence: float = 0.95,
) -> ProcessFit:
    """Tell which process recorded states resemble, by held-out likelihood, or that this cannot be told.

    Args:
        states: (populations, records, N) who acts, at least 3 populations, 2 records and at most 128 players. A long
            record may be cut into several.
        games: the game of N players, or several among which the likelihood chooses, as with an unknown cost.
        keep_prob: probability that a revising player gets its feedback, or several values to choose from. At 1 only,
            "hold" and "blind" are the same, and both are called "hold".
        sweeps: sweeps between two records, 1 to 64, or several values to choose from.
        confidence: of all intervals together, in (0, 1).

    Returns:
        Candidates with their held-out likelihoods, the control, and a verdict.

    Raises:
        ValueError: states are not of this form, or do not fit a game.

    >>> from neurogames import PublicGoodsGame
    >>> alternating = np.tile([[False] * 3, [True] * 3], (4, 3, 1))
    >>> fit_process(alternating, PublicGoodsGame(3, 0.2, 1.0)).answer("choice")
    'cannot tell'

    Reference: A. Traulsen, D. Semmann, R. Sommerfeld, H.-J. Krambeck and M. Milinski, Human strategy updating in
    evolutionary games, PNAS 107 (2010), for telling update rules from records; M. Stone, Cross-validatory choice and
    assessment of statistical predictions, Journal of the Royal Statistical Society B 36 (1974).
    """
    record = _states(states)
    known = _games(games, record.shape[2])
    keeps = [float(KEEP.check(each)) for each in _several("keep_prob", keep_prob)]  # type: ignore[arg-type]
    times = [integer("sweeps", each, minimum=1, maximum=_MOST_SWEEPS) for each in _several("sweeps", sweeps)]
    number("confidence", confidence, "a number in (0, 1)", lambda value: 0 < value < 1)
    moves = _Moves(record)
    scale = moves.replicas_scale
    masks: tuple[Any, ...] = ("hold",) if keeps == [1.0] else ("hold", "blind")
    revisions: tuple[Any, ...] = ("one", "all")
    found = []
    for choice, revision, masked in product(_NOISE, revisions, masks):
        settings = [
            (g, sweep, Process(_rule(choice, noise, game), revision, keep, masked))
            for (g, game), keep, noise in product(enumerate(known), keeps, _NOISE[choice].tolist())
            for sweep in times
        ]
        table = np.empty((len(settings), len(record)))
        for place in range(0, len(settings), len(times)):
            g, _, process = settings[place]
            table[place : place + len(times)] = moves.likelihoods(known[g], process, times)
        found.append((choice, settings[int(table.sum(axis=1).argmax())], _held_out(table) * scale))
    control = moves.constant_rates() * scale
    found.sort(key=lambda each: -float(each[2].mean()))
    best, comparisons = found[0][2], len(found)
    level = 1.0 - (1.0 - confidence) / comparisons
    candidates = []
    for place, (choice, (g, sweep, process), own) in enumerate(found):
        behind = _interval(best - own, level, scale) if place else (0.0, 0.0, 0.0)
        candidates.append(FittedProcess(choice, process, g, sweep, float(own.mean()), behind, behind[1] <= 0.0))
    return ProcessFit(tuple(candidates), float(control.mean()), _interval(best - control, level, scale))


class _Moves:
    """The steps from record to record, as pairs given counts, each kind once."""

    def __init__(self, states: NDArray[np.bool_]) -> None:
        before, after = states[:, :-1], states[:, 1:]
        self.n = states.shape[2]
        self.count = before.sum(axis=2)
        self.first = (before & after).sum(axis=2)
        self.second = (~before & after).sum(axis=2)
        self.replicas_scale = 1.0 / (self.n * before.shape[1])
        triples = np.stack([self.count, self.first, self.second], axis=-1)
        self.kinds, place = np.unique(triples.reshape(-1, 3), axis=0, return_inverse=True)
        self.place = place.reshape(self.count.shape)

    def likelihoods(self, game: TwoActionGame, process: Process, times: Sequence[int]) -> Vector:
        """Log-likelihood (times, populations) of all steps."""
        logs = np.empty((len(times), len(self.kinds)))
        counts = np.unique(self.kinds[:, 0]).tolist()
        for count, law in zip(counts, pair_laws(game, process, counts, max(times)), strict=True):
            own = self.kinds[:, 0] == count
            chances = law[np.array(times) - 1][:, self.kinds[own, 1], self.kinds[own, 2]]
            logs[:, own] = np.log(np.maximum(chances, _LEAST))
        return np.asarray(logs[:, self.place].sum(axis=2))

    def constant_rates(self) -> Vector:
        """Held-out log-likelihood (populations,) where players begin and stop at constant rates."""
        held = np.empty(len(self.count))
        for fold in _folds(len(self.count)):
            rest = np.setdiff1d(np.arange(len(self.count)), fold)
            chances = [
                (hits[rest].sum() + 0.5) / (tries[rest].sum() + 1.0)
                for hits, tries in ((self.first, self.count), (self.second, self.n - self.count))
            ]
            held[fold] = (
                _log_binomial(self.first[fold], self.count[fold], chances[0])
                + _log_binomial(self.second[fold], self.n - self.count[fold], chances[1])
            ).sum(axis=1)
        return held


def _log_binomial(hits: NDArray[np.intp], tries: NDArray[np.intp], chance: float) -> Vector:
    ways = gammaln(tries + 1.0) - gammaln(hits + 1.0) - gammaln(tries - hits + 1.0)
    return np.asarray(ways + xlogy(hits, chance) + xlog1py(tries - hits, -chance))


def _folds(replicas: int) -> list[NDArray[np.intp]]:
    return np.array_split(np.arange(replicas), min(_FOLDS, replicas))


def _held_out(table: Vector) -> Vector:
    """Log-likelihood (populations,) of each, with the settings that fit the other folds best."""
    held = np.empty(table.shape[1])
    total = table.sum(axis=1)
    for fold in _folds(table.shape[1]):
        held[fold] = table[int((total - table[:, fold].sum(axis=1)).argmax()), fold]
    return held


def _interval(differences: Vector, level: float, scale: float) -> tuple[float, float, float]:
    """Mean of paired differences with its t interval, at least as wide as a likelihood ratio may be by chance.

    Whatever is true, another process has 1 / (1 - level) times its likelihood with probability 1 - level at most
    (Markov). This counts where nobody moves in what was recorded, and differences have no spread.
    """
    mean, n = float(differences.mean()), len(differences)
    half = float(student.ppf(0.5 + level / 2.0, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    half = max(half, -np.log(1.0 - level) * scale / n)
    return mean, mean - half, mean + half


def _rule(choice: str, noise: float, game: TwoActionGame) -> Choice:
    """A choice rule with its noise; temperatures are in units of the largest gain."""
    return logit(noise * (float(np.abs(game.gain).max()) or 1.0)) if choice == "logit" else BetterReply(noise)


def _states(states: ArrayLike) -> NDArray[np.bool_]:
    given = given_array("states", states)
    expected = (
        f"truth values (populations >= {_LEAST_REPLICAS}, records >= 2, players from 2 to {_MOST_PLAYERS}) of who acts"
    )
    if given.dtype != np.bool_ or given.ndim != 3:
        raise invalid_argument("states", f"{given.dtype} of shape {given.shape}", expected)
    if given.shape[0] < _LEAST_REPLICAS or given.shape[1] < 2 or not 2 <= given.shape[2] <= _MOST_PLAYERS:
        raise invalid_argument("states", f"shape {given.shape}", expected)
    return given


def _games(games: Any, n_players: int) -> list[TwoActionGame]:
    known = list(games) if isinstance(games, Sequence) and not isinstance(games, str) else [games]
    if not known:
        raise invalid_argument("games", "none", "at least one game")
    for game in known:
        try:
            check_two_action_game(game)
        except ValueError as error:
            raise invalid_argument("games", type(game).__name__, "symmetric games of two actions") from error
        if game.n_players != n_players:
            raise invalid_argument("games", f"{game.n_players} players", f"as many as states has, {n_players}")
    return known


def _several(name: str, value: Any) -> list[Any]:
    """One value, or several."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | dict)
    values = list(value) if several else [value]
    if not values:
        raise invalid_argument(name, "none", "at least one value")
    return values
