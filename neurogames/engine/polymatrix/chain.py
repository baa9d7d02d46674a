"""The second view: the exact chain of the profiles of a small polymatrix game."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.display.axes import own_axis
from neurogames.engine.display.tables import dataset, frame
from neurogames.engine.polymatrix.rules import largest_terms, log_revision, revisions
from neurogames.engine.polymatrix.simulate import check_polymatrix, check_profiles
from neurogames.engine.process import Process
from neurogames.engine.solution import EscapeTime
from neurogames.engine.strategies.markov import escape, laws_in_time, stationary_law, transition_matrix
from neurogames.engine.strategies.moves import Moves
from neurogames.games.polymatrix import PolymatrixGame

_MOST_PROFILES = 2**11


@dataclass(frozen=True, eq=False)
class ProfileDistribution:
    """A probability law of the profiles of a game, or several of them.

    Attributes:
        profiles: (S, m) strategies of all players, in lexicographic order.
        log_probability: (..., S) their log probabilities; NaN where there is no unique answer.
        residual: for a stationary law, the greatest relative difference between what leaves and what enters a profile;
            for a law at a given time, how far its total mass is from 1.
        status: "ok", or why there is no unique law.
        game: the game.
    """

    profiles: NDArray[np.int64]
    log_probability: NDArray[np.float64]
    residual: float
    status: str
    game: PolymatrixGame

    @property
    def probability(self) -> NDArray[np.float64]:
        """(..., S) probabilities."""
        return np.asarray(np.exp(self.log_probability))

    def marginals(self) -> NDArray[np.float64]:
        """(..., m, n) probability that each player uses each strategy; 0 for strategies that it does not have."""
        widest = np.arange(self.game.n_strategies.max())
        return np.asarray(np.tensordot(self.probability, self.profiles[:, :, None] == widest, axes=(-1, 0)))

    def plot(self, axis: Any = None) -> Any:
        """Draw how probable each strategy of each player is, in one law.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.

        Raises:
            ValueError: if there are several laws, or none that is unique.
        """
        if self.log_probability.ndim != 1 or self.status != "ok":
            raise invalid_argument("plot", self.status if self.status != "ok" else "several laws", "one law")
        axis = own_axis(axis, 4.8, 4.0)
        image = axis.imshow(self.marginals(), vmin=0, vmax=1, cmap="cividis_r", aspect="auto")
        axis.set(xlabel="strategy", ylabel="player")
        axis.set_xticks(range(self.game.n_strategies.max()), range(1, self.game.n_strategies.max() + 1))
        axis.set_yticks(range(self.game.n_players), map(str, self.game.players))
        axis.figure.colorbar(image, ax=axis, label="probability")
        return axis

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the log probabilities of the profiles, of several laws over time."""
        dims = ("time", "profile") if self.log_probability.ndim == 2 else ("profile",)
        found = {"log_probability": (dims, self.log_probability), "strategy": (("profile", "player"), self.profiles)}
        return dataset(found, {"player": list(map(str, self.game.players))})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` of one law: a column of strategies for each player, and the log probability."""
        if self.log_probability.ndim != 1:
            raise invalid_argument("to_dataframe", f"{len(self.log_probability)} laws", "one law; see to_xarray")
        names = [np.array(own)[column] for own, column in zip(self.game.labels, self.profiles.T, strict=True)]
        columns = dict(zip(map(str, self.game.players), names, strict=True))
        return frame({**columns, "log_probability": self.log_probability})

    def __repr__(self) -> str:
        what = f"{self.game.n_players} players, {len(self.profiles)} profiles"
        if self.log_probability.ndim == 1 and self.status == "ok":
            best = int(self.log_probability.argmax())
            names = ", ".join(own[k] for own, k in zip(self.game.labels, self.profiles[best], strict=True))
            what += f"; most probable ({names}) {self.probability[best]:.3g}"
        return f"ProfileDistribution({what}; residual {self.residual:.2g}; {self.status})"


@dataclass(frozen=True, eq=False)
class PolymatrixChain:
    """The chain of the profiles of a polymatrix game; see :func:`polymatrix_chain`.

    Attributes:
        game: the game.
        process: how players revise.
    """

    game: PolymatrixGame
    process: Process

    @cached_property
    def moves(self) -> Moves:
        """Profiles and the moves between them."""
        return _moves(self.game, self.process)

    def transition_matrix(self) -> Any:
        """(S, S) probabilities of one revision, or of one round, as a ``scipy.sparse.csr_array``."""
        return transition_matrix(self.moves, self.process.revision == "one")

    def stationary(self) -> ProfileDistribution:
        """Stationary law: the share of time spent at each profile in the long run.

        Returns:
            The law; where several sets of profiles are never left, the status says so and the probabilities are NaN.

        Reference: L. Blume, The statistical mechanics of strategic interaction, Games and Economic Behavior 5 (1993):
        under logit it is exp(potential / tau), normalised, where A_ij is the transpose of A_ji.
        """
        log_law, residual, status = stationary_law(self.moves)
        return ProfileDistribution(self.moves.states, log_law, residual, status, self.game)

    def escape_time(self, start: ArrayLike, target: Callable[[NDArray[np.int64]], Any]) -> EscapeTime:
        """Expected time from a profile to the first one in a set.

        Args:
            start: (m,) profile at time 0.
            target: takes the profiles (S, m) and returns (S,) booleans, True in the set.

        Returns:
            The time in sweeps: single revisions over m, or rounds. It is inf when the set may never be reached.

        Raises:
            ValueError: if the start is no profile, or the target is empty or of another shape.
        """
        return escape(self.moves, self._place(start), target, revisions(self.process, self.game.n_players))

    def transient(self, start: ArrayLike, sweeps: int | Sequence[int]) -> ProfileDistribution:
        """Exact law after some sweeps.

        Args:
            start: (m,) profile at time 0.
            sweeps: when to look: a number of sweeps, or an increasing sequence of them.

        Returns:
            The law, with log_probability (S,), or (T, S) for a sequence; below 1e-308 a probability is 0.

        Raises:
            ValueError: if the start is no profile or the times do not increase.
        """
        steps = revisions(self.process, self.game.n_players)
        log_law, residual = laws_in_time(self.transition_matrix(), self._place(start), sweeps, steps)
        return ProfileDistribution(self.moves.states, log_law, residual, "ok", self.game)

    def _place(self, start: ArrayLike) -> int:
        return int(np.ravel_multi_index(tuple(check_profiles(self.game, start, ())), tuple(self.game.n_strategies)))


def polymatrix_chain(game: PolymatrixGame, process: Process) -> PolymatrixChain:
    """Exact chain of the profiles of a polymatrix game.

    Args:
        game: the game, with at most 2048 profiles.
        process: logit or best response with constant parameters.

    Returns:
        The chain.

    Raises:
        ValueError: if the process does not fit, or there are too many profiles.

    >>> import networkx as nx
    >>> from neurogames.engine import logit
    >>> graph = nx.path_graph(3)
    >>> nx.set_edge_attributes(graph, [[1.0, 0.0], [0.0, 2.0]], "payoffs")
    >>> law = polymatrix_chain(PolymatrixGame(graph), Process(logit(0.5))).stationary()
    >>> law.marginals()[:, 1].round(3), law.residual < 1e-12
    (array([0.963, 0.978, 0.963]), True)
    """
    check_polymatrix(game, process)
    size = math.prod(map(int, game.n_strategies))
    if size > _MOST_PROFILES:
        raise invalid_argument("game", f"{size} profiles", f"at most {_MOST_PROFILES}, or simulate_polymatrix")
    return PolymatrixChain(game, process)


def _moves(game: PolymatrixGame, process: Process) -> Moves:
    """Moves of one revision, of one player, or of a round, in which all revise independently."""
    shape = tuple(map(int, game.n_strategies))
    profiles = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=-1).astype(np.int64)
    size, place = len(profiles), np.arange(len(profiles))
    rows = []
    for i in range(game.n_players):
        rule = log_revision(process, game.offers(i, profiles), largest_terms(game))
        rows.append(rule[place, profiles[:, i]])
    if process.revision == "all":
        log_probability = sum((row[:, profiles[:, i]] for i, row in enumerate(rows)), np.zeros((size, size)))
        target = np.broadcast_to(place, (size, size))
        return Moves(profiles, target, log_probability, np.diag(log_probability).copy(), size - 1)
    targets, logs, stays = [], [], []
    log_picked = -np.log(game.n_players)
    for i, row in enumerate(rows):
        stride = math.prod(shape[i + 1 :])
        for step in range(1, shape[i]):
            after = (profiles[:, i] + step) % shape[i]
            targets.append(place + (after - profiles[:, i]) * stride)
            logs.append(log_picked + row[place, after])
        stays.append(log_picked + row[place, profiles[:, i]])
    target = np.column_stack(targets)
    band = int(np.abs(target - place[:, None]).max())
    return Moves(profiles, target, np.column_stack(logs), np.logaddexp.reduce(np.column_stack(stays), axis=1), band)
