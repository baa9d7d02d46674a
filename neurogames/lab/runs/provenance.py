"""The versions that made a result: they are stored beside it, and those of neurogames are never mixed in one run."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import xarray as xr

from neurogames import __version__
from neurogames._arguments import invalid_argument

RECORDED = ("numpy", "scipy", "torch", "numba", "scikit-learn", "pandas", "xarray", "h5netcdf")


def versions() -> dict[str, str]:
    """Versions of Python, of neurogames, and of the packages that numbers depend on.

    >>> sorted(versions())[:3]
    ['h5netcdf', 'neurogames', 'numba']
    """
    found = {"python": platform.python_version(), "neurogames": __version__}
    for package in RECORDED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def joined_versions(results: Iterable[xr.Dataset]) -> dict[str, str]:
    """Versions that made several results, such as the sweeps of a study; where they differ, all of them.

    >>> made = [xr.Dataset(attrs={"versions": {"torch": number}}) for number in ("2.6.0", "2.5.1")]
    >>> joined_versions(made)
    {'torch': '2.5.1 and 2.6.0'}
    """
    found: dict[str, set[str]] = {}
    for result in results:
        known = result.attrs["versions"]
        for one in known if isinstance(known, list) else [known]:
            for name, version in one.items():
                found.setdefault(name, set()).add(version)
    return {name: " and ".join(sorted(each)) for name, each in found.items()}


def refuse_other_version(folder: object, made_by: Any) -> None:
    """Refuse to go on in a folder whose results another version of neurogames has made.

    Its measurements may differ, so that old and new results side by side would answer no question. Other packages may
    change: what each result was made with is stored.

    Args:
        folder: the folder or file, as it is named in the error.
        made_by: versions by name, as they are stored in it.

    Raises:
        ValueError: they are of another version of neurogames, or of none.
    """
    version = made_by.get("neurogames") if isinstance(made_by, dict) else None
    if version != __version__:
        got = f"{folder}, of neurogames {version or 'of an unknown version'}"
        remedy = (
            f"begin in another folder, or go on with neurogames {version}" if version else "begin in another folder"
        )
        raise invalid_argument("folder", got, f"results of neurogames {__version__}, which is running; {remedy}")
