"""Lists of edges: the same arrays and paths as through networkx, and every bad line by its number."""

from __future__ import annotations

import gzip

import networkx as nx
import numpy as np
import pytest

from neurogames.engine import Process, logit, simulate_network, simulate_on_graph
from neurogames.games import GraphGame, NetworkPublicGoodsGame
from neurogames.lab.studies.agents import edge_lists
from neurogames.lab.studies.agents.edge_lists import read_edge_list


def through_networkx(text):
    """The same graph, line by line."""
    graph = nx.Graph()
    for line in text.splitlines():
        words = line.replace(",", " ").split()
        if words and not words[0].startswith("#"):
            graph.add_edge(words[0], words[1], weight=float(words[2]) if len(words) == 3 else 1.0)
    return graph


def random_list(seed, weighted):
    """Edges between named nodes in a random order, with comments, blank lines, both separators; some both ways."""
    rng = np.random.default_rng(seed)
    graph = nx.gnm_random_graph(30, 70, seed=seed)
    lines = ["# a comment, with words", "", "   # another one"]
    for i, j in rng.permutation(np.array(graph.edges)):
        mark = ("", " 1", f" {rng.uniform(0.1, 9):.6g}", f",{rng.uniform(0.1, 9):.3e}")[
            rng.integers(4) if weighted else 0
        ]
        both = [f"näme{i}{rng.choice([' ', ',', chr(9), '  '])}n{j}", f"n{j} näme{i}"]
        both = [each.replace("n", "N") if seed % 2 else each for each in both]
        lines += [f"{each}{mark}" for each in both[: 1 + rng.integers(2)]]
    return "\n".join(lines) + "\n" * (seed % 2)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ending", [".txt", ".csv.gz"])
def test_arrays_and_paths_are_those_of_networkx(seed, ending, tmp_path, monkeypatch):
    monkeypatch.setattr(edge_lists, "_PART", 64)  # many parts
    text = random_list(seed, weighted=seed > 1)
    path = tmp_path / f"edges{ending}"
    content = text.replace("\n", ("\n", "\r\n", "\r")[seed % 3]).encode("utf-8-sig" if seed % 2 else "utf-8")
    path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    slow, fast = through_networkx(text), read_edge_list(path)
    assert fast.names.to_pylist() == list(slow)
    matrix, rng = [[1.0, 3.0, 0.0], [0.0, 2.0, 4.0], [2.0, 0.0, 1.0]], np.random.default_rng
    games = [GraphGame(matrix, graph) for graph in (slow, fast.matrix)]
    goods = [NetworkPublicGoodsGame(graph, 0.4, 1.0) for graph in (slow, fast.matrix)]
    for name in ("first", "neighbour", "weight"):
        np.testing.assert_array_equal(getattr(games[0], name), getattr(games[1], name), strict=True)
        np.testing.assert_array_equal(getattr(goods[0], name), getattr(goods[1], name), strict=True)
    plan = {"sweeps": 6, "replicas": 2}
    start = rng(seed).integers(0, 3, len(slow))
    paths = [simulate_on_graph(each, Process(logit(0.5)), start=start, rng=rng(1), **plan).strategies for each in games]
    np.testing.assert_array_equal(*paths)
    acting = [simulate_network(each, Process(logit(0.5)), start=start > 0, rng=rng(1), **plan) for each in goods]
    np.testing.assert_array_equal(acting[0].profile, acting[1].profile)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b\n\n# c\na\n", "line 4: a (1 word)"),
        ("a b\nc d 2 more\n", "line 2: c d 2 more (4 words)"),
        ("a b 2\nc d x\ne f\ng h y\n", "line 2: c d x (a weight that is no number)"),
        ("a b\nc d nan\n", "line 2: c d nan (a weight that is not a finite number > 0)"),
        ("a b 1e999\n", "line 1: a b 1e999 (a weight that is not a finite number > 0)"),
        ("a b\nc d 0\n", "line 2: c d 0 (a weight that"),
        ("a b\nc d -1\n", "line 2: c d -1 (a weight that"),
        ("a b\nb c\n d d\n", "line 3: d d (a loop)"),
        ("a b\nb c\na b\n", "line 3: a b (this edge stands in line 1, too)"),
        ("a b 2\nb c\nb a 3\n", "line 3: b a 3 (this edge stands in line 1, too)"),
        ("a b 3\nb a 2\n", "line 2: b a 2 (this edge stands in line 1, too)"),
        ("a b\nb a\nb a\n", "line 3: b a (this edge stands in line 2, too)"),
        ("Source,Target\na,b\n", "line 1: Source,Target (headings; begin the line with #)"),
        ("who whom\n1 2\n2 3\n", "line 1: who whom (headings"),
        (b"a b\nc \xff\n", "line 2: c"),
        (b"a b\n\nc\0 d\n", "line 3: c"),
        (f"a b\n{'x' * 500}\n", f"line 2: {'x' * 60} ..."),
        ("", "without an edge"),
        ("# a b\n\n", "without an edge"),
    ],
)
def test_bad_lines_are_told_by_their_number(text, expected, tmp_path):
    path = tmp_path / "edges.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ValueError, match="graph: got") as told:
        read_edge_list(path)
    assert expected in str(told.value).replace("\\x00", "\0")
    assert len(str(told.value).splitlines()) == 1


def test_names_that_only_look_like_headings_are_nodes(tmp_path):
    path = tmp_path / "edges.txt"
    for text in ("source target\nsource 1\n", "a b\nc d\n", "a b\n", "u v\nv 1\n1 2\n"):
        path.write_text(text)
        assert read_edge_list(path).matrix.nnz == 2 * len(text.splitlines())


def test_a_list_is_unpacked_no_further_than_to_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(edge_lists, "LARGEST_LIST", 2**20)
    path = tmp_path / "edges.gz"
    path.write_bytes(gzip.compress(b"\n" * (2**20 - 4) + b"a b\n"))
    assert read_edge_list(path).matrix.shape == (2, 2)
    path.write_bytes(gzip.compress(b"\n" * (2**20 - 3) + b"a b\n"))
    with pytest.raises(ValueError, match="of more than 1 MiB unpacked"):
        read_edge_list(path)
    path.write_bytes(gzip.compress(b"a b\n")[:-3])
    with pytest.raises(ValueError, match="a whole file that is packed by gzip"):
        read_edge_list(path)
