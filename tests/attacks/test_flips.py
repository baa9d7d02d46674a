"""The cheap form of ``flips``: a few bits of every kind of file, and one within the numbers of each."""

from __future__ import annotations

import random

import pytest

from neurogames.lab.data.model_sources import read_model
from tests.attacks.flips import GOOD, answer, files, flipped

COUNT = 12


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return files(tmp_path_factory.mktemp("flips"))


NAMES = ["results", "cell", "simulation", "model", "state dictionary", "TorchScript", "arrays", "settings"]


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_is_refused_or_changes_nothing(name, good, tmp_path):
    path, read = good[name]
    content, expected = path.read_bytes(), read(path)
    assert answer(content, tmp_path / path.name, read, expected) == "the same"
    for number in range(COUNT):
        damaged = flipped(content, random.Random(f"{name} {number}"))
        assert answer(damaged, tmp_path / path.name, read, expected) in GOOD, number


@pytest.mark.parametrize("name", ["model", "state dictionary", "TorchScript"])
def test_a_bit_within_the_numbers_of_a_model_is_noticed(name, good, tmp_path):
    path, read = good[name]
    content, expected = path.read_bytes(), read(path)
    known = numbers(path)
    found = [place for place in range(0, len(content) - 8, 4) if content[place : place + 8] in known]
    assert found
    for place in found:
        damaged = bytearray(content)
        damaged[place + 3] ^= 1
        assert answer(bytes(damaged), tmp_path / path.name, read, expected) == "refused"


def numbers(path):
    """Pairs of neighbouring weights, as bytes."""
    model = read_model(str(path), activation="relu" if path.name == "state.pt" else None)
    whole = [value.numpy().tobytes() for value in model.state_dict().values()]
    return {each[place : place + 8] for each in whole for place in range(0, len(each) - 7, 4)}
