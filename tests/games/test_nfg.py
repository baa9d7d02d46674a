from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.games.nfg import format_nfg, parse_nfg, read_nfg, write_nfg
from neurogames.games.normal_form import Labels, NormalFormGame

PAYOFFS = """NFG 1 R "Selten (IJGT, 75), Figure 2, normal form"
{ "Player 1" "Player 2" } { 3 2 }

1 1 0 2 0 2 1 1 0 3 2 0
"""
OUTCOMES = """NFG 1 R "Selten, outcomes" { "Player 1" "Player 2" }

{
{ "1" "2" "3" }
{ "1" "2" }
}
"from the \\"manual\\""

{
{ "" 1, 1 }
{ "" 0, 2 }
{ "" 0, 2 }
{ "" 1, 1 }
{ "" 0, 3 }
{ "" 2, 0 }
}
1 2 3 4 5 6
"""


def test_both_versions_of_the_manuals_example_are_the_same_game():
    first, second = parse_nfg(PAYOFFS), parse_nfg(OUTCOMES)
    assert first.payoffs[0].tolist() == [[1, 1], [0, 0], [0, 2]]
    assert first.payoffs[1].tolist() == [[1, 1], [2, 3], [2, 0]]
    assert all(np.array_equal(a, b) for a, b in zip(first.payoffs, second.payoffs, strict=True))
    assert second.labels.comment == 'from the "manual"'
    assert first.labels.players == ("Player 1", "Player 2")


def test_fractions_decimals_and_the_null_outcome_are_numbers():
    game = parse_nfg('NFG 1 R "" { "a" } { 5 } 1/3 -.5 2. 1e-3 +4')
    assert game.payoffs[0].tolist() == [1 / 3, -0.5, 2.0, 1e-3, 4.0]
    assert parse_nfg('NFG 1 D "" { "a" } { 2 } { { "x" 7/2 } } 0 1').payoffs[0].tolist() == [0.0, 3.5]


finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs", "Cc"]), max_size=5)


@given(st.data(), st.booleans())
def test_every_game_is_read_back_to_the_last_bit(data, outcomes):
    shape = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
    size = int(np.prod(shape))
    payoffs = [
        np.reshape(data.draw(st.lists(finite | st.integers(0, 2).map(float), min_size=size, max_size=size)), shape)
        for _ in shape
    ]
    labels = Labels(
        data.draw(names),
        data.draw(names),
        tuple(data.draw(names) for _ in shape),
        tuple(tuple(data.draw(names) for _ in range(a)) for a in shape),
    )
    game = NormalFormGame(payoffs, labels)
    again = parse_nfg(format_nfg(game, outcomes=outcomes))
    assert all(np.array_equal(a, b) for a, b in zip(game.payoffs, again.payoffs, strict=True))
    assert again.labels == labels


def test_a_file_is_written_and_read(tmp_path):
    game = NormalFormGame.symmetric([[1 / 3, 0.1], [2.0, 3.0]])
    for outcomes in (False, True):
        write_nfg(game, tmp_path / "game.nfg", outcomes=outcomes)
        assert np.array_equal(read_nfg(tmp_path / "game.nfg").payoffs[0], game.payoffs[0])


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", 1, "NFG"),
        ("EFG 2 R", 1, "got EFG, expected NFG"),
        ("NFG 2 R", 1, "got 2, expected 1"),
        ("NFG 1 Q", 1, "got Q, expected R"),
        ("NFG 1 R title", 1, "the title in quotes"),
        ('NFG 1 R "open', 1, "quote without an end"),
        ('NFG 1 R\n"t"\n{ }', 3, "at least one player"),
        ('NFG 1 R\n"t"\n{ "a" b }', 3, "got b, expected the name of a player"),
        ('NFG 1 R "t" { "a" "b" }\n{ 2 }\n1 2', 2, "a number of actions"),
        ('NFG 1 R "t" { "a" "b" }\n{ 2 0 }\n', 2, "at least one action"),
        ('NFG 1 R "t" { "a" "b" }\n{ 2 -1 }\n', 2, "a number of actions"),
        ('NFG 1 R "t" { "a" "b" }\n{ 1 1 1 }\n', 2, "} after the actions of 2 players"),
        ('NFG 1 R "t" { "a" }\n{ 99999999999999999999 }\n1', 2, "a number of actions"),
        ('NFG 1 R "t" { "a" }\n{ { } }\n', 2, "at least one action"),
        ('NFG 1 R "t" { "a" "b" }\n{ 2 1 }\n1 2 3\n', 4, "got the end of the file, expected 4 payoffs and not 3"),
        ('NFG 1 R "t" { "a" "b" }\n{ 2 1 }\n1 2 3\n4 5', 4, "got 5, expected nothing after"),
        ('NFG 1 R "t" { "a" }\n{ 2 }\n1\nx', 4, "got x, expected a finite number"),
        ('NFG 1 R "t" { "a" }\n{ 2 }\n1\n1/0', 4, "got 1/0"),
        ('NFG 1 R "t" { "a" }\n{ 2 }\n1 inf', 3, "got inf"),
        ('NFG 1 R "t" { "a" }\n{ 2 }\n1 1e999', 3, "got 1e999"),
        ('NFG 1 R "t" { "a" }\n{ 2 }\n{ { "" 1 2 } }\n1 1', 3, "got 2, expected } after 1 payoffs"),
        ('NFG 1 R "t" { "a" }\n{ 2 }\n{ { "" 1 }\n{ 2 } }\n1 1', 4, "the name of an outcome"),
        ('NFG 1 R "t" { "a" }\n{ 2 }\n{ { "" 1 } }\n1 2', 4, "got 2, expected the number of one of 1 outcomes"),
        ('NFG 1 R "t" { "a" }\n{ 2 }\n{ { "" 1 } }\n1', 4, "2 outcomes and not 1"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(text, line, expected):
    with pytest.raises(ValueError, match=f"^nfg, line {line}: ") as caught:
        parse_nfg(text)
    assert expected in str(caught.value)


def test_a_label_that_the_format_cannot_hold_is_refused():
    game = NormalFormGame([[0.0]], Labels("back\\slash", "", ("a",), (("x",),)))
    with pytest.raises(ValueError, match="names without a backslash"):
        format_nfg(game)
