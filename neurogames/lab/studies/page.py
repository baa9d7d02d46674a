"""One page that can be read offline: terms and sentences, then figures, then tables, then how to run it again.

A page that has one answer leads with a figure and a sentence; findings follow, each beside a figure of its own, and
all else is folded.

The figures are written beside the page (PNG and SVG), the tables too (CSV).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neurogames.lab.figures import save_figure
from neurogames.lab.whole_file import write_whole


@dataclass(frozen=True, eq=False)
class DrawnFigure:
    """A figure of a page: its file name without ending, the drawing, and what to see in it."""

    name: str
    drawing: Figure
    caption: str


@dataclass(frozen=True, eq=False)
class Finding:
    """A question of a page, the number that decides it, how to read it, and the figure beside it."""

    question: str
    number: str
    text: str
    figure: DrawnFigure


@dataclass(frozen=True, eq=False)
class ShownTable:
    """A table of a page: its file name without ending, title, what its columns mean, and whether it is unfolded."""

    name: str
    title: str
    caption: str
    frame: pd.DataFrame
    unfolded: bool = True


@dataclass(frozen=True, eq=False)
class Page:
    """What a report says about its study; how to run it again is added when it is written.

    Attributes:
        title: what was asked.
        subtitle: what was done, in a sentence.
        terms: what the words of the verdicts mean.
        verdicts: what can be said.
        reading: how to read it, and what it cannot show.
        notes: anything a reader must know before trusting a number.
        figures: in order.
        tables: in order.
        lead: the figure to begin with; with it, all of the above but title and subtitle is folded.
        answer: the sentence below that figure.
        findings: what follows it, in order.
    """

    title: str
    subtitle: str
    terms: str
    verdicts: Sequence[str]
    reading: str
    notes: Sequence[str]
    figures: Sequence[DrawnFigure]
    tables: Sequence[ShownTable]
    lead: DrawnFigure | None = None
    answer: str = ""
    findings: Sequence[Finding] = ()


def write_page(
    page: Page, folder: Path, *, rerun: str, settings: Mapping[str, object], versions: Mapping[str, str]
) -> None:
    """Write ``report.html`` with its figures and tables into a folder that is there.

    Args:
        page: what it says.
        folder: where to write.
        rerun: the command that makes it again.
        settings: every setting by name.
        versions: versions of the libraries by name.
    """
    for table in page.tables:
        write_whole(folder / f"{table.name}.csv", table.frame.to_csv(index=False))
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("neurogames.lab"), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("report.html.j2")
    text = template.render(
        title=page.title,
        subtitle=page.subtitle,
        terms=page.terms,
        verdicts=page.verdicts,
        reading=page.reading,
        notes=page.notes,
        lead=None if page.lead is None else _embedded(page.lead, folder),
        answer=page.answer,
        findings=[(finding, _embedded(finding.figure, folder)) for finding in page.findings],
        figures=[_embedded(figure, folder) for figure in page.figures],
        tables=[_rendered(table) for table in page.tables],
        rerun=rerun,
        settings=[(name, _plain(value)) for name, value in settings.items()],
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
    )
    write_whole(folder / "report.html", text)


def _embedded(figure: DrawnFigure, folder: Path) -> dict[str, str]:
    save_figure(figure.drawing, folder, figure.name)
    code = base64.b64encode((folder / f"{figure.name}.svg").read_bytes()).decode("ascii")
    source = f"data:image/svg+xml;base64,{code}"
    return {"name": figure.name, "source": source, "caption": figure.caption, "alt": figure.caption.split(".")[0]}


def _rendered(table: ShownTable) -> dict[str, object]:
    frame = table.frame
    columns = [
        {"name": str(name).replace("_", " "), "text": not pd.api.types.is_numeric_dtype(frame[name])}
        for name in frame.columns
    ]
    rows = [[_plain(cell) for cell in row] for row in frame.itertuples(index=False)]
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "open": table.unfolded,
        "columns": columns,
        "rows": rows,
    }


def _plain(value: object) -> str:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value)
