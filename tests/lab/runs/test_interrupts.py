"""Ctrl-C a second time, and while Python ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from neurogames.lab.runs.interrupts import heard_interrupt

HELP = "import sys; sys.argv = ['neurogames', '--help']; from neurogames.__main__ import main"
LATE = "import atexit, signal; late = lambda: atexit.register(signal.raise_signal, signal.SIGINT)"


def ended(code: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_a_second_interrupt_is_one_too_outside_the_command_line():
    with heard_interrupt():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


def test_a_second_interrupt_ends_the_command_line_at_once_with_one_line():
    code = """
import signal
from neurogames._loading import leave, say_on_leaving
from neurogames.lab.runs.interrupts import heard_interrupt
signal.signal(signal.SIGINT, leave)
say_on_leaving("all is kept")
with heard_interrupt():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("unwinding", flush=True)
        signal.raise_signal(signal.SIGINT)
        print("went on", flush=True)
"""
    assert ended(code) == (130, "unwinding\n", "neurogames: interrupted; all is kept\n")


def test_an_interrupt_while_python_ends_shows_no_traceback():
    # What is registered first is called last.
    code, _, errors = ended(f"{LATE}\n{HELP}\nlate()\nmain()")
    assert (code, errors) == (0, "")
    code, _, errors = ended(f"{LATE}\n{HELP}\ntry:\n    main()\nfinally:\n    late()")
    assert (code, errors) == (130, "neurogames: interrupted; nothing was begun\n")
