"""One bit of a file is flipped: what is read is what was written, or the file is refused in one line.

    python -m tests.attacks.flips 2000 --seed 0

flips bits of files that runs leave and read again: results, cells, simulations, models, state dictionaries,
TorchScript, arrays, and settings. Each kind is read in a process of its own, which an alarm ends if a file keeps it
for a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neurogames.games import PublicGoodsGame
from neurogames.lab.data.model_sources import read_model
from neurogames.lab.data.models import load_model, save_model
from neurogames.lab.runs.run_folder import SETTINGS_FILE, read_settings
from neurogames.lab.runs.store import read_dataset, write_dataset
from neurogames.lab.studies.analysis.rows import rows_for
from neurogames.lab.studies.comparison.simulation import simulate_composition
from neurogames.lab.studies.study import run_study
from tests.attacks.reproducible import digest
from tests.lab.studies.toy.page import TOY
from tests.lab.studies.toy.settings import ToySettings

Reader = Callable[[Path], str]
GOOD = ("the same", "refused")
_HANGS = 60


def flipped(content: bytes, rng: random.Random) -> bytes:
    """A content in which one bit is another.

    >>> flipped(b"a", random.Random(0)) in {bytes([ord("a") ^ 1 << bit]) for bit in range(8)}
    True
    """
    result = bytearray(content)
    result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def files(folder: Path) -> dict[str, tuple[Path, Reader]]:
    """A good file of each kind, and what it says as a text."""
    run = run_study(TOY, ToySettings(), folder / "run", workers=1).folder
    game = PublicGoodsGame(n_players=5, cost=0.4, multiplier=1.0)
    simulated = simulate_composition(
        game, keep_probs=[0.5, 1.0], temperature=0.1, sweeps=5, replicas=5, rng=np.random.default_rng(0)
    )
    write_dataset(simulated, folder / "simulation.nc")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    save_model(network, folder / "net.pt")
    torch.save(network.state_dict(), folder / "state.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(network.eval()).save(str(folder / "script.pt"))
    rows = {"inputs": torch.randn(30, 4).numpy(), "targets": np.arange(30) % 2}
    np.savez(folder / "rows.npz", **rows)
    return {
        "results": (run / "results.nc", _dataset),
        "cell": (next(path for path in sorted(run.rglob("cells/*.nc"))), _dataset),
        "simulation": (folder / "simulation.nc", _dataset),
        "model": (folder / "net.pt", lambda path: _model(path, None)),
        "state dictionary": (folder / "state.pt", lambda path: _model(path, "relu")),
        "TorchScript": (folder / "script.pt", lambda path: _values(read_model(str(path)))),
        "arrays": (folder / "rows.npz", lambda path: _rows(network, path)),
        "settings": (run / SETTINGS_FILE, lambda path: json.dumps(read_settings(path.parent), sort_keys=True)),
    }


def _dataset(path: Path) -> str:
    return digest(read_dataset(path))


def _model(path: Path, activation: Any) -> str:
    model = load_model(path, activation=activation).model
    return repr(model) + _values(model)


def _values(model: nn.Module) -> str:
    values = [(name, value.dtype, value.shape, value.numpy().tobytes()) for name, value in model.state_dict().items()]
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _rows(model: nn.Module, path: Path) -> str:
    inputs, targets = rows_for(model, str(path), rows=20, rng=np.random.default_rng(0)).training
    return hashlib.sha256(repr((inputs.tolist(), targets.tolist())).encode()).hexdigest()


def answer(content: bytes, path: Path, read: Reader, expected: str) -> str:
    """How a file is answered: "the same", "refused", or what is wrong."""
    path.write_bytes(content)
    try:
        found = read(path)
    except ValueError as error:
        text = str(error)
        return "refused" if len(text.splitlines()) == 1 and type(error) is ValueError else f"lines: {text[:300]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]!r}"
    return "the same" if found == expected else "other data"


def flip(name: str, path: Path, read: Reader, count: int, seed: int, folder: Path) -> Counter[str]:
    """Answers to files of one kind, read in a process of its own."""
    place = folder / f"flipped-{name.replace(' ', '-')}"
    place.mkdir()
    content, expected = path.read_bytes(), read(path)
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        for number in range(count):
            signal.alarm(_HANGS)
            damaged = flipped(content, random.Random(f"{name} {seed} {number}"))
            found = answer(damaged, place / path.name, read, expected)
            told = found if found in GOOD else f"{found} (number {number})"
            os.write(sending, f"{told}\n".encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, encoding="utf-8") as lines:
        answers = Counter(line.rstrip("\n") for line in lines)
    _, status = os.waitpid(child, 0)
    if status:
        answers[f"the process ended with status {status}"] += 1
    return answers


def main() -> None:
    """Flip bits of every kind of file, as many of each."""
    parser = argparse.ArgumentParser(description="flip single bits of files")
    parser.add_argument("count", type=int, help="flips, of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        good = files(Path(place))
        for name, (path, read) in good.items():
            answers = flip(name, path, read, -(-options.count // len(good)), options.seed, Path(place))
            wrong += sum(count for found, count in answers.items() if found not in GOOD)
            print(f"{name}, {path.stat().st_size} bytes: {dict(answers)}", flush=True)
    print(f"{wrong} answered wrongly")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
