"""Kronecker factors, eigenbases and their inverses as curvlinops and NNGeometry have them."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.curvature.eigenbasis import eigenbasis
from neurogames.bridge.curvature.kronecker import damped_inverse, kronecker_factors
from neurogames.bridge.curvature.layer_arrays import layer_weights
from neurogames.bridge.curvature.layer_recorder import LayerRecorder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    curvlinops = pytest.importorskip("curvlinops", reason="curvlinops is not installed")
    backend = pytest.importorskip("nngeometry.backend", reason="nngeometry is not installed")
    matrices = pytest.importorskip("nngeometry.object", reason="nngeometry is not installed")
    collection = pytest.importorskip("nngeometry.layercollection", reason="nngeometry is not installed")


def mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3))


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(3, 4, 2), nn.Flatten(), nn.Linear(16, 3)
    )


class Tokens(nn.Module):
    """Linear layers over tokens, and their mean."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x))).mean(dim=1)


NETWORKS = {"mlp": (mlp, (4,)), "cnn": (cnn, (2, 6, 6)), "tokens": (Tokens, (7, 3))}
by_network = pytest.mark.parametrize(("build", "row"), NETWORKS.values(), ids=NETWORKS)


def recorded(build, row):
    """A network, its rows, and the arrays of its layers with the gradients of single rows."""
    torch.manual_seed(0)
    model = build().double()
    x, y = torch.randn(40, *row, dtype=torch.float64), torch.randint(3, (40,))
    recorder = LayerRecorder(model)
    functional.cross_entropy(model(x), y).backward()
    found = {name: recorder.arrays(name) for name in recorder.names}
    arrays = {name: (inputs, gradients * scale) for name, (inputs, gradients, scale) in found.items()}
    recorder.remove()
    return model, (x, y), arrays


def directions(model):
    """A random tensor for each parameter."""
    return [torch.randn_like(each) for each in model.parameters()]


def by_layer(model, arrays, given, act):
    """Tensors like the parameters, after ``act(name, matrix)`` on the matrix of each layer."""
    tensors = dict(zip((name for name, _ in model.named_parameters()), given, strict=True))
    result = {}
    for name in arrays:
        layer = model.get_submodule(name)
        bias = None if layer.bias is None else tensors[f"{name}.bias"]
        found = act(name, layer_weights(layer, tensors[f"{name}.weight"], bias))
        if bias is not None:
            result[f"{name}.bias"] = found[:, -1]
            found = found[:, :-1]
        result[f"{name}.weight"] = found.reshape(layer.weight.shape)
    return [result[name] for name, _ in model.named_parameters()]


def theirs(kind, model, data, sharing):
    return getattr(curvlinops, kind)(
        model, nn.CrossEntropyLoss(), list(model.parameters()), [data], fisher_type="empirical", kfac_approx=sharing,
        separate_weight_and_bias=False, check_deterministic=False,
    )  # fmt: skip


@by_network
@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_products_and_inverses_agree_with_curvlinops(build, row, sharing):
    model, data, arrays = recorded(build, row)
    factors = {name: kronecker_factors(*each, sharing=sharing) for name, each in arrays.items()}
    given = directions(model)
    operator = theirs("KFACLinearOperator", model, data, sharing)
    ours = by_layer(model, arrays, given, lambda name, matrix: factors[name].multiply(matrix))
    torch.testing.assert_close(ours, operator @ given)
    inverse = curvlinops.KFACInverseLinearOperator(operator, damping=0.03, use_heuristic_damping=True)
    ours = by_layer(model, arrays, given, lambda name, matrix: damped_inverse(factors[name], 0.03).multiply(matrix))
    torch.testing.assert_close(ours, inverse @ given)


@by_network
def test_moments_in_the_eigenbasis_agree_with_curvlinops(build, row):
    model, data, arrays = recorded(build, row)
    bases = {name: eigenbasis(kronecker_factors(*each)) for name, each in arrays.items()}
    moments = {name: bases[name].moments(*each).second for name, each in arrays.items()}
    given = directions(model)
    operator = theirs("EKFACLinearOperator", model, data, "expand")
    ours = by_layer(
        model, arrays, given, lambda name, matrix: bases[name].rotate_back(bases[name].rotate(matrix) * moments[name])
    )
    torch.testing.assert_close(ours, operator @ given)
    inverse = curvlinops.KFACInverseLinearOperator(operator, damping=0.03, use_exact_damping=True)
    ours = by_layer(model, arrays, given, lambda name, matrix: bases[name].precondition(matrix, moments[name], 0.03))
    torch.testing.assert_close(ours, inverse @ given)


def test_factors_and_steps_agree_with_nngeometry():
    model, data, arrays = recorded(mlp, (4,))
    layers = collection.LayerCollection.from_model(model)

    def losses(x, y):
        return functional.cross_entropy(model(x), y, reduction="none").unsqueeze(1)

    generator = backend.TorchHooksJacobianBackend(layer_collection=layers, model=model, function=losses)
    rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data), batch_size=40)
    given = directions(model)
    vector = matrices.PVector(layers, vector_repr=torch.cat([each.flatten() for each in given]))
    kfac = matrices.PMatKFAC(generator=generator, examples=rows)
    ekfac = matrices.PMatEKFAC(generator=generator, examples=rows)
    ekfac.update_diag(rows)
    factors = {name: kronecker_factors(*each) for name, each in arrays.items()}
    bases = {name: eigenbasis(each) for name, each in factors.items()}
    ours = {
        "kfac": lambda name, matrix: damped_inverse(factors[name], 0.03).multiply(matrix),
        "ekfac": lambda name, matrix: bases[name].precondition(matrix, bases[name].moments(*arrays[name]).second, 0.03),
    }
    for kind, each in {"kfac": kfac, "ekfac": ekfac}.items():
        found = torch.cat([part.flatten() for part in by_layer(model, arrays, given, ours[kind])])
        # Theirs damps with a matrix of 32 bits.
        torch.testing.assert_close(found, each.solve(vector, regul=0.03).to_torch(), rtol=1e-5, atol=1e-6)
