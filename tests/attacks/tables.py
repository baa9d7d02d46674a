"""Tables as people have them: each is read as it is meant, or refused in one line.

    python -m tests.attacks.tables 200 --seed 0 --compared 20

makes tables of the kinds below, with drawn sizes and numbers, and knows of each what has to be read, or that it has to
be refused. All are read by ``load_dataset`` and listed by ``neurogames datasets``; ``neurogames compare`` is given all
that are refused, and so many of the others, with one epoch.
"""

from __future__ import annotations

import argparse
import datetime
import decimal
import gzip
import io
import os
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from neurogames.lab.cli.app import app
from neurogames.lab.data.datasets import FOLDER_VARIABLE, load_dataset
from neurogames.lab.data.preparation import prepare

Columns = dict[str, list[Any]]
NAMES = (
    r"a$\frac{$b_^",
    "[red]size[/red]",
    "<b>&amp;</b>",
    "🎲",
    'say "x"',
    "C:\\new",
    "{size}",
    "%s",
    "x=1,y=2",
    "__a__",
    "日本語",
    "  two words  ",
)
FILES = ("t", r"a$\frac{$b_^", "[bold]t", "two words", "ü", "🎲", "-rf", "{t}", "%d", "t.csv")


class Table(NamedTuple):
    """A file, its target, and the columns that have to be read; none if it has to be refused."""

    content: bytes
    ending: str
    target: str
    expected: Columns | None


def columns(rng: np.random.Generator) -> Columns:
    """A table of numbers, texts, and a target."""
    rows = int(rng.integers(24, 40))
    texts = rng.permutation(["red", "green", "dark blue"] * rows)[:rows].tolist()
    return {"size": rng.normal(size=rows).tolist(), "colour": texts, "y": rng.normal(size=rows).tolist()}


def text_of(table: Columns, separator: str = ",", end: str = "\n") -> str:
    """A table as comma-separated values, each number by all its digits."""
    frame = pd.DataFrame(table)
    return frame.to_csv(index=False, sep=separator, lineterminator=end, na_rep="")


def parquet_of(table: Any) -> bytes:
    """A table as parquet."""
    made = io.BytesIO()
    pd.DataFrame(table).to_parquet(made, index=False)
    return made.getvalue()


def _read(content: str | bytes, table: Columns, target: str = "y", ending: str = ".csv") -> Table:
    return Table(content.encode() if isinstance(content, str) else content, ending, target, table)


def _refused(content: str | bytes, target: str = "y", ending: str = ".csv") -> Table:
    return Table(content.encode() if isinstance(content, str) else content, ending, target, None)


def _with(rng: np.random.Generator, **changed: Callable[[int], list[Any]]) -> Columns:
    """A table in which some columns are made anew, from their number of rows."""
    table = columns(rng)
    return table | {name: make(len(table["y"])) for name, make in changed.items()}


def _some(rng: np.random.Generator, values: list[Any], other: Any) -> list[Any]:
    """Values, a few of which are another."""
    places = set(rng.choice(len(values), 2, replace=False).tolist())
    return [other if place in places else value for place, value in enumerate(values)]


def _plain(rng: np.random.Generator) -> Table:
    table = columns(rng)
    end = str(rng.choice(["\n", "\r\n", "\r", "\n\n"]))
    return _read(text_of(table, end=end), table)


def _marked(rng: np.random.Generator) -> Table:
    table = columns(rng)
    return _read(text_of(table).encode("utf-8-sig"), table)


def _packed(rng: np.random.Generator) -> Table:
    table = columns(rng)
    return _read(gzip.compress(text_of(table).encode()), table, ending=".csv.gz")


def _named(rng: np.random.Generator) -> Table:
    new = dict(zip(("size", "colour", "y"), rng.choice(NAMES, 3, replace=False).tolist(), strict=True))
    table = {new[name]: values for name, values in columns(rng).items()}
    return _read(text_of(table), table, target=new["y"])


def _quoted(rng: np.random.Generator) -> Table:
    texts = ["a, b", 'say "x"', "two\nlines", "<b>", "$x_1$", "[red]"]
    table = _with(rng, colour=lambda rows: (texts * rows)[:rows])
    return _read(text_of(table), table)


def _missing(rng: np.random.Generator) -> Table:
    table = columns(rng)
    table["size"] = _some(rng, table["size"], float("nan"))
    return _read(text_of(table), table)


def _constant(rng: np.random.Generator) -> Table:
    table = _with(rng, colour=lambda rows: ["red"] * rows)
    return _read(text_of(table), table)


def _kinds(rng: np.random.Generator) -> Table:
    kind = str(rng.choice(["int8", "uint8", "int32", "uint64", "float16", "float32", "Int64", "bool"]))
    table = _with(rng, size=lambda rows: (list(range(0, 9)) * rows)[:rows])
    frame = pd.DataFrame(table)
    frame["size"] = frame["size"].astype(kind)
    return _read(parquet_of(frame), table | {"size": frame["size"].astype(float).tolist()}, ending=".parquet")


def _declared(rng: np.random.Generator) -> Table:
    table = columns(rng)
    return _read(parquet_of(pd.DataFrame(table).astype({"colour": "category"})), table, ending=".parquet")


def _classes(rng: np.random.Generator) -> Table:
    names = [["0", "1"], ["7", "-3", "11"], ["True", "False"], ["yes", "no", "$x$"]][int(rng.integers(4))]
    table = _with(rng, y=lambda rows: (names * rows)[:rows])
    return _read(text_of(table), table)


def _close(rng: np.random.Generator) -> Table:
    table = _with(rng, size=lambda rows: [2**53 - row for row in range(rows)])
    return _read(text_of(table), table)


def _scientific(rng: np.random.Generator) -> Table:
    table = columns(rng)
    lines = [f"{size:+.17e}, {colour},{y!r}" for size, colour, y in zip(*table.values(), strict=True)]
    table["colour"] = [f" {colour}" for colour in table["colour"]]
    return _read("\n".join(["size,colour,y", *lines]), table)


def _line_changed(change: Callable[[str], str]) -> Callable[[np.random.Generator], Table]:
    def make(rng: np.random.Generator) -> Table:
        lines = text_of(columns(rng)).splitlines()
        place = int(rng.integers(1, len(lines)))
        lines[place] = change(lines[place])
        return _refused("\n".join(lines))

    return make


def _column_changed(change: Callable[[int, np.random.Generator], list[Any]], name: str = "size") -> Any:
    return lambda rng: _refused(text_of(_with(rng, **{name: lambda rows: change(rows, rng)})))


def _parquet_changed(change: Callable[[int], list[Any]]) -> Callable[[np.random.Generator], Table]:
    return lambda rng: _refused(parquet_of(_with(rng, size=change)), ending=".parquet")


def _heading(old: str, new: str) -> Callable[[np.random.Generator], Table]:
    return lambda rng: _refused(text_of(columns(rng)).replace(old, new, 1))


def _encoded(name: str) -> Callable[[np.random.Generator], Table]:
    return lambda rng: _refused(text_of(columns(rng)).replace("red", "röt").encode(name))


READ = {
    "plain, by any end of line": _plain,
    "a mark of its encoding": _marked,
    "packed": _packed,
    "odd names": _named,
    "texts in quotes": _quoted,
    "missing numbers": _missing,
    "a constant column": _constant,
    "parquet of any kind of number": _kinds,
    "declared categories": _declared,
    "classes": _classes,
    "large whole numbers": _close,
    "numbers by powers of ten, spaces": _scientific,
}
REFUSED = {
    "a longer row": _line_changed(lambda line: f"{line},1"),
    "a shorter row": _line_changed(lambda line: line.rpartition(",")[0]),
    "an open quote": _line_changed(lambda line: f'"{line}'),
    "two columns of one name": _heading("colour", "size"),
    "two targets": _heading("size", "y"),
    "infinite numbers": _column_changed(lambda rows, rng: _some(rng, [1.5] * rows, float("inf"))),
    "huge numbers": _column_changed(lambda rows, rng: _some(rng, [1.5] * rows, 1e300)),
    "whole numbers that floats confuse": _column_changed(lambda rows, _: [2**60 + row for row in range(rows)]),
    "whole numbers beyond 64 bits": _column_changed(lambda rows, _: [10**25 + row for row in range(rows)]),
    "numbers and a text": _column_changed(lambda rows, rng: _some(rng, list(range(rows)), "?")),
    "dates": _column_changed(lambda rows, _: [f"2020-01-{1 + row % 9:02}" for row in range(rows)]),
    "a text of its own in every row": _column_changed(lambda rows, _: [f"person {row}" for row in range(rows)]),
    "one class": _column_changed(lambda rows, _: ["yes"] * rows, "y"),
    "a class with one row": _column_changed(lambda rows, _: ["rare", *(["yes", "no"] * rows)[: rows - 1]], "y"),
    "a target with gaps": _column_changed(lambda rows, rng: _some(rng, ([1.5, 2.5] * rows)[:rows], None), "y"),
    "a target of 1e-300": _column_changed(lambda rows, _: [1e-300 * row for row in range(rows)], "y"),
    "lists": _parquet_changed(lambda rows: [[row] for row in range(rows)]),
    "records": _parquet_changed(lambda rows: [{"a": row} for row in range(rows)]),
    "days": _parquet_changed(lambda rows: [datetime.date(2020, 1, 1 + row % 9) for row in range(rows)]),
    "decimals": _parquet_changed(lambda rows: [decimal.Decimal(row) / 4 for row in range(rows)]),
    "bytes": _parquet_changed(lambda rows: [b"ab"[row % 2 :] for row in range(rows)]),
    "Latin-1": _encoded("latin-1"),
    "UTF-16": _encoded("utf-16"),
    "semicolons": lambda rng: _refused(text_of(columns(rng), separator=";")),
    "no row": lambda _: _refused("size,colour,y\n"),
    "nothing": lambda _: _refused(""),
    "few rows": lambda rng: _refused("\n".join(text_of(columns(rng)).splitlines()[:15])),
    "no table": lambda rng: _refused(rng.bytes(500)),
}


def tables(count: int, seed: int) -> Iterator[tuple[str, Table]]:
    """Tables of all kinds in turn."""
    kinds = {**READ, **REFUSED}
    for number in range(count):
        name = list(kinds)[number % len(kinds)]
        yield name, kinds[name](np.random.default_rng([seed, number]))


def answer(table: Table, path: Path) -> str:
    """What is wrong with how a table is read; nothing if it is right."""
    path.write_bytes(table.content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = load_dataset(path, target=table.target)
            prepare(found, rng=np.random.default_rng(0))
    except ValueError as error:
        text = str(error)
        if len(text.splitlines()) != 1 or len(text) > 1500 or type(error) is not ValueError:
            return f"{type(error).__name__}: {text[:300]!r}"
        return "" if table.expected is None else f"refused: {text[:300]}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]!r}"
    if table.expected is None:
        return "read, and should have been refused"
    read = {**found.features, table.target: found.target}
    if list(read) != [*(name for name in table.expected if name != table.target), table.target]:
        return f"columns {list(read)}"
    wrong = [name for name, values in table.expected.items() if not _same(read[name], values)]
    return f"other values in {wrong}" if wrong else ""


def _same(read: pd.Series, expected: list[Any]) -> bool:
    if read.dtype == np.float64:
        return np.array_equal(read.to_numpy(), np.array(expected, dtype=np.float64), equal_nan=True)
    return read.astype(str).tolist() == [str(value) for value in expected]


def compared(table: Table, path: Path, out: Path) -> str:
    """What is wrong with how ``neurogames compare`` answers to a table; nothing if it is right."""
    words = ["compare", "--data", str(path), "--target", table.target, "--out", str(out), "--workers", "1"]
    words += shlex.split("--seeds 2 --epochs 1 --batch-size 8 --hidden 2 --keep-prob 0.5 --keep-prob 1 --sweeps 2")
    words += ["--target-noise", "none"]
    done = CliRunner().invoke(app, words, prog_name="neurogames")
    lines = [line for line in done.stderr.splitlines() if line.strip() and "━" not in line]
    if table.expected is None:
        about = len(lines) == 1 and lines[0].startswith(
            ("neurogames: data", "neurogames: target", "neurogames: column")
        )
        return "" if done.exit_code == 2 and about and not out.exists() else f"{done.exit_code}: {lines}"
    return "" if done.exit_code == 0 and (out / "report.html").is_file() else f"{done.exit_code}: {lines[-3:]}"


def main() -> None:
    """Give the tables to everything that reads tables, and say what was wrong."""
    parser = argparse.ArgumentParser(description="tables as people have them")
    parser.add_argument("count", type=int, help="tables")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compared", type=int, default=20, help="readable tables that are trained on")
    options = parser.parse_args()
    wrong, refused, trained = 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "tables"
        folder.mkdir()
        for number, (name, table) in enumerate(tables(options.count, options.seed)):
            path = folder / f"{FILES[number % len(FILES)]}-{number}{table.ending}"
            faults = [answer(table, path)]
            refused += table.expected is None
            if table.expected is None or trained < options.compared:
                trained += table.expected is not None
                faults.append(compared(table, path, Path(place) / f"out-{number}"))
            faults = [fault for fault in faults if fault]
            wrong += bool(faults)
            if faults:
                print(f"{number}, {name}: {'; '.join(faults)}", flush=True)
        os.environ[FOLDER_VARIABLE] = str(folder)
        listed = CliRunner().invoke(app, ["datasets"], prog_name="neurogames")
        if listed.exit_code or "\x1b" in listed.stdout:
            wrong += 1
            print(f"datasets: exit code {listed.exit_code}: {listed.stderr[-300:]}")
    print(f"{options.count} tables, {refused} to be refused, {trained} trained on, {wrong} answered wrongly")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
