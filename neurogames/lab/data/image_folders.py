"""Images in folders of classes, in a zip file or on disk: ``train/CLASS/NAME.png`` and ``test/CLASS/NAME.png``.

A folder around the two is passed over (``cifar10/train/cat/0001.jpg``). Nothing is written to disk, and what a file may
unpack to is bounded before it is read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurogames._arguments import invalid_argument
from neurogames.lab.data.datasets import data_folder

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
PARTS = ("train", "test")
MOST_FILE_BYTES = 2**24
"""Bytes of one image file, unpacked; larger ones are refused."""
MOST_PIXEL_BYTES = 2**32
"""Bytes of all images as float32; more are refused."""
_MOST_SIDE = 1024


def read_image_folders(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], int, tuple[str, ...]]:
    """Read all images of a zip file or a folder.

    Args:
        path: the file or folder; every image has the size of the first one.

    Returns:
        Pixels (images, channels, height, width) in 0 ... 255, training images first, each part in an order that has
        nothing to do with the classes; classes (images,); how many of the images are for testing; names of the classes.

    Raises:
        ValueError: no such file, no images in ``train/CLASS`` and ``test/CLASS``, a class without training images, an
            image that cannot be read or is of another size, or more than can be held.
    """
    if path.is_dir():
        return _read(path, sorted(str(file.relative_to(path).as_posix()) for file in path.rglob("*")), _file_in(path))
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise invalid_argument("data", f"no file {path}", "a zip file or a folder of images") from None
    except Exception as error:
        # A damaged file may break its reader anywhere.
        raise invalid_argument("data", f"{path}, which cannot be read ({error})", "a zip file of images") from None
    with archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        return _read(path, names, lambda name: _unzipped(archive, name, path))


def image_zips() -> dict[str, Path]:
    """Zip files with images in folders of classes, in the folder that ``NEUROGAMES_DATA`` names, by name.

    Raises:
        ValueError: if ``NEUROGAMES_DATA`` names no folder.
    """
    folder = data_folder()
    if folder is None:
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.zip")) if _holds_images(path)}


def image_zip(name: str) -> Path | None:
    """The zip file of this name among them, without looking into the others."""
    folder = data_folder()
    path = None if folder is None or not name or "/" in name else folder / f"{name}.zip"
    return path if path is not None and path.is_file() and _holds_images(path) else None


def _holds_images(path: Path) -> bool:
    """Whether a zip file lists images where they are looked for."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(True for _ in _places(archive.namelist()))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def _read(
    path: Path, names: list[str], content: Callable[[str], bytes]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], int, tuple[str, ...]]:
    """Decode the images among some files."""
    found = list(_places(names))
    classes = sorted({label for _, label, _ in found})
    in_training = {label for part, label, _ in found if part == "train"}
    if not in_training or not any(part == "test" for part, *_ in found):
        raise invalid_argument("data", str(path), "images as train/CLASS/NAME.png and test/CLASS/NAME.png")
    if set(classes) - in_training:
        raise invalid_argument(
            "data", f"no training image of {min(set(classes) - in_training)!r}", "some of each class"
        )
    if len(classes) < 2:
        raise invalid_argument("data", f"one class, {classes[0]!r}", "at least two classes")
    first = _decoded(path, found[0][2], content(found[0][2]))
    if 4 * len(found) * first.size > MOST_PIXEL_BYTES:
        got = f"{len(found)} images of {first.shape[1]} x {first.shape[2]}"
        raise invalid_argument("data", got, f"images that fit into {MOST_PIXEL_BYTES / 2**30:g} GiB as float32")
    pixels = np.empty((len(found), *first.shape), dtype=np.uint8)
    labels = np.empty(len(found), dtype=np.int64)
    row, tests = 0, 0
    for part in PARTS:
        members = [(label, name) for where, label, name in found if where == part]
        for place in np.random.default_rng(0).permutation(len(members)):
            label, name = members[place]
            image = _decoded(path, name, content(name))
            if image.shape != first.shape:
                raise invalid_argument("data", f"{name} of shape {image.shape}", f"images of one shape, {first.shape}")
            pixels[row], labels[row] = image, classes.index(label)
            row += 1
        tests = len(members)
    return pixels, labels, tests, tuple(classes)


def _places(names: list[str]) -> Iterator[tuple[str, str, str]]:
    """Part, class and full name of every image."""
    for name in names:
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and parts[-3] in PARTS and parts[-1].lower().endswith(IMAGE_ENDINGS):
            yield parts[-3], parts[-2], name


def _file_in(folder: Path) -> Callable[[str], bytes]:
    def content(name: str) -> bytes:
        file = folder / name
        if file.stat().st_size > MOST_FILE_BYTES:
            raise invalid_argument("data", f"{name} of {file.stat().st_size} bytes", f"at most {MOST_FILE_BYTES}")
        return file.read_bytes()

    return content


def _unzipped(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """Content of one entry; no more of it is unpacked than is allowed."""
    try:
        with archive.open(name) as entry:
            content = entry.read(MOST_FILE_BYTES + 1)
    except Exception as error:  # encrypted, damaged
        raise invalid_argument("data", f"{name} in {path}, which cannot be read ({error})", "an image") from None
    if len(content) > MOST_FILE_BYTES:
        raise invalid_argument("data", f"{name} of more than {MOST_FILE_BYTES} bytes", "smaller images")
    return content


def _decoded(path: Path, name: str, content: bytes) -> NDArray[np.uint8]:
    """One image as (channels, height, width), grey ones with one channel."""
    large = None
    try:
        with Image.open(io.BytesIO(content)) as image:
            if max(image.size) > _MOST_SIDE:  # before a pixel is unpacked
                large = invalid_argument("data", f"{name} of {image.size} pixels", f"at most {_MOST_SIDE} a side")
                raise large
            plain = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except Exception as error:
        if error is large:
            raise
        # A damaged file may break its reader anywhere.
        raise invalid_argument("data", f"{name} in {path}, which is no image ({error})", "png, jpeg or bmp") from None
    return np.ascontiguousarray(plain[None] if plain.ndim == 2 else plain.transpose(2, 0, 1))
