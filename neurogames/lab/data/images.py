"""Images with classes: the bundled digits, MNIST, Fashion-MNIST, or one's own, as tensors ready for a network.

"digits" comes with scikit-learn (1,797 images of 8 x 8; the last 540 in a fixed shuffled order are the test rows).
"mnist" and "fashion_mnist" are read from the official idx files in the folder that ``NEUROGAMES_DATA`` names, and
from OpenML where there is none. A zip file or folder with ``train/CLASS/NAME.png`` and ``test/CLASS/NAME.png`` is taken
by its path, and a zip file in that folder by its name (see ``image_folders``). Pixels are scaled by mean and standard
deviation of all training pixels.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import integer, invalid_argument
from neurogames.lab.data.datasets import FOLDER_VARIABLE
from neurogames.lab.data.image_folders import image_zip, image_zips, read_image_folders

_OPENML = {"mnist": "mnist_784", "fashion_mnist": "Fashion-MNIST"}
IMAGE_NAMES = ("digits", *_OPENML)
_DIGITS_TEST, _LARGE_TEST = 540, 10_000
_MOST_BYTES = 2**28
"""Bytes of an idx file without its compression."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one kind, split into training and test rows.

    Attributes:
        name: as asked for.
        inputs: (rows, channels, height, width) float32 training pixels, scaled; one channel, or three in colour.
        targets: (rows,) int64 classes 0, 1, ...
        test_inputs: (test rows, channels, height, width).
        test_targets: (test rows,).
        source: where they came from, in words.
        class_names: name of each class; empty where they have none but their number.
    """

    name: str
    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    source: str
    class_names: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names) or int(self.targets.max()) + 1

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.inputs.shape[2]), int(self.inputs.shape[3])


def load_images(name: str | Path, *, rows: int | None = None) -> Images:
    """Find images by name or path.

    Args:
        name: "digits", "mnist", "fashion_mnist", a zip file in the folder ``NEUROGAMES_DATA`` by its name, or the path
            of a zip file or folder; both hold ``train/CLASS/NAME.png`` and ``test/CLASS/NAME.png`` (or jpg, bmp).
        rows: use only the first so many training rows; all if not given.

    Returns:
        The images.

    Raises:
        ValueError: for another name, or if the images cannot be found or read.

    >>> digits = load_images("digits")
    >>> digits.inputs.shape, digits.test_inputs.shape, digits.n_classes
    (torch.Size([1257, 1, 8, 8]), torch.Size([540, 1, 8, 8]), 10)
    """
    place = find_images(name)
    class_names: tuple[str, ...] = ()
    if isinstance(place, Path):
        found, classes, test, class_names = read_image_folders(place)
        pixels, source = found.astype(np.float32), f"file {place}"
    else:
        flat, classes, test, source = _digits() if place == "digits" else _large(place)
        pixels = flat[:, None]
    cut = len(pixels) - test
    used = slice(0, cut if rows is None else min(cut, integer("rows", rows, minimum=1)))
    mean, std = float(pixels[used].mean()), float(pixels[used].std())
    if std == 0:
        raise invalid_argument("data", f"{name}, whose training pixels are all equal", "images that differ")
    scaled, targets = torch.from_numpy((pixels - mean) / std), torch.from_numpy(classes)
    return Images(str(name), scaled[used], targets[used], scaled[cut:], targets[cut:], source, class_names)


def find_images(name: str | Path) -> str | Path:
    """Tell what a name of images stands for, without reading them.

    Args:
        name: as for ``load_images``.

    Returns:
        One of ``IMAGE_NAMES``, or the path of a zip file or folder that is there.

    Raises:
        ValueError: if there are no images of this name; those there are are named.
    """
    if isinstance(name, str) and name in IMAGE_NAMES:
        return name
    text = str(name) if isinstance(name, (str, Path)) else ""
    if text and (isinstance(name, Path) or {"/", "\\"} & set(text) or text.lower().endswith(".zip")):
        path = Path(text).expanduser()
        if path.exists():
            return path
        raise invalid_argument("data", f"no file {path}", "a zip file or a folder of images")
    found = image_zip(text)
    if found is not None:
        return found
    known = ", ".join([*IMAGE_NAMES, *image_zips()])
    expected = f"one of {known}, or the path of a zip file or folder with train/CLASS/NAME.png"
    raise invalid_argument("data", name or "nothing", expected)


def grey_images(name: str | Path, *, rows: int | None = None) -> Images:
    """Load images for what takes one channel only; see ``load_images``.

    Raises:
        ValueError: if they are in colour, and for what ``load_images`` refuses.
    """
    images = load_images(name, rows=rows)
    channels = images.inputs.shape[1]
    if channels != 1:
        raise invalid_argument("data", f"{name}, images of {channels} channels", "images of one channel, in grey")
    return images


@torch.no_grad()
def fitting_rows(model: nn.Module, images: Images) -> tuple[Tensor, Tensor]:
    """Return training and test rows in the shape that a model takes, images or vectors.

    Args:
        model: a module in evaluation mode.
        images: the images.

    Returns:
        Inputs (rows, channels, height, width), or flat (rows, features), of the training and of the test rows.

    Raises:
        ValueError: if the model takes neither, or has too few outputs for the classes.
    """
    why = ""
    shapes: list[Callable[[Tensor], Tensor]] = [lambda rows: rows, lambda rows: rows.flatten(1)]
    for shaped in shapes:
        try:
            outputs = model(shaped(images.inputs[:2]))
        except (RuntimeError, ValueError, TypeError) as error:
            why = why or f": {error}".splitlines()[0]
            continue
        if outputs.ndim == 2 and outputs.shape[1] >= images.n_classes:
            return shaped(images.inputs), shaped(images.test_inputs)
        why = why or f": it gives outputs of shape {tuple(outputs.shape)} for 2 images"
    height, width = images.shape
    expected = f"images that the model takes, with an output for each of {images.n_classes} classes{why}"
    raise invalid_argument("data", f"{images.name}, images of {height} x {width}", expected)


def _digits() -> tuple[NDArray[np.float32], NDArray[np.int64], int, str]:
    """The bundled digits, in an order that has nothing to do with who wrote them."""
    bundle = sklearn.datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(bundle.images))
    return bundle.images[order].astype(np.float32), bundle.target[order].astype(np.int64), _DIGITS_TEST, "scikit-learn"


def _large(name: str) -> tuple[NDArray[np.float32], NDArray[np.int64], int, str]:
    """MNIST or Fashion-MNIST, training rows first."""
    folder = os.environ.get(FOLDER_VARIABLE)
    place = Path(folder).expanduser() / name if folder else None
    if place is not None and place.is_dir():
        parts = [
            (_idx(place / f"{part}-images-idx3-ubyte.gz", 3), _idx(place / f"{part}-labels-idx1-ubyte.gz", 1))
            for part in ("train", "t10k")
        ]
        for images, labels in parts:
            if len(images) != len(labels):
                raise invalid_argument(name, f"{len(images)} images and {len(labels)} labels", "as many of both")
        pixels, classes = (np.concatenate([part[which] for part in parts]) for which in (0, 1))
        return pixels.astype(np.float32), classes.astype(np.int64), len(parts[1][0]), str(place)
    try:
        table, labels = sklearn.datasets.fetch_openml(_OPENML[name], version=1, return_X_y=True, as_frame=False)
    except OSError as error:
        where = f"the folder {name} in {FOLDER_VARIABLE}, or a network to fetch it from OpenML ({error})"
        raise invalid_argument("data", f"{name}, which is not here", where) from None
    pixels = table.reshape(-1, 28, 28).astype(np.float32)
    return pixels, labels.astype(np.int64), _LARGE_TEST, f"OpenML {_OPENML[name]}"


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read a gzipped idx file of bytes."""
    try:
        with gzip.open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise invalid_argument("data", f"no file {path}", "the official idx files") from None
    except (OSError, EOFError, zlib.error) as error:
        raise invalid_argument("data", f"{path}, which cannot be read ({error})", "a gzipped idx file") from None
    if len(content) > _MOST_BYTES:
        raise invalid_argument("data", f"{path} of more than {_MOST_BYTES} bytes unpacked", "the official idx files")
    head = 4 + 4 * axes
    shape = [int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    if content[:4] != bytes((0, 0, 8, axes)) or len(content) != head + prod(shape):
        raise invalid_argument("data", f"{path} of another kind", f"an idx file of bytes with {axes} axes")
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape)
