"""Writes docs/models.md: what the checks say of every model, and what torch-pruning leaves of it.

``python -m tests.models.table``; it takes some minutes. torch-pruning runs in a process of its own, since it does not
come to an end on some models.
"""

from __future__ import annotations

import copy
import importlib.util
import multiprocessing
import os
import resource
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import nn

import tests.models.conftest  # noqa: F401  declares what torchvision asks for
from tests.models.checks import CHECKS, bring, line
from tests.models.zoo import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
_SECONDS = 60  # of the processor, so that other work on the machine does not count

HEAD = """# Models of other libraries

Written by `python -m tests.models.table`. Random weights, norms with the statistics of one batch, images of 32 or 64
pixels. The same checks are the test `pytest tests/models -m models`; without torchvision, timm or transformers
(`pip install -c constraints.txt -e ".[test]"` brings them) its parts are skipped.

- **Gradient dropout**: outputs are identical to the bit, and masks arrive at the layer that was looked at.
- **Gates**: outputs are identical to the bit at 1; at 0 the gates of each layer that is called change them. Layers that
  are not called (heads of training mode) have gates without effect; `participation_game` and `prune` refuse these.
  Layers whose weights are read past their call are left out, or refused in the first pass with gradients.
- **Participation game**, **coalition game**: of one hidden layer, whose units are the players.
- **Grad-CAM**: equal to Captum's, where the layer gives maps.
- **Half pruned**: the share of parameters that is left when half of the groups of coupled units in each layer
  leave. The smaller model is the gated one to 1e-5 on new rows of another number, and can be trained.
- **torch-pruning**: the same share, by its `BasePruner` at `pruning_ratio=0.5` without the last layer. It cuts through
  LayerNorm, whose mean and variance then are those of fewer channels: another function. Here such channels stay.

"""


def torch_pruning_leaves(name: str) -> str:
    """Share of parameters that torch-pruning leaves, or why it does not."""
    context = multiprocessing.get_context("spawn")
    answers, answer = context.Pipe(duplex=False)
    process = context.Process(target=_prune_elsewhere, args=(name, answer))
    process.start()
    answer.close()
    try:
        return str(answers.recv())
    except EOFError:
        return f"no end in {_SECONDS} s"
    finally:
        process.join()


def _prune_elsewhere(name: str, answer: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    import torch_pruning

    os.environ["TQDM_DISABLE"] = "1"
    warnings.simplefilter("ignore")
    brought = bring(MODELS[name])
    model = copy.deepcopy(brought.model)
    last = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    try:
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        pruner = torch_pruning.pruner.BasePruner(
            model, brought.inputs[0], importance=importance, pruning_ratio=0.5, ignored_layers=[last]
        )
        pruner.step()
        with torch.no_grad():
            model(*brought.fresh)
    except Exception as error:
        answer.send(type(error).__name__)
        return
    left = sum(parameter.numel() for parameter in model.parameters())
    answer.send(f"{left / sum(parameter.numel() for parameter in brought.model.parameters()):.3f}")


def rows() -> list[list[str]]:
    """One row of the table for each model."""
    found = []
    for name, case in MODELS.items():
        if importlib.util.find_spec(case.package) is None:
            continue
        brought = bring(case)
        cells = [line(check, case, brought) for check in CHECKS.values()]
        found.append([name, *cells, torch_pruning_leaves(name)])
        print(" | ".join(found[-1]), flush=True)
    return found


def write() -> None:
    """Run all checks and write the page."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = [["model", *CHECKS, "torch-pruning"], *rows()]
    table.insert(1, ["---"] * len(table[0]))
    lines = ("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in table)
    PAGE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
