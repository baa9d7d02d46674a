"""The folder of one run, which its settings guard.

A run is a folder with a ``settings.toml`` that says what it holds; the same settings open it again, other settings are
refused, and so are another version of neurogames and a folder with files that are not of any run. A count may be let
grow, such as that of repetitions.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from neurogames._arguments import invalid_argument
from neurogames.lab.runs.provenance import refuse_other_version, versions
from neurogames.lab.runs.store import plain_value
from neurogames.lab.whole_file import TEMPORARY, remove_leftovers, write_whole

SETTINGS_FILE = "settings.toml"


@dataclass(frozen=True)
class Run:
    """The folder of one run and the settings it was started with.

    Attributes:
        folder: where everything of the run lies.
        settings: plain settings, as read back from ``settings.toml``.
    """

    folder: Path
    settings: dict[str, Any]


def open_run(folder: str | Path, settings: Mapping[str, Any], *, growing: Collection[str] = ()) -> Run:
    """Start a run in an empty or new folder, or open the folder of the same run again.

    Args:
        folder: made if it is not there.
        settings: nested mapping of texts, numbers, booleans, lists and paths; entries that are None are left out.
        growing: names of counts that may be greater than those of the run, which then takes the greater ones.

    Returns:
        The run.

    Raises:
        ValueError: if the folder holds a run of another version of neurogames, or with other settings (the first
            differing one is named), or files that are not of any run.

    >>> import tempfile
    >>> place = tempfile.mkdtemp()
    >>> open_run(place, {"data": "wine", "keep_probs": [0.5, 1.0]}).settings
    {'data': 'wine', 'keep_probs': [0.5, 1.0]}
    >>> open_run(place, {"data": "iris", "keep_probs": [0.5, 1.0]})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: data: got 'iris', expected 'wine', the setting of the run in ...
    """
    folder = Path(folder).expanduser()
    plain = tomllib.loads(tomli_w.dumps(_plain_table("settings", settings)))
    if folder.exists() and not folder.is_dir():
        raise invalid_argument("folder", str(folder), "a folder, new, empty, or of the same run")
    if not (folder / SETTINGS_FILE).exists():
        _refuse_foreign_files(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return _written(folder, plain)
    table = _read_table(folder)
    refuse_other_version(folder, table.get("versions"))
    remove_leftovers(folder)
    known = table["settings"]
    grown = {name: plain[name] for name in growing if _greater(plain.get(name), known.get(name))}
    for key, got, expected in _differences(plain, {**known, **grown}):
        raise ValueError(f"{key}: got {got}, expected {expected}, the setting of the run in {folder}")
    return _written(folder, {**known, **grown}) if grown else Run(folder=folder, settings=known)


def read_settings(folder: str | Path) -> dict[str, Any]:
    """Read the settings of the run in a folder.

    Raises:
        ValueError: if the folder holds no run, or its settings are not those that were written.
    """
    settings: dict[str, Any] = _read_table(folder)["settings"]
    return settings


def _read_table(folder: str | Path) -> dict[str, Any]:
    """The settings of a run and the versions that began it, as they were written."""
    path = Path(folder) / SETTINGS_FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = f"{path} ({type(error).__name__}: {error})".splitlines()[0]
        raise invalid_argument("folder", why, f"the folder of a run, with a readable {SETTINGS_FILE}") from None
    if not isinstance(table.get("settings"), dict):
        raise invalid_argument("folder", f"{path} without a table [settings]", f"the {SETTINGS_FILE} of a run")
    if table.get("sha256", _digest(table)) != _digest(table):
        expected = "the settings as they were written; others belong to another folder"
        raise invalid_argument("folder", f"{path}, changed since", expected)
    return table


def _written(folder: Path, settings: dict[str, Any]) -> Run:
    """The run in a folder whose settings have just been written."""
    table = {"settings": settings, "versions": versions()}
    write_whole(folder / SETTINGS_FILE, tomli_w.dumps({"sha256": _digest(table), **table}))
    return Run(folder=folder, settings=settings)


def _digest(table: dict[str, Any]) -> str:
    """Hash of settings and versions, whatever their order and the space between them."""
    parts = [table.get("settings"), table.get("versions")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _greater(got: object, known: object) -> bool:
    """Whether both are whole numbers and the first is the greater."""
    return isinstance(got, int) and isinstance(known, int) and got > known


def _plain_table(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as TOML can hold them: plain values, without those that are None."""
    plain = plain_value(name, settings)
    if not isinstance(plain, dict):
        raise invalid_argument(name, settings, "a mapping of settings")
    table: dict[str, Any] = _without_none(name, plain)
    return table


def _without_none(name: str, value: Any) -> Any:
    """TOML has no None: an entry that is None is an entry that is not there; in a list it has no meaning."""
    if isinstance(value, dict):
        return {key: _without_none(f"{name}.{key}", item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        if None in value:
            raise invalid_argument(name, value, "a list without None")
        return [_without_none(name, item) for item in value]
    return value


def _differences(got: object, expected: object, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Settings in which two tables differ, by dotted name, in order."""
    if isinstance(got, dict) and isinstance(expected, dict):
        for name in [*expected, *(name for name in got if name not in expected)]:
            place = f"{key}.{name}" if key else name
            if name not in got:
                yield place, "nothing", repr(expected[name])
            elif name not in expected:
                yield place, repr(got[name]), "nothing"
            else:
                yield from _differences(got[name], expected[name], place)
    elif repr(got) != repr(expected) and (got != expected or isinstance(got, bool) != isinstance(expected, bool)):
        yield key, repr(got), repr(expected)


def _refuse_foreign_files(folder: Path) -> None:
    """Refuse a folder without settings that holds anything but what a killed start leaves."""
    if folder.exists():
        foreign = sorted(path.name for path in folder.iterdir() if not path.name.endswith(TEMPORARY))
        if foreign:
            count = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            raise invalid_argument(
                "folder",
                f"{folder} with {foreign[0]}{count} and no {SETTINGS_FILE}",
                "a folder new, empty, or of the same run",
            )
