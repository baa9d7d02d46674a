from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from neurogames.bridge.ensembles.streams import permutations, uniforms, words

WORD = 2**64


def splitmix(word: int) -> int:
    """SplitMix64 in Python's integers: the slow twin."""
    word = (word + 0x9E3779B97F4A7C15) % WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) % WORD
    return word ^ (word >> 31)


def test_the_twin_gives_the_published_sequence_of_splitmix64():
    golden = 0x9E3779B97F4A7C15
    assert [splitmix((1234567 + k * golden) % WORD) for k in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize(("purpose", "counter"), [(0, 0), (3, 10**6)])
def test_words_equal_their_definition_in_unlimited_integers(purpose, counter):
    seeds = [0, 1, -1, 2**63 - 1, -(2**63)]
    keys = [splitmix((splitmix((splitmix(seed % WORD) + purpose) % WORD) + counter) % WORD) for seed in seeds]
    expected = [[splitmix(splitmix(i) ^ key) for i in range(6)] for key in keys]
    drawn = words(torch.tensor(seeds), purpose, counter, (2, 3)).numpy().view(np.uint64)
    assert drawn.reshape(5, 6).tolist() == expected


def test_a_stream_does_not_depend_on_its_company_and_seeds_are_not_changed():
    seeds = torch.arange(10)
    together = uniforms(seeds, 1, 5, (7, 3))
    assert torch.equal(uniforms(seeds[4:5], 1, 5, (7, 3))[0], together[4])
    assert torch.equal(seeds, torch.arange(10))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniforms_are_uniform_and_never_reach_the_ends(dtype):
    draws = uniforms(torch.arange(200), 2, 3, (5000,), dtype)
    assert draws.dtype == dtype
    assert 0 < draws.min() < 1e-5
    assert 1 - 1e-5 < draws.max() < 1
    assert stats.kstest(draws.flatten().double().numpy(), "uniform").pvalue > 1e-3
    per_network = [stats.kstest(row.double().numpy(), "uniform").pvalue for row in draws]
    assert stats.kstest(per_network, "uniform").pvalue > 1e-3


def test_the_smallest_and_largest_words_give_numbers_inside_the_open_interval():
    for dtype, kept in ((torch.float32, 23), (torch.float64, 52)):
        for upper in (0, 2**kept - 1):
            value = torch.tensor(upper).to(dtype).add(0.5).mul(0.5**kept)
            assert 0 < value < 1


@pytest.mark.parametrize("neighbour", ["seed", "purpose", "counter", "position"])
def test_neighbouring_streams_are_not_correlated(neighbour):
    n = 200_000
    here = words(torch.tensor([7]), 1, 1, (n + 1,))[0]
    other = {
        "seed": lambda: words(torch.tensor([8]), 1, 1, (n + 1,))[0],
        "purpose": lambda: words(torch.tensor([7]), 2, 1, (n + 1,))[0],
        "counter": lambda: words(torch.tensor([7]), 1, 2, (n + 1,))[0],
        "position": lambda: torch.roll(here, 1),
    }[neighbour]()
    a, b = (draw[1:].numpy().view(np.uint64) for draw in (here, other))
    correlation = np.corrcoef(a / WORD, b / WORD)[0, 1]
    assert abs(correlation) * n**0.5 < 4
    # Every pair of bits of the two words: 4096 sample correlations, the largest of which stays near sqrt(2 ln 4096).
    bits = [((draw[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)) * 2.0 - 1.0 for draw in (a, b)]
    assert np.abs(bits[0].T @ bits[1]).max() / n**0.5 < 6


def test_means_over_many_seeds_are_uniform_too():
    first_draws = uniforms(torch.arange(50_000), 0, 0, (1,), torch.float64)[:, 0].numpy()
    assert stats.kstest(first_draws, "uniform").pvalue > 1e-3


def test_every_order_of_four_things_is_equally_likely():
    orders = permutations(torch.arange(24_000), 1, 0, 4)
    counts = Counter(map(tuple, orders.tolist()))
    assert set(counts) == set(itertools.permutations(range(4)))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_orders_of_neighbouring_epochs_have_nothing_in_common():
    places = permutations(torch.tensor([3]), 1, 0, 5000)[0], permutations(torch.tensor([3]), 1, 1, 5000)[0]
    assert abs(np.corrcoef(places[0], places[1])[0, 1]) < 4 / 5000**0.5
    assert (places[0] == places[1]).sum() <= 8  # Poisson(1)
