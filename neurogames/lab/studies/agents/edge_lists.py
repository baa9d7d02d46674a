"""Graphs from lists of edges, straight into arrays: lines NODE NODE [WEIGHT], in linear time and in parts.

Words are separated by spaces, tabs or commas; lines that begin with # are comments. Nodes are numbered in the order in
which they come. A line is an undirected edge: it may stand once in each direction, with the same weight, as in many
published lists. Whatever is not that is refused with the number of its line.
"""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from neurogames._arguments import invalid_argument

LARGEST_LIST = 2**28
"""Bytes of a list without its compression."""
EXPECTED = "lines NODE NODE [WEIGHT], each edge once or in both directions with one weight; no loops, and weights > 0"
_PART = 2**22
_SHOWN = 60
_BLANK = np.isin(np.arange(256), np.frombuffer(b" \t\n\v\f,", dtype=np.uint8))
_HEADINGS = {("source", "target"), ("from", "to"), ("node1", "node2"), ("node_1", "node_2")}


@dataclass(frozen=True, eq=False)
class EdgeList:
    """A graph.

    Attributes:
        matrix: (n, n) symmetric ``csr_array`` of the weights, the columns of a row in increasing order.
        names: n names of the nodes, a ``pyarrow`` array of text.
    """

    matrix: Any
    names: Any


class _Part(NamedTuple):
    """Edges of some lines: their numbers, (2 edges,) words of nodes, and weights; None where no line has one."""

    line: NDArray[np.int64]
    nodes: Any
    weight: NDArray[np.float64] | None


class _BadLineError(ValueError):
    """A line, counted from 0, and what is wrong with it."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(line, why)
        self.line, self.why = int(line), why


class _NoEdgeError(ValueError):
    """No line is an edge."""


def read_edge_list(path: Path) -> EdgeList:
    r"""Read a list of edges, packed by gzip or not.

    Args:
        path: the file, of UTF-8 text and at most ``LARGEST_LIST`` bytes without its packing.

    Returns:
        The graph.

    Raises:
        ValueError: naming the first line that is no edge, a loop, or an edge again.
        OSError: if the file cannot be read.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "edges.txt"
    >>> _ = place.write_text("# who knows whom\nann bob 2.5\nbob,eve\n")
    >>> graph = read_edge_list(place)
    >>> graph.names.to_pylist(), graph.matrix.toarray().tolist()
    (['ann', 'bob', 'eve'], [[0.0, 2.5, 0.0], [2.5, 0.0, 1.0], [0.0, 1.0, 0.0]])
    """
    content = _unpacked(path)
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        return _graph(list(_parts(content)))
    except _BadLineError as bad:
        text = next(itertools.islice(io.BytesIO(content), bad.line, None)).decode(errors="replace").strip()
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
        raise invalid_argument("graph", f"{path}, line {bad.line + 1}: {shown} ({bad.why})", EXPECTED) from None
    except _NoEdgeError:
        raise invalid_argument("graph", f"{path} without an edge", EXPECTED) from None


def _unpacked(path: Path) -> bytes:
    """The bytes of the list, unpacked no further than to the limit."""
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST_LIST + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise invalid_argument("graph", f"{path} ({error})", "a whole file that is packed by gzip") from None
    if len(content) > LARGEST_LIST:
        raise invalid_argument("graph", f"{path} of more than {LARGEST_LIST >> 20} MiB unpacked", "a smaller list")
    return content.removeprefix(b"\xef\xbb\xbf")


def _parts(content: bytes) -> Iterator[_Part]:
    """The edges of some whole lines after the other."""
    low = lines = 0
    while low < len(content):
        high = content.find(b"\n", low + _PART) + 1 or len(content)
        yield _part(content[low:high], lines)
        lines += content.count(b"\n", low, high)
        low = high


def _part(content: bytes, lines: int) -> _Part:
    """Edges of whole lines, the first of which has this number."""
    text = np.frombuffer(content, dtype=np.uint8)
    _refuse_binary(content, lines)
    bounds = np.flatnonzero(np.diff(np.concatenate([[True], _BLANK[text], [True]])))
    start, end = bounds[::2], bounds[1::2]
    line = np.searchsorted(np.flatnonzero(text == ord("\n")), start)
    comment = np.zeros(content.count(b"\n") + 1, dtype=np.bool_)
    leads = np.diff(line, prepend=-1) > 0
    comment[line[leads & (text[start] == ord("#"))]] = True
    words = ~comment[line]
    start, end, line = start[words], end[words], line[words]
    first = np.flatnonzero(np.diff(line, prepend=-1))
    size = np.diff(first, append=line.size)
    odd = np.flatnonzero((size < 2) | (size > 3))
    if odd.size:
        why = "1 word" if size[odd[0]] == 1 else f"{size[odd[0]]} words"
        raise _BadLineError(lines + line[first[odd[0]]], why)
    nodes = np.column_stack([first, first + 1]).reshape(-1)
    heavy = size == 3
    weight = None
    if heavy.any():
        weight = np.ones(first.size)
        which = first[heavy] + 2
        weight[heavy] = _weights(_words(text, start[which], end[which]), lines + line[first[heavy]])
    return _Part(lines + line[first], _words(text, start[nodes], end[nodes]), weight)


def _refuse_binary(content: bytes, lines: int) -> None:
    """Refuse what is no text."""
    place = content.find(b"\0")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        place = error.start if place < 0 else min(place, error.start)
    if place >= 0:
        raise _BadLineError(lines + content.count(b"\n", 0, place), "no UTF-8 text")


def _words(text: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]) -> Any:
    """Parts of a text as a ``pyarrow`` array of bytes."""
    offset = np.concatenate([[0], np.cumsum(end - start)])
    place = np.arange(offset[-1]) + np.repeat(start - offset[:-1], end - start)
    buffers = [None, pa.py_buffer(offset.astype(np.int32)), pa.py_buffer(text[place])]
    return pa.Array.from_buffers(pa.binary(), start.size, buffers)


def _weights(words: Any, line: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights > 0 of words that stand in these lines."""
    try:
        weight = np.asarray(words.cast(pa.string()).cast(pa.float64()))
    except pa.ArrowInvalid:
        if len(words) == 1:
            raise _BadLineError(line[0], "a weight that is no number") from None
        # Which word it is is not told: look in either half.
        half = len(words) // 2
        return np.concatenate([_weights(words[:half], line[:half]), _weights(words[half:], line[half:])])
    bad = np.flatnonzero(~((weight > 0) & (weight < np.inf)))
    if bad.size:
        raise _BadLineError(line[bad[0]], "a weight that is not a finite number > 0")
    return weight


def _graph(parts: list[_Part]) -> EdgeList:
    """The graph of all edges."""
    if not any(part.line.size for part in parts):
        raise _NoEdgeError
    coded = pa.chunked_array([part.nodes for part in parts]).dictionary_encode().combine_chunks()
    names = coded.dictionary.cast(pa.string())
    node = np.asarray(coded.indices).reshape(-1, 2)
    line = np.concatenate([part.line for part in parts])
    loops = np.flatnonzero(node[:, 0] == node[:, 1])
    if loops.size:
        raise _BadLineError(line[loops[0]], "a loop")
    if np.count_nonzero(node < 2) == 2 and _headings(names):
        raise _BadLineError(line[0], "headings; begin the line with #")
    weight = np.concatenate([np.ones(part.line.size) if part.weight is None else part.weight for part in parts])
    given = csr_array((weight, (node[:, 0], node[:, 1])), shape=(len(names), len(names)))
    turned = given.T.tocsr()
    matrix = given.maximum(turned)
    changed: Any = given != matrix
    # An edge in both directions has to be of one weight: nowhere may the greater one replace the other.
    if given.nnz < line.size or changed.nnz > matrix.nnz - given.nnz:
        raise _again(node, weight, line)
    return EdgeList(matrix, names)


def _again(node: NDArray[Any], weight: NDArray[np.float64], line: NDArray[np.int64]) -> _BadLineError:
    """The first edge that was there before, in this direction or with another weight."""
    seen: dict[tuple[int, int], int] = {}
    for k, (i, j) in enumerate(node.tolist()):
        before = seen.get((i, j), seen.get((j, i)) if weight[seen.get((j, i), k)] != weight[k] else None)
        if before is not None:
            break
        seen[i, j] = k
    return _BadLineError(line[k], f"this edge stands in line {line[before] + 1}, too")


def _headings(names: Any) -> bool:
    """Whether the first two names are headings: well known ones, or words where all others are numbers."""
    first, second = names[0].as_py(), names[1].as_py()
    if (first.lower(), second.lower()) in _HEADINGS:
        return True
    return len(names) > 2 and not _numbers(names[:1]) and not _numbers(names[1:2]) and _numbers(names[2:])


def _numbers(names: Any) -> bool:
    try:
        names.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
