"""What has to hold of every model: each check returns one line for the table, or fails.

A refusal, the one clear error of the project, is a line of the table too. Anything else that is raised is a crash.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurogames.bridge import attach_gradient_dropout, coalition_game, grad_cam, insert_gates, participation_game, prune
from neurogames.bridge.pruning.coupling import coupled_groups
from neurogames.bridge.pruning.prune import Pruned
from tests.models.zoo import Model, Scored

_REFUSAL = re.compile(r"[\w \[\]'.()-]+: got .*, expected .*", re.DOTALL)


@dataclass(frozen=True)
class Brought:
    """A model as its user holds it: with random weights, and rows to run it on."""

    model: nn.Module
    scored: Scored
    inputs: tuple[Any, ...]
    fresh: tuple[Any, ...]
    labels: Tensor


def bring(case: Model) -> Brought:
    """Build a model and draw its rows."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = case.build()
        _settle(model, case.inputs(8))
        inputs, fresh = case.inputs(2), case.inputs(5)
        with torch.no_grad():
            classes = case.scores(model(*inputs)).shape[-1]
    return Brought(model, Scored(model, case.scores), inputs, fresh, torch.arange(2) % classes)


def _settle(model: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Give norms the statistics of a batch, as training would; without, the signals of deep networks die out."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    with torch.no_grad():
        model.train()(*inputs)
    model.eval()


def feedback(case: Model, brought: Brought) -> str:
    """Gradient dropout: values forward are identical to the bit, and masks arrive at the layers."""
    model = copy.deepcopy(brought.scored).train()
    weight = model.inner.get_submodule(case.layer).weight
    rows = -1 if type(model.inner.get_submodule(case.layer)).__name__ == "Conv1D" else 0

    def run() -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        scores = model(*brought.inputs)
        (slope,) = torch.autograd.grad(functional.cross_entropy(scores, brought.labels), [weight])
        return scores.detach(), slope.movedim(rows, 0).flatten(1).abs().sum(1) > 0

    plain, learning = run()
    modules = None
    try:
        with attach_gradient_dropout(model, 0.5, rng=torch.Generator().manual_seed(0)):
            run()
    except ValueError as error:
        if "read past the call" not in str(error):
            raise
        modules = called_modules(model, brought.inputs)
    with attach_gradient_dropout(model, 0.5, modules=modules, rng=torch.Generator().manual_seed(0)) as handle:
        masked, left = run()
        layers = len(handle.layers)
    assert torch.equal(plain, masked)
    assert 0 < left.sum() < learning.sum(), f"{int(left.sum())} of {int(learning.sum())} units learn under masks"
    return f"{layers} layers" + ("" if modules is None else ", named; others are read past their call")


def gates(case: Model, brought: Brought) -> str:
    """Gates: identical to the bit at 1, and each layer's matter at 0."""
    model = copy.deepcopy(brought.scored)
    called = called_modules(model, brought.inputs)
    with torch.no_grad():
        plain = model(*brought.inputs)
        placed = insert_gates(model, modules=called)
        assert torch.equal(model(*brought.inputs), plain)
        inert = []
        for name, gate in zip(placed.modules, placed.parameters(), strict=True):
            gate.zero_()
            if torch.equal(model(*brought.inputs), plain):
                inert.append(name)
            gate.fill_(1.0)
    assert not inert, f"gates without effect: {inert[:3]} of {len(inert)}"
    uncalled = len(insert_gates(copy.deepcopy(brought.scored)).modules) - len(called)
    return f"{placed.n_players} units" + (f"; {uncalled} layers are not called" if uncalled else "")


def participation(case: Model, brought: Brought) -> str:
    """The participation game of the units of one layer."""
    (inputs,) = brought.inputs
    before = {key: value.clone() for key, value in brought.scored.state_dict().items()}
    game = participation_game(
        brought.scored,
        functional.cross_entropy,
        (inputs, brought.labels),
        modules=[f"inner.{case.layer}"],
        benefit="descent",
        ridge=0.1,
    )
    assert all(torch.equal(value, before[key]) for key, value in brought.scored.state_dict().items())
    assert game.n_players == case.units
    assert np.abs(game.benefit).max() > 0
    return f"{game.n_players} players"


def coalitions(case: Model, brought: Brought) -> str:
    """The coalition game of one layer: its units are the players, and all of them give the network's worth."""
    (inputs,) = brought.inputs
    game = coalition_game(brought.scored, f"inner.{case.layer}", (inputs, brought.labels), metric="loss")
    assert game.n_players == case.units, f"{game.n_players} players for {case.units} units"
    everybody, nobody = game.value(np.array([[True] * case.units, [False] * case.units]))
    with torch.no_grad():
        worth = -functional.cross_entropy(brought.scored(inputs), brought.labels)
    np.testing.assert_allclose(everybody, worth, rtol=1e-4)
    assert nobody != everybody
    return f"{game.n_players} players"


def attribution(case: Model, brought: Brought) -> str:
    """Grad-CAM of the layer is Captum's."""
    if not case.maps:
        return "no maps"
    import captum.attr

    model = copy.deepcopy(brought.scored)
    layer, (images,) = model.inner.get_submodule(case.layer), brought.inputs
    ours = grad_cam(model, layer, images, brought.labels)
    theirs = captum.attr.LayerGradCam(model, layer).attribute(images, target=brought.labels, relu_attributions=True)
    theirs = functional.interpolate(theirs, images.shape[-2:], mode="bilinear")[:, 0]
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-3, atol=1e-5 * float(theirs.abs().max()))
    return "Captum's"


def halved(brought: Brought) -> tuple[Pruned, dict[str, NDArray[np.float64]]]:
    """Take out half of the groups of coupled units in every layer, chosen by chance; the shares come along."""
    model = brought.model
    modules = called_modules(model, brought.inputs)
    found = coupled_groups(model, brought.inputs, modules=modules)
    placed = insert_gates(copy.deepcopy(model), modules=modules)
    starts = np.cumsum(placed.sizes)[:-1]
    ranks = np.random.default_rng(0).random(found.groups.max() + 1)
    goes: dict[int, bool] = {}
    for groups in np.split(found.groups, starts):
        fresh = [group for group in dict.fromkeys(groups.tolist()) if group not in goes]
        goes.update(
            {group: place < len(fresh) // 2 for place, group in enumerate(sorted(fresh, key=ranks.__getitem__))}
        )
    stays = np.array([not goes[group] for group in found.groups.tolist()]) * 1.0
    shares = dict(zip(found.modules, np.split(stays, starts), strict=True))
    return prune(model, shares, brought.inputs), shares


def called_modules(model: nn.Module, inputs: tuple[Any, ...]) -> list[str]:
    """Names of the modules with gates that the model calls; weights used past a call have no gate."""
    possible = insert_gates(copy.deepcopy(model)).modules
    called: set[str] = set()
    twin = copy.deepcopy(model)
    for name in possible:
        twin.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
    with torch.enable_grad():  # without, an encoder of torch is one operation
        twin(*inputs)
    return [name for name in possible if name in called]


def pruning(case: Model, brought: Brought) -> str:
    """Half of the units leave: the function stays on new rows, and the network can still be trained."""
    before = {key: value.clone() for key, value in brought.model.state_dict().items()}
    result, shares = halved(brought)
    assert all(torch.equal(value, before[key]) for key, value in brought.model.state_dict().items())
    twin = copy.deepcopy(brought.model)
    insert_gates(twin, modules=list(shares)).assign(np.concatenate(list(shares.values())))
    with torch.no_grad():
        want, got = case.scores(twin(*brought.fresh)), case.scores(result.model(*brought.fresh))
    difference = float((want - got).abs().max() / want.abs().max())
    assert difference < 1e-5, f"{difference:.1e} off on new rows"
    left = result.parameters[1] / result.parameters[0]
    assert left < 0.97, f"{left:.2f} of the parameters are left"
    trained = copy.deepcopy(result.model).train()
    case.scores(trained(*brought.fresh)).sum().backward()
    return f"{left:.3f}"


CHECKS: dict[str, Callable[[Model, Brought], str]] = {
    "gradient dropout": feedback,
    "gates": gates,
    "participation game": participation,
    "coalition game": coalitions,
    "Grad-CAM": attribution,
    "half pruned": pruning,
}


def line(check: Callable[[Model, Brought], str], case: Model, brought: Brought) -> str:
    """What a check says of a model, or its clear refusal."""
    try:
        return check(case, brought)
    except ValueError as error:
        if not _REFUSAL.fullmatch(str(error)):
            raise
        return f"refused: {error}"
