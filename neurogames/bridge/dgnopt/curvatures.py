"""The curvature of the layers of a network in one step, kept in the state of an optimizer.

Layers that cooperate at a stage need moments across: averages E[a_u a_v'] and E[g_u g_v'] over the same batches, with
the same weights, as the factors of the layers themselves. Only then is the matrix of all blocks positive semi-definite.
So they are averaged for every pair that some alignment puts at one stage, also while another one is played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from torch import Tensor

from neurogames.bridge.curvature.layer_curvature import Memory
from neurogames.bridge.dgnopt.joint_curvature import JointCurvature, cross_factors
from neurogames.bridge.dgnopt.joint_metric import ConjugateGradients, JointMetric, Solver
from neurogames.bridge.dgnopt.layer_rules import (
    EKFACRule,
    KFACRule,
    LayerRule,
    damped_factors,
    spectrum,
)
from neurogames.bridge.dgnopt.metric import LayerMetric, SeparateMetric, StageMetric
from neurogames.bridge.dgnopt.pair_solver import PairSolver, PaperSolver
from neurogames.bridge.dgnopt.rows import Rows
from neurogames.bridge.dgnopt.value import Value

Schur = Literal["exact", "paper"]
Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class NetworkCurvature:
    """Curvature of the layers of a network in one step.

    Attributes:
        rule: of single layers.
        memory: of a layer, by its name; it is written to.
        damping: of a layer, by its name.
        pairs: pairs of layers, in the order of the network, that some alignment puts at one stage; none where layers do
            not cooperate.
        schur: "exact" or "paper".
        players: fictitious players that cooperate in each layer.
        solvers: solvers of groups of layers that are still good, with what they were made from; it is written to.
        arrays: inputs (rows, shared, d_in) and slopes of the value at the outputs (rows, shared, d_out) of what was
            observed so far in this step.
    """

    rule: LayerRule
    memory: Callable[[str], Memory]
    damping: Mapping[str, float]
    pairs: frozenset[Pair] = frozenset()
    schur: Schur = "exact"
    players: int = 1
    solvers: dict[str, tuple[Any, Solver]] = field(default_factory=dict)
    arrays: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def observe(
        self, names: Sequence[str], slopes: Sequence[Tensor], rows: Sequence[Rows], value: Value, *, needed: bool
    ) -> tuple[list[Tensor], list[Any]]:
        """Take the batch of some layers in."""
        taken = value.taken if value.columns else None
        joint = bool(self.pairs) and len(names) > 1
        smooth, seen = [], []
        for name, slope, own in zip(names, slopes, rows, strict=True):
            damping = self.damping[name]
            settings: dict[str, Any] = {"damping": damping, "needed": needed and not joint}
            found, looked = self.rule.observe(self.memory(name), None if joint else slope, own, taken, **settings)
            if found is None:  # layers that act together are seen as they are
                found, looked = slope if taken is None else slope - own.mean_slope(taken), own
            smooth.append(found)
            seen.append(looked)
            self._average_pairs(name, own, taken)
        return smooth, seen

    def metric(self, names: Sequence[str], value: Value) -> StageMetric:  # noqa: ARG002
        """Their curvature."""
        if not self.pairs or len(names) == 1:
            metrics = [self._own(name) for name in names]
            return SeparateMetric(tuple(metrics))
        known = self._snapshot(names)
        cross = {(i, j): factors for i, j, factors in known["cross"]}
        curvature = JointCurvature(tuple(known["own"]), cross)
        solver = self._solver("|".join(names), known, curvature)
        scales = None
        if isinstance(self.rule, EKFACRule):
            scales = tuple(
                self.rule.congruence(self.memory(name), damped, damping=self.damping[name])
                for name, damped in zip(names, known["damped"], strict=True)
            )
        return JointMetric(curvature, solver, scales, exact=not isinstance(solver, PaperSolver))

    def _own(self, name: str) -> LayerMetric:
        """Curvature of a layer by itself."""
        return self.rule.metric(self.memory(name), damping=self.damping[name], players=self.players)

    def _average_pairs(self, name: str, rows: Rows, taken: Tensor | None) -> None:
        """Average the moments across a layer and those observed before, when it is time for their own."""
        pairs = [pair for pair in self.pairs if name in pair]
        if not pairs:
            return
        self.arrays[name] = rows.inputs, rows.gradient(taken)
        for pair in pairs:
            if all(each in self.arrays for each in pair):
                self._average(pair)

    def _average(self, pair: Pair) -> None:
        """Average the moments across two layers when it is time for their own."""
        one = self.memory(pair[0])
        known = one.setdefault("pairs", {}).setdefault(pair[1], {"averaged": 0})
        if known["averaged"] == one["averaged"]:
            return
        factors = cross_factors(*(self.arrays[name] for name in pair))
        if factors is not None:
            seen = known["averaged"]
            decay = min(self._decay, seen / (seen + 1))
            for key, factor in zip(("inputs", "outputs"), factors, strict=True):
                known[key] = factor if key not in known else known[key].lerp(factor, 1 - decay)
        known["averaged"] = one["averaged"]

    @property
    def _decay(self) -> float:
        """Weight of the past in the factors."""
        assert isinstance(self.rule, KFACRule | EKFACRule)
        return self.rule.curvature.factor_decay

    def _snapshot(self, names: Sequence[str]) -> dict[str, Any]:
        """Blocks of the curvature of some layers, as they were when one of them was refreshed last."""
        memories = [self.memory(name) for name in names]
        kept = memories[0].setdefault("joint", {})
        key = "|".join(names)
        refreshed = [memory["refreshed"] for memory in memories]
        if key not in kept or kept[key]["refreshed"] != refreshed:
            own, damped, cross = [], [], []
            for name, memory in zip(names, memories, strict=True):
                own.append(damped_factors(memory["inputs"], memory["outputs"], self.damping[name]))
                damped.append(spectrum(own[-1], memory["input_basis"], memory["output_basis"]))
            for i, j in combinations(range(len(names)), 2):
                known = memories[i].get("pairs", {}).get(names[j], {})
                if "inputs" in known:
                    cross.append((i, j, (known["inputs"], known["outputs"])))
            kept[key] = {"refreshed": refreshed, "own": own, "damped": damped, "cross": cross}
        found: dict[str, Any] = kept[key]
        return found

    def _solver(self, key: str, known: dict[str, Any], curvature: JointCurvature) -> Solver:
        """The solver of a group, made anew with its blocks."""
        made_from, solver = self.solvers.get(key, (None, None))
        if made_from is not known or solver is None:
            if len(curvature.own) == 2 and curvature.cross:
                solver = (PaperSolver if self.schur == "paper" else PairSolver).of(curvature)
            else:
                solver = ConjugateGradients.of(curvature)
            self.solvers[key] = (known, solver)
        return solver
