"""Pruning: the units that hardly take part leave the network, which becomes a smaller dense one.

A profile gives every unit (neuron, filter) its share s_i in [0, 1], which multiplies its output. Units with a share
below a threshold count as 0 and leave: the row of their own weights, their entries in the norm behind, and the
columns of whoever reads them. The shares of the others are multiplied into the weights. The function is that of the
gated network in evaluation mode; every result carries the measured difference, and one that is too large is refused.

- A unit that is silent may still leave a constant behind (sigmoid(0) = 1/2): it goes into the bias of the reader.
- Channels that meet in a residual sum, or are moved together, leave together or not at all. A unit below the threshold
  that cannot leave is ``pinned``: it stays, multiplied by its own share.
- A channel that nobody hears any more, since a silent gate stands behind it, leaves with that gate's unit, whatever its
  own share (a convolution in front of a silent depthwise one).
- No layer is emptied: torch has no convolution, norm or pooling over 0 channels. The unit with the largest share stays
  in such a layer, at weight 0.
- A model that runs otherwise in training mode (auxiliary heads) is cut so that it can still be trained.
- Weights that are computed (weight_norm, spectral_norm, the masks of torch.nn.utils.prune) become plain ones.

Which channels belong together is followed through a run of the model; see ``channels`` and ``cutting``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument, number, numbers
from neurogames.bridge.gates.gates import Gates, insert_gates, present_gates
from neurogames.bridge.modules.evaluation import copy_module, evaluating, gradients_on
from neurogames.bridge.pruning.channels import swapped, tensors_in
from neurogames.bridge.pruning.coupling import coupled_groups
from neurogames.bridge.pruning.cutting import Search, cut_out
from neurogames.bridge.pruning.plain_model import plain_copy
from neurogames.bridge.pruning.rebuilding import Sizes, changed_sizes
from neurogames.bridge.pruning.work import as_arguments, count_parameters, multiply_adds

# Largest relative difference to the gated network that rounding explains, by precision of the outputs.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}


@dataclass(frozen=True, eq=False)
class Pruned:
    """A smaller network and what became of the units.

    Attributes:
        model: the smaller dense model, without gates, in the modes of the original.
        kept: indices of the units that stayed, by name of module.
        removed: number of units that left, by name of module.
        pinned: why a unit below the threshold had to stay, by name of module and index.
        parameters: number of parameters before and after.
        multiply_adds: multiply-adds of a run on the example inputs, before and after.
        difference: largest absolute difference to the gated network on the example inputs, whose removed units have
            share 0, relative to the largest absolute output.
        sizes: attributes of modules that changed, by name of module and attribute; with the ``state_dict`` they are all
            that :func:`rebuild` needs.
    """

    model: nn.Module
    kept: dict[str, NDArray[np.int64]]
    removed: dict[str, int]
    pinned: dict[str, dict[int, str]]
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int]
    difference: float
    sizes: Sizes


@gradients_on()
def prune(
    model: nn.Module,
    profile: ArrayLike | Mapping[str, ArrayLike],
    example_inputs: Tensor | tuple[Any, ...],
    *,
    threshold: float = 0.01,
    coupled: bool = False,
) -> Pruned:
    """Remove the units with small shares and fold the other shares into the weights.

    Args:
        model: any module, with gates or without; it stays as it is.
        profile: (n,) shares in [0, 1], in the order of the model's gates, or else of those that ``insert_gates(model)``
            makes; or shares (units,) by name of module. Modules that are not named keep their present shares.
        example_inputs: an input of the model, or a tuple of its positional arguments; a small batch will do.
        threshold: units with a smaller share leave.
        coupled: give units that can only leave together (see :func:`coupled_groups`) the mean of their shares first.
            Units of modules that the profile does not name keep the present shares, and so do groups they are in.

    Returns:
        The smaller model, with its certificate.

    Raises:
        ValueError: an argument is wrong, the model refuses the inputs or branches on values, a share cannot be folded
            (weights that are computed, or used in two places), or the smaller model is not the gated one.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 1))
    >>> result = prune(model, [1, 0, 0.5, 0], torch.rand(5, 3))
    >>> result.model[0], result.kept["0"], result.parameters, result.difference < 1e-5
    (Linear(in_features=3, out_features=2, bias=True), array([0, 2]), (21, 11), True)
    """
    threshold = number("threshold", threshold, "a share in [0, 1]", lambda share: 0 <= share <= 1)
    inputs = as_arguments(example_inputs)
    model = plain_copy(model, inputs)
    gates, shares = _gated(model, profile)
    if coupled:
        tied = coupled_groups(gates.model, inputs).mean(np.concatenate(list(shares.values())))
        gates.assign(tied)
        shares = gates.split(tied)
    folded = copy_module(gates.model)
    present = present_gates(folded)
    assert present is not None
    _give_weights(folded, present.places)
    present.remove(fold=True)
    silent = {name: share < threshold for name, share in shares.items()}
    heads = {name: silent.pop(name) for name in gates.modules if _is_attention(gates.model, name)}
    places = dict(zip(gates.modules, gates.places, strict=True))
    search = Search(folded, inputs, places)
    cut = cut_out(search, silent, shares)
    counted = {
        name: np.where(cut.silent[name], 0.0, shares[name]) if name in silent else shares[name] for name in shares
    }
    gates.assign(np.concatenate(list(counted.values())))
    reference = _run(gates.model, inputs)
    gates.remove()
    difference = _difference(reference, cut.output)
    tolerance = max((TOLERANCES.get(tensor.dtype, 0.0) for tensor in tensors_in(reference)), default=0.0)
    if not difference <= tolerance:
        got = f"a relative difference of {difference:.2g} between the smaller model and the gated one"
        expected = f"at most {tolerance:g}, as where each share can be multiplied into its unit's own weights"
        raise invalid_argument("model", got, expected)
    why = "attention keeps the number of its heads"
    kept = {name: np.flatnonzero(cut.kept[name]) if name in silent else np.arange(len(shares[name])) for name in shares}
    return Pruned(
        model=cut.model,
        kept=kept,
        removed={name: len(shares[name]) - len(kept[name]) for name in shares},
        pinned=cut.pinned | {n: dict.fromkeys(np.flatnonzero(m).tolist(), why) for n, m in heads.items() if m.any()},
        parameters=(count_parameters(gates.model), count_parameters(cut.model)),
        multiply_adds=(multiply_adds(gates.model, inputs), multiply_adds(cut.model, inputs)),
        difference=difference,
        sizes=changed_sizes(gates.model, cut.model),
    )


def _gated(
    model: nn.Module, profile: ArrayLike | Mapping[str, ArrayLike]
) -> tuple[Gates, dict[str, NDArray[np.float64]]]:
    """Gates of the model, with the shares of the profile, and these by name."""
    gates = present_gates(model)
    if not isinstance(profile, Mapping):
        gates = insert_gates(model) if gates is None else gates
        shares = gates.split(profile)
    else:
        if gates is None:
            gates = insert_gates(model, ("neurons", "filters", "heads"), modules=list(profile))
        shares = gates.split(gates.profile().clip(0.0, 1.0))
        for name, part in profile.items():
            if name not in shares:
                raise invalid_argument(
                    "profile", f"shares of {name!r}", f"shares of {', '.join(map(repr, gates.modules))}"
                )
            expected = f"{len(shares[name])} shares in [0, 1]"
            values = numbers(f"profile[{name!r}]", part, expected)
            if values.shape != shares[name].shape:
                raise invalid_argument(f"profile[{name!r}]", f"shape {values.shape}", expected)
            if not ((values >= 0) & (values <= 1)).all():
                raise invalid_argument(f"profile[{name!r}]", f"values from {values.min()} to {values.max()}", expected)
            shares[name] = values.copy()
    gates.assign(np.concatenate(list(shares.values())))
    return gates, shares


def _is_attention(model: nn.Module, name: str) -> bool:
    """Whether the units of a module are heads."""
    return isinstance(model.get_submodule(name), nn.MultiheadAttention)


def _give_weights(model: nn.Module, places: Sequence[str]) -> None:
    """Give norms without weights some that change nothing, to take in the shares."""
    place: Any
    for place in map(model.get_submodule, places):
        if getattr(place, "weight", None) is None and hasattr(place, "affine"):
            place.affine = True
            place.weight = nn.Parameter(torch.ones_like(place.participation))
            place.bias = nn.Parameter(torch.zeros_like(place.participation))


def _run(model: nn.Module, inputs: tuple[Any, ...]) -> Any:
    """Output in evaluation mode."""
    with evaluating(model), torch.no_grad():
        return model(*swapped(inputs, Tensor.clone))


def _difference(reference: Any, output: Any) -> float:
    """Largest absolute difference, relative to the largest absolute value unless that is 0."""
    pairs = [
        (left.double(), right.double()) for left, right in zip(tensors_in(reference), tensors_in(output), strict=True)
    ]
    scale = max((float(left[left.isfinite()].abs().max()) for left, _ in pairs if left.isfinite().any()), default=0.0)
    # Infinite scores (of masked tokens) are alike in both.
    gaps = [(left - right).abs().masked_fill(left == right, 0.0) for left, right in pairs if left.numel()]
    return max((float(gap.max()) for gap in gaps), default=0.0) / (scale or 1.0)
