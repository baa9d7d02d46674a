"""Images in folders of classes: a zip and a folder read alike, and what is wrong is named."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from neurogames.lab.data import image_folders
from neurogames.lab.data.image_folders import read_image_folders


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="png")
    return content.getvalue()


def colour(value, size=(4, 5)):
    return np.full((*size, 3), value, dtype=np.uint8)


def files(around="", **more):
    """Three training and one test image of two classes, by name."""
    found = {}
    for index in range(3):
        found[f"{around}train/cat/{index}.png"] = png(colour(index))
        found[f"{around}train/dog/{index}.png"] = png(colour(100 + index))
    found[f"{around}test/cat/0.png"], found[f"{around}test/dog/0.png"] = png(colour(50)), png(colour(150))
    return found | more


def zipped(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("around", ["", "pets/"])
def test_a_zip_and_a_folder_give_the_same_images(tmp_path, around):
    content = files(around)
    for name, data in content.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    found = [read_image_folders(place) for place in (zipped(tmp_path / "a.zip", content), tmp_path / "folder")]
    for pixels, labels, tests, classes in found:
        assert pixels.shape == (8, 3, 4, 5)
        assert tests == 2
        assert classes == ("cat", "dog")
        np.testing.assert_array_equal(labels, pixels[:, 0, 0, 0] >= 100)
        assert sorted(pixels[:6, 0, 0, 0].tolist()) == [0, 1, 2, 100, 101, 102]
    np.testing.assert_array_equal(found[0][0], found[1][0])


def test_grey_images_have_one_channel(tmp_path):
    content = {
        f"{part}/{label}/0.png": png(np.full((3, 3), value, dtype=np.uint8))
        for part in ("train", "test")
        for label, value in (("a", 10), ("b", 20))
    }
    assert read_image_folders(zipped(tmp_path / "a.zip", content))[0].shape == (4, 1, 3, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "images as train/CLASS/NAME.png"),
        ({"train/cat/0.png": png(colour(1))}, "images as train/CLASS/NAME.png"),
        (files(**{"test/owl/0.png": png(colour(1))}), "no training image of 'owl'"),
        (files(**{"train/cat/9.png": png(colour(1, (7, 7)))}), "of shape"),
        (files(**{"train/cat/9.png": b"no image at all"}), "which is no image"),
        (files(**{"train/cat/9.png": png(colour(1, (1, 2000)))}), "at most 1024 a side"),
        ({name: data for name, data in files().items() if "dog" not in name}, "at least two classes"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, words):
    with pytest.raises(ValueError, match="^data: got") as refused:
        read_image_folders(zipped(tmp_path / "a.zip", content))
    assert words in str(refused.value)


def test_what_cannot_be_read_or_held_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no file"):
        read_image_folders(tmp_path / "none.zip")
    (tmp_path / "bad.zip").write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match="which cannot be read"):
        read_image_folders(tmp_path / "bad.zip")
    path = zipped(tmp_path / "a.zip", files())
    monkeypatch.setattr(image_folders, "MOST_FILE_BYTES", 20)
    with pytest.raises(ValueError, match="of more than 20 bytes"):
        read_image_folders(path)
    monkeypatch.undo()
    monkeypatch.setattr(image_folders, "MOST_PIXEL_BYTES", 100)
    with pytest.raises(ValueError, match="GiB as float32"):
        read_image_folders(path)
