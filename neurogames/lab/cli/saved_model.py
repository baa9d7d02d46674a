"""What the commands about a saved model share: refusals before anything is read, and a word about the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from neurogames._arguments import invalid_argument
from neurogames.lab.cli.terminal import say

Activation = Annotated[
    str | None,
    Option(help="Between the layers of a file of weights only: relu, tanh, sigmoid, gelu or leaky_relu."),
]


def check_model(model: Path, data: str | None) -> str:
    """Refuse a model that is no file, and data that are no images with a name; return the name of the data."""
    from neurogames.lab.data.images import IMAGE_NAMES, find_images  # loads torch

    if not model.expanduser().is_file():
        expected = "the file of a saved model, such as `neurogames prune MODEL --out FILE` or save_model writes"
        if str(model) in IMAGE_NAMES:
            expected += f"; the study of pruning is `neurogames study pruning --data {model}`"
        raise invalid_argument("model", str(model), expected)
    find_images(data or "")
    return data or ""


def say_source(source: str, activation: str | None) -> None:
    """Say how a file without a description of its network was read."""
    if source == "state_dict":
        say(f"The file holds numbers only: read as Linear layers with {activation or 'nothing'} between them.")
