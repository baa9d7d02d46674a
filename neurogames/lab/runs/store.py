"""Results on disk: netCDF files that appear whole or not at all, and are read only if not a bit has changed.

A file is made in memory, as the netCDF library does not survive a full disk, and ends with a hash of all before it.
Nothing is ever unpickled: arrays are HDF5, attributes are text and numbers, and richer attributes are JSON behind the
mark ``json:``.
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import xarray as xr

from neurogames._arguments import invalid_argument
from neurogames.lab.whole_file import sealed, unsealed, write_whole

_MARK = "json:"
_REMEDY = "the command that wrote it makes it again"


def write_dataset(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a data set as netCDF, so that the file appears whole or not at all.

    Args:
        dataset: labelled arrays; attributes may hold texts, numbers, booleans, None, and lists and mappings of these.
        path: file to write; its folder must exist.

    Raises:
        ValueError: if an attribute is of another kind.
        OSError: if the file cannot be written; what was there stays.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "results.nc"
    >>> write_dataset(xr.Dataset({"error": ("seed", [0.5, 0.25])}, attrs={"settings": {"epochs": 3}}), path)
    >>> read_dataset(path).attrs, read_dataset(path)["error"].values.tolist()
    ({'settings': {'epochs': 3}}, [0.5, 0.25])
    """
    plain = dataset.copy()
    plain.attrs = _encoded(dataset.attrs)
    for name, variable in plain.variables.items():
        plain[name].attrs = _encoded(variable.attrs)
        plain[name].encoding = {}
    with _undisturbed():
        write_whole(Path(path), sealed(bytes(plain.to_netcdf(None, engine="h5netcdf"))))


def read_dataset(path: str | Path) -> xr.Dataset:
    """Read a data set that ``write_dataset`` wrote, whole and into memory, after its hash was checked.

    Raises:
        ValueError: if the file is missing, cut short, damaged, or no netCDF; the error names it.
    """
    try:
        with _undisturbed():
            content = io.BytesIO(unsealed(Path(path).read_bytes()))
            dataset = xr.load_dataset(content, engine="h5netcdf", decode_timedelta=False)
        dataset.attrs = _decoded(dataset.attrs)
        for name in dataset.variables:
            dataset[name].attrs = _decoded(dataset[name].attrs)
            dataset[name].encoding = {}
    except Exception as error:
        why = f"{path} ({type(error).__name__}: {error})".splitlines()[0]
        raise invalid_argument("results", why, f"a whole netCDF file; {_REMEDY}") from None
    dataset.encoding = {}
    return dataset


def layout_of(dataset: xr.Dataset) -> dict[str, list[Any]]:
    """Dimensions, shape and kind of every variable, in plain types: by it, results are known to be whole.

    >>> layout_of(xr.Dataset({"error": ("seed", [0.5, 0.25])}))
    {'error': [['seed'], [2], 'f']}
    """
    return {
        str(name): [list(map(str, one.dims)), list(one.shape), "text" if one.dtype.kind in "OUS" else one.dtype.kind]
        for name, one in sorted(dataset.variables.items(), key=lambda pair: str(pair[0]))
    }


def plain_value(name: object, value: Any) -> Any:
    """A value in plain Python types (numpy numbers, tuples, arrays and paths are turned), or an error.

    >>> plain_value("levels", np.array([0.5, 1.0])), plain_value("folder", Path("runs"))
    ([0.5, 1.0], 'runs')
    """
    if isinstance(value, (np.generic, np.ndarray)):
        return plain_value(name, value.tolist())
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain_value(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(name, item) for item in value]
    raise invalid_argument(str(name), value, "texts, numbers, booleans, None, or lists and mappings of these")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put Ctrl-C off until a file is read or written: the netCDF library does not survive one half-way.

    It would leave half-made objects, whose destructors complain or swallow the interrupt.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    noted: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: noted.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if noted:
            usual(*noted[0])


def _encoded(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as netCDF can hold them: texts and numbers as they are, the rest as marked JSON."""
    result: dict[str, Any] = {}
    for name, value in attributes.items():
        plain = plain_value(name, value)
        keep = isinstance(plain, (int, float)) and not isinstance(plain, bool)
        keep = keep or (isinstance(plain, str) and not plain.startswith(_MARK) and plain != "")
        result[str(name)] = plain if keep else _MARK + json.dumps(plain)
    return result


def _decoded(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Undo ``_encoded``."""
    result: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, np.generic):
            value = value.item()
        marked = isinstance(value, str) and value.startswith(_MARK)
        result[str(name)] = json.loads(value[len(_MARK) :]) if marked else value
    return result
