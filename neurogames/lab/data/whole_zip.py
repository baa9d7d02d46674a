"""What torch does not look at before it reads a file: checksums of numbers, and the length of names.

Files of torch are zip files with a checksum of each part. One part is a pickle, of which torch makes objects of few
names only; where a long name is none of them, it searches its own message in quadratic time.
"""

from __future__ import annotations

import contextlib
import pickletools
import zipfile
from pathlib import Path
from typing import IO

LONGEST_NAME = 1000
_OLD_PICKLES = 5
"""Parts of a file from before torch 1.6 that come before its numbers."""


def refuse_changed(path: Path) -> None:
    """Refuse a zip file with a part that is not as it was written; other files pass.

    Args:
        path: the file.

    Raises:
        ValueError: a part has changed.
        zipfile.BadZipFile: the parts cannot be found; damage may break the reader otherwise, too.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "numbers.zip"
    >>> with zipfile.ZipFile(place, "w") as archive:
    ...     archive.writestr("numbers", b"0123456789")
    >>> refuse_changed(place)
    >>> _ = place.write_bytes(place.read_bytes().replace(b"456", b"457"))
    >>> refuse_changed(place)
    Traceback (most recent call last):
    ValueError: a part of it has changed since it was written
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ValueError("a part of it has changed since it was written")


def refuse_long_names(path: Path) -> None:
    r"""Refuse a file of torch that names an object in more than ``LONGEST_NAME`` characters; nothing is unpickled.

    Args:
        path: the file.

    Raises:
        ValueError: there is such a name.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "names.pt"
    >>> _ = place.write_bytes(b"c" + b"module" * 200 + b"\nobject\n.")
    >>> refuse_long_names(place)
    Traceback (most recent call last):
    ValueError: it holds a name of 1207 characters
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    with archive.open(name) as file:
                        _refuse_in(file, 1)
    else:
        with path.open("rb") as file:
            _refuse_in(file, _OLD_PICKLES)


def _refuse_in(file: IO[bytes], pickles: int) -> None:
    longest = 0
    # What no longer is a pickle is not read by torch either.
    with contextlib.suppress(Exception):
        for _ in range(pickles):
            for operation, argument, _place in pickletools.genops(file):
                if operation.name == "GLOBAL":
                    longest = max(longest, len(str(argument)))
    if longest > LONGEST_NAME:
        raise ValueError(f"it holds a name of {longest} characters")
