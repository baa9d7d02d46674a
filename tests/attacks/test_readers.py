"""Every reader answers damaged and hostile files, or refuses them in one line; in proportion to their size."""

from __future__ import annotations

import time

import pytest

from neurogames.games import read_nfg, reduced_normal_form
from neurogames.games.efg import parse_efg
from neurogames.games.nfg import parse_nfg
from tests.attacks.damaged_files import answer, file_of, readers

COUNT = 80


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    return folder, readers(folder)


NAMES = ["nfg", "efg", "csv", "csv.gz", "edges", "edges.gz", "parquet", "idx", "images", "netCDF", "model", "state"]


@pytest.mark.parametrize("name", [*NAMES, "settings", "npz", "TorchScript"])
def test_damaged_files_are_read_or_refused_in_one_line(name, attacked):
    folder, every = attacked
    one = every[name]
    for good in one.good:
        assert answer(one, good, folder / f"good{one.ending}") == ""
        one.read(folder / f"good{one.ending}")
    wrong = {}
    for number in range(COUNT):
        found = answer(one, file_of(one, name, 0, number), folder / f"attack{one.ending}")
        if found:
            wrong[number] = found
    assert not wrong


# Files that were found by other means than chance: number of attacked files, and what each says.


def names(count: int) -> str:
    return "{ " + '"x" ' * count + "}"


ONE = 'EFG 2 R "" { "a" } '
HOSTILE = {
    "10,000 players": (
        parse_nfg,
        f'NFG 1 R "" {names(10_000)} {{ {"2 " * 10_000}}} 1 2',
        "nfg, line 1: got 2, expected",
    ),
    "2000 players with 2000 actions": (parse_nfg, f'NFG 1 R "" {names(2000)} {{ {"2000 " * 2000}}} 1', "got 2000, exp"),
    "more axes than an array has": (
        parse_nfg,
        f'NFG 1 R "" {names(99)} {{ {"1 " * 99}}} {"1 " * 99}',
        "at most 32 players",
    ),
    "a long integer": (parse_nfg, 'NFG 1 R "" { "a" } { 1 } ' + "1" * 10**6, "expected a finite number"),
    "a long fraction": (parse_nfg, 'NFG 1 R "" { "a" } { 1 } ' + "1" * 3000 + "/3", "expected a finite number"),
    "a longer fraction": (parse_nfg, 'NFG 1 R "" { "a" } { 1 } 1/' + "1" * 10**5, "expected a finite number"),
    "a long word": (parse_nfg, "x" * 10**6, "x ..., expected NFG"),
    "a quote over many lines": (parse_nfg, 'NFG 1 "' + "\n" * 10**5 + '"', "expected R"),
    "a quote that does not end": (parse_nfg, 'NFG 1 R "' + '\\"' * 10**5, "an opening quote without an end"),
    "a wide set at many nodes": (
        parse_efg,
        f'{ONE} p "" 1 1 "" {names(30_000)} 0 ' + 'p "" 1 1 0 ' * 9000,
        "a node: c, p or t, and so",
    ),
    "a common denominator of many digits": (
        parse_efg,
        f'{ONE} c "" 1 "" {{ ' + " ".join(f'"x" 1/{10**17 + 2 * k + 1}' for k in range(5000)) + " } 0",
        "probabilities that sum to 1",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_file_declares_is_bounded_by_what_is_in_it(name):
    parse, text, expected = HOSTILE[name]
    begun = time.process_time()
    with pytest.raises(ValueError, match=r"^[ne]fg, line \d+: got ") as caught:
        parse(text)
    message = str(caught.value)
    assert expected in message
    assert len(message) < 300
    assert "\n" not in message
    assert time.process_time() - begun < 10.0


def test_what_is_allowed_is_read_in_proportion():
    outcomes = parse_nfg(f'NFG 1 R "" {names(15)} {{ {"2 " * 15}}} {{ {{ "o" {"1 " * 15}}} }} ' + "1 0 " * 2**14)
    assert outcomes.payoffs[14].sum() == 2**14
    chain = parse_efg(ONE + 'p "" 1 1 "" { "x" } 0 ' + 'p "" 1 1 0 ' * 3000 + 't "" 0')
    assert len(chain.nodes) == 3002
    assert parse_efg(ONE + 'c "" 1 "" { "x" 1e-999999999 "y" 1 } 0 t "" 0 t "" 0').leaves[0][0] == 0.0


def test_a_deep_tree_has_no_reduced_form_and_says_so():
    rows = "".join(f'p "" 1 {k} "" {{ "in" "out" }} 0 ' for k in range(1, 400)) + 't "" 0 ' * 400
    with pytest.raises(ValueError, match="398 moves of one player in a row', expected at most 200"):
        reduced_normal_form(parse_efg(ONE + rows))


def test_old_files_have_their_names_in_latin_1_and_new_ones_a_mark_or_none(tmp_path):
    text = 'NFG 1 R "Gefängnis" { "a" } { 1 } 1'
    for encoding in ("utf-8", "utf-8-sig", "latin-1"):
        (tmp_path / "game.nfg").write_text(text, encoding=encoding)
        assert read_nfg(tmp_path / "game.nfg").labels.title == "Gefängnis"
