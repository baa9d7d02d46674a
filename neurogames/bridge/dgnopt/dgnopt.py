"""The optimizer: settings, what they are checked for, and what is saved."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.curvature.layer_curvature import EKFACCurvature, KFACCurvature
from neurogames.bridge.dgnopt.alignment_choice import AlignmentChoice, Choice, Reward
from neurogames.bridge.dgnopt.closure_pass import run_closure
from neurogames.bridge.dgnopt.curvatures import NetworkCurvature, Schur
from neurogames.bridge.dgnopt.game_step import GameStep
from neurogames.bridge.dgnopt.layer_rules import DiagonalCurvature
from neurogames.bridge.dgnopt.network_plan import NetworkPlan
from neurogames.bridge.dgnopt.settings import CurvatureName, GameSettings, check_group, curvature_rule
from neurogames.bridge.dgnopt.step_report import StepReport
from neurogames.bridge.dgnopt.terminal import Terminal, terminal_columns


class DGNOpt(torch.optim.Optimizer):
    r"""Train a network by solving the dynamic game that its layers play, for any torch model that can be recorded.

    Layer l acts at stage t on the state x_t: all tensors made before t and read at t or later. Backward, the game is
    solved with quadratic costs around the present weights; forward, each layer moves knowing what layers before it
    have done to the state::

        k = C^-1 Q_u,    K = C^-1 Q_ux,    V_x = Q_x - Q_xu k,    V_xx = Q_xx - Q_xu K        feedback Nash (9), (10)
        W <- (1 - lr weight_decay) W - lr M,    M <- momentum M + (k + feedback_scale mean over rows of K dx)

    C is the curvature of the layer, dx = x' - x the deviation of each row in a second pass with the new weights.
    Two switches make the paper's four information structures:

    - neither: players know nothing (open loop, as usual optimizers do)
    - ``feedback``: they know the state (feedback Nash equilibrium)
    - ``cooperative``: they know what layers of the same stage do
    - both: group rationality

    Use it with a closure that calls the model once. Players are Linear layers and convolutions without groups that are
    called once and have weights of their own; other parameters (norms, embeddings) take a plain step without feedback
    and are listed in ``fallback_parameters``. In the second pass batch norms keep the statistics of the first, running
    statistics move once, and dropout has the same masks. The gradient at a row includes what the row does to others
    through the statistics of a batch norm.

    The loss must be a mean over rows. Sums are refused where they can be told: a sum of cross entropies, and any loss
    that the closure returns with its graph if nothing multiplies, divides or averages between the outputs and it.
    Autocast to bfloat16 works; float16 is refused, as it needs a scaled loss.

    Players may have own costs: a closure that returns a list, one loss for each player (``player`` in ``stage_graph``,
    in the alignment of the step), has each layer moved by the cost of its player; other parameters move by the sum.

    Args:
        model: what is trained.
        lr: learning rate >= 0 of k + K dx; the recursion does not know it.
        feedback: whether layers see the state.
        cooperative: whether layers of one stage solve for their steps together; with curvature "kfac" or "ekfac"
            they see each other's curvature, otherwise the shared value only.
        curvature: "identity" (gradient descent), "diagonal" (RMSprop), "kfac", "ekfac"; or settings of them, a
            ``DiagonalCurvature`` (also Adam), ``KFACCurvature`` or ``EKFACCurvature``.
        schur: "exact", or "paper" for the Schur complement of its proposition 5, which makes steps overlong; for two
            layers a stage at most.
        value: "contracted" (V_x and V_xx know that later layers move), or "gauss-newton" (V_x = Q_x, V_xx = Q_xx, so
            that k is that of the open loop). Contracting with "ekfac" needs slopes of single rows where layers
            cooperate, many times the work; "kfac" and "gauss-newton" do not.
        terminal: columns of the curvature of the loss, see ``terminal_rank``: "gradient" (one, the gradient of the
            row's loss), "cross_entropy" (the leading ones of the softmax's Gauss-Newton matrix) or "mse" (all).
        terminal_rank: number of columns; 1 for "gradient", below the number of classes for "cross_entropy", the number
            of outputs for "mse". Each column beyond the gradient costs a pass backward.
        damping: > 0, of "kfac" and "ekfac".
        momentum: in [0, 1).
        weight_decay: >= 0, decoupled.
        refresh: steps from one eigenbasis to the next, of "kfac" and "ekfac".
        feedback_scale: >= 0, multiplies K dx alone.
        fictitious_players: N >= 1 players whose weights add up to those of each layer. This is a larger step: with
            "identity" and "diagonal" N times the step (curvature between them is left out), with "kfac" and "ekfac"
            that of damping / N if they cooperate. For networks without parallel layers.
        alignment: "fixed" (each layer as early as it can be), "random" (another admissible alignment in each step) or
            "bandit" (EXP3++ over alignments).
        reward: for a bandit: of the model in evaluation mode after the step, in [0, 1], such as accuracy on a
            minibatch of training rows that are held out. It is called in every step, and its time is reported.
        rng: numpy generator for "random" and "bandit".
        fallback: whether parameters that are no player's may take a plain step; False refuses models that have any.
        leaves: names of modules that are not looked into.
        params: parameters of the model, or groups of them; all that require gradients when left out.

    Raises:
        ValueError: an argument is out of range, the model cannot be recorded, or a parameter is not the model's.

    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(32, 3)
    >>> model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> optimizer = DGNOpt(model, lr=0.2, damping=0.5)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (model(x)[:, 0] - x.sum(dim=1)).square().mean()
    ...     loss.backward()
    ...     return loss
    >>> losses = [optimizer.step(closure).item() for _ in range(20)]
    >>> losses[-1] < 0.1 * losses[0], optimizer.players, optimizer.last_step.taken
    (True, ('0', '2'), True)

    Reference: G.-H. Liu, T. Chen and E. A. Theodorou, Dynamic Game Theoretic Neural Optimizer, arXiv 2105.03788.
    """

    takes_model = True  # in place of parameters, in ``train``

    def __init__(
        self,
        model: nn.Module,
        lr: float = 0.01,
        *,
        feedback: bool = True,
        cooperative: bool = False,
        curvature: CurvatureName | DiagonalCurvature | KFACCurvature | EKFACCurvature = "ekfac",
        schur: Schur = "exact",
        value: Literal["contracted", "gauss-newton"] = "contracted",
        terminal: Terminal = "gradient",
        terminal_rank: int = 1,
        damping: float = 0.05,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        refresh: int = 100,
        feedback_scale: float = 1.0,
        fictitious_players: int = 1,
        alignment: Choice = "fixed",
        reward: Reward | None = None,
        rng: np.random.Generator | None = None,
        fallback: bool = True,
        leaves: Collection[str] = (),
        params: Iterable[Any] | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise invalid_argument("model", model, "a torch module")
        rule = curvature_rule(curvature, refresh)
        self._game = GameSettings(
            rule, feedback, cooperative, schur, value, terminal, terminal_rank, fictitious_players
        )
        self.model, self._leaves = model, tuple(leaves)
        self._plans: dict[tuple[bool, ...], NetworkPlan] = {}
        self._checked: set[tuple[bool, ...]] = set()
        self._solvers: dict[str, Any] = {}
        self._last: StepReport | None = None
        settings = {"lr": lr, "damping": damping, "momentum": momentum, "weight_decay": weight_decay}
        settings["feedback_scale"] = feedback_scale
        check_group(settings)
        chosen = [each for each in model.parameters() if each.requires_grad] if params is None else list(params)
        if not chosen:
            raise invalid_argument("model", "no parameter that requires gradients", "at least one")
        super().__init__(chosen, settings | {"skipped": 0, "curvature": type(rule).__name__})
        graph = self._plan().graph
        if not fallback and self.fallback_parameters:
            names = ", ".join(self.fallback_parameters)
            raise invalid_argument("model", f"parameters without a player ({names})", "Linear or Conv layers only")
        self._alignments = (graph.alignment,) if alignment == "fixed" else graph.alignments
        self._choice = AlignmentChoice(alignment, len(self._alignments), reward, rng)
        self._pairs = self._game.pairs(self._alignments)

    @property
    def players(self) -> tuple[str, ...]:
        """Names of the layers that play."""
        return self._plan().graph.layers

    @property
    def fallback_parameters(self) -> tuple[str, ...]:
        """Names of the parameters that take a plain step without feedback."""
        played = {each for name in self.players for each in self.model.get_submodule(name).parameters()}
        ours = {each for group in self.param_groups for each in group["params"]}
        return tuple(name for name, each in self.model.named_parameters() if each in ours and each not in played)

    @property
    def skipped_steps(self) -> int:
        """How many steps were not taken, since something was not finite or not positive definite."""
        return int(self.param_groups[0]["skipped"])

    @property
    def last_step(self) -> StepReport:
        """What the last step did.

        Raises:
            RuntimeError: there was none.
        """
        if self._last is None:
            raise RuntimeError("no step was taken yet")
        return self._last

    def remove(self) -> None:
        """Do nothing, as nothing is left on the model; ``train`` calls it."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters of the model.

        Raises:
            ValueError: a parameter is not one of the model's, or a setting is out of range.
        """
        given = param_group["params"]
        given = [given] if isinstance(given, Tensor) else list(given)
        known = set(self.model.parameters())
        if any((each[1] if isinstance(each, tuple) else each) not in known for each in given):
            raise invalid_argument("params", "a tensor that is no parameter of the model", "the model's own")
        group = param_group | {"params": given}
        check_group(group)
        super().add_param_group(group)
        self._plans.clear()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step, or none where something is not finite or a curvature not positive definite.

        Args:
            closure: sets the gradients to zero, calls the model once, runs the loss backward and returns it; or
                returns a list of losses, one for each player, and runs none of them backward.

        Returns:
            What the closure returns.

        Raises:
            ValueError: there is no closure, or it does not do that; then nothing has changed.
        """
        if closure is None:
            raise invalid_argument(
                "closure", None, "a function that calls the model, runs the loss backward, returns it"
            )
        plan, arm = self._plan(), self._choice.draw()
        alignment = self._alignments[arm]
        columns = partial(terminal_columns, self._game.terminal, self._game.rank)
        recorded, graph = plan.start(self.model, alignment, columns)
        groups = {each: group for group in self.param_groups for each in group["params"]}
        loss, losses = run_closure(closure, recorded, graph, list(groups), cooperative=self._game.cooperative)
        if self._modes not in self._checked:
            plan.check(self.model, recorded)
            self._checked.add(self._modes)
        step = GameStep(recorded, graph, groups, self.state, self._game)
        step.check()
        with torch.autocast(recorded.output.device.type, enabled=False):  # the caller may take the step within autocast
            finite = all(map(math.isfinite, losses)) and step.finite_slopes()
            skipped = step.take(self._curvature(step)) if finite else "not finite"
        earned, seconds = self._choice.learn(arm, self.model) if skipped is None else (None, 0.0)
        self._last = step.report(skipped, reward=earned, seconds=seconds, pairs=self._pairs)
        if skipped is not None:
            if self.skipped_steps == 0:
                text = f"{skipped}: the step is skipped; `skipped_steps` counts it and those to come"
                warnings.warn(text, stacklevel=3)
            self.param_groups[0]["skipped"] += 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer, with what the choice of alignments has learnt."""
        return super().state_dict() | {"alignment": self._choice.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state: the next step is the one that would have followed.

        Raises:
            ValueError: it is the state of an optimizer with another curvature or choice; then nothing is set.
        """
        own = type(self._game.rule).__name__
        found = [group.get("curvature") for group in state_dict.get("param_groups", [])]
        choice = state_dict.get("alignment", {})
        if not found or set(found) != {own}:
            raise invalid_argument("state_dict", f"curvature {found}", f"that of DGNOpt with {own}")
        if {key: value is None for key, value in choice.items()} != {
            key: value is None for key, value in self._choice.state_dict().items()
        }:
            raise invalid_argument("state_dict", "another choice of alignments", "the same kind of choice")
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "alignment"})
        self._choice.load_state_dict(choice)
        self._solvers.clear()

    @property
    def _modes(self) -> tuple[bool, ...]:
        """Training or evaluation, of each module."""
        return tuple(module.training for module in self.model.modules())

    def _plan(self) -> NetworkPlan:
        """What is known of the model in its present modes."""
        if self._modes not in self._plans:
            trained = {each for group in self.param_groups for each in group["params"]}
            self._plans[self._modes] = NetworkPlan.of(self.model, trained, self._leaves)
        return self._plans[self._modes]

    def _curvature(self, step: GameStep) -> NetworkCurvature:
        """Curvature of this step."""
        return NetworkCurvature(
            self._game.rule,
            step.memory,
            {name: float(step.group(name)["damping"]) for name in step.layers},
            self._pairs,
            self._game.schur,
            self._game.players if self._game.cooperative else 1,
            self._solvers,
        )
