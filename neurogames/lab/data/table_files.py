"""Files of tables: what is read of them, how much, and what is refused because it would be misread.

A file may hold what pandas reads in silence as another table: two columns of one name, rows with one field more than
the header (the first field becomes a name of the row) or with fewer, lists or dates in a column, numbers among which a
text stands. Each is refused with its place. At most ``LARGEST_TABLE`` bytes are unpacked, whatever the size of the
packed file.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.lab.data.tables import MOST_WHOLE_CLASSES, listed

ENDINGS = (".csv", ".csv.gz", ".parquet")
LARGEST_TABLE = 512 * 2**20
"""Bytes of a table without its compression."""
_NO_TABLE = (
    pyarrow.types.is_nested,
    pyarrow.types.is_temporal,
    pyarrow.types.is_decimal,
    pyarrow.types.is_binary,
    pyarrow.types.is_large_binary,
    pyarrow.types.is_fixed_size_binary,
)
"""Kinds of columns that pandas would hand on as objects."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)|\d{1,2}[./]\d{1,2}[./]\d{2,4}$")
_TABLE = "a table with at least two columns and a header row"


def read_table(path: Path) -> pd.DataFrame:
    r"""Read a csv, csv.gz or parquet file, or say in one line why it is no table.

    Args:
        path: the file; text is UTF-8, with commas and a header row.

    Returns:
        The table, each column under a name of its own.

    Raises:
        ValueError: there is no such file, it is larger than ``LARGEST_TABLE``, or it holds no table of numbers,
            booleans and texts.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "small.csv"
    >>> _ = place.write_text("size,price\n1,2\n3,4\n")
    >>> read_table(place)["price"].tolist()
    [2, 4]
    """
    if not path.is_file():
        there = "a folder" if path.is_dir() else "nothing"
        raise invalid_argument("data", str(path), f"an existing file ({there} is there)")
    if not path.name.lower().endswith(ENDINGS):
        raise invalid_argument("data", str(path), f"a file that ends in {', '.join(ENDINGS)}")
    try:
        frame = _read_parquet(path) if path.name.lower().endswith(".parquet") else _read_csv(path)
    except pd.errors.ParserWarning:
        raise invalid_argument("data", f"{path} with rows longer than the header row", _TABLE) from None
    except Exception as error:
        # A damaged file may break its reader anywhere.
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise invalid_argument("data", f"{path} ({why})", _TABLE) from None
    if any("\0" in str(column) for column in frame.columns):
        raise invalid_argument("data", f"{path} with binary content", _TABLE)
    if frame.shape[1] < 2:
        raise invalid_argument(
            "data", f"{path} with {frame.shape[1]} columns ({listed(frame.columns)})", f"{_TABLE}, separated by commas"
        )
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    """A table of text; a ParserWarning where rows are longer than the header."""
    content = io.BytesIO(_unpacked(path))
    heading = pd.read_csv(content, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
    _refuse_twice(heading[heading != ""].tolist())
    content.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(content, index_col=False, low_memory=False)
    _refuse_short(content, len(heading))
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            _refuse_unclear(str(name), frame[name].dropna().astype(str).unique())
    return frame


def _unpacked(path: Path) -> bytes:
    """The bytes of a file of text, unpacked no further than to the limit."""
    with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
        content = file.read(LARGEST_TABLE + 1)
    _refuse_large(len(content))
    return content


def _read_parquet(path: Path) -> pd.DataFrame:
    """A table of columns, whose kinds and sizes are known before they are read."""
    about = pyarrow.parquet.ParquetFile(path)
    # Repeated values take hardly any room in the file.
    _refuse_large(8 * about.metadata.num_rows * len(about.schema_arrow))
    _refuse_large(sum(about.metadata.row_group(group).total_byte_size for group in range(about.num_row_groups)))
    _refuse_twice(about.schema_arrow.names)
    for column in about.schema_arrow:
        kind = column.type.value_type if pyarrow.types.is_dictionary(column.type) else column.type
        if any(refused(kind) for refused in _NO_TABLE):
            raise ValueError(f"column {column.name!r} holds {column.type}, not numbers, booleans or texts")
    # Texts that are none would be found only where they are used.
    about.read().validate(full=True)
    return pd.read_parquet(path)


def _refuse_short(content: io.BytesIO, columns: int) -> None:
    """Refuse rows with fewer fields than the header, whose fields may stand in the wrong columns."""
    content.seek(0)
    with io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines)
        for row in rows:
            if len(row) < columns and (len(row) > 1 or "".join(row).strip()):
                raise ValueError(f"line {rows.line_num} has {len(row)} of {columns} fields")


def _refuse_unclear(name: str, texts: NDArray[Any]) -> None:
    """Refuse a column of text that its writer cannot have meant as categories."""
    numbers = int(pd.to_numeric(pd.Series(texts), errors="coerce").notna().sum())
    if numbers > MOST_WHOLE_CLASSES and 2 * numbers >= len(texts):
        rest = [text for text in texts.tolist() if pd.isna(pd.to_numeric(text, errors="coerce"))]
        more = f" and texts such as {listed([rest[0]])!r}" if rest else ", too large for one"
        raise ValueError(f"column {name!r} holds {numbers} different numbers{more}; leave missing fields empty")
    if len(texts) and all(_DATE.match(text) for text in texts):
        raise ValueError(f"column {name!r} holds dates, not numbers, booleans or texts")


def _refuse_large(size: int) -> None:
    if size > LARGEST_TABLE:
        raise ValueError(f"more than {LARGEST_TABLE // 2**20} MiB unpacked")


def _refuse_twice(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"several columns with the name {listed(map(repr, twice))}")
