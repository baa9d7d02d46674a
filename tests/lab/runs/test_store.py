from __future__ import annotations

import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neurogames.lab.runs.store import read_dataset, write_dataset

RESULTS = xr.Dataset(
    {
        "error": (("noise", "seed"), np.array([[0.1, np.nan], [np.inf, -0.0]])),
        "count": ("seed", np.array([1, 2**40])),
        "good": ("seed", np.array([True, False])),
        "small": ("seed", np.array([0.1, 0.2], dtype=np.float32)),
        "words": ("seed", np.array(["κ", "long text"])),
        "seconds": ((), 3.5, {"units": "seconds"}),
        "empty": ("none", np.zeros(0)),
    },
    coords={"noise": ["none", "stable"], "seed": [0, 1]},
)


def test_a_data_set_comes_back_as_it_was(tmp_path):
    before = RESULTS.copy(deep=True)
    write_dataset(RESULTS, tmp_path / "results.nc")
    found = read_dataset(tmp_path / "results.nc")
    assert before.identical(RESULTS)
    assert found.equals(RESULTS)
    for name in ("error", "count", "good", "small", "seconds"):
        assert found[name].dtype == RESULTS[name].dtype, name
        assert found[name].values.tobytes() == RESULTS[name].values.tobytes(), name
    assert found["words"].values.tolist() == ["κ", "long text"]
    assert found["seconds"].attrs == {"units": "seconds"}
    assert [path.name for path in tmp_path.iterdir()] == ["results.nc"]


def test_a_second_trip_changes_nothing(tmp_path):
    write_dataset(RESULTS.assign_attrs(a=[1]), tmp_path / "one.nc")
    once = read_dataset(tmp_path / "one.nc")
    write_dataset(once, tmp_path / "two.nc")
    assert once.identical(read_dataset(tmp_path / "two.nc"))


@pytest.mark.parametrize(
    "value",
    ["text", "", "json:[1]", "κ\n", 3, 2.5, 0.1 + 0.2, True, None, [], [1, "a", None], {}, {"keep": {"probs": [0.5]}}],
)
def test_an_attribute_comes_back_as_it_was(tmp_path, value):
    write_dataset(xr.Dataset({"x": ((), 1.0, {"a": value})}, attrs={"a": value}), tmp_path / "x.nc")
    found = read_dataset(tmp_path / "x.nc")
    for attrs in (found.attrs, found["x"].attrs):
        assert attrs == {"a": value}
        assert type(attrs["a"]) is type(value)


def test_numpy_attributes_become_plain_and_objects_are_refused(tmp_path):
    data = xr.Dataset(attrs={"a": np.float64(0.5), "b": np.arange(2), "c": Path("x"), "d": (1,)})
    write_dataset(data, tmp_path / "x.nc")
    assert read_dataset(tmp_path / "x.nc").attrs == {"a": 0.5, "b": [0, 1], "c": "x", "d": [1]}
    with pytest.raises(ValueError, match=r"a\.b: got <object"):
        write_dataset(xr.Dataset(attrs={"a": {"b": object()}}), tmp_path / "y.nc")
    assert not (tmp_path / "y.nc").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 junk", b"\x89HDF\r\n\x1a\n" + b"\0" * 500, None])
def test_what_is_no_results_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "results.nc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"results: got .*results\.nc .*expected a whole netCDF file") as caught:
        read_dataset(path)
    assert "\n" not in str(caught.value)


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "x.nc"
    write_dataset(RESULTS.assign_attrs(settings={"noise": ["none", "smaller steps"]}), path)
    content = path.read_bytes()
    for place in {*range(0, len(content), 97), *range(len(content) - 60, len(content))}:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r"x\.nc .*the command that wrote it makes it again"):
            read_dataset(path)
    for length in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut short|changed"):
            read_dataset(path)


def test_other_readers_of_netcdf_read_the_file_too(tmp_path):
    write_dataset(RESULTS, tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as found:
        assert found["error"].equals(RESULTS["error"])


def test_reading_never_runs_code(tmp_path, monkeypatch):
    path = tmp_path / "results.nc"
    path.write_bytes(pickle.dumps({"a": 1}))
    monkeypatch.setattr(pickle, "loads", lambda *_: pytest.fail("unpickled"))
    monkeypatch.setattr(pickle, "load", lambda *_: pytest.fail("unpickled"))
    with pytest.raises(ValueError, match="whole netCDF"):
        read_dataset(path)


@pytest.mark.parametrize("act", ["write", "read"])
def test_an_interrupt_waits_until_the_file_is_done(act, tmp_path, monkeypatch):
    path = tmp_path / "results.nc"
    dataset = xr.Dataset({"error": ("seed", [0.5, 0.25])})
    write_dataset(dataset, path)
    owner, name = (xr.Dataset, "to_netcdf") if act == "write" else (xr, "load_dataset")
    usual, went_on = getattr(owner, name), []

    def interrupted(*words, **options):
        signal.raise_signal(signal.SIGINT)
        result = usual(*words, **options)
        went_on.append(True)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(2 * dataset, path) if act == "write" else read_dataset(path)
    assert went_on
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert float(read_dataset(path)["error"][0]) == (1.0 if act == "write" else 0.5)
    assert [each.name for each in tmp_path.iterdir()] == ["results.nc"]
