"""Steps along directions that the curvature of each layer gives: what KFAC and EKFAC have in common."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument, number
from neurogames.bridge.curvature.layer_arrays import layer_weights, recordable_layers
from neurogames.bridge.curvature.layer_curvature import LayerCurvature
from neurogames.bridge.curvature.layer_recorder import LayerArrays, LayerRecorder

_ALIKE = 1e-3  # how far a gradient may be from the sum over rows, relative to it, to be taken for it
_DIAGONAL_DECAY = 0.95


class KroneckerOptimizer(torch.optim.Optimizer):
    """Gradient descent in the metric of a curvature that is known layer by layer; see ``KFAC`` and ``EKFAC``.

    Args:
        model: what is trained; it gets hooks until ``remove()``.
        params: parameters of the model, or groups of them; all that require gradients when left out.
        settings: of every group: lr, damping, momentum, weight_decay.
        curvature: what turns the gradient of a layer into a direction.
        modules: names of the layers to precondition; all that can be when left out.
    """

    takes_model = True  # in place of parameters; see ``OptimizerFactory``
    _step_supports_amp_scaling = True  # a GradScaler then says that it is there, and is refused

    def __init__(
        self,
        model: nn.Module,
        params: Iterable[Any] | None,
        settings: dict[str, float],
        *,
        curvature: LayerCurvature,
        modules: Sequence[str] | None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise invalid_argument("model", model, "a torch module")
        if isinstance(modules, str):
            raise invalid_argument("modules", modules, "a list of names")
        self._model, self._curvature = model, curvature
        self._modules = None if modules is None else tuple(modules)
        self._recorder: LayerRecorder | None = None
        self._layers: dict[str, tuple[nn.Module, nn.Parameter, nn.Parameter | None]] = {}
        for key, value in settings.items():
            _checked(key, value)
        chosen = [each for each in model.parameters() if each.requires_grad] if params is None else list(params)
        if not chosen:
            raise invalid_argument("model", "no parameter that requires gradients", "at least one")
        super().__init__(chosen, settings | {"skipped": 0})
        self._attach()

    @property
    def preconditioned(self) -> tuple[str, ...]:
        """Names of the layers whose weights move along the curvature of their layer."""
        return self._attached.names

    @property
    def not_preconditioned(self) -> tuple[str, ...]:
        """Names of the parameters that move along a diagonal instead."""
        known = {each for _, *pair in self._layers.values() for each in pair if each is not None}
        ours = {each for group in self.param_groups for each in group["params"]}
        return tuple(name for name, each in self._model.named_parameters() if each in ours and each not in known)

    @property
    def skipped_steps(self) -> int:
        """How many steps were not taken since a gradient or a direction was not finite."""
        return int(self.param_groups[0]["skipped"])

    def remove(self) -> None:
        """Take the hooks off the model; no step can be taken any more."""
        self._attached.remove()
        self._recorder = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters of the model.

        Raises:
            ValueError: a parameter is not one of the model's, or a setting is out of range.
        """
        given = param_group["params"]
        known = set(self._model.parameters())
        given = [given] if isinstance(given, Tensor) else list(given)
        for each in given:
            if (each[1] if isinstance(each, tuple) else each) not in known:
                raise invalid_argument("params", "a tensor that is no parameter of the model", "the model's own")
        group = param_group | {"params": given}
        for key in self.defaults.keys() & group.keys():
            _checked(key, group[key])
        super().add_param_group(group)
        if self._recorder is not None:
            self._recorder.remove()
            self._attach()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, and what was recorded of the layers."""
        super().zero_grad(set_to_none)
        self._attached.clear()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step, or none where a gradient is not finite.

        Args:
            closure: sets the gradients to zero, computes the loss, runs it backward and returns it.

        Returns:
            What the closure returns; None without one.

        Raises:
            ValueError: a layer has a gradient, and its pass forward was not seen; or gradients are scaled.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if getattr(self, "found_inf", None) is not None:
            raise invalid_argument("gradients", "scaled by a GradScaler", "unscaled ones: autocast to bfloat16")
        slopes = {p: p.grad for group in self.param_groups for p in group["params"] if p.grad is not None}
        arrays = self._recorded(slopes)
        sums = self._which_are_sums(slopes, arrays)
        if sums is None:
            self._skip()
        else:
            directions = self._directions(slopes, arrays, sums)
            for group in self.param_groups:
                self._move(group, directions)
        self._attached.clear()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state: the next step is the one that would have followed.

        Raises:
            ValueError: it is the state of another kind of optimizer; then nothing is set.
        """
        owners = dict(enumerate(p for group in self.param_groups for p in group["params"]))
        keys = {weight: self._curvature.keys for _, weight, _ in self._layers.values()}
        keys |= {bias: frozenset() for _, _, bias in self._layers.values() if bias is not None}
        for index, memory in state_dict.get("state", {}).items():
            expected = keys.get(owners[index], {"square"}) if index in owners else {"square"}
            if not expected <= memory.keys() <= expected | {"momentum_buffer"}:
                raise invalid_argument("state_dict", f"memory of {sorted(memory)}", f"memory of {sorted(expected)}")
        super().load_state_dict(state_dict)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse to be copied: a copy would have no hooks."""
        raise TypeError(f"{type(self).__name__} cannot be copied or pickled: save its state_dict")

    @property
    def _attached(self) -> LayerRecorder:
        """The recorder."""
        if self._recorder is None:
            raise invalid_argument("optimizer", "one whose hooks were removed", "one that is attached to its model")
        return self._recorder

    def _attach(self) -> None:
        """Record the layers all of whose parameters are optimized here."""
        ours = {each for group in self.param_groups for each in group["params"]}
        names = list(recordable_layers(self._model)) if self._modules is None else self._modules
        recorder = LayerRecorder(self._model, names)
        layers: dict[str, Any] = {name: self._model.get_submodule(name) for name in names}
        whole = {
            name: (layer, layer.weight, layer.bias)
            for name, layer in layers.items()
            if layer.weight in ours and (layer.bias is None or layer.bias in ours)
        }
        if len(whole) < len(layers):
            recorder.remove()
            recorder = LayerRecorder(self._model, whole)
        self._recorder, self._layers = recorder, whole

    def _recorded(self, slopes: Mapping[nn.Parameter, Tensor]) -> dict[str, LayerArrays]:
        """Arrays of all layers that have a gradient."""
        found = {}
        recorder = self._attached
        for name, (_, weight, _) in self._layers.items():
            if weight in slopes:
                arrays = recorder.arrays(name)
                if arrays is None:
                    got = f"a gradient of layer {name!r} whose pass forward was not seen"
                    raise invalid_argument("model", got, "calls of that layer before a step, or it left out of modules")
                found[name] = arrays
        return found

    def _which_are_sums(
        self, slopes: Mapping[nn.Parameter, Tensor], arrays: Mapping[str, LayerArrays]
    ) -> set[str] | None:
        """Layers whose gradient is G = sum_rs g a': not those that were clipped or have other parts. None: not finite.

        It is told from the product with one vector, and all layers in one question to the device.
        """
        norms, rest = [], dict(slopes)
        for name, (inputs, gradients, _) in arrays.items():
            _, weight, bias = self._layers[name]
            vector = torch.arange(inputs.shape[2], dtype=weight.dtype, device=weight.device).square_().cos_()
            matrix = rest.pop(weight).flatten(1)
            product = matrix @ vector[: matrix.shape[1]]
            if bias is not None:
                product.add_(rest.pop(bias) * vector[-1])
            summed = gradients.flatten(0, 1).T @ (inputs.flatten(0, 1) @ vector)
            norms += [torch.linalg.vector_norm(product), torch.linalg.vector_norm(product - summed)]
        norms += torch._foreach_norm(list(rest.values())) if rest else []
        found = torch.stack(norms).tolist() if norms else []
        if not all(map(math.isfinite, found)):
            return None
        pairs = zip(arrays, found[::2], found[1::2], strict=False)
        return {name for name, size, error in pairs if error <= _ALIKE * size}

    def _directions(
        self, slopes: Mapping[nn.Parameter, Tensor], arrays: Mapping[str, LayerArrays], sums: Collection[str]
    ) -> dict[nn.Parameter, Tensor]:
        """The direction in which each parameter goes down."""
        settings = {each: group for group in self.param_groups for each in group["params"]}
        directions: dict[nn.Parameter, Tensor] = {}
        for name, (inputs, gradients, scale) in arrays.items():
            layer, weight, bias = self._layers[name]
            damping, memory = settings[weight]["damping"], self.state[weight]
            own = gradients * scale
            observed = self._curvature.observe(memory, inputs, own, damping=damping)
            found = None
            if name in sums:
                found = self._curvature.direction_of_mean(memory, inputs, own, observed, damping=damping)
            if found is None:
                gradient = layer_weights(layer, slopes[weight], None if bias is None else slopes[bias])
                found = self._curvature.direction(memory, gradient, damping=damping)
            directions[weight] = (found if bias is None else found[:, :-1]).reshape(weight.shape)
            if bias is not None:
                directions[bias] = found[:, -1]
        rows = max((each.scale for each in arrays.values()), default=1.0)
        for each in slopes.keys() - directions.keys():
            directions[each] = self._diagonal(each, slopes[each], rows, settings[each]["damping"])
        return directions

    def _diagonal(self, parameter: nn.Parameter, slope: Tensor, rows: float, damping: float) -> Tensor:
        """Divide by rows E[slope^2] + damping: of noise, rows times the square of a mean is the mean square."""
        memory: dict[str, Tensor] = self.state[parameter]
        if "square" in memory:
            memory["square"].lerp_(slope.square(), 1 - _DIAGONAL_DECAY)
        else:
            memory["square"] = slope.square()
        return slope / (rows * memory["square"] + damping)

    def _move(self, group: dict[str, Any], directions: Mapping[nn.Parameter, Tensor]) -> None:
        """Move the parameters of a group."""
        moved = [each for each in group["params"] if each in directions]
        if not moved:
            return
        steps = [directions[each] for each in moved]
        if group["momentum"]:
            for place, (each, step) in enumerate(zip(moved, steps, strict=True)):
                memory = self.state[each]
                if "momentum_buffer" in memory:
                    buffer = memory["momentum_buffer"]
                    torch.add(step, buffer, alpha=group["momentum"], out=buffer)
                else:
                    memory["momentum_buffer"] = step.clone(memory_format=torch.contiguous_format)
                steps[place] = memory["momentum_buffer"]
        if group["weight_decay"]:
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(moved, steps, alpha=-group["lr"])

    def _skip(self) -> None:
        """Count a step that is not taken."""
        if self.skipped_steps == 0:
            text = "a gradient is not finite: the step is skipped, and `skipped_steps` counts it and those to come"
            warnings.warn(text, stacklevel=4)
        self.param_groups[0]["skipped"] += 1


def _checked(key: str, value: Any) -> None:
    """Refuse a setting out of range."""
    if key == "damping":
        number(key, value, "a number > 0", lambda number: number > 0)
    elif key == "momentum":
        number(key, value, "a number in [0, 1)", lambda number: 0 <= number < 1)
    elif key in ("lr", "weight_decay"):
        number(key, value, "a number >= 0", lambda number: number >= 0)
