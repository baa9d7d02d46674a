"""One table as one learning task: what a data set is, and the checks it passes before any work.

A ``Dataset`` is a table of features and one target column. Every feature column is either ``float64`` (numbers and
booleans; missing is NaN) or ``category`` (texts); a regression target is ``float64``, a classification target is
``category`` with sorted categories.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from neurogames._arguments import invalid_argument

Task = Literal["regression", "classification"]
TASKS: tuple[Task, ...] = get_args(Task)

LEAST_ROWS = 20
MOST_WHOLE_CLASSES = 10
LARGEST_NUMBER = 1e30
SMALLEST_SPREAD = 1e-30
LARGEST_WHOLE = 2**53
"""Above, whole numbers that differ become one."""
_LONGEST = 60
"""Characters of a name that an error quotes."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One learning task on one table.

    Attributes:
        name: short name, as asked for.
        task: "regression" or "classification".
        features: (rows, columns) table of ``float64`` and ``category`` columns.
        target: (rows,) the column to predict, ``float64`` or ``category``.
        source: where the table came from, in words.
    """

    name: str
    task: Task
    features: pd.DataFrame
    target: pd.Series
    source: str


def short_name(data: str) -> str:
    """Return the name of data without the path and the ending of their file.

    >>> short_name("tables/wine_quality.csv.gz")
    'wine_quality'
    """
    return Path(data).name.split(".")[0]


def dataset_from_frame(
    name: str, frame: pd.DataFrame, target: str, *, task: Task | None = None, source: str = "given in memory"
) -> Dataset:
    """Check a table and split it into features and target; the table itself stays as it is.

    Args:
        name: what to call it.
        frame: the table, one row per observation.
        target: the column to predict.
        task: forces the task; inferred as in ``load_dataset`` otherwise.
        source: where the table came from.

    Returns:
        The data set.

    Raises:
        ValueError: as in ``load_dataset``.

    >>> table = pd.DataFrame({"size": range(20), "colour": ["red", "blue"] * 10, "price": np.linspace(1, 2, 20)})
    >>> dataset_from_frame("toy", table, "price").features.dtypes.astype(str).tolist()
    ['float64', 'category']
    >>> dataset_from_frame("toy", table, "prise")
    Traceback (most recent call last):
    ValueError: target: got 'prise', expected a column of toy (did you mean 'price'?): size, colour, price
    """
    if task not in (None, *TASKS):
        raise invalid_argument("task", task, "'regression' or 'classification'")
    frame = frame.set_axis([str(column) for column in frame.columns], axis="columns")
    if not frame.columns.is_unique:
        raise invalid_argument(
            "columns", listed(frame.columns[frame.columns.duplicated()]) + " twice", "each name once"
        )
    if target not in frame.columns:
        near = difflib.get_close_matches(str(target), list(frame.columns), n=1)
        hint = f" (did you mean {listed(map(repr, near))}?)" if near else ""
        raise invalid_argument("target", target, f"a column of {name}{hint}: {listed(frame.columns)}")
    if frame.shape[1] < 2:
        raise invalid_argument("data", f"only the column {target!r}", "at least one feature beside the target")
    if len(frame) < LEAST_ROWS:
        raise invalid_argument("data", f"{len(frame)} rows in {name}", f"at least {LEAST_ROWS} rows")
    missing = int(frame[target].isna().sum())
    if missing:
        raise invalid_argument("target", f"{missing} of {len(frame)} rows of {target!r} missing", "none missing")
    features = pd.DataFrame({column: clean_column(frame[column]) for column in frame.columns if column != target})
    for column in features.columns[features.dtypes == np.float64]:
        _refuse_wild_numbers(features[column])
    values = clean_column(frame[target])
    task = task or infer_task(values, was_bool=pd.api.types.is_bool_dtype(frame[target]))
    if task == "regression":
        if values.dtype != np.float64:
            raise invalid_argument(
                "task", f"'regression' for the texts of {target!r}", "a column of numbers, or task 'classification'"
            )
        _refuse_wild_numbers(values)
    else:
        values = _as_classes(values, was_bool=pd.api.types.is_bool_dtype(frame[target]))
    if values.nunique() < 2:
        raise invalid_argument(
            "target", f"the one value {values.iloc[0]} in all rows of {target!r}", "at least two values"
        )
    if task == "classification" and (counts := values.value_counts()).min() < 2:
        rare = counts[counts < 2].index
        raise invalid_argument(
            "target",
            f"{len(rare)} classes of {target!r} with one row ({listed(rare)})",
            "at least two rows in every class",
        )
    features.index = values.index = pd.RangeIndex(len(frame))
    return Dataset(name=name, task=task, features=features, target=values, source=source)


def clean_column(values: pd.Series) -> pd.Series:
    """A column as ``float64`` (numbers, booleans) or ``category`` of texts; anything else is refused.

    >>> clean_column(pd.Series(["b", None, "a"])).cat.categories.tolist(), clean_column(pd.Series([True])).tolist()
    (['a', 'b'], [1.0])
    """
    kind = pd.api.types
    if kind.is_complex_dtype(values) or kind.is_datetime64_any_dtype(values) or kind.is_timedelta64_dtype(values):
        raise invalid_argument(
            f"column {values.name!r}", f"values of the kind {values.dtype}", "numbers, booleans or texts"
        )
    if kind.is_integer_dtype(values) and values.notna().any():
        largest = max(abs(int(values.min())), abs(int(values.max())))
        if largest > LARGEST_WHOLE:
            raise invalid_argument(f"column {values.name!r}", largest, f"whole numbers up to {LARGEST_WHOLE}, or texts")
    if kind.is_bool_dtype(values) or kind.is_numeric_dtype(values):
        return pd.Series(values.to_numpy(dtype=np.float64, na_value=np.nan), index=values.index, name=values.name)
    texts = values.astype(object).map(str, na_action="ignore")
    return texts.astype(pd.CategoricalDtype(sorted(texts.dropna().unique())))


def infer_task(values: pd.Series, *, was_bool: bool) -> Task:
    """Texts, booleans, and few whole numbers are classes; everything else is a regression.

    >>> infer_task(pd.Series([3.0, 4.0]), was_bool=False), infer_task(pd.Series([3.5, 4.0]), was_bool=False)
    ('classification', 'regression')
    """
    if was_bool or values.dtype != np.float64:
        return "classification"
    whole = bool((values == np.floor(values)).all())
    return "classification" if whole and values.nunique() <= MOST_WHOLE_CLASSES else "regression"


def _as_classes(values: pd.Series, *, was_bool: bool) -> pd.Series:
    """A target as categories in sorted order, numbers in numeric order and written as short as possible."""
    if values.dtype != np.float64:
        return values
    order = sorted(values.unique())
    names = [str(bool(value)) if was_bool else _shortest(float(value)) for value in order]
    return values.map(dict(zip(order, names, strict=True))).astype(pd.CategoricalDtype(names))


def _shortest(value: float) -> str:
    """The shortest text that tells a number from all others."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _refuse_wild_numbers(values: pd.Series) -> None:
    """Refuse infinities, and numbers that would overflow or vanish in single precision."""
    wild = int((values.abs() > LARGEST_NUMBER).sum())
    if wild:
        raise invalid_argument(
            f"column {values.name!r}",
            f"{wild} infinite or huge entries",
            f"numbers of size at most {LARGEST_NUMBER:.0e}",
        )
    spread = float(values.max() - values.min())
    if 0.0 < spread < SMALLEST_SPREAD:
        raise invalid_argument(
            f"column {values.name!r}", f"a spread of {spread:.0e}", f"numbers that differ by at least {SMALLEST_SPREAD}"
        )


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names in one line, the rest counted; of long ones the beginning.

    >>> listed("abcdef", most=2)
    'a, b and 4 more'
    """
    shown = [text if text.isprintable() else repr(text)[1:-1] for text in map(str, names)]
    texts = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..." for text in shown]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
