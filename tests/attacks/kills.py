"""A command that is ended at any moment leaves nothing behind that the same command cannot go on from.

    python -m tests.attacks.kills 200 --seed 0

ends the commands of :mod:`tests.attacks.commands` at drawn moments: by Ctrl-C, once and twice, by SIGTERM, SIGHUP and
SIGKILL, and by closing the pipe that they print to. A run is ended up to eight times in the same folder, by one and by
two workers in turn, and then left to its end. After each kill: no traceback, at most one line beside the bar, the exit
code that belongs to the signal, and after five seconds no process that it has started. In the end: the same files, to
the last bit, as an undisturbed run writes, but for what a clock has measured.
"""

from __future__ import annotations

import argparse
import atexit
import collections
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

from neurogames.__main__ import main as neurogames_main
from neurogames.lab.studies.registry import list_studies, load_study
from tests.attacks.commands import COMMANDS, Command
from tests.attacks.reproducible import differing, written

WAYS = {"INT": {130}, "TWICE": {130}, "TERM": {-15}, "HUP": {-1}, "KILL": {-9}, "PIPE": {1}}
"""How a command is ended, and the exit codes that belong to it; 0 always does, as it may have been done."""
CHAIN = 8
"""Kills of one run."""
_STARTED = 0.6
"""Seconds within which Python itself starts, whose answer to Ctrl-C is its own."""
_LOADED = 4.0
"""Seconds in which a new process loads what it needs."""
_IMPATIENT = 0.7
"""Seconds after which Ctrl-C is pressed again, at most."""
_HANGS = 120.0
_ORPHANS = 5.0


def started(words: list[str], place: Path, *, fresh: bool) -> tuple[int, int, Path]:
    """Start a command: its process, the end of the pipe that it prints to, and the file of what it says of errors.

    Args:
        words: the command.
        place: where it runs.
        fresh: whether Python starts anew; else this process, in which all is loaded, goes on as the command.
    """
    errors = place.parent / "errors.txt"
    receiving, sending = os.pipe()
    process = os.fork()
    if process:
        os.close(sending)
        return process, receiving, errors
    os.setsid()
    os.chdir(place)
    os.dup2(sending, 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.closerange(3, 100)
    if fresh:
        os.execv(sys.executable, [sys.executable, "-m", "neurogames", *words])
    # The streams of this process may stand for files, in which one can go back; those of the command cannot.
    sys.stdout, sys.stderr = (os.fdopen(place, "w", encoding="utf-8", closefd=False) for place in (1, 2))
    code = 1
    try:
        sys.argv = ["neurogames", *words]
        neurogames_main()
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    return leave(code)


def leave(code: int) -> NoReturn:
    """End a fork as Python itself ends: first all pools of workers are told, only then is each process waited for.

    In the other order the wait is as long as idle workers stay, five minutes.
    """
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(words: list[str], place: Path, way: str, after: float, *, fresh: bool) -> tuple[list[str], bool]:
    """Start a command and end it: what was wrong with how it ended, and whether it was still running then."""
    process, output, errors = started(words, place, fresh=fresh)
    code = _waited(process, after)
    running = code is None
    if way == "PIPE":
        os.close(output)
    elif running and way in ("INT", "TWICE"):
        # A terminal sends it to all processes of the command.
        os.killpg(process, signal.SIGINT)
        if way == "TWICE":
            time.sleep(after % _IMPATIENT)
            os.killpg(process, signal.SIGINT)
    elif running:
        os.kill(process, getattr(signal, f"SIG{way}"))
    code = _waited(process, _HANGS) if running else code
    if way != "PIPE":
        os.close(output)
    if code is None:
        os.killpg(process, signal.SIGKILL)
        return [f"hangs after {way}"], running
    left = orphans(process)
    text = errors.read_text(encoding="utf-8", errors="replace")
    wrong = []
    if code not in WAYS[way] | {0}:
        wrong.append(f"exit code {code} after {way}")
    lines = [line for line in text.splitlines() if line.strip() and not _bar(line)]
    if "Traceback" in text or len(lines) > 1:
        wrong.append(f"{len(lines)} lines after {way}: {' / '.join(lines)[-600:]}")
    if left:
        wrong.append(f"{len(left)} processes left after {way}")
    return wrong, running


def _waited(process: int, seconds: float) -> int | None:
    """The exit code of a process, negative for a signal; None if it does not end in time."""
    until = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            return None
        time.sleep(0.02)


def _bar(line: str) -> bool:
    """Whether a line is a bar's last state."""
    return "━" in line or re.search(r"(\d:\d\d:\d\d|-:--:--)$", line.rstrip()) is not None


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
        found, running = ended(words, place, way, after, fresh=kills == 0)
        wrong += found
        kills += running
        if not running:
            break
    return wrong, kills


def completed(words: list[str], place: Path) -> dict[str, str]:
    """Run a command to its end, and say what it has written."""
    process, output, errors = started(words, place, fresh=False)
    code = _waited(process, 10 * _HANGS)
    os.close(output)
    if code:
        raise RuntimeError(f"exit code {code} at last: {errors.read_text()[-1000:]}")
    return written(place)


def main() -> None:
    """End commands until there are as many kills as asked for."""
    parser = argparse.ArgumentParser(description="end commands at drawn moments")
    parser.add_argument("count", type=int, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="names of commands")
    options = parser.parse_args()
    chosen = {name: one for name, one in COMMANDS.items() if not options.only or name in options.only}
    for name in list_studies():
        load_study(name)
    inputs = Path(tempfile.mkdtemp())
    try:
        sys.exit(_attack(chosen, options.count, options.seed, inputs))
    finally:
        shutil.rmtree(inputs)


def _attack(chosen: dict[str, Command], count: int, seed: int, inputs: Path) -> int:
    """End commands in turn; 1 if something was wrong."""
    rng = random.Random(seed)
    subprocess.run(
        [sys.executable, "-c", f"from tests.attacks.commands import *; write_inputs(Path({str(inputs)!r}))"], check=True
    )
    references: dict[str, tuple[dict[str, str], float]] = {}
    kinds: collections.Counter[str] = collections.Counter()
    ways, wrong, runs = itertools.cycle(WAYS), 0, 0
    for number, (name, command) in enumerate(itertools.cycle(chosen.items())):
        if kinds.total() >= count:
            break
        if name not in references:
            begun = time.monotonic()
            (inputs / name).mkdir()
            found = completed(command.typed(inputs, 1), inputs / name)
            references[name] = found, time.monotonic() - begun
        reference, seconds = references[name]
        workers = 1 + (number // len(chosen)) % 2
        these = [next(ways) for _ in range(CHAIN)]
        # The first is a new process, which has to load everything.
        moments = [rng.uniform(_STARTED, 0.9 * seconds + _LOADED * (place == 0)) for place in range(CHAIN)]
        place = inputs / f"run-{number}"
        faults, kills = chain(command, these, moments, workers, place)
        kinds.update(these[:kills])
        try:
            last = completed(command.typed(inputs, workers), place)
            faults += [f"differs: {each}" for each in differing(reference, last)]
        except RuntimeError as error:
            faults.append(str(error))
        wrong, runs = wrong + len(faults), runs + 1
        print(f"{name}, {workers} workers: {kills} kills, {faults or 'all as it should be'}", flush=True)
    print(f"{kinds.total()} kills ({dict(kinds)}) of {runs} runs, {wrong} answered wrongly")
    return int(wrong > 0)


if __name__ == "__main__":
    main()
