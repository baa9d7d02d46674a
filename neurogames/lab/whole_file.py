"""Files that appear whole or not at all, and whose content can be proved unchanged.

Content is made in memory, written under a temporary name in the folder of the file, flushed to the disk, and renamed:
whoever is killed, and whoever finds the disk full, leaves the old file or the new one. A link in the place of the file
is replaced; what it points to stays as it is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import time
import uuid
from pathlib import Path

from neurogames._arguments import invalid_argument

TEMPORARY = ".partial"
"""How the name of a file ends that is not whole yet."""
LEFTOVER_SECONDS = 60.0
"""A temporary file is written within seconds: a younger one may belong to a run that is alive."""

_MARK = b"neurogames sha256"
_SEAL = len(_MARK) + hashlib.sha256().digest_size


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that it appears whole or not at all.

    Args:
        path: file to write; its folder must exist.
        content: bytes, or text that is written as UTF-8.

    Raises:
        OSError: it cannot be written, or a device or pipe is there; what was there stays; nothing temporary is left.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "words.txt"
    >>> write_whole(place, "κ")
    >>> place.read_text(encoding="utf-8"), len(list(place.parent.iterdir()))
    ('κ', 1)
    """
    if path.exists() and not (path.is_symlink() or path.is_file() or path.is_dir()):
        raise FileExistsError(errno.EEXIST, "a device or pipe is there", str(path))
    temporary = path.with_name(f".{path.name[:60]}.{uuid.uuid4().hex[:12]}{TEMPORARY}")
    try:
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # A full disk does not say for which file it has no space.
            error.filename = str(path)
        raise
    if os.name == "posix":
        # The rename itself is on the disk only once the folder is.
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def written_path(name: str, path: Path) -> Path:
    """Return a path that can be written into a text, or refuse it.

    Args:
        name: the argument that it came as.
        path: the path.

    Raises:
        ValueError: it holds bytes that are no UTF-8.

    >>> written_path("out", Path("results")).name
    'results'
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise invalid_argument(name, ascii(str(path)), "a path of UTF-8 characters, as it stands in a text") from None
    return path


def ready_folder(name: str, folder: Path) -> Path:
    """Make a folder where there is none, and try whether files can be written to it: before any work.

    Args:
        name: the argument that it came as.
        folder: the folder.

    Raises:
        ValueError: it is no folder, nothing can be written there, or its path cannot stand in a text.

    >>> import tempfile
    >>> ready_folder("out", Path(tempfile.mkdtemp()) / "new").is_dir()
    True
    """
    written_path(name, folder)
    if folder.exists() and not folder.is_dir():
        raise invalid_argument(name, str(folder), "a folder")
    remove_leftovers(folder)
    trial = folder / f".{uuid.uuid4().hex[:12]}{TEMPORARY}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(trial, b"")
        trial.unlink()
    except OSError as error:
        raise invalid_argument(name, f"{folder} ({error})", "a folder that can be written to") from None
    return folder


def remove_leftovers(folder: str | Path) -> None:
    """Remove the temporary files that killed writers left in a folder more than a minute ago, as far as that may be."""
    for path in Path(folder).glob(f".*{TEMPORARY}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()
                logging.getLogger(__name__).info("removed the leftover %s", path)


def sealed(content: bytes) -> bytes:
    """Content with its SHA-256 behind it, where readers of HDF5 do not look."""
    return content + _MARK + hashlib.sha256(content).digest()


def unsealed(content: bytes) -> bytes:
    """Undo ``sealed``.

    Raises:
        ValueError: there is no hash at the end, or it is of another content.

    >>> unsealed(sealed(b"results"))
    b'results'
    >>> unsealed(sealed(b"results").replace(b"s", b"z", 1))
    Traceback (most recent call last):
    ValueError: its content has changed since it was written
    """
    if len(content) < _SEAL or content[-_SEAL : len(_MARK) - _SEAL] != _MARK:
        raise ValueError("it is cut short, or no file of neurogames")
    inner = content[:-_SEAL]
    if sealed(inner) != content:
        raise ValueError("its content has changed since it was written")
    return inner
