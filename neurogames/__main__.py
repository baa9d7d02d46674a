"""``python -m neurogames`` is the command ``neurogames``."""

from neurogames.lab.cli.app import app

if __name__ == "__main__":
    app(prog_name="neurogames")
