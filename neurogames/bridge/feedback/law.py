"""The law of gradient dropout: on average it is plain training in which each layer has a learning rate of its own.

A unit that gets no feedback holds its action, so a mask stretches the unit's time. In a chain of H hidden layers, with
a mask of keep probability p on every hidden layer, the gradient of layer l passes its own layer's mask and one mask of
each hidden layer above it. The masks are independent, and the gradient is linear in each of them::

    E[masked gradient of layer l] = p^(H - l + 1) * gradient of layer l,   l = 1..H;   the output layer has factor 1

SGD, with or without momentum, is linear in the gradients, so these are its learning rates, to first order in the
step. Adam and RMSprop divide by the root of the second moment, which the masks make p^(H - l + 1) times too, where
one coin decides: exactly so for the last hidden layer (factor p^(1/2)), to first order below it, where the second
moment also has a part from the units above that are masked one by one. ``mean_feedback`` has the exact mean for any
network, and Adam's second moment.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from neurogames._arguments import integer, invalid_argument, number
from neurogames.bridge.modules.graph import LAYERS, model_graph

LawOptimizer = Literal["sgd", "momentum", "rmsprop", "adam", "adamw"]

_MOST_LAYERS = 10_000


def feedback_factors(
    model: nn.Module | int, keep_prob: float, *, optimizer: LawOptimizer, rescale: bool = False
) -> tuple[float, ...]:
    """Learning rates, as multiples of the plain one, at which gradient dropout trains the layers of a chain.

    With H hidden layers, keep probability p and l = 1..H from the inputs on::

        SGD, momentum                p^(H - l + 1)          (1 with ``rescale``)
        RMSprop, Adam, AdamW         p^((H - l + 1) / 2)    (with and without ``rescale``)
        output layer                 1

    The second line is sharp for the last hidden layer, and for all of them where one coin silences a whole layer; for
    deeper layers of units it is the first order. It holds for masks that all rows share (granularity "unit" or
    "layer"). AdamW's decay of the weights is not slowed: where a factor multiplies the learning rate of a parameter
    group, divide that group's ``weight_decay`` by it.

    Args:
        model: a chain of Linear or convolution layers, each called once, with anything in between that has one
            input and one output; or its number H >= 1 of hidden layers.
        keep_prob: probability p in [0, 1] that feedback arrives; 0 leaves only the output layer learning.
        optimizer: "sgd", "momentum", "rmsprop", "adam" or "adamw".
        rescale: whether what arrives is divided by ``keep_prob``, which must then be > 0.

    Returns:
        H + 1 factors in [0, 1]: of the hidden layers from the inputs on, and of the output layer.

    Raises:
        ValueError: the model has no hidden layer or is no chain, the law of the optimizer is not known, or
            ``keep_prob`` is out of range.

    >>> model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> [round(factor, 3) for factor in feedback_factors(model, 0.2, optimizer="sgd")]
    [0.04, 0.2, 1.0]
    >>> [round(factor, 3) for factor in feedback_factors(2, 0.2, optimizer="adam")]
    [0.2, 0.447, 1.0]
    """
    known = get_args(LawOptimizer)
    if not isinstance(optimizer, str) or optimizer not in known:
        raise invalid_argument("optimizer", optimizer, f"one whose law is known: {', '.join(map(repr, known))}")
    keep = checked_keep(keep_prob, rescale=rescale)
    n_hidden = (
        _hidden_layers(model)
        if isinstance(model, nn.Module)
        else integer("model", model, minimum=1, maximum=_MOST_LAYERS)
    )
    linear = optimizer in ("sgd", "momentum")
    power = (0.0 if rescale else 1.0) if linear else 0.5
    return (*(keep ** (power * above) for above in range(n_hidden, 0, -1)), 1.0)


def checked_keep(keep_prob: float, *, rescale: bool) -> float:
    """Return a keep probability in [0, 1]; with ``rescale`` 0 is refused, since nothing can be divided by it.

    >>> checked_keep(0, rescale=False)
    0.0
    """
    if rescale:
        return number("keep_prob", keep_prob, "a probability in (0, 1] where it rescales", lambda keep: 0 < keep <= 1)
    return number("keep_prob", keep_prob, "a probability in [0, 1]", lambda keep: 0 <= keep <= 1)


def _hidden_layers(model: nn.Module) -> int:
    """How many hidden layers a chain has."""
    graph = model_graph(model)
    if graph is None:
        raise invalid_argument("model", type(model).__name__, "a chain whose operations torch.fx can record")
    layers = [str(node.target) for node in graph.nodes if isinstance(graph.module(node), LAYERS)]
    if len(layers) < 2:
        got = f"{type(model).__name__} that calls {len(layers)} Linear or convolution modules"
        raise invalid_argument("model", got, "at least one hidden layer and an output layer")
    joins = any(len(node.all_input_nodes) > 1 or len(node.users) > 1 for node in graph.nodes)
    if joins or len(set(layers)) < len(layers):
        expected = "a chain of layers, each called once (attach_mean_feedback takes any network)"
        raise invalid_argument("model", f"{type(model).__name__} with branches or shared layers", expected)
    return len(layers) - 1
