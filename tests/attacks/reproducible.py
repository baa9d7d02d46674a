"""What a command writes does not depend on workers, the order of hashes, or interruptions; only measured times do.

    python -m tests.attacks.reproducible compare --quick
    python -m tests.attacks.reproducible study pruning --quick

runs a command that takes ``--out`` four times, each in a folder of its own: with one worker; with two; with another
order of hashes; and ended again and again, by Ctrl-C, SIGTERM and kill -9 in turn, until it is done. It then says
which files differ. Commands without ``--workers`` are run without it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from neurogames.lab.runs.store import read_dataset

TIMES = ("second", "speed", "time_of")
"""In the names of what is measured by a clock."""


def written(folder: Path) -> dict[str, str]:
    """What each file of a folder holds, as a hash, without what a clock has measured.

    Pages and tables of such measurements are left out where the results have them.
    """
    found: dict[str, str] = {}
    timed = False
    for path in sorted(folder.rglob("*.nc")):
        dataset = read_dataset(path)
        clocks = [name for name in dataset.variables if any(word in str(name) for word in TIMES)]
        timed = timed or bool(clocks)
        found[str(path.relative_to(folder))] = digest(dataset.drop_vars(clocks))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".nc" and not (timed and path.suffix in (".html", ".csv", ".svg", ".png")):
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def digest(dataset: xr.Dataset) -> str:
    """Hash of names, shapes, values to the last bit, and attributes."""
    whole = hashlib.sha256(repr(sorted(dataset.attrs.items(), key=str)).encode())
    for name in sorted(map(str, dataset.variables)):
        one = dataset[name]
        values = one.values if one.dtype.kind != "O" else one.values.astype(str)
        whole.update(repr((name, one.dims, one.shape, str(values.dtype), sorted(one.attrs.items(), key=str))).encode())
        whole.update(values.tobytes())
    return whole.hexdigest()


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Names of files that differ, or that only one of both has."""
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


def finished(words: list[str], place: Path, *, hashes: str, ended_after: float | None = None) -> dict[str, str]:
    """Run a command to its end, however often it is ended before; say what it has written."""
    place.mkdir()
    command = [sys.executable, "-m", "neurogames", *words, "--out", "out"]
    ways = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    tries = 0
    while True:
        process = subprocess.Popen(
            command,
            cwd=place,
            env={**os.environ, "PYTHONHASHSEED": hashes},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _, errors = process.communicate(timeout=None if ended_after is None else ended_after * 1.5**tries)
        except subprocess.TimeoutExpired:
            process.send_signal(ways[tries % len(ways)])
            process.communicate()
            tries += 1
            continue
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode}: {errors}")
        print(f"{place.name}: ended {tries} times before it was done", flush=True)
        return written(place / "out")


def main() -> None:
    """Run a command in four ways, and compare."""
    words = sys.argv[1:]
    several = words[0] in ("compare", "study")
    one, two = (["--workers", "1"], ["--workers", "2"]) if several else ([], [])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first = finished([*words, *one], place / "one", hashes="0")
        others = {
            "two workers": finished([*words, *two], place / "two", hashes="0"),
            "other hashes": finished([*words, *one], place / "hashes", hashes="4711"),
            "ended again and again": finished([*words, *two], place / "ended", hashes="0", ended_after=6.0),
        }
    for name, other in others.items():
        print(f"{name}: {len(first)} files, {differing(first, other) or 'all the same'}")


if __name__ == "__main__":
    main()
