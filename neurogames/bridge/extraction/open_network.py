"""A network as an open game: what its layers hand forward, and what comes back to them.

Every operation of the network is a piece (:class:`neurogames.games.open.OpenGame`), and the network is their sequential
composition. What goes along is the bundle of values that are still needed, so that chains, residual streams and
branches are all compositions of the same kind; a value that two operations read is copied, and what comes back to a
copy is added up. A piece with parameters theta is one agent, whose strategy is theta:

    play        y = f(theta, x)
    coplay      r -> J_x f' r, the vector-Jacobian product: what goes back to the left
    received    J_theta f' r, the slope in the agent's own parameters
    response    tau is a best response to theta iff tau = theta - learning rate * received: one gradient step

Closed by the slope of a loss, payoffs of the composed game are then the gradients of the whole network; the chain rule
is the composition of coplay. A coplay that is random, such as a mask on r, is gradient dropout.

Reference: N. Ghani, J. Hedges, V. Winschel and P. Zahn, Compositional game theory, arXiv 1603.04641; B. Fong, D. Spivak
and R. Tuyeras, Backprop as functor, arXiv 1711.10455.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from neurogames._arguments import invalid_argument, number
from neurogames.bridge.modules.data import Loss, matched_rows, trial_loss, trial_outputs
from neurogames.bridge.modules.evaluation import gradients_on
from neurogames.bridge.modules.graph import ModelGraph, model_graph
from neurogames.bridge.modules.hooks import frozen_copy, known_module
from neurogames.games.open import Agent, Context, OpenGame, Profile

Feedback = Callable[[Tensor], Tensor]
Bundle = tuple[Any, ...]
Operation = Callable[[Mapping[str, Tensor], Bundle], Any]

_ALIKE = 1e-5  # how far a reply may be from the gradient step, of its size


@dataclass(frozen=True, eq=False)
class OpenNetwork:
    """A network as an open game; made by :func:`open_game`.

    Attributes:
        game: the composition; it observes the tuple (inputs,) and moves the tuple (outputs,).
        profile: the present strategy of each agent: parameters by their names in the module.
        modules: name of the module that each agent is.
        pieces: one line for each piece of the composition, in order: what it reads, and what it makes.
        kinds: what each piece is: the class of a module, or the name of an operation.
        reads: for each piece the numbers of the pieces whose values it reads; -1 is the input of the network.
        moves: number of the piece whose value is the network's output.
    """

    game: OpenGame
    profile: tuple[dict[str, Tensor], ...]
    modules: tuple[str, ...]
    pieces: tuple[str, ...]
    kinds: tuple[str, ...]
    reads: tuple[tuple[int, ...], ...]
    moves: int

    @gradients_on()
    def gradients(self, loss: Loss, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Gradients of a loss by composition, one for each parameter.

        Args:
            loss: maps outputs and targets to one number.
            inputs: (rows, ...).
            targets: (rows, ...).

        Returns:
            Parameter name -> gradient; those of a module that is called several times are added up.

        Raises:
            ValueError: rows do not match or are not finite, or the network or the loss refuses them.
        """
        inputs, targets = matched_rows(inputs, targets)
        trial_outputs(lambda some: self.game.play(self.profile, (some,))[0], inputs[:1])

        def context(moves: Bundle) -> Bundle:
            outputs: Tensor = moves[0].detach().requires_grad_()
            return tuple(torch.autograd.grad(trial_loss(loss, outputs, targets), outputs))

        found: dict[str, Tensor] = {}
        payoffs = self.game.close(context, (inputs,)).payoffs(self.profile)
        for module, slopes in zip(self.modules, payoffs, strict=True):
            for name, slope in slopes.items():
                whole = f"{module}.{name}".removeprefix(".")
                found[whole] = found[whole] + slope if whole in found else slope
        return found


@gradients_on()
def open_game(
    model: nn.Module, *, learning_rate: float = 0.1, feedback: Mapping[str, Feedback] | None = None
) -> OpenNetwork:
    """Take a network apart into open games and compose them again.

    Args:
        model: a module of one tensor that ``torch.fx`` can record; it is copied, and played in evaluation mode. All its
            parameters belong to modules that are called.
        learning_rate: of the gradient step that is a best response, > 0.
        feedback: module name -> what becomes of the utility that comes back to its output, before the module uses it
            and hands it on; a mask is gradient dropout. As it comes when left out.

    Returns:
        The game with its present profile.

    Raises:
        ValueError: the model cannot be recorded, uses a parameter outside of a module, or has no module of a name.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> network = open_game(model)
    >>> [agent.name for agent in network.game.agents], network.pieces[0]
    (['0', '2'], '0(input_1)')
    >>> rows, goals = torch.randn(5, 2), torch.randn(5, 1)
    >>> found = network.gradients(nn.functional.mse_loss, rows, goals)
    >>> nn.functional.mse_loss(model(rows), goals).backward()
    >>> all(torch.allclose(found[name], each.grad, atol=1e-6) for name, each in model.named_parameters())
    True
    """
    number("learning_rate", learning_rate, "a number > 0", lambda value: value > 0)
    changed = dict(feedback or {})
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", model, "a torch module")
    for name in changed:
        known_module(model, name, argument="feedback")
    own = frozen_copy(model)
    graph = model_graph(own)
    if graph is None:
        raise invalid_argument("model", type(model).__name__, "a module that torch.fx can record")
    nodes = [node for node in graph.nodes if node.op not in ("placeholder", "output")]
    (entry,), (end,) = (_nodes_of(graph, kind) for kind in ("placeholder", "output"))
    if not isinstance(end.args[0], fx.Node):
        raise invalid_argument("model", "several outputs", "one tensor of outputs")
    _check_owners(own, graph, nodes)
    live: list[fx.Node] = [entry]
    games, agents = [], []
    for place, node in enumerate(nodes):
        needed = {each for later in (*nodes[place + 1 :], end) for each in later.all_input_nodes}
        after = [each for each in (*live, node) if each in needed]
        module = graph.module(node)
        name = str(node.target) if module is not None else ""
        weights = {} if module is None else {key: each.detach() for key, each in module.named_parameters()}
        games.append(_piece(graph, node, live, after, name, bool(weights), learning_rate, changed.get(name)))
        agents += [(name, weights)] if weights else []
        live = after
    if not games:
        raise invalid_argument("model", type(model).__name__, "a model of at least one operation")
    numbers = {entry: -1} | {node: number for number, node in enumerate(nodes)}
    return OpenNetwork(
        game=functools.reduce(operator.rshift, games),
        profile=tuple(weights for _, weights in agents),
        modules=tuple(name for name, _ in agents),
        pieces=tuple(
            f"{node.target if node.op == 'call_module' else node.name}"
            f"({', '.join(each.name for each in node.all_input_nodes)})"
            for node in nodes
        ),
        kinds=tuple(_kind(graph, node) for node in nodes),
        reads=tuple(tuple(numbers[each] for each in node.all_input_nodes) for node in nodes),
        moves=numbers[end.args[0]],
    )


def _kind(graph: ModelGraph, node: fx.Node) -> str:
    """The class of a module, or the name of an operation."""
    module = graph.module(node)
    if module is not None:
        return type(module).__name__
    return str(node.target) if isinstance(node.target, str) else str(getattr(node.target, "__name__", node.name))


def _nodes_of(graph: ModelGraph, kind: str) -> list[fx.Node]:
    """The placeholder or the output; a model of several inputs is refused."""
    found = [node for node in graph.nodes if node.op == kind]
    if len(found) != 1:
        raise invalid_argument("model", f"{len(found)} inputs", "a model of one tensor")
    return found


def _check_owners(model: nn.Module, graph: ModelGraph, nodes: Sequence[fx.Node]) -> None:
    """Refuse parameters that are used outside of the modules that are called."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    outside = [str(node.target) for node in nodes if node.op == "get_attr" and str(node.target) in parameters]
    called = {id(each) for node in nodes for each in _parameters(graph.module(node))}
    outside += [name for name, each in parameters.items() if id(each) not in called]
    if outside:
        raise invalid_argument("model", f"{outside[0]!r} used outside of a module", "parameters of modules it calls")


def _parameters(module: nn.Module | None) -> list[nn.Parameter]:
    return [] if module is None else list(module.parameters())


def _piece(
    graph: ModelGraph,
    node: fx.Node,
    before: Sequence[fx.Node],
    after: Sequence[fx.Node],
    name: str,
    chooses: bool,
    learning_rate: float,
    feedback: Feedback | None,
) -> OpenGame:
    """One operation on a bundle of values, of which some go through as they are."""
    read = [before.index(each) for each in node.all_input_nodes]
    module = graph.module(node)

    def operation(weights: Mapping[str, Tensor], values: Sequence[Any]) -> Any:
        known = dict(zip(node.all_input_nodes, values, strict=True))
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda each: known[each])
        if module is not None:
            return functional_call(module, dict(weights), args, kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        if node.op == "get_attr":
            return functools.reduce(getattr, str(node.target).split("."), graph.modules[""])
        target: Any = node.target
        return target(*args, **kwargs)

    def play(profile: Profile, x: Bundle) -> Bundle:
        with torch.no_grad():
            result = operation(profile[0] if chooses else {}, [_copied(x[place]) for place in read])
        known = dict(zip(before, x, strict=True)) | {node: result}
        return tuple(known[each] for each in after)

    def slopes(profile: Profile, x: Bundle, r: Bundle) -> tuple[list[Any], dict[str, Tensor]]:
        """What goes back to each value that is read, and to the own parameters."""
        utility = dict(zip(after, r, strict=True)).get(node)
        weights = profile[0] if chooses else {}
        with torch.enable_grad():
            own = {key: each.detach().requires_grad_() for key, each in weights.items()}
            leaves = [_leaf(x[place]) for place in read]
            result = operation(own, [_copied(leaf) for leaf in leaves])
            wanted = [each for each in (*own.values(), *leaves) if isinstance(each, Tensor) and each.requires_grad]
            if utility is None or not isinstance(result, Tensor) or not result.requires_grad:
                return [None] * len(leaves), {key: torch.zeros_like(each) for key, each in weights.items()}
            given = utility if feedback is None else feedback(utility)
            taken = iter(torch.autograd.grad(result, wanted, given, materialize_grads=True))
        mine = {key: next(taken) for key in own}
        return [next(taken) if isinstance(each, Tensor) and each.requires_grad else None for each in leaves], mine

    def coplay(profile: Profile, x: Bundle, r: Bundle) -> Bundle:
        back = {each: part for each, part in zip(after, r, strict=True) if each is not node}
        for each, part in zip(node.all_input_nodes, slopes(profile, x, r)[0], strict=True):
            back[each] = part if back.get(each) is None else back[each] if part is None else back[each] + part
        return tuple(back.get(each) for each in before)

    def received(profile: Profile, x: Bundle, k: Context) -> Profile:
        return (slopes(profile, x, k(play(profile, x)))[1],) if chooses else ()

    def best_response(x: Bundle, k: Context, profile: Profile, reply: Profile) -> bool:
        if not chooses:
            return True
        (slope,) = received(profile, x, k)
        return all(_near(reply[0][key], profile[0][key] - learning_rate * slope[key]) for key in slope)

    return OpenGame((Agent(name, None),) if chooses else (), play, coplay, best_response, received)


def _leaf(value: Any) -> Any:
    """A value to which a slope may come back."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().requires_grad_()
    return value


def _copied(value: Any) -> Any:
    """A value that the operation may write to."""
    return value.clone() if isinstance(value, Tensor) else value


def _near(left: Tensor, right: Tensor) -> bool:
    return torch.allclose(left, right, rtol=_ALIKE, atol=_ALIKE * float(right.abs().max()))
