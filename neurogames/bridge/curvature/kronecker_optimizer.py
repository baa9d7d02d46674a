"""Steps along directions that the curvature of each layer gives: what KFAC and EKFAC have in common."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import integer, invalid_argument
from neurogames.bridge.curvature.layer_arrays import layer_weights, recordable_layers
from neurogames.bridge.curvature.layer_batches import LayerBatch, layer_batches
from neurogames.bridge.curvature.layer_curvature import LayerCurvature, are_few
from neurogames.bridge.curvature.layer_recorder import LayerRecorder
from neurogames.bridge.curvature.parameter_steps import check_setting, diagonal_direction, move
from neurogames.bridge.curvature.sampled_loss import Likelihood, sampled_loss


class KroneckerOptimizer(torch.optim.Optimizer):
    """Gradient descent in the metric of a curvature that is known layer by layer; see ``KFAC`` and ``EKFAC``.

    Args:
        model: what is trained; it gets hooks until ``remove()``.
        params: parameters of the model, or groups of them; all that require gradients when left out.
        settings: of every group: lr, damping, momentum, weight_decay.
        curvature: what turns the gradient of a layer into a direction.
        modules: names of the layers to precondition; all that can be when left out.
        largest_factor: layers with more inputs or outputs are not preconditioned.
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
        largest_factor: int,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise invalid_argument("model", model, "a torch module")
        if isinstance(modules, str):
            raise invalid_argument("modules", modules, "a list of names")
        self._model, self._curvature = model, curvature
        self._modules = None if modules is None else tuple(modules)
        self._largest = integer("largest_factor", largest_factor, minimum=1)
        self._recorder: LayerRecorder | None = None
        self._layers: dict[str, tuple[nn.Module, nn.Parameter, nn.Parameter | None]] = {}
        for key, value in settings.items():
            check_setting(key, value)
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
            check_setting(key, group[key])
        super().add_param_group(group)
        if self._recorder is not None:
            self._recorder.remove()
            self._attach()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, and what was recorded of the layers."""
        super().zero_grad(set_to_none)
        self._attached.clear(drawn=False)

    def sample_fisher(self, outputs: Tensor, likelihood: Likelihood, *, rng: torch.Generator) -> None:
        """Let the curvature of the next step be that of labels drawn from the model: the true Fisher matrix.

        Called between the pass forward and the pass back; without it the curvature is that of the labels of the data.
        It costs another pass back, in steps that average the curvature. No gradient is touched.

        Args:
            outputs: (rows, classes, ...) logits, or (rows, ...) means, as the model gave them.
            likelihood: "categorical" where the loss is ``cross_entropy``, "gaussian" where it is ``mse_loss``.
            rng: source of the labels.

        Raises:
            ValueError: the likelihood is another, or the outputs have no axis of classes.

        >>> model, x = nn.Linear(3, 2), torch.ones(4, 3)
        >>> from neurogames.bridge.curvature.kfac import EKFAC
        >>> optimizer, rng = EKFAC(model), torch.Generator().manual_seed(0)
        >>> outputs = model(x)
        >>> optimizer.sample_fisher(outputs, "categorical", rng=rng)
        >>> nn.functional.cross_entropy(outputs, torch.zeros(4, dtype=torch.long)).backward()
        >>> optimizer.step()
        """
        loss = sampled_loss(outputs, likelihood, rng=rng)
        if any(self._curvature.averages_next(self.state.get(weight, {})) for _, weight, _ in self._layers.values()):
            self._attached.record_fisher(loss)

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
        device = self.param_groups[0]["params"][0].device.type
        with torch.autocast(device, enabled=False):  # the caller may take the step within autocast
            batches = layer_batches(self._attached, self._curvature, self._layers, slopes, self.state)
            if batches is None:
                self._skip()
            else:
                directions = self._directions(slopes, batches)
                for group in self.param_groups:
                    move(group, directions, self.state)
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
        own = weakref.ref(self)

        def wanted(name: str, places: int) -> bool:
            return (optimizer := own()) is not None and optimizer._wants(name, places)

        recorder = LayerRecorder(self._model, names, wanted=wanted)
        layers: dict[str, Any] = {name: self._model.get_submodule(name) for name in names}
        whole = {
            name: (layer, layer.weight, layer.bias)
            for name, layer in layers.items()
            if layer.weight in ours
            and (layer.bias is None or layer.bias in ours)
            and max(layer.weight.flatten(1).shape) <= self._largest
        }
        if len(whole) < len(layers):
            recorder.remove()
            recorder = LayerRecorder(self._model, whole, wanted=wanted)
        if not whole:
            recorder.remove()
            expected = "a Linear or convolution without groups, its weights its own, optimized here and not too large"
            raise invalid_argument("model", "no layer that can be preconditioned", expected)
        self._recorder, self._layers = recorder, whole

    def _wants(self, name: str, places: int) -> bool:
        """Whether the arrays of a layer that is called now are needed."""
        _, weight, bias = self._layers[name]
        few = are_few(places, weight[0].numel() + (bias is not None), len(weight))
        return few or self._curvature.averages_next(self.state.get(weight, {}))

    def _directions(
        self, slopes: Mapping[nn.Parameter, Tensor], batches: Mapping[str, LayerBatch]
    ) -> dict[nn.Parameter, Tensor]:
        """The direction in which each parameter goes down."""
        settings = {each: group for group in self.param_groups for each in group["params"]}
        directions: dict[nn.Parameter, Tensor] = {}
        for name, batch in batches.items():
            layer, weight, bias = self._layers[name]
            found = self._layer_direction(layer, slopes, batch, settings[weight]["damping"])
            directions[weight] = (found if bias is None else found[:, :-1]).reshape(weight.shape)
            if bias is not None:
                directions[bias] = found[:, -1]
        rows = max((batch.rows for batch in batches.values()), default=1)
        for each in slopes.keys() - directions.keys():
            directions[each] = diagonal_direction(self.state[each], slopes[each], rows, settings[each]["damping"])
        return directions

    def _layer_direction(
        self, layer: Any, slopes: Mapping[nn.Parameter, Tensor], batch: LayerBatch, damping: float
    ) -> Tensor:
        """The direction (d_out, d_in) of a layer, after its batch has gone into the averages."""
        memory, arrays, averaged = self.state[layer.weight], batch.arrays, batch.averaged
        own = None if arrays is None else arrays.gradients * arrays.scale
        first = None
        if averaged is None:
            memory["step"] += 1
        elif averaged is arrays and own is not None:
            first = self._curvature.observe(memory, arrays.inputs, own, damping=damping)
        else:  # the mean gradient of drawn labels is not that of the data
            self._curvature.observe(memory, averaged.inputs, averaged.gradients * averaged.scale, damping=damping)
        if batch.is_sum and arrays is not None and own is not None:
            return self._curvature.direction_of_mean(memory, arrays.inputs, own, first, damping=damping)
        gradient = layer_weights(layer, slopes[layer.weight], None if layer.bias is None else slopes[layer.bias])
        return self._curvature.direction(memory, gradient, damping=damping)

    def _skip(self) -> None:
        """Count a step that is not taken."""
        if self.skipped_steps == 0:
            text = "a gradient is not finite: the step is skipped, and `skipped_steps` counts it and those to come"
            warnings.warn(text, stacklevel=5)  # beyond what torch wraps around a step
        self.param_groups[0]["skipped"] += 1
