"""Networks that the tests of the bridge share: each with rows, a loss, and the units that it is known to have.

One line in ``CASES`` makes a new member, and every law of ``tests/bridge/test_laws.py`` holds it.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A network and what it is played with.

    Attributes:
        build: makes the network; it draws from torch's global generator.
        row: shape of one row of inputs.
        units: the hidden units, name of the module -> how many, without the layer that gives the outputs.
        layer: one module whose units are the players of a coalition game; they are ``units[layer]``.
        outputs: number of outputs.
        tokens: size of the vocabulary, where inputs are token numbers.
        loss: maps outputs and targets to the mean loss; targets are classes, or real numbers with ``mse_loss``.
    """

    build: Callable[[], nn.Module]
    row: tuple[int, ...]
    units: dict[str, int]
    layer: str
    outputs: int = 3
    tokens: int | None = None
    loss: Loss = field(default=functional.cross_entropy)

    def model(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
        """Make the network, in training mode, with norms whose statistics and weights differ from unit to unit."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build()
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    nn.init.uniform_(module.running_mean, -0.5, 0.5)
                    nn.init.uniform_(module.running_var, 0.5, 2.0)
                    nn.init.uniform_(module.weight, 0.5, 1.5)
                    nn.init.uniform_(module.bias, -0.5, 0.5)
            return model.to(dtype)

    def data(self, rows: int = 9, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Draw inputs (rows, ...) and targets (rows,), or (rows, outputs) for ``mse_loss``."""
        generator = torch.Generator().manual_seed(seed)
        if self.tokens is None:
            inputs = torch.randn(rows, *self.row, generator=generator, dtype=dtype)
        else:
            inputs = torch.randint(self.tokens, (rows, *self.row), generator=generator)
        if self.loss is functional.mse_loss:
            return inputs, torch.randn(rows, self.outputs, generator=generator, dtype=dtype)
        return inputs, torch.randint(self.outputs, (rows,), generator=generator)


class Residual(nn.Module):
    """Two convolutions with norms around which a stream goes on."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Sequential(nn.Conv2d(6, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 6, 1))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = functional.relu(self.norm(self.stem(x)))
        return self.head((x + self.inner(x)).mean(dim=(2, 3)))


class TokenMLP(nn.Module):
    """Layers over the last axis of (batch, tokens, features), then the mean over tokens."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Linear(3, 8), nn.LayerNorm(8)
        self.mix, self.head = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(functional.gelu(self.mix(self.norm(self.embed(x)))).mean(dim=1))


class Attention(nn.Module):
    """Embedded tokens, one encoder layer, the mean over tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.body = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, tokens):
        return self.head(self.body(self.embed(tokens)).mean(dim=1))


def mlp(activation: type[nn.Module] = nn.ReLU, *widths: int) -> nn.Sequential:
    """Make a perceptron with these widths, inputs and outputs among them."""
    hidden = [part for a, b in itertools.pairwise(widths[:-1]) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*hidden, nn.Linear(*widths[-2:]))


def masked_mlp() -> nn.Module:
    """Make a perceptron in which ``torch.nn.utils.prune`` has masked half of the first weights."""
    model = mlp(nn.ReLU, 4, 6, 5, 3)
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    return model


def old_weight_norm_mlp() -> nn.Module:
    """Make a perceptron whose first weight is written by a hook before each call, as torch did before 2.0."""
    model = mlp(nn.ReLU, 4, 6, 5, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(model[0])
    return model


def reparametrized_mlp(register: Callable[[nn.Module], nn.Module]) -> Callable[[], nn.Module]:
    """Return a maker of perceptrons whose first weight is computed from others."""

    def build() -> nn.Module:
        model = mlp(nn.ReLU, 4, 6, 5, 3)
        register(model[0])
        return model

    return build


def cnn() -> nn.Module:
    """Make two convolutions with norms and a linear layer behind."""
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 5, 2), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5, 3)),
    )


def depthwise() -> nn.Module:
    """Make a convolution that looks at each channel by itself, between two that mix them."""
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ReLU(), nn.Conv2d(4, 5, 1)),
        *(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)),
    )


_HIDDEN = {"0": 6, "2": 5}

CASES = {
    "mlp": Case(lambda: mlp(nn.ReLU, 4, 6, 5, 3), (4,), _HIDDEN, "0"),
    "tanh mlp, squares": Case(lambda: mlp(nn.Tanh, 4, 6, 5, 3), (4,), _HIDDEN, "2", loss=functional.mse_loss),
    "cnn": Case(cnn, (2, 6, 6), {"0": 4, "4": 5}, "4"),
    "residual": Case(Residual, (2, 5, 5), {"stem": 6, "inner.0": 5, "inner.3": 6}, "inner.0"),
    "token mlp": Case(TokenMLP, (7, 3), {"embed": 8, "mix": 6}, "mix"),
    "attention": Case(Attention, (4,), {"body.linear1": 6, "body.linear2": 4}, "body.linear1", tokens=5),
    "depthwise": Case(depthwise, (2, 6, 6), {"0": 4, "2": 4, "4": 5}, "0"),
}

# Weights that are computed from others whenever they are read, or before each call.
REPARAMETRIZED = {
    "weight norm": Case(reparametrized_mlp(parametrizations.weight_norm), (4,), _HIDDEN, "0"),
    "spectral norm": Case(reparametrized_mlp(parametrizations.spectral_norm), (4,), _HIDDEN, "0"),
    "weight norm by hook": Case(old_weight_norm_mlp, (4,), _HIDDEN, "0"),
    "pruning mask": Case(masked_mlp, (4,), _HIDDEN, "0"),
}
