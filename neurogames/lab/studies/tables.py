"""Rows of a table, in the form in which sentences read them."""

from __future__ import annotations

from typing import Any

import pandas as pd

Row = dict[str, Any]


def rows_by(table: pd.DataFrame, column: str) -> dict[str, Row]:
    """Return the rows of a table by their value in a column in which no value occurs twice.

    Args:
        table: any table.
        column: the column of the labels.

    Returns:
        For each label, the other columns of its row by name.

    Raises:
        ValueError: if a value occurs twice.

    >>> rows_by(pd.DataFrame({"opponent": ["random"], "low": [0.5]}), "opponent")
    {'random': {'low': 0.5}}
    """
    rows = table.set_index(column).to_dict("index")
    return {str(label): {str(name): value for name, value in row.items()} for label, row in rows.items()}


def records(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table in order, each by the names of its columns.

    >>> records(pd.DataFrame({"opponent": ["random"], "low": [0.5]}))
    [{'opponent': 'random', 'low': 0.5}]
    """
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
