from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from neurogames.lab.runs.provenance import versions
from neurogames.lab.runs.run_folder import open_run, read_settings

SETTINGS = {
    "data": "wine",
    "keep_probs": (0.1, np.float64(0.5)),
    "quick": False,
    "training": {"epochs": 20, "rate": 1e-3, "clip": None},
    "folder": Path("here"),
}


def test_a_run_opens_again_with_the_same_settings(tmp_path):
    first = open_run(tmp_path / "a" / "run", SETTINGS)
    second = open_run(tmp_path / "a" / "run", SETTINGS)
    assert first == second
    assert second.settings["training"] == {"epochs": 20, "rate": 1e-3}
    assert read_settings(first.folder) == first.settings
    written = tomllib.loads((first.folder / "settings.toml").read_text())
    assert written["versions"] == versions()
    assert open_run(first.folder, first.settings) == first


def test_files_made_by_the_run_do_not_disturb_its_second_start(tmp_path):
    run = open_run(tmp_path, SETTINGS)
    (run.folder / "results.nc").touch()
    assert open_run(tmp_path, SETTINGS) == run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "iris"}, "^data: got 'iris', expected 'wine', the setting of the run in "),
        ({"keep_probs": [0.1]}, r"^keep_probs: got \[0\.1\], expected \[0\.1, 0\.5\]"),
        ({"training": {"epochs": 10, "rate": 1e-3}}, r"^training\.epochs: got 10, expected 20"),
        ({"training": {"epochs": 20}}, r"^training\.rate: got nothing, expected 0\.001"),
        ({"new": 1}, "^new: got 1, expected nothing"),
        ({"quick": 0}, "^quick: got 0, expected False"),
    ],
)
def test_a_folder_of_another_run_is_refused_by_the_first_difference(tmp_path, change, message):
    open_run(tmp_path, SETTINGS)
    before = (tmp_path / "settings.toml").read_bytes()
    with pytest.raises(ValueError, match=message):
        open_run(tmp_path, {**SETTINGS, **change})
    assert (tmp_path / "settings.toml").read_bytes() == before


def test_a_count_that_may_grow_grows_and_nothing_else_does(tmp_path):
    open_run(tmp_path, {"data": "wine", "seeds": 3}, growing=["seeds"])
    more = open_run(tmp_path, {"data": "wine", "seeds": 5}, growing=["seeds"])
    assert read_settings(tmp_path) == more.settings == {"data": "wine", "seeds": 5}
    before = (tmp_path / "settings.toml").read_bytes()
    for settings, growing, message in (
        ({"data": "wine", "seeds": 4}, ["seeds"], "^seeds: got 4, expected 5"),
        ({"data": "wine", "seeds": 6}, [], "^seeds: got 6, expected 5"),
        ({"data": "wine", "seeds": 6.0}, ["seeds"], r"^seeds: got 6\.0, expected 5"),
        ({"data": "iris", "seeds": 6}, ["seeds"], "^data: got 'iris'"),
        ({"data": "wine"}, ["seeds"], "^seeds: got nothing, expected 5"),
    ):
        with pytest.raises(ValueError, match=message):
            open_run(tmp_path, settings, growing=growing)
    assert (tmp_path / "settings.toml").read_bytes() == before


def test_equal_numbers_and_nan_are_the_same_settings(tmp_path):
    first = open_run(tmp_path, {"a": 1, "b": float("nan")})
    again = open_run(tmp_path, {"a": 1.0, "b": float("nan")})
    assert again.settings["a"] == first.settings["a"]
    assert np.isnan(again.settings["b"])


def test_foreign_folders_and_files_are_refused(tmp_path):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.tex").touch()
    with pytest.raises(ValueError, match=r"folder: got '.*thesis with chapter\.tex and no settings\.toml'"):
        open_run(foreign, SETTINGS)
    assert [path.name for path in foreign.iterdir()] == ["chapter.tex"]
    with pytest.raises(ValueError, match=r"folder: got .*chapter\.tex', expected a folder"):
        open_run(foreign / "chapter.tex", SETTINGS)
    (foreign / "settings.toml").write_text("[tool]\n")
    with pytest.raises(ValueError, match=r"without a table \[settings\]"):
        open_run(foreign, SETTINGS)
    (foreign / "settings.toml").write_bytes(b"\xff\xfe=")
    with pytest.raises(ValueError, match=r"settings\.toml \(UnicodeDecodeError"):
        open_run(foreign, SETTINGS)
    with pytest.raises(ValueError, match=r"settings\.toml \(FileNotFoundError"):
        read_settings(tmp_path / "nowhere")


def test_a_start_killed_before_its_settings_can_start_again(tmp_path):
    (tmp_path / ".settings.toml.0.partial").touch()
    assert open_run(tmp_path, SETTINGS).settings["data"] == "wine"


def test_settings_that_no_file_can_hold_are_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(ValueError, match=r"settings\.model: got <object"):
        open_run(tmp_path / "new", {"model": object()})
    with pytest.raises(ValueError, match="a mapping of settings"):
        open_run(tmp_path / "new", [1])
    with pytest.raises(ValueError, match=r"settings\.levels: got \[1, None\]"):
        open_run(tmp_path / "new", {"levels": [1, None]})
    assert not (tmp_path / "new").exists()


def test_settings_that_were_edited_by_hand_are_refused(tmp_path):
    open_run(tmp_path, SETTINGS)
    path = tmp_path / "settings.toml"
    whole = path.read_text()
    path.write_text(f"# a note\n\n{whole}")
    assert read_settings(tmp_path)["data"] == "wine"
    for old, new in (("wine", "iris"), ("epochs = 20", "epochs = 21"), ('numpy = "', 'numpy = "9')):
        assert old in whole
        path.write_text(whole.replace(old, new))
        for read in (lambda: read_settings(tmp_path), lambda: open_run(tmp_path, SETTINGS)):
            with pytest.raises(ValueError, match="^folder: got .*changed since', expected the settings as they were"):
                read()
    path.write_text(whole.split("\n", 1)[1])  # as before this version
    assert open_run(tmp_path, SETTINGS).settings["data"] == "wine"
