from __future__ import annotations

import os
import resource

import pytest

from neurogames.lab.whole_file import remove_leftovers, sealed, unsealed, write_whole


def test_only_old_temporary_files_are_leftovers(tmp_path):
    names = (".old.nc.0.partial", ".young.nc.0.partial", "kept.nc")
    for name in names:
        (tmp_path / name).touch()
    for name in ("kept.nc", ".old.nc.0.partial"):
        os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".young.nc.0.partial", "kept.nc"]
    remove_leftovers(tmp_path / "nowhere")


@pytest.fixture
def full_disk():
    """No file can grow beyond 100 bytes."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, usual[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, full_disk):
    path = tmp_path / "results.csv"
    write_whole(path, "old")
    with pytest.raises(OSError, match=r"File too large: .*results\.csv"):
        write_whole(path, "new" * 1000)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["results.csv"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "controls.csv").symlink_to(tmp_path / "mine.csv")
    write_whole(tmp_path / "controls.csv", "theirs")
    assert (tmp_path / "mine.csv").read_text() == "mine"
    assert (tmp_path / "controls.csv").read_text() == "theirs"
    assert not (tmp_path / "controls.csv").is_symlink()


def test_a_folder_in_the_place_of_the_file_is_refused_without_litter(tmp_path):
    (tmp_path / "results.nc").mkdir()
    with pytest.raises(OSError, match=r"results\.nc"):
        write_whole(tmp_path / "results.nc", b"new")
    assert [found.name for found in tmp_path.iterdir()] == ["results.nc"]


def test_a_sealed_content_is_known_again_and_no_other():
    content = bytes(range(256))
    assert unsealed(sealed(content)) == content
    assert unsealed(sealed(sealed(content))) == sealed(content)
    for other in (b"", content, sealed(content)[:-1], sealed(content) + b"x", b"x" + sealed(content)):
        with pytest.raises(ValueError, match="cut short|changed"):
            unsealed(other)


def test_a_pipe_in_the_place_of_a_file_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="a device or pipe"):
        write_whole(tmp_path / "pipe", b"x")
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]
