"""Every command that writes and every study, each with settings for seconds, and the files that they read."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from neurogames.lab.data.images import load_images
from neurogames.lab.data.models import save_model


@dataclass(frozen=True)
class Command:
    """A command without ``--out``.

    Attributes:
        words: as they are typed; ``{inputs}`` is the folder of :func:`write_inputs`.
        workers: whether it takes ``--workers``.
        resumes: whether a second call goes on where an interrupted one stopped.
        out: what it writes to.
    """

    words: str
    workers: bool = False
    resumes: bool = False
    out: str = "out"

    def typed(self, inputs: Path, workers: int | None = None) -> list[str]:
        """All words, with where to write."""
        words = [word.format(inputs=inputs) for word in shlex.split(self.words)]
        words += ["--workers", str(workers)] if self.workers and workers else []
        return [*words, "--out", self.out]


def _study(words: str) -> Command:
    return Command(f"study {words}", workers=True, resumes=True)


COMMANDS = {
    "compare": Command(
        "compare --keep-prob 0.5 --keep-prob 1 --target-noise none --seeds 2 --hidden 4 --epochs 2 --sweeps 10",
        workers=True,
        resumes=True,
    ),
    "paper-protocol": _study(
        "paper-protocol --quick --data wisc_bc_data --seeds 2 --set networks=4 --set keep_probs=0.5,1 --set levels=0,1"
    ),
    "gradient-dropout": _study(
        "gradient-dropout --quick --seeds 2 --epochs 2 --set hidden=4 --set keep_probs=0.5 --set rate_steps=10"
        " --set image_rows=50"
    ),
    "pruning": _study(
        "pruning --data digits --quick --epochs 7 --set paper_epochs=1 --set rows=200 --set game_rows=100"
        " --set unit_budgets=40,12 --set profiles=5"
    ),
    "neurogame": _study("neurogame --quick --seeds 2 --epochs 1 --set explained=10"),
    "layers": _study(
        "layers --quick --set rows=360 --set test_rows=20 --set adaptation_rows=10 --set check_rows=10"
        " --set certificate_rows=10 --set curvature_rows=10 --set epochs=2 --set checkpoints=0,2"
        " --set adaptation_epochs=2 --set freezing_epochs=3 --set search_steps=2 --set certificate_steps=2"
    ),
    "dgnopt": _study("dgnopt --quick --set trials=2 --set rows=100 --set test_rows=50 --set side=7"),
    "agents": Command("simulate --game pgg --players 5,6 --sweeps 5 --replicas 10", workers=True, resumes=True),
    "game": Command("simulate --game {inputs}/game.csv --players 6 --sweeps 5 --replicas 10", resumes=True),
    "simulate": Command("simulate --players 10 --sweeps 20 --replicas 50 --keep-prob 0.5"),
    "analyze": Command("analyze {inputs}/net.pt --data digits --rows 100 --coalitions 200"),
    "units": Command("units {inputs}/net.pt --data digits --layer 1 --budget 200 --rows 100 --pathways-to 3"),
    "prune": Command("prune {inputs}/net.pt --data digits --rows 100 --price 0.001", out="small.pt"),
}


def write_inputs(folder: Path) -> None:
    """Write a network that knows digits a little, and a game of two strategies."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10))
    images, optimizer = load_images("digits"), torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(40):
        loss = nn.functional.cross_entropy(network(images.inputs), images.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_model(network, folder / "net.pt")
    np.savetxt(folder / "game.csv", [[1.0, 0.0], [0.0, 2.0]], delimiter=",")
