from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from neurogames.lab.data import table_files
from neurogames.lab.data.table_files import read_table
from neurogames.lab.data.tables import dataset_from_frame


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y,y\n1,2,3\n", "several columns with the name 'y'"),
        ("a,b\n1,2,3\n4,5,6\n", "rows longer than the header row"),
        ("a,b\n1,2\n4,5,6\n", "Expected 2 fields in line 3, saw 3"),
        ("a\n1\n", "1 columns"),
        ("", "EmptyDataError|No columns"),
        ("\0\1\2,\0\n1,2\n", "binary content|ParserError"),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_text_that_pandas_would_misread_is_refused_in_one_line(tmp_path, text, message, ending):
    path = tmp_path / f"table{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending == ".csv.gz" else text.encode())
    with pytest.raises(ValueError, match=message) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_byte_order_mark_blank_lines_and_a_comma_at_the_end_are_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\ufeff\na,b\n1,2,\n3,4,\n", encoding="utf-8")
    assert read_table(path).to_dict("list") == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([[1.0], [2.0]], "list"),
        ([{"x": 1}, {"x": 2}], "struct"),
        (pd.to_datetime(["2026-01-01", "2026-01-02"]), "time"),
    ],
)
def test_columns_that_are_no_numbers_or_texts_are_refused_by_name(tmp_path, column, kind):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"size": [1.0, 2.0], "odd": column}).to_parquet(path)
    with pytest.raises(ValueError, match=f"column 'odd' holds {kind}"):
        read_table(path)


def test_a_small_file_that_unpacks_to_a_large_table_is_refused_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "LARGEST_TABLE", 10**6)
    packed = tmp_path / "bomb.csv.gz"
    packed.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 10**7))
    columns = tmp_path / "bomb.parquet"
    pd.DataFrame({"a": np.zeros(10**6), "b": np.zeros(10**6)}).to_parquet(columns)
    for path in (packed, columns):
        assert path.stat().st_size < 10**5
        tracemalloc.start()
        with pytest.raises(ValueError, match="MiB unpacked"):
            read_table(path)
        assert tracemalloc.get_traced_memory()[1] < 10**7
        tracemalloc.stop()


def test_classes_that_are_close_floats_stay_apart():
    close = [0.1, np.nextafter(0.1, 1.0)]
    frame = pd.DataFrame({"a": np.arange(20.0), "y": close * 10})
    assert dataset_from_frame("t", frame, "y", task="classification").target.nunique() == 2


@pytest.mark.parametrize("name", ["a", "y"])
def test_numbers_that_single_precision_cannot_tell_apart_are_refused(name):
    frame = pd.DataFrame({"a": np.arange(20.0), "y": np.arange(20.0)})
    frame[name] *= 1e-300
    with pytest.raises(ValueError, match=f"column '{name}': got 'a spread of 2e-299"):
        dataset_from_frame("t", frame, "y", task="regression")
