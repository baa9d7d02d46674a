"""The data of one repetition: a split of a table, or a draw of images averaged down."""

from __future__ import annotations

import functools
import hashlib
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from neurogames._arguments import invalid_argument
from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.image_folders import image_zip
from neurogames.lab.data.images import IMAGE_NAMES, Images, load_images
from neurogames.lab.data.preparation import Prepared, prepare
from neurogames.lab.data.shortcut import Kind
from neurogames.lab.studies.gradient_dropout.settings import IMAGE_SIDE, GradientDropoutSettings


def check_data(settings: GradientDropoutSettings) -> dict[str, str]:
    """Read all data once.

    Returns:
        A checksum of each by its name: a run whose data change is another run.

    Raises:
        ValueError: if one cannot be used, or has fewer training rows than a batch.
    """
    checksums = {}
    for name in settings.data:
        data = open_data(name, settings.first_seed, settings)
        rows = len(data.inputs if isinstance(data, Images) else data.train_inputs)
        if rows < max(settings.batch_sizes):
            raise invalid_argument(
                "batch_sizes", max(settings.batch_sizes), f"at most the {rows} training rows of {name}"
            )
        if isinstance(data, Images):
            content = _small_images(name).inputs.numpy().tobytes()
        else:
            table = load_dataset(name)
            hashed = pd.util.hash_pandas_object(table.features.assign(**{"": table.target}), index=False)
            content = hashed.to_numpy().tobytes()
        checksums[name] = hashlib.sha256(content).hexdigest()[:16]
    return checksums


def data_seed(dataset: str, seed: int) -> int:
    """Return the seed that decides every draw of a repetition on some data."""
    return int(np.random.SeedSequence([zlib.crc32(dataset.encode()), seed]).generate_state(1)[0])


def open_data(dataset: str, seed: int, settings: GradientDropoutSettings) -> Prepared | Images:
    """Load a table and split it, or draw rows of images; the number of the repetition decides how."""
    rng = np.random.default_rng([data_seed(dataset, seed), 1])
    if not are_images(dataset):
        return prepare(load_dataset(dataset), rng=rng)
    images = _small_images(dataset)
    train, test = (
        torch.from_numpy(rng.choice(len(rows), min(len(rows), settings.image_rows), replace=False))
        for rows in (images.inputs, images.test_inputs)
    )
    return Images(
        images.name,
        images.inputs[train],
        images.targets[train],
        images.test_inputs[test],
        images.test_targets[test],
        images.source,
        images.class_names,
    )


def shortcut_kind(data: Prepared | Images) -> Kind:
    """Return what is planted: a feature, a tint of images in colour, or a mark on grey ones."""
    if isinstance(data, Prepared):
        return "feature"
    return "colour" if data.inputs.shape[1] == 3 else "mark"


def are_images(name: str) -> bool:
    """Tell whether data of this name are images and no table."""
    return (
        name in IMAGE_NAMES
        or name.lower().endswith(".zip")
        or Path(name).expanduser().is_dir()
        or image_zip(name) is not None
    )


@functools.lru_cache(maxsize=2)
def _small_images(name: str) -> Images:
    """Images averaged down; read once in a process, since decoding takes seconds."""
    images = load_images(name)
    factor = max(1, min(images.shape) // IMAGE_SIDE)
    small, tests = (functional.avg_pool2d(part, factor) for part in (images.inputs, images.test_inputs))
    return Images(images.name, small, images.targets, tests, images.test_targets, images.source, images.class_names)
