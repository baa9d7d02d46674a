"""The cheap form of ``tables``: two of each kind are read, or refused by the command before any work."""

from __future__ import annotations

import numpy as np
import pytest

from tests.attacks.tables import FILES, READ, REFUSED, answer, compared, tables


@pytest.mark.parametrize("name", [*READ, *REFUSED])
def test_a_table_is_read_as_it_is_meant_or_refused_in_one_line(name, tmp_path):
    for number in range(2):
        table = {**READ, **REFUSED}[name](np.random.default_rng([7, number]))
        path = tmp_path / f"{FILES[number + len(name) % 8]}{table.ending}"
        assert answer(table, path) == ""
        if table.expected is None:
            assert compared(table, path, tmp_path / "out") == ""


def test_an_odd_name_goes_all_the_way(tmp_path):
    table = READ["odd names"](np.random.default_rng(0))
    path = tmp_path / rf"a$\frac{{$b_^{table.ending}"
    assert answer(table, path) == ""
    assert compared(table, path, tmp_path / "out") == ""


def test_an_answer_that_is_wrong_is_noticed(tmp_path):
    name, table = next(tables(1, 0))
    assert name in READ
    assert "other values" in answer(table._replace(expected={**table.expected, "size": [0.0]}), tmp_path / "t.csv")
    assert "should have been refused" in answer(table._replace(expected=None), tmp_path / "t.csv")
    broken = table._replace(content=b"size\n1\n")
    assert answer(broken, tmp_path / "t.csv").startswith("refused: ")
