"""What README and CONTRIBUTING show is what happens: their blocks run alone and print what stands below them."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch

PAGES = {
    name: (Path(__file__).parents[1] / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")
}
README = PAGES["README.md"]
SHOWN = re.compile(r"^```python\n(.*?)^```\n+^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(code, shown, id=f"{name}, block {place}")
    for name, text in PAGES.items()
    for place, (code, shown) in enumerate(SHOWN.findall(text), start=1)
]


def printed_by(code: str) -> str:
    """What a block prints in a fresh namespace; torch's global generator is left as it was."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), torch.random.fork_rng(devices=[]):
        exec(compile(code, "<a block of the page>", "exec"), {"__name__": "__main__"})  # noqa: S102
    return output.getvalue()


def agree(word: str, shown: str) -> bool:
    """Equal, or decimals that differ by at most one in the last digit shown: processors round sums differently."""
    if not re.fullmatch(r"-?\d+\.\d+,?", shown):
        return word == shown
    unit = 10.0 ** -len(shown.rstrip(",").partition(".")[2])
    return (
        word.endswith(",") == shown.endswith(",")
        and abs(float(word.rstrip(",")) - float(shown.rstrip(","))) < 1.5 * unit
    )


@pytest.mark.parametrize(("code", "shown"), EXAMPLES)
def test_a_block_runs_alone_and_prints_what_is_shown(code, shown):
    lines = printed_by(code).splitlines()
    assert len(lines) == len(shown.splitlines())
    for line, expected in zip(lines, shown.splitlines(), strict=True):
        words = line.split()
        assert len(words) == len(expected.split())
        assert all(map(agree, words, expected.split())), f"{line!r} is printed, the page shows {expected!r}"


def test_every_block_of_python_shows_what_it_prints():
    assert sum(text.count("```python\n") for text in PAGES.values()) == len(EXAMPLES) > 3


@pytest.mark.parametrize(
    ("word", "shown", "same"),
    [
        ("0.73", "0.73", True),
        ("0.74", "0.73", True),
        ("0.75", "0.73", False),
        ("0.30,", "0.31,", True),
        ("0.30", "0.30,", False),
        ("910", "911", False),
        ("share", "shares", False),
    ],
)
def test_one_in_the_last_decimal_is_forgiven_and_nothing_else(word, shown, same):
    assert agree(word, shown) is same


def test_readme_has_at_most_900_words():
    assert len(README.split()) <= 900


@pytest.mark.parametrize("name", ["main job", "tests"])
def test_the_commands_that_ci_takes_from_readme_are_one_line_each(name):
    found = re.findall(rf"^<!-- command: {name} -->\n```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    assert len(found[0].splitlines()) == 1
