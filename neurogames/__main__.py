"""``python -m neurogames`` is the command ``neurogames``."""

import os
import signal


def main() -> None:
    """Run the command line; an interrupt while it is still loading ends as plainly as later ones."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from neurogames.lab.cli.app import app

    signal.signal(signal.SIGINT, usual)
    app(prog_name="neurogames")


def _leave(*_: object) -> None:
    """End at once: some libraries turn an exception during their import into another one, or drop it."""
    os.write(2, b"neurogames: interrupted; nothing was begun\n")
    os._exit(130)


if __name__ == "__main__":
    main()
