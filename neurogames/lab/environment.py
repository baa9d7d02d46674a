"""An environment variable that is set for a while, and is afterwards as it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable within the block.

    Args:
        name: of the variable.
        value: what it is set to.

    >>> with environment_variable("NEUROGAMES_EXAMPLE", "1"):
    ...     print(os.environ["NEUROGAMES_EXAMPLE"])
    1
    >>> "NEUROGAMES_EXAMPLE" in os.environ
    False
    """
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
