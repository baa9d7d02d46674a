"""What a command writes does not depend on workers, threads, or the order of hashes.

    python -m tests.attacks.reproducible all
    python -m tests.attacks.reproducible layers units
    python -m tests.attacks.reproducible compare --quick

runs every command that writes and every study with the settings of :mod:`tests.attacks.commands`, or those that are
named, or any other command as it is typed, without ``--out``. Each is run twice, in a folder of its own: with one
worker, and with two workers, two threads and another order of hashes. It then says which files differ, but for what a
clock has measured; where any do, it tries each change by itself. What interruptions change is tried by
:mod:`tests.attacks.kills`.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from neurogames.lab.runs.store import read_dataset
from neurogames.lab.whole_file import TEMPORARY
from tests.attacks.commands import COMMANDS, Command, write_inputs

TIMES = ("second", "speed", "time_of")
"""In the names of what is measured by a clock."""
HASHES = {"PYTHONHASHSEED": "4711"}
THREADS = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
PAGES = (".html", ".csv", ".svg", ".png")


def written(folder: Path) -> dict[str, str]:
    """What each file of a folder holds, as a hash, without what a clock has measured.

    Pages and tables of such measurements are left out where the results have them, and so are the temporary files of
    writers that were killed.
    """
    found: dict[str, str] = {}
    timed = False
    for path in sorted(folder.rglob("*.nc")):
        dataset = read_dataset(path)
        clocks = [name for name in dataset.variables if any(word in str(name) for word in TIMES)]
        timed = timed or bool(clocks)
        found[str(path.relative_to(folder))] = digest(dataset.drop_vars(clocks))
    for path in sorted(folder.rglob("*")):
        passing = path.suffix == ".nc" or path.name.endswith(TEMPORARY)
        if path.is_file() and not passing and not (timed and path.suffix in PAGES):
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


def finished(words: list[str], place: Path, **environment: str) -> dict[str, str]:
    """Run a command, and say what it has written.

    Args:
        words: the command, with ``--out`` to something in the folder where it runs.
        place: that folder, made if it is not there.
        **environment: further variables, such as ``PYTHONHASHSEED``.
    """
    place.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "neurogames", *words],
        cwd=place,
        env={**os.environ, "PYTHONHASHSEED": "0", **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{place.name}: exit code {done.returncode}: {done.stderr[-1000:]}")
    return written(place)


def compare_ways(name: str, command: Command, place: Path) -> bool:
    """Run a command in both ways, and say what differs; whether nothing does."""
    place.mkdir()
    one, two = (command.typed(place.parent, workers) for workers in (1, 2))
    first = finished(one, place / "one")
    found = differing(first, finished(two, place / "all", **HASHES, **THREADS))
    told = "the same"
    if found:
        ways = {"workers": (two, {}), "hashes": (one, HASHES), "threads": (one, THREADS)}
        alone = {
            way: differing(first, finished(words, place / way, **changed)) for way, (words, changed) in ways.items()
        }
        told = f"{', '.join(found)}; " + "; ".join(f"{way} alone: {', '.join(each)}" for way, each in alone.items())
    print(f"{name}: {len(first)} files, {told}", flush=True)
    return not found


def main() -> None:
    """Compare the commands that are asked for."""
    words = sys.argv[1:]
    if words == ["all"]:
        chosen = COMMANDS
    elif words and all(word in COMMANDS for word in words):
        chosen = {word: COMMANDS[word] for word in words}
    else:
        chosen = {"command": Command(shlex.join(words), workers=words[0] in ("compare", "study"))}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_inputs(place)
        same = [compare_ways(name, command, place / name) for name, command in chosen.items()]
    print(f"{sum(same)} of {len(same)} commands write the same in both ways")
    sys.exit(not all(same))


if __name__ == "__main__":
    main()
