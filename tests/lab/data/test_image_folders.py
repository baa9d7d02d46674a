"""Images in folders of classes: a zip and a folder read alike, and what is wrong is named."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from neurogames.lab.data import image_folders
from neurogames.lab.data.image_folders import read_image_folders
from neurogames.lab.data.images import grey_images, load_images
from neurogames.lab.studies.registry import load_study


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


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with one zip of coloured and one of grey images, and one of something else."""
    grey = {
        f"{part}/{label}/{row}.png": png(np.full((8, 8), 5 * row + value, dtype=np.uint8))
        for part in ("train", "test")
        for label, value in (("a", 1), ("b", 2))
        for row in range(40)
    }
    zipped(tmp_path / "pets.zip", files("pets/"))
    zipped(tmp_path / "grey.zip", {name: data for name, data in grey.items() if "train" in name or "0.png" in name})
    zipped(tmp_path / "texts.zip", {"train/a.txt": b"words"})
    monkeypatch.setenv("NEUROGAMES_DATA", str(tmp_path))
    return tmp_path


def test_own_images_are_found_by_name_and_by_path(own):
    by_name = load_images("pets")
    assert by_name.class_names == ("cat", "dog")
    assert by_name.n_classes == 2
    assert by_name.inputs.shape == (6, 3, 4, 5)
    assert abs(float(by_name.inputs.mean())) < 1e-6
    for place in (own / "pets.zip", str(own / "pets.zip")):
        by_path = load_images(place)
        assert by_path.inputs.equal(by_name.inputs)
        assert by_path.test_targets.equal(by_name.test_targets)
    assert load_images("grey", rows=5).inputs.shape == (5, 1, 8, 8)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cats", "^data: got 'cats', expected one of digits, mnist, fashion_mnist, grey, pets, or the path"),
        ("texts", "^data: got 'texts', expected one of"),
        ("", "^data: got 'nothing', expected one of"),
        (None, "^data: got 'nothing', expected one of"),
        ("no/such.zip", "^data: got 'no file no/such.zip'"),
    ],
)
def test_an_unknown_name_gets_the_names_there_are(own, name, words):
    with pytest.raises(ValueError, match=words):
        load_images(name)


def test_studies_of_one_channel_refuse_colour_in_one_line(own):
    assert grey_images("grey").n_classes == 2
    for name in ("pruning", "neurogame"):
        study = load_study(name)
        with pytest.raises(ValueError, match="^data: got 'pets, images of 3 channels', expected images of one channel"):
            study.check(study.settings("pets"))
        with pytest.raises(ValueError, match="^data: got 'cats', expected one of digits"):
            study.check(study.settings("cats"))


def test_images_without_any_difference_are_refused(tmp_path):
    content = {f"{part}/{label}/0.png": png(colour(7)) for part in ("train", "test") for label in "ab"}
    with pytest.raises(ValueError, match="whose training pixels are all equal"):
        load_images(zipped(tmp_path / "flat.zip", content))
