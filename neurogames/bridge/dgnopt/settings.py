"""Settings of the game, and what they are checked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from neurogames._arguments import integer, invalid_argument, number
from neurogames.bridge.curvature.layer_curvature import EKFACCurvature, KFACCurvature
from neurogames.bridge.dgnopt.curvatures import Schur
from neurogames.bridge.dgnopt.layer_rules import DiagonalCurvature, EKFACRule, IdentityRule, KFACRule, LayerRule
from neurogames.bridge.dgnopt.network_plan import cooperating_pairs
from neurogames.bridge.dgnopt.stages import Alignment
from neurogames.bridge.dgnopt.terminal import Terminal

CurvatureName = Literal["identity", "diagonal", "kfac", "ekfac"]
_GROUP: dict[str, tuple[str, Callable[[float], bool]]] = {
    "lr": ("a number >= 0", lambda value: value >= 0),
    "damping": ("a number > 0", lambda value: value > 0),
    "momentum": ("a number in [0, 1)", lambda value: 0 <= value < 1),
    "weight_decay": ("a number >= 0", lambda value: value >= 0),
    "feedback_scale": ("a number >= 0", lambda value: value >= 0),
}


@dataclass(frozen=True)
class GameSettings:
    """What is the same for all layers and all steps.

    Attributes:
        rule: curvature of single layers.
        feedback: whether layers see the state.
        cooperative: whether all minimise together.
        schur: "exact" or "paper".
        value: "contracted" or "gauss-newton".
        terminal: columns of the curvature of the loss.
        rank: how many.
        players: fictitious players of each layer.
    """

    rule: LayerRule
    feedback: bool
    cooperative: bool
    schur: Schur
    value: Literal["contracted", "gauss-newton"]
    terminal: Terminal
    rank: int
    players: int

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name, known in (
            ("schur", ("exact", "paper")),
            ("value", ("contracted", "gauss-newton")),
            ("terminal", ("gradient", "cross_entropy", "mse")),
            ("feedback", (True, False)),
            ("cooperative", (True, False)),
        ):
            if getattr(self, name) not in known:
                raise invalid_argument(name, getattr(self, name), " or ".join(map(repr, known)))
        integer("terminal_rank", self.rank, minimum=1, maximum=1 if self.terminal == "gradient" else None)
        integer("fictitious_players", self.players, minimum=1)
        if self.cooperative and isinstance(self.rule, KFACRule | EKFACRule) and self.rule.curvature.sharing != "expand":
            raise invalid_argument("curvature", f"sharing={self.rule.curvature.sharing!r}", "'expand' for cooperation")

    def pairs(self, alignments: Sequence[Alignment]) -> frozenset[tuple[str, str]]:
        """Pairs of layers that have curvature between them.

        Raises:
            ValueError: more layers act together than the settings can handle.
        """
        together = cooperating_pairs(alignments)
        widest = max(max(list(each.values()).count(stage) for stage in each.values()) for each in alignments)
        if self.players > 1 and (widest > 1 or self.schur == "paper"):
            raise invalid_argument(
                "fictitious_players", self.players, "1 for networks with parallel layers and for schur='paper'"
            )
        if not self.cooperative or not isinstance(self.rule, KFACRule | EKFACRule):
            return frozenset()
        if self.schur == "paper" and widest > 2:
            raise invalid_argument("schur", self.schur, f"'exact' for {widest} layers at one stage")
        return together


def curvature_rule(curvature: Any, refresh: int) -> LayerRule:
    """The rule that a name or settings stand for.

    Raises:
        ValueError: there is none.

    >>> curvature_rule("identity", 100)
    IdentityRule()
    """
    integer("refresh", refresh, minimum=1)
    match curvature:
        case "identity":
            return IdentityRule()
        case "diagonal":
            return DiagonalCurvature()
        case "kfac":
            return KFACRule(KFACCurvature(refresh=refresh))
        case "ekfac":
            return EKFACRule(EKFACCurvature(refresh=refresh))
        case DiagonalCurvature():
            return curvature
        case KFACCurvature():
            return KFACRule(curvature)
        case EKFACCurvature():
            return EKFACRule(curvature)
    raise invalid_argument("curvature", curvature, "'identity', 'diagonal', 'kfac', 'ekfac' or settings of them")


def check_group(group: dict[str, Any]) -> None:
    """Refuse settings of a group of parameters that are out of range.

    >>> check_group({"lr": 0.1})
    """
    for key in _GROUP.keys() & group.keys():
        number(key, group[key], *_GROUP[key])
