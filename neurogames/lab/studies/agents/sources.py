"""Games and graphs by what is typed: a name with its numbers, or a file."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.games import NormalFormGame, read_efg, read_nfg, reduced_normal_form
from neurogames.lab.studies.agents.edge_lists import read_edge_list
from neurogames.lab.studies.agents.settings import AgentsSettings

_READERS: dict[str, Callable[[Path], Any]] = {".graphml": nx.read_graphml, ".gml": nx.read_gml}
_GRAPHS = "complete, ring:NEIGHBOURS, regular:NEIGHBOURS, lattice:ROWSxCOLUMNS, small-world:NEIGHBOURS:PROBABILITY, "
_GRAPHS += "scale-free:EDGES, random:PROBABILITY, or a file (.graphml, .gml, or lines NODE NODE [WEIGHT], maybe .gz)"
_MOST_BYTES = 2**28
_MOST_EDGES = 5e7


def read_game(text: str) -> NormalFormGame | None:
    """A two-player game from a file, or None for the public goods game "pgg".

    A file of comma-separated values is a symmetric game: the matrix of what the strategy of the row pays against that
    of the column, with or without a first line, and a first column, of names.

    Raises:
        ValueError: if there is no such file, or it is no such game.
        OSError: if it cannot be read.
    """
    if text == "pgg":
        return None
    path = Path(text)
    kinds: dict[str, Callable[[Path], NormalFormGame]] = {
        ".csv": _read_matrix,
        ".nfg": read_nfg,
        ".efg": lambda place: reduced_normal_form(read_efg(place)),
    }
    if path.suffix.lower() not in kinds:
        raise invalid_argument("game", text, "pgg, or a file: a matrix (.csv) or a game of Gambit's (.nfg, .efg)")
    if not path.is_file():
        raise invalid_argument("game", text, "a file that is there")
    game = kinds[path.suffix.lower()](path)
    if len(game.payoffs) != 2:
        raise invalid_argument("game", f"{text}, a game of {len(game.payoffs)} players", "a game of two players")
    return game


def read_graph(text: str, players: int, seed: int) -> Any:
    """A graph by its name, or from a file.

    Args:
        text: such as "regular:8".
        players: number of nodes, where the text does not say it.
        seed: of what is drawn.

    Returns:
        A networkx graph; a ``csr_array`` from a list of edges.

    Raises:
        ValueError: if it names no graph, there is none with these numbers, or a file holds none.
        OSError: if a file cannot be read.

    >>> read_graph("regular:4", 10, 0).number_of_edges(), read_graph("lattice:5x6", 2, 0).number_of_nodes()
    (20, 30)
    """
    if Path(text).is_file():
        return _read_graph_file(Path(text))
    name, _, rest = text.partition(":")
    makers: dict[str, tuple[Callable[..., Any], str]] = {
        "complete": (lambda: nx.complete_graph(players), ""),
        "ring": (lambda k: nx.circulant_graph(players, range(1, k // 2 + 1)), "i"),
        "regular": (lambda k: nx.random_regular_graph(k, players, seed=seed), "i"),
        "lattice": (lambda rows, columns: nx.grid_2d_graph(rows, columns, periodic=True), "xx"),
        "small-world": (lambda k, p: nx.watts_strogatz_graph(players, k, p, seed=seed), "if"),
        "scale-free": (lambda edges: nx.barabasi_albert_graph(players, edges, seed=seed), "i"),
        "random": (lambda p: nx.fast_gnp_random_graph(players, p, seed=seed), "f"),
    }
    if name not in makers:
        raise invalid_argument("graph", text, _GRAPHS)
    make, kinds = makers[name]
    parts = rest.split("x" if kinds == "xx" else ":") if rest else []
    try:
        numbers = [float(part) if kind == "f" else int(part) for part, kind in zip(parts, kinds, strict=True)]
    except ValueError:
        raise invalid_argument("graph", text, _GRAPHS) from None
    degree = numbers[0] if kinds[:1] == "i" else 0
    if any(not 0 < value <= 1e9 for value in numbers) or (name == "ring" and (degree % 2 or degree >= players)):
        raise invalid_argument("graph", text, f"{_GRAPHS}; numbers > 0, those of a ring even and less than the players")
    edges = np.prod(numbers) if kinds == "xx" else players * (degree or numbers[0] * players if numbers else players)
    if edges > _MOST_EDGES:
        raise invalid_argument("graph", f"{text} of about {edges:.1e} edges", f"at most {_MOST_EDGES:.0e}")
    try:
        return make(*numbers)
    except nx.NetworkXError as error:
        raise invalid_argument("graph", f"{text} for {players} players", f"a graph that exists ({error})") from None


def n_nodes(graph: Any) -> int:
    """Number of nodes of a graph of either kind."""
    return int(graph.number_of_nodes() if isinstance(graph, nx.Graph) else graph.shape[0])


def checksums(settings: AgentsSettings) -> dict[str, str]:
    """Checksums of the files that a simulation is made from, by name."""
    named = {"game": settings.game, "graph": settings.graph}
    files = {name: Path(text) for name, text in named.items() if text and Path(text).is_file()}
    sums = {}
    for name, path in files.items():
        with path.open("rb") as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def _read_matrix(path: Path) -> NormalFormGame:
    """A symmetric game from comma-separated values."""
    from neurogames.games import Labels

    expected = "a square matrix of numbers, with or without names in the first line and column"
    try:
        rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise invalid_argument("game", f"{path} ({error})", expected) from None
    names: tuple[str, ...] = ()
    if rows and not all(map(_is_number, rows[0])):
        names, rows = tuple(text.strip() for text in rows[0]), rows[1:]
    if rows and not any(_is_number(row[0]) for row in rows):
        names = names or tuple(row[0].strip() for row in rows)
        rows = [row[1:] for row in rows]
    names = names[len(names) - len(rows) :]
    if len(rows) < 2 or any(len(row) != len(rows) or not all(map(_is_number, row)) for row in rows):
        raise invalid_argument("game", str(path), expected)
    matrix: NDArray[np.float64] = np.array(rows, dtype=np.float64)
    names = names if len(set(names)) == len(rows) else tuple(str(k + 1) for k in range(len(rows)))
    return NormalFormGame((matrix, matrix.T), Labels(path.stem, "", ("1", "2"), (names, names)))


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _read_graph_file(path: Path) -> Any:
    """A graph from a file, its weights under "weight" or in a matrix."""
    if path.suffix.lower() not in _READERS:
        return read_edge_list(path).matrix
    if path.stat().st_size > _MOST_BYTES:
        raise invalid_argument("graph", f"{path} of {path.stat().st_size} bytes", f"at most {_MOST_BYTES}")
    try:
        return _READERS[path.suffix.lower()](path)
    except (ValueError, KeyError, TypeError, AttributeError, nx.NetworkXError, SyntaxError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise invalid_argument("graph", f"{path} ({why})", "a graph as GraphML or GML") from None
