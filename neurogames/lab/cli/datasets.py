"""The command datasets: the tables that can be named."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from neurogames.lab.cli.terminal import cell, ends_plainly, say


@ends_plainly(resumes=False)
def datasets() -> None:
    """List the tables that can be named, and where they come from."""
    from neurogames.lab.data.datasets import list_datasets  # loads scikit-learn

    frame = list_datasets()
    table = Table()
    for name in frame.columns:
        table.add_column(str(name), overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*map(cell, row))
    Console().print(table)
    say(
        "Also: openml:NAME, or a path to a csv, csv.gz or parquet file with --target COLUMN. "
        "NEUROGAMES_DATA names a folder of further tables."
    )
