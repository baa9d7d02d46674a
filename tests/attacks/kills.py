"""A command that is ended at any moment leaves nothing behind that the same command cannot go on from.

    python -m tests.attacks.kills 200 --seed 0

ends the commands of :mod:`tests.attacks.commands` at drawn moments: by SIGINT, SIGTERM, SIGHUP and SIGKILL, and by
closing the pipe that they print to. A run is ended up to five times in the same folder, by one and by two workers in
turn, and then left to its end. After each kill: no traceback, at most one line beside the bar, the exit code that
belongs to the signal, and after five seconds no process that it has started. In the end: the same files, to the last
bit, as an undisturbed run writes, but for what a clock has measured.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.attacks.commands import COMMANDS, Command, write_inputs
from tests.attacks.reproducible import differing, finished

WAYS = {"INT": {130}, "TERM": {-15}, "HUP": {-1}, "KILL": {-9}, "PIPE": {1}}
"""How a command is ended, and the exit codes that belong to it; 0 always does, as it may have been done."""
CHAIN = 5
"""Kills of one run."""
_STARTED = 0.6
"""Seconds within which Python itself starts, whose answer to Ctrl-C is its own."""
_HANGS = 120.0
_ORPHANS = 5.0


def ended(words: list[str], place: Path, way: str, after: float) -> tuple[list[str], bool]:
    """Start a command and end it: what was wrong with how it ended, and whether it was still running then."""
    with (place.parent / "errors.txt").open("w+b") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "neurogames", *words],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            process.wait(after)
            running = False
        except subprocess.TimeoutExpired:
            running = True
        if way == "PIPE":
            process.stdout.close()
        elif running:
            process.send_signal(getattr(signal, f"SIG{way}"))
        try:
            code = process.wait(_HANGS)
        except subprocess.TimeoutExpired:
            process.kill()
            return [f"hangs after {way}"], running
        finally:
            process.stdout.close()
        left = orphans(process.pid)
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace")
    wrong = []
    if code not in WAYS[way] | {0}:
        wrong.append(f"exit code {code} after {way}")
    lines = [line for line in text.splitlines() if line.strip() and not _bar(line)]
    if "Traceback" in text or len(lines) > 1:
        wrong.append(f"{len(lines)} lines after {way}: {' / '.join(lines)[-600:]}")
    if left:
        wrong.append(f"{len(left)} processes left after {way}")
    return wrong, running


def _bar(line: str) -> bool:
    """Whether a line is a bar's last state."""
    return "━" in line or line.rstrip().endswith(("0:00", "-:--:--")) or (line.count(":") >= 2 and "/" in line)


def orphans(session: int) -> list[int]:
    """Processes of a session that are still there after a while."""
    until = time.monotonic() + _ORPHANS
    while (found := _of_session(session)) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def _of_session(session: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, owner = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if int(owner) == session and state != "Z":
                found.append(int(entry.name))
    return found


def chain(command: Command, ways: list[str], moments: list[float], workers: int, place: Path) -> tuple[list[str], int]:
    """End a run in all ways, one after the other, or until it is done before: what was wrong, and how many kills."""
    place.mkdir()
    wrong, kills = [], 0
    words = command.typed(place.parent, workers)
    for way, after in zip(ways, moments, strict=True):
        found, running = ended(words, place, way, after)
        wrong += found
        kills += running
        if not running:
            break
    return wrong, kills


def main() -> None:
    """End commands until there are as many kills as asked for."""
    parser = argparse.ArgumentParser(description="end commands at drawn moments")
    parser.add_argument("count", type=int, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="names of commands")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    chosen = {name: one for name, one in COMMANDS.items() if not options.only or name in options.only}
    references: dict[str, tuple[dict[str, str], float]] = {}
    kinds: collections.Counter[str] = collections.Counter()
    ways, kills, wrong, runs = itertools.cycle(WAYS), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder)
        write_inputs(inputs)
        for number, (name, command) in enumerate(itertools.cycle(chosen.items())):
            if kills >= options.count:
                break
            if name not in references:
                begun = time.monotonic()
                found = finished(command.typed(inputs, 1), inputs / f"{name}-undisturbed")
                references[name] = found, time.monotonic() - begun
            reference, seconds = references[name]
            workers = 1 + (number // len(chosen)) % 2
            these = [next(ways) for _ in range(CHAIN)]
            moments = [rng.uniform(_STARTED, max(seconds, 1.0)) for _ in these]
            place = inputs / f"run-{number}"
            faults, count = chain(command, these, moments, workers, place)
            for way in these[:count]:
                kinds[way] += 1
            try:
                last = finished(command.typed(inputs, workers), place)
                faults += [f"differs: {each}" for each in differing(reference, last)]
            except RuntimeError as error:
                faults.append(str(error))
            kills, wrong, runs = kills + count, wrong + len(faults), runs + 1
            print(f"{name}, {workers} workers: {count} kills, {faults or 'all as it should be'}", flush=True)
    print(f"{kills} kills ({dict(kinds)}) of {runs} runs, {wrong} answered wrongly")
    sys.exit(bool(wrong) or os.EX_OK)


if __name__ == "__main__":
    main()
