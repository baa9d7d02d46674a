"""Public goods on a network: every player consumes what its own closed neighbourhood produces.

Players i = 0..n-1 are the nodes of a graph in their order there. A player looks at its neighbours j (its successors, if
the graph is directed) with weights w_ij > 0, and at itself with weight 1. Its group has the size m_i = 1 + sum_j w_ij;
if beside it the weight a_i = sum_j w_ij s_j acts, s_j being 0 or 1, then acting pays on top of resting

    f_i(a_i) = kappa_i (S((a_i + 1) / m_i) - e S(a_i / m_i)) - c_i,

with e = 0 for a good that only those who act receive and 1 for one that everybody receives, and resting pays
e kappa_i S(a_i / m_i). On the complete graph m_i = N and a_i counts the others who act: it IS the well-mixed game.

A player takes part in one group, its own, as in Bramoulle and Kranton's local public goods, so that what it gains
depends on its neighbours only. (Santos, Santos and Pacheco let it also play in every neighbour's group, which reaches
the neighbours' neighbours, and add the payoffs up; averaged, they give the same game on the complete graph.)

Reference: Y. Bramoulle and R. Kranton, Public goods in networks, Journal of Economic Theory 135 (2007), section 2;
F. Santos, M. Santos and J. Pacheco, Social diversity promotes the emergence of cooperation in public goods games,
Nature 454 (2008).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, invalid_argument, numbers
from neurogames.games.neighbours import neighbourhoods
from neurogames.games.public_goods import ClubGood, Good, LinearGood, PublicGoodsGame

_NO_LOOPS = "no loops: a player belongs to its own group with weight 1"


@dataclass(frozen=True, eq=False)
class NetworkPublicGoodsGame:
    """Players on a graph who act at a cost or rest, each with its closed neighbourhood as its group.

    Args:
        graph: any networkx graph with at least one node. Edge attributes "weight" > 0 count (1 where there is none),
            parallel edges add up; an edge i -> j of a directed graph makes j a member of i's group. Or a square
            scipy.sparse array in CSR format whose entry (i, j) > 0 is w_ij.
        cost: c_i > 0: a number, (n,) numbers in the order of the nodes, or the name of a node attribute of networkx.
        multiplier: kappa_i > 0, given in the same way.
        good: as for :class:`~neurogames.games.public_goods.PublicGoodsGame`.

    Attributes:
        players: the n nodes; numbers from 0 on for a sparse array.
        cost: (n,) costs.
        multiplier: (n,) multipliers.
        good: what is produced and who receives it.
        first: (n+1,) where each player's neighbours begin in the next two arrays.
        neighbour: (edges,) numbers of the neighbours, increasing for each player.
        weight: (edges,) their weights.
        size: (n,) group sizes m_i.

    Raises:
        ValueError: if the graph has no node or a loop, or if a weight, a cost or a multiplier is not > 0.

    >>> game = NetworkPublicGoodsGame(nx.cycle_graph(5), cost=0.5, multiplier=1.0)
    >>> game.gain([True, True, False, False, False]).round(3)
    array([ 0.167,  0.167,  0.167, -0.167,  0.167])
    >>> game.strict_equilibrium([[False] * 5, [True] * 5, [True, True, False, False, False]])
    array([ True,  True, False])
    """

    players: tuple[Hashable, ...]
    cost: NDArray[np.float64]
    multiplier: NDArray[np.float64]
    good: Good
    first: NDArray[np.int64]
    neighbour: NDArray[np.int64]
    weight: NDArray[np.float64]
    size: NDArray[np.float64]

    def __init__(
        self, graph: Any, cost: ArrayLike | str, multiplier: ArrayLike | str, good: Good | str = "club"
    ) -> None:
        first, neighbour, weight = neighbourhoods(graph, _NO_LOOPS)
        if not isinstance(graph, nx.Graph) and not graph.has_canonical_format:
            ordered = graph.copy()
            ordered.sum_duplicates()
            first, neighbour, weight = neighbourhoods(ordered, _NO_LOOPS)
        neighbour = neighbour.astype(np.int64, copy=False)
        weight = weight if weight.size else np.ones(neighbour.size)
        size = 1.0 + _sums(weight, first)
        values = {
            "players": tuple(graph) if isinstance(graph, nx.Graph) else tuple(range(first.size - 1)),
            "cost": _per_player("cost", cost, graph, first.size - 1),
            "multiplier": _per_player("multiplier", multiplier, graph, first.size - 1),
            # The well-mixed game knows the goods by name, and refuses what is none.
            "good": PublicGoodsGame(2, 1.0, 1.0, good).good,
            "first": first,
            "neighbour": neighbour,
            "weight": weight,
            "size": size,
        }
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.size.size

    def acting(self, profile: ArrayLike) -> NDArray[np.float64]:
        """Weight a_i of the neighbours who act.

        Args:
            profile: (..., n) booleans, True for those who act.

        Returns:
            (..., n) weights.
        """
        acts = self._profile(profile)
        return _sums(acts[..., self.neighbour] * self.weight, self.first)

    def pays(
        self, acting: ArrayLike, player: ArrayLike | slice = slice(None)
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What resting pays, and what acting pays on top of it, beside neighbours of a given acting weight.

        Args:
            acting: (..., k) weights a.
            player: (k,) numbers of the players they stand beside; all players in order when left out.

        Returns:
            Two arrays (..., k): e kappa_i S(a / m_i), and the gain f_i(a).
        """
        beside = numbers("acting", acting, "weights of neighbours who act")
        who = player if isinstance(player, slice) else np.asarray(player)
        multiplier, size = self.multiplier[who], self.size[who]
        if beside.ndim == 0 or beside.shape[-1] != size.size:
            raise invalid_argument("acting", f"shape {beside.shape}", f"weights of shape (..., {size.size})")
        received = 0.0 if self.good.excludable else self.good.produced(beside / size)
        resting = multiplier * received * np.ones_like(beside)
        return resting, multiplier * self.good.produced((beside + 1.0) / size) - resting - self.cost[who]

    def gain(self, profile: ArrayLike) -> NDArray[np.float64]:
        """Extra payoff f_i(a_i) of acting for each player, whatever it does itself.

        Args:
            profile: (..., n) booleans.

        Returns:
            (..., n) gains.
        """
        return self.pays(self.acting(profile))[1]

    def payoffs(self, profile: ArrayLike) -> NDArray[np.float64]:
        """Payoff of each player.

        Args:
            profile: (..., n) booleans.

        Returns:
            (..., n) payoffs.
        """
        resting, gain = self.pays(self.acting(profile))
        return resting + self._profile(profile) * gain

    def regret(self, profile: ArrayLike) -> NDArray[np.float64]:
        """The most a player could gain by switching alone; 0 iff the profile is a pure Nash equilibrium.

        Args:
            profile: (..., n) booleans.

        Returns:
            (...) regrets in payoff units.
        """
        return np.asarray(np.maximum(self._switching(profile).max(axis=-1), 0.0))

    def strict_equilibrium(self, profile: ArrayLike) -> NDArray[np.bool_]:
        """Whether every player would lose by switching alone.

        Args:
            profile: (..., n) booleans.

        Returns:
            (...) booleans.
        """
        return np.asarray((self._switching(profile) < 0).all(axis=-1))

    @property
    def has_potential(self) -> bool:
        """Whether there is an exact potential: each pair must matter to each other equally, in every profile.

        For the linear good, whose gain is constant, always. For the club good iff kappa_i w_ij / m_i = kappa_j w_ji /
        m_j for all pairs, as in a regular undirected graph of equal multipliers. For other goods if every connected
        component is a complete graph of equal weights and multipliers; costs are free. (A good with straight pieces may
        have one beyond that, which is not looked for.) Equal means to 1e-12 relatively.

        Reference: D. Monderer and L. Shapley, Potential games, Games and Economic Behavior 14 (1996), corollary 2.9.
        """
        if isinstance(self.good, LinearGood):
            return True
        player = np.repeat(np.arange(self.n_players), np.diff(self.first))
        affine = isinstance(self.good, ClubGood)
        mutual = (self.multiplier / self.size)[player] * self.weight if affine else self.weight
        there = dict(zip(zip(player.tolist(), self.neighbour.tolist(), strict=True), mutual.tolist(), strict=True))
        if not np.allclose([there.get((j, i), 0.0) for i, j in there], list(there.values()), rtol=1e-12, atol=0.0):
            return False
        return affine or self._complete_components(player)

    def potential(self, profile: ArrayLike) -> NDArray[np.float64]:
        """Exact potential: what the players gain who start to act one after another, in the order of the nodes.

        Phi(s) = sum_i s_i f_i(sum over j < i of w_ij s_j). For the club good that is sum_i s_i (kappa_i / m_i - c_i)
        plus kappa_i w_ij / m_i for each pair that acts.

        Args:
            profile: (..., n) booleans.

        Returns:
            (...) potentials, 0 where all rest.

        Raises:
            ValueError: if :attr:`has_potential` is False; the sum would depend on the order of the players then.
        """
        if not self.has_potential:
            raise invalid_argument(
                "game", "no exact potential", "pairs that matter to each other equally; see has_potential"
            )
        acts = self._profile(profile)
        player = np.repeat(np.arange(self.n_players), np.diff(self.first))
        earlier = self.weight * (self.neighbour < player)
        return np.asarray((acts * self.pays(_sums(acts[..., self.neighbour] * earlier, self.first))[1]).sum(axis=-1))

    def _switching(self, profile: ArrayLike) -> NDArray[np.float64]:
        """(..., n) what each player gains by switching alone."""
        return np.where(self._profile(profile), -1.0, 1.0) * self.gain(profile)

    def _profile(self, profile: ArrayLike) -> NDArray[np.bool_]:
        """Return a profile as booleans (..., n), or refuse it."""
        acts = np.asarray(profile)
        if acts.dtype != np.bool_ or acts.ndim == 0 or acts.shape[-1] != self.n_players:
            got = f"{acts.dtype} of shape {acts.shape}"
            raise invalid_argument("profile", got, f"booleans of shape (..., {self.n_players})")
        return acts

    def _complete_components(self, player: NDArray[np.int64]) -> bool:
        """Whether all who look at each other look at the same others, with equal weights and multipliers."""
        degree = np.diff(self.first)
        members = [frozenset((i, *self.neighbour[self.first[i] : self.first[i + 1]])) for i in range(self.n_players)]
        same = all(members[i] == members[j] for i, j in zip(player, self.neighbour, strict=True))
        least = (
            np.repeat(self.weight[np.minimum(self.first[:-1], self.weight.size - 1)], degree) if degree.any() else 0.0
        )
        equal = np.allclose(self.weight, least, rtol=1e-12, atol=0.0)
        alike = np.allclose(self.multiplier[player], self.multiplier[self.neighbour], rtol=1e-12, atol=0.0)
        return same and equal and alike


def _per_player(name: str, value: ArrayLike | str, graph: Any, n: int) -> NDArray[np.float64]:
    """A value > 0 for each player, from a number, an array or the name of a node attribute."""
    if isinstance(value, str):
        if not isinstance(graph, nx.Graph):
            raise invalid_argument(name, value, f"one number or {n} numbers; a sparse array has no node attributes")
        found = [data.get(value) for _, data in graph.nodes(data=True)]
        if None in found:
            raise invalid_argument(
                name, f"{value!r}, which {found.count(None)} nodes do not have", "an attribute of every node"
            )
        value = found
    given = numbers(name, value, f"one number, {n} numbers or a node attribute")
    if given.ndim > 0 and given.shape != (n,):
        raise invalid_argument(name, f"shape {given.shape}", f"one number, {n} numbers or a node attribute")
    result = finite_array(name, np.broadcast_to(given, (n,)), ndim=1)
    if not (result > 0).all():
        raise invalid_argument(name, f"{np.count_nonzero(result <= 0)} values that are not > 0", "numbers > 0")
    return result


def _sums(values: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """(..., n) sums of (..., edges) over the neighbours of each player."""
    some = np.flatnonzero(np.diff(first))
    result = np.zeros((*values.shape[:-1], first.size - 1))
    if some.size:  # reduceat knows no empty sum
        result[..., some] = np.add.reduceat(values, first[:-1][some], axis=-1)
    return result
