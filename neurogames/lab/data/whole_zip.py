"""Files of torch are zip files with a checksum of each part, which torch itself does not compare for numbers."""

from __future__ import annotations

import zipfile
from pathlib import Path


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
