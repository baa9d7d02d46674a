"""``python -m neurogames`` is the command ``neurogames``."""

import signal

from neurogames._loading import leave


def main() -> None:
    """Run the command line; an interrupt before a command has begun ends as plainly as later ones."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
    from neurogames.lab.cli.app import app

    app(prog_name="neurogames")


if __name__ == "__main__":
    main()
