from __future__ import annotations

import pytest

from neurogames.bridge import NoNoise, StableNoise, UniformNoise
from neurogames.lab import parse_noise_name


@pytest.mark.parametrize(
    ("name", "table", "noise"),
    [
        ("NoNoise", None, NoNoise()),
        ("NoNoise10", 10, NoNoise()),
        ("TDS6", 6, UniformNoise(0.03, "variance")),
        ("TDS", None, UniformNoise(0.03, "variance")),
        ("Stable6A1.75B0F0.03", 6, StableNoise(1.75, 0.0, 0.03, "variance")),
        ("Stable10A2B-1F0.5", 10, StableNoise(2.0, -1.0, 0.5, "variance")),
        ("StableB1", None, StableNoise(1.0, 1.0, 0.03, "variance")),
        ("Stable3", 3, StableNoise(1.0, 0.0, 0.03, "variance")),
    ],
)
def test_each_letter_of_a_name_is_read(name: str, table: int | None, noise: object) -> None:
    found = parse_noise_name(name)
    assert (found.table, found.noise) == (table, noise)


def test_what_a_name_leaves_out_is_that_of_the_settings() -> None:
    own = {"alpha": 1.5, "beta": -0.5, "factor": 0.2, "scale": "std"}
    assert parse_noise_name("Stable", **own).noise == StableNoise(1.5, -0.5, 0.2, "std")
    assert parse_noise_name("StableA1.9", **own).noise == StableNoise(1.9, -0.5, 0.2, "std")
    assert parse_noise_name("TDS6", **own).noise == UniformNoise(0.2, "std")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Gauss6", "got 'Gauss6', expected NoNoise, TDS or Stable"),
        ("TDS0", "table from 1 to 10"),
        ("TDS11", "table from 1 to 10"),
        ("TDS6A1", "A, B and F after Stable only"),
        ("NoNoise6F0.1", "A, B and F after Stable only"),
        ("Stable6B0A1", "NoNoise, TDS or Stable"),
        ("Stable6A2.5", "alpha: got 2.5"),
        ("Stable6A1B3", "beta: got 3.0"),
        ("", "NoNoise, TDS or Stable"),
    ],
)
def test_a_name_of_another_form_is_refused(name: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_noise_name(name)
