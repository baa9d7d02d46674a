"""A shortcut planted in real data: one part of the inputs that agrees with the target in training, and can be broken.

A network may answer from the planted part (the detour) or from what was there before (composition). Which of the two it
does shows where the planted part is *broken*, that is, exchanged between rows: its own distribution stays, and what it
says of the target is gone. The score on broken rows is how robust a network is against the loss of the shortcut.

With strength rho in [0, 1] and, for every row, independent draws:

- numbers as targets, kind "feature": one more feature, x = rho z + sqrt(1 - rho^2) e, with z the target standardised on
  the training rows and e standard normal. Its correlation with the target is rho.
- classes as targets: a code, the row's class with probability rho and else a class drawn at random. Kind "feature"
  writes it as one feature per class, 1 at the code and else 0, standardised on the training rows; kind "mark" lights a
  patch of an image, at a place that belongs to the code; kind "colour" shifts the channels of an image by a colour
  that belongs to the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument, number
from neurogames.lab.data.images import Images
from neurogames.lab.data.preparation import Prepared

Kind = Literal["feature", "mark", "colour"]
MARK_SHARE = 5
"""A mark is as wide as a fifth of the image, at least one pixel."""
COLOUR_STEP = 1.5
"""How far a colour shifts a channel, in standard deviations of all training pixels."""


@dataclass(frozen=True, eq=False)
class PlantedShortcut:
    """Training and test rows with a planted shortcut.

    Attributes:
        kind: "feature", "mark" or "colour".
        strength: rho in [0, 1].
        train_inputs: (training rows, ...) float32, with the shortcut.
        train_targets: (training rows,) as given.
        test_inputs: (test rows, ...) float32, with a shortcut that agrees as often as in training.
        broken_inputs: (test rows, ...) float32, the same rows with the planted part exchanged between them.
        test_targets: (test rows,) as given.
    """

    kind: Kind
    strength: float
    train_inputs: NDArray[np.float32]
    train_targets: NDArray[np.float32] | NDArray[np.int64]
    test_inputs: NDArray[np.float32]
    broken_inputs: NDArray[np.float32]
    test_targets: NDArray[np.float32] | NDArray[np.int64]


def plant_shortcut(
    data: Prepared | Images, *, strength: float, kind: Kind | None = None, rng: np.random.Generator
) -> PlantedShortcut:
    """Plant a shortcut in a table or in images; the data themselves stay as they are.

    Args:
        data: a prepared table, or images with classes.
        strength: rho in [0, 1]: correlation of the planted feature with a target of numbers, or reliability of the
            planted code of a class. At 0 it says nothing; at 1 it says everything.
        kind: "feature" for a table, "mark" or "colour" for images ("colour" needs three channels). "feature" and "mark"
            if not given.
        rng: draws the noise, the codes, and the exchange between rows.

    Returns:
        Training rows, test rows, and test rows with the shortcut broken.

    Raises:
        ValueError: a strength outside [0, 1], a kind that does not fit the data, or fewer than two test rows.

    >>> from neurogames.lab.data.datasets import load_dataset
    >>> from neurogames.lab.data.preparation import prepare
    >>> rng = np.random.default_rng(0)
    >>> planted = plant_shortcut(prepare(load_dataset("diabetes"), rng=rng), strength=0.9, rng=rng)
    >>> planted.train_inputs.shape, planted.test_inputs.shape
    ((353, 11), (89, 11))
    >>> bool(abs(np.corrcoef(planted.train_inputs[:, -1], planted.train_targets)[0, 1] - 0.9) < 0.03)
    True
    >>> bool(abs(np.corrcoef(planted.broken_inputs[:, -1], planted.test_targets)[0, 1]) < 0.3)
    True
    """
    strength = number("strength", strength, "a strength in [0, 1]", lambda value: 0 <= value <= 1)
    if isinstance(data, Prepared):
        train, tests = (data.train_inputs, data.train_targets), (data.test_inputs, data.test_targets)
        kinds: tuple[Kind, ...] = ("feature",)
    elif isinstance(data, Images):
        train = data.inputs.numpy(), data.targets.numpy()
        tests = data.test_inputs.numpy(), data.test_targets.numpy()
        kinds = ("mark", "colour") if data.inputs.shape[1] == 3 else ("mark",)
    else:
        raise invalid_argument("data", type(data).__name__, "a prepared table or images")
    kind = kinds[0] if kind is None else kind
    if kind not in kinds:
        raise invalid_argument("kind", kind, f"{' or '.join(map(repr, kinds))} for these data")
    if len(tests[0]) < 2:
        raise invalid_argument("data", f"{len(tests[0])} test rows", "at least two, whose shortcuts can be exchanged")
    codes = _codes(train[1], tests[1], strength, rng)
    exchanged = codes[1][_derangement(len(codes[1]), rng)]
    with_code = [
        _planted(inputs, code, kind)
        for inputs, code in ((train[0], codes[0]), (tests[0], codes[1]), (tests[0], exchanged))
    ]
    return PlantedShortcut(kind, strength, with_code[0], train[1], with_code[1], with_code[2], tests[1])


def _codes(
    train: NDArray[np.float32] | NDArray[np.int64],
    tests: NDArray[np.float32] | NDArray[np.int64],
    strength: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the shortcut shows of every row, (rows, parts): one number, or one entry per class, 1 at the code."""
    if train.dtype.kind == "f":
        scale = float(train.std()) or 1.0
        noise = [rng.standard_normal(len(part)) for part in (train, tests)]
        shown = [
            strength * (part.astype(np.float64) - float(train.mean())) / scale + np.sqrt(1 - strength**2) * drawn
            for part, drawn in zip((train, tests), noise, strict=True)
        ]
        return shown[0][:, None], shown[1][:, None]
    n_classes = int(max(train.max(), tests.max())) + 1
    codes = [
        np.where(rng.random(len(part)) < strength, part, rng.integers(0, n_classes, size=len(part)))
        for part in (train, tests)
    ]
    return np.eye(n_classes)[codes[0]], np.eye(n_classes)[codes[1]]


def _planted(inputs: NDArray[np.float32], code: NDArray[np.float64], kind: Kind) -> NDArray[np.float32]:
    """Inputs with the shortcut that shows these codes."""
    if kind == "feature":
        if code.shape[1] > 1:  # of balanced classes: mean 0 and standard deviation 1
            share = 1 / code.shape[1]
            code = (code - share) / np.sqrt(share * (1 - share))
        return np.concatenate([inputs, code.astype(np.float32)], axis=1)
    classes = code.argmax(axis=1)
    if kind == "colour":
        shift = COLOUR_STEP * _colours(code.shape[1])[classes]
        coloured: NDArray[np.float32] = (inputs + shift[:, :, None, None]).astype(np.float32)
        return coloured
    planted = inputs.copy()
    height, width = inputs.shape[2:]
    size = max(1, min(height, width) // MARK_SHARE)
    per_row = max(1, width // size)
    bright = float(inputs.max())
    for label in range(code.shape[1]):
        top, left = size * (label // per_row), size * (label % per_row)
        if top + size > height:
            raise invalid_argument("data", f"{code.shape[1]} classes", f"at most {per_row * (height // size)} marks")
        planted[classes == label, :, top : top + size, left : left + size] = bright
    return planted


def _colours(count: int) -> NDArray[np.float64]:
    """(count, 3) colours of equal brightness, evenly around the circle of hues."""
    angle = 2 * np.pi * np.arange(count)[:, None] / count + 2 * np.pi * np.arange(3) / 3
    return np.asarray(np.cos(angle))


def _derangement(rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation that leaves no row its own: a cycle through all of them in a drawn order."""
    order = rng.permutation(rows)
    moved = np.empty(rows, dtype=np.int64)
    moved[order] = np.roll(order, 1)
    return moved
