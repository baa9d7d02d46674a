"""``python -m neurogames`` is the command ``neurogames``."""

import atexit
import contextlib
import signal
import sys

from neurogames._loading import leave


def main() -> None:
    """Run the command line; an interrupt before a command has begun ends as plainly as later ones."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Called last of all at the end: Python would then be ended by the signal, whatever its exit code.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGINT, leave)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            # A terminal of few characters shows others as escapes.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    from neurogames.lab.cli.app import app

    app(prog_name="neurogames")


if __name__ == "__main__":
    main()
