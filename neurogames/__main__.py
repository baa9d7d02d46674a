"""``python -m neurogames`` is the command ``neurogames``."""

import sys


def main() -> None:
    """Run the command line; an interrupt while it is still loading ends as plainly as later ones."""
    try:
        from neurogames.lab.cli.app import app
    except KeyboardInterrupt:
        print("neurogames: interrupted; nothing was begun", file=sys.stderr)
        raise SystemExit(130) from None
    app(prog_name="neurogames")


if __name__ == "__main__":
    main()
