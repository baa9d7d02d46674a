"""Games in extensive form: files read, and normal forms beside a walk through the tree."""

from __future__ import annotations

import os
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from neurogames.engine import solve_nash, solve_sequence_form, solve_zero_sum
from neurogames.games import NormalFormGame, read_efg, reduced_normal_form
from neurogames.games.efg import parse_efg
from neurogames.games.extensive import CHANCE

ARCHIVE = Path(os.environ.get("NEUROGAMES_DATA", "nowhere"), "gambit_games.zip")
needs_files = pytest.mark.skipif(not ARCHIVE.is_file(), reason="needs gambit_games.zip in NEUROGAMES_DATA")

HORSE = """EFG 2 R "Selten's horse" { "1" "2" "3" } ""
p "" 1 1 "" { "c" "d" } 0
p "" 2 1 "" { "c" "d" } 0
t "" 1 "" { 1, 1, 1 }
p "" 3 1 "" { "L" "R" } 0
t "" 2 "" { 4 4 0 }
t "" 3 "" { 0 0 1 }
p "" 3 1 0
t "" 4 "" { 3 2 2 }
t "" 5 "" { 0 0 0 }
"""
QUIZ = """EFG 2 R "outcomes on the way" { "Ann" "Bob" }
c "" 1 "" { "rain" 0.25 "sun" 3/4 } 9 "ticket" { -1, 1 }
p "" 1 1 "" { "stay" "go" } 0
t "" 1 "" { 1, -1 }
p "" 2 1 "" { "left" "right" } 2 "paid" { 0.5, -0.5 }
t "" 3 "" { 2, -2 }
p "" 1 2 "again" { "x" "y" "z" } 0
t "" 1
t "" 3
t "" 0
p "" 1 3 "" { "stay" "go" } 0
t "" 0
p "" 2 1 0
t "" 1
t "" 3
"""


def walk(game, choice):
    """Payoffs where every information set plays its part of a plan; chance is averaged."""
    children = {}
    for k, node in enumerate(game.nodes):
        children[node.parent, node.action] = k

    def worth(k):
        node = game.nodes[k]
        here = np.array(node.payoffs)
        if node.information_set < 0:
            return here
        place = game.information_sets[node.information_set]
        if place.owner == CHANCE:
            return here + sum(p * worth(children[k, a]) for a, p in enumerate(place.chance))
        law = choice[node.information_set]
        return here + sum(p * worth(children[k, a]) for a, p in enumerate(law) if p > 0)

    return worth(0)


def compare_with_all_plans(game, most):
    """Each plan for all information sets is one reduced plan, told by its name, with the payoffs of a walk."""
    own = [[h for h, place in enumerate(game.information_sets) if place.owner == i] for i in range(game.n_players)]
    plans = [list(product(*(range(len(game.information_sets[h].actions)) for h in mine))) for mine in own]
    if np.prod([len(mine) for mine in plans]) > most:
        return False
    reduced = reduced_normal_form(game)
    moves = [[name.split(", ") for name in names] for names in reduced.labels.actions]
    seen = set()
    for profile in product(*plans):
        place = []
        for mine, plan, known in zip(own, profile, moves, strict=True):
            names = [game.information_sets[h].actions[a] for h, a in zip(mine, plan, strict=True)]
            fits = [
                k
                for k, name in enumerate(known)
                if not names or all(part in ("*", move) for part, move in zip(name, names, strict=True))
            ]
            assert len(fits) == 1
            place.append(fits[0])
        choice = {
            h: np.eye(len(game.information_sets[h].actions))[a]
            for mine, plan in zip(own, profile, strict=True)
            for h, a in zip(mine, plan, strict=True)
        }
        expected = [tensor[tuple(place)] for tensor in reduced.payoffs]
        np.testing.assert_allclose(walk(game, choice), expected, atol=1e-12, rtol=1e-12)
        seen.add(tuple(place))
    assert len(seen) == reduced.payoffs[0].size
    return True


@pytest.mark.parametrize("text", [HORSE, QUIZ], ids=["horse", "outcomes on the way"])
def test_the_reduced_normal_form_has_the_payoffs_of_all_plans(text):
    assert compare_with_all_plans(parse_efg(text), 1000)


def test_plans_are_named_by_their_moves():
    game = reduced_normal_form(parse_efg(QUIZ))
    assert game.labels.actions[0][:5] == ("stay, *, stay", "stay, *, go", "go, x, stay", "go, x, go", "go, y, stay")
    assert game.labels.players == ("Ann", "Bob")
    assert game.n_actions == (8, 2)


def test_equilibria_of_the_horse():
    # R. Selten, Reexamination of the perfectness concept (1975): (c, c, R) and (d, c, L) are pure equilibria.
    found = solve_nash(reduced_normal_form(parse_efg(HORSE)), "pure")
    assert {tuple(int(part.argmax()) for part in profile) for profile in found} == {(0, 0, 1), (1, 0, 0)}


def test_kuhn_poker_has_its_value():
    # H. Kuhn, A simplified two-person poker (1950): the first player loses 1/18 per game.
    lines = ['EFG 2 R "Kuhn poker" { "1" "2" }']
    deals = [(a, b) for a in range(3) for b in range(3) if a != b]
    lines.append('c "" 1 "" { ' + " ".join(f'"{a}{b}" 1/6' for a, b in deals) + " } 0")
    number = 0

    def end(amount):
        nonlocal number
        number += 1
        lines.append(f't "" {number} "" {{ {amount}, {-amount} }}')

    for a, b in deals:
        win = 1 if a > b else -1
        lines.append(f'p "" 1 {a + 1} "" {{ "pass" "bet" }} 0')
        lines.append(f'p "" 2 {b + 1} "" {{ "pass" "bet" }} 0')
        end(win)
        lines.append(f'p "" 1 {a + 4} "" {{ "fold" "call" }} 0')
        end(-1)
        end(2 * win)
        lines.append(f'p "" 2 {b + 4} "" {{ "fold" "call" }} 0')
        end(1)
        end(2 * win)
    game = parse_efg("\n".join(lines))
    solved = solve_sequence_form(game)
    assert solved.value == pytest.approx(-1 / 18)
    assert solved.status == "ok"
    assert solved.n_sequences == (13, 13)
    worth = walk(game, solved.strategy)
    assert worth[0] == pytest.approx(-1 / 18)


@needs_files
def test_all_files_of_gambit_are_read_or_refused_with_the_reason(tmp_path):
    reduced, refused, zero_sum, compared = 0, [], 0, 0
    with zipfile.ZipFile(ARCHIVE) as archive:
        games = {name: read_efg(archive.extract(name, tmp_path)) for name in archive.namelist() if name[-4:] == ".efg"}
    for name, game in games.items():
        try:
            normal = reduced_normal_form(game)
        except ValueError as error:
            refused.append(str(error))
            continue
        reduced += 1
        sums = [sum(payoffs) for _, payoffs, _ in game.leaves]
        if normal.n_players == 2 and np.ptp(sums) == 0:
            solved = solve_sequence_form(game)
            zero_sum += 1
            assert solved.status == "ok"
            scale = 1e19 if "large_payoff" in name else 1.0
            assert solved.value == pytest.approx(solve_zero_sum(normal).value, abs=1e-9 * scale)
        # Names of actions are not unique in all files, which the comparison relies on.
        if all(len(set(place.actions)) == len(place.actions) for place in game.information_sets):
            compared += compare_with_all_plans(game, 128)
    assert (len(games), reduced) == (141, 117)
    assert sum("imperfect recall" in message for message in refused) == 22
    assert sum("reduced strategies" in message for message in refused) == 2
    assert not any("\n" in message for message in refused)
    assert zero_sum >= 15
    assert compared >= 60


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NFG 1 R", "efg, line 1: got NFG, expected EFG"),
        ('EFG 2 R "a" { }', "at least one player"),
        ('EFG 2 R "a" { "1" } x "" 0', "a node: c, p or t"),
        ('EFG 2 R "a" { "1" } t "" 1', "the payoffs of this outcome in braces"),
        ('EFG 2 R "a" { "1" } t "" 1 "" { 1 } t "" 1', "nothing after the last node"),
        ('EFG 2 R "a" { "1" } t "" 0 "" { 1 }', "no payoffs for outcome 0"),
        ('EFG 2 R "a" { "1" } t "" 1 "" { 1 2 }', "} after 1 payoffs"),
        ('EFG 2 R "a" { "1" } p "" 2 1 "" { "x" } 0', "the number of a player, 1 to 1"),
        ('EFG 2 R "a" { "1" } p "" 0 1 "" { "x" } 0', "the number of a player, 1 to 1"),
        ('EFG 2 R "a" { "1" }\np ""\n0\n1 "" { "x" } 0', "efg, line 3: got 0, expected the number of a player, 1 to 1"),
        ('EFG 2 R "a" { "1" } p "" 1 1 0', "the actions of this information set in braces"),
        ('EFG 2 R "a" { "1" } p "" 1 1 "" { } 0', "at least one action"),
        ('EFG 2 R "a" { "1" } p "" 1 1 "" { "x" "y" } 0 t "" 0', "a node: c, p or t"),
        ('EFG 2 R "a" { "1" } c "" 1 "" { "x" 1/2 "y" 1/3 } 0', "probabilities that sum to 1, and not to 0.833333"),
        ('EFG 2 R "a" { "1" } p "" 1 1 "" { "x" } 0 p "" 1 1 "" { "x" "y" } 0', "the 1 actions that this"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text, message):
    with pytest.raises(ValueError, match=r"efg, line \d") as caught:
        parse_efg(text)
    assert message in str(caught.value)


def test_what_cannot_be_solved_is_refused():
    driver = parse_efg(
        'EFG 2 R "" { "1" } p "" 1 1 "road" { "x" "c" } 0 t "" 1 "" { 0 } p "" 1 1 0 t "" 2 "" { 4 } t "" 1'
    )
    with pytest.raises(ValueError, match="imperfect recall: '1' at information set 'road' forgets"):
        reduced_normal_form(driver)
    with pytest.raises(ValueError, match="got '3 players', expected 2 players"):
        solve_sequence_form(parse_efg(HORSE))
    with pytest.raises(ValueError, match="payoff sums from 0 to 2"):
        solve_sequence_form(
            parse_efg('EFG 2 R "" { "1" "2" } p "" 1 1 "" { "a" "b" } 0 t "" 1 "" { 1, 1 } t "" 2 "" { 0, 0 }')
        )
    with pytest.raises(ValueError, match="an ExtensiveGame"):
        reduced_normal_form(NormalFormGame.symmetric([[0, 1], [1, 0]]))
