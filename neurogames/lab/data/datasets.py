"""Real tables: finding one by name or path, reading it, and listing what there is.

A name is looked up in this order: a path (something with a folder in it or with one of the endings .csv, .csv.gz,
.parquet), ``openml:NAME``, the bundled tables (scikit-learn's, and "planted", see
``neurogames.lab.data.planted``), and the tables in the folder that the environment variable ``NEUROGAMES_DATA`` names,
whose last column is the target. Where two places know a name the earlier one wins; the later one is reached by its
path.
"""

from __future__ import annotations

import difflib
import os
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
import sklearn.datasets

from neurogames._arguments import invalid_argument
from neurogames.lab.data.planted import planted_task
from neurogames.lab.data.table_files import ENDINGS, read_table
from neurogames.lab.data.tables import Dataset, Task, clean_column, dataset_from_frame, infer_task, listed

FOLDER_VARIABLE = "NEUROGAMES_DATA"
LISTED_IN_FULL = 32 * 2**20
"""Larger files are listed without being read."""


def load_dataset(name_or_path: str | Path, *, target: str | None = None, task: Task | None = None) -> Dataset:
    """Find a table by name or path and read it as a learning task.

    Args:
        name_or_path: a table bundled with scikit-learn ("diabetes"), a table in the folder ``NEUROGAMES_DATA``,
            ``openml:NAME`` or ``openml:NUMBER`` (needs a network), or a path to a .csv, .csv.gz or .parquet file.
        target: the column to predict. Files given by path need it; elsewhere it replaces the usual one.
        task: forces the task. Otherwise it is inferred: texts, categories, booleans, and whole numbers with at most
            ten different values are classes, everything else is a regression.

    Returns:
        The data set, checked: at least 20 rows, a complete target of at least two values, every class at least
        twice, finite features.

    Raises:
        ValueError: for an unknown name, a file that is no table, a target that is not there, and any failed check.

    >>> diabetes = load_dataset("diabetes")
    >>> diabetes.task, diabetes.features.shape, diabetes.target.name
    ('regression', (442, 10), 'progression')
    >>> load_dataset("wine").target.cat.categories.tolist()
    ['class_0', 'class_1', 'class_2']
    """
    if not isinstance(name_or_path, (str, Path)) or not str(name_or_path):
        raise invalid_argument("data", name_or_path, "the name of a data set or the path of a table")
    text = str(name_or_path)
    usual: str | None
    if isinstance(name_or_path, Path) or _looks_like_path(text):
        path = Path(text).expanduser()
        frame = read_table(path)
        if target is None:
            raise invalid_argument("target", None, f"a column of {path.name}: {listed(frame.columns)}")
        return dataset_from_frame(_stem(path), frame, target, task=task, source=f"file {path}")
    if text.startswith("openml:"):
        frame, usual, source = _fetch_openml(text)
    elif text in BUNDLED:
        frame = BUNDLED[text]()
        usual, source = str(frame.columns[-1]), "generated" if text == "planted" else "bundled with scikit-learn"
    elif text in (files := _folder_files()):
        frame = read_table(files[text])
        usual, source = str(frame.columns[-1]), f"file {files[text].name} of the folder {FOLDER_VARIABLE}"
        if target is None and all(_is_number(column) for column in frame.columns):
            raise invalid_argument(
                "data", f"{files[text].name} with the first row {listed(frame.columns)}", "a header row"
            )
    else:
        raise invalid_argument("data", text, _what_there_is(text, [*BUNDLED, *files]))
    wanted = usual if target is None else target
    if wanted is None:
        raise invalid_argument("target", None, f"a column of {text}: {listed(frame.columns)}")
    return dataset_from_frame(text, frame, wanted, task=task, source=source)


def list_datasets() -> pd.DataFrame:
    """List the tables that can be asked for by name, without reading large files.

    Returns:
        One row per table with the columns name, source ("scikit-learn", "generated" or ``NEUROGAMES_DATA``), task (as
        it would be inferred), rows, features, and target. What is unknown, because a file is over 32 MB or is no
        readable table, is missing.

    Raises:
        ValueError: if ``NEUROGAMES_DATA`` names no folder.

    >>> print(list_datasets().head(2).to_string(index=False))
        name       source       task  rows  features      target
    diabetes scikit-learn regression   442        10 progression
    linnerud scikit-learn regression    20         3      Weight
    """
    rows: list[tuple[object, ...]] = []
    for name, load in BUNDLED.items():
        frame = load()
        source = "generated" if name == "planted" else "scikit-learn"
        rows.append((name, source, *_summary(frame.iloc[:, -1], len(frame), frame.shape[1])))
    rows += [
        (name, FOLDER_VARIABLE, *_peek(path)) for name, path in sorted(_folder_files().items()) if name not in BUNDLED
    ]
    table = pd.DataFrame(rows, columns=["name", "source", "task", "rows", "features", "target"])
    return table.astype({"rows": "Int64", "features": "Int64"})


def data_folder() -> Path | None:
    """Return the folder that ``NEUROGAMES_DATA`` names, or nothing.

    Raises:
        ValueError: if that is no folder.
    """
    setting = os.environ.get(FOLDER_VARIABLE, "")
    if not setting:
        return None
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise invalid_argument(FOLDER_VARIABLE, setting, "an existing folder")
    return folder


# Sources.


def _bundled(load: Callable[..., Any], target: str, **options: object) -> Callable[[], pd.DataFrame]:
    """One table of scikit-learn as a frame whose last column is the target, classes by their names."""

    def frame() -> pd.DataFrame:
        bunch = load(as_frame=True, **options)
        values = bunch.target if bunch.target.ndim == 1 else bunch.target[target]
        names = getattr(bunch, "target_names", None)
        if names is not None and bunch.target.ndim == 1 and isinstance(names[0], str):
            values = values.map(dict(enumerate(names)))
        table: pd.DataFrame = bunch.data.assign(**{target: values})
        return table

    return frame


BUNDLED: dict[str, Callable[[], pd.DataFrame]] = {
    # Unscaled: the default of scikit-learn would have looked at the test rows.
    "diabetes": _bundled(sklearn.datasets.load_diabetes, "progression", scaled=False),
    "linnerud": _bundled(sklearn.datasets.load_linnerud, "Weight"),
    "breast_cancer": _bundled(sklearn.datasets.load_breast_cancer, "diagnosis"),
    "digits": _bundled(sklearn.datasets.load_digits, "digit"),
    "iris": _bundled(sklearn.datasets.load_iris, "species"),
    "wine": _bundled(sklearn.datasets.load_wine, "cultivar"),
    "planted": lambda: planted_task(2000, shortcut=0.95, rng=np.random.default_rng(0)).frame(),
}
"""The tables that need no network: scikit-learn's, of which the first is the default of ``neurogames compare``, and
the generated task whose shortcut is right in 95 of 100 rows."""


def _folder_files() -> dict[str, Path]:
    """Tables of the folder that the environment names, by name; of two with one name the first ending counts."""
    folder = data_folder()
    if folder is None:
        return {}
    found: dict[str, Path] = {}
    for ending in ENDINGS:
        for path in sorted(folder.iterdir()):
            if path.name.lower().endswith(ending) and path.is_file():
                found.setdefault(_stem(path), path)
    return found


def _fetch_openml(text: str) -> tuple[pd.DataFrame, str | None, str]:
    """Fetch a table by name, or by number, which also fixes the version."""
    wanted = text.removeprefix("openml:")
    if not wanted:
        raise invalid_argument("data", text, "openml:NAME or openml:NUMBER")
    key: dict[str, object] = {"data_id": int(wanted)} if wanted.isdecimal() else {"name": wanted}
    try:
        with warnings.catch_warnings():
            # Several active versions: the oldest is taken, and the source text says which.
            warnings.simplefilter("ignore")
            bunch = sklearn.datasets.fetch_openml(**key, as_frame=True, parser="auto")
    except (OSError, ValueError, KeyError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise invalid_argument(
            "data", f"{text} ({why})", "a table that openml.org delivers (this needs a network)"
        ) from None
    names = list(bunch.target_names or [])
    details = getattr(bunch, "details", None) or {}
    source = f"openml.org, {details.get('name', wanted)} version {details.get('version', '?')}"
    return bunch.frame, names[0] if len(names) == 1 else None, source


def _peek(path: Path) -> tuple[object, ...]:
    """Task, rows, features and target of a file, reading its target column only; missing where that fails."""
    try:
        if path.name.lower().endswith(".parquet"):
            heading = pyarrow.parquet.read_schema(path).names
            rows = pyarrow.parquet.read_metadata(path).num_rows
        else:
            heading, rows = list(pd.read_csv(path, nrows=0).columns), None
        if path.stat().st_size > LISTED_IN_FULL:
            return (None, rows, len(heading) - 1, heading[-1])
        if rows is None:
            values = pd.read_csv(path, usecols=[len(heading) - 1]).iloc[:, 0]
        else:
            values = pd.read_parquet(path, columns=[heading[-1]]).iloc[:, 0]
        return _summary(values, len(values), len(heading))
    except (OSError, EOFError, ValueError, IndexError, zlib.error):
        return (None, None, None, None)


def _summary(values: pd.Series, rows: int, columns: int) -> tuple[object, ...]:
    """Task, rows, features and target of a table with this last column."""
    task = infer_task(clean_column(values), was_bool=pd.api.types.is_bool_dtype(values))
    return (task, rows, columns - 1, str(values.name))


# Words.


def _looks_like_path(text: str) -> bool:
    """Whether a text can only be meant as a path."""
    if text.startswith("openml:"):
        return False
    return "/" in text or "\\" in text or text.lower().endswith(ENDINGS)


def _stem(path: Path) -> str:
    """File name without the ending of a table."""
    ending = next((ending for ending in (".csv.gz", ".csv", ".parquet") if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)]


def _is_number(text: object) -> bool:
    """Whether a column is named by a number, as happens when a file has no header row."""
    try:
        float(str(text))
    except ValueError:
        return False
    return True


def _what_there_is(text: str, names: list[str]) -> str:
    """The sentence that helps with an unknown name."""
    near = difflib.get_close_matches(text, names, n=3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return (
        f"a known name{hint}: one of {listed(BUNDLED)}, a table of the folder {FOLDER_VARIABLE}, openml:NAME, or the "
        "path of a .csv, .csv.gz or .parquet file"
    )
