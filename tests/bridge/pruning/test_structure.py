"""What code asks of the numbers of channels: parts alike, groups alike, sizes that are written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.bridge.pruning.pruned import check, images, rows


class Wide(nn.Module):
    """A hidden layer of some units, what code does to them, and a layer that reads all of them."""

    def __init__(self, act, units=6, read=6):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(4, units), act, nn.Linear(read, 2)

    def forward(self, x):
        return self.b(self.act(torch.sigmoid(self.a(x))))


def pruned(act, shares, **sizes):
    torch.manual_seed(0)
    shares = np.array(shares, dtype=float)
    return check(Wide(act, len(shares), **sizes), {"a": shares}, rows(5, 4))


def halves(x):
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left.tanh(), right.cos()], -1)


def thirds(x):
    left, middle, right = x.tensor_split(3, dim=1)
    return torch.cat([left, middle.tanh(), right.cos()], 1)


def shuffled(x):
    return x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1)


def in_pairs(x):
    return x.unflatten(1, (-1, 2)).flip(2).flatten(1)


@pytest.mark.parametrize(
    ("act", "shares", "removed", "pinned"),
    [
        # As many of each part leave; where there are not, those at the same place of each part leave together.
        (halves, [0, 1, 1, 0, 1, 1], 2, {}),
        (halves, [0, 1, 1, 1, 1, 0], 2, {}),
        (halves, [0, 1, 1, 1, 1, 1], 0, {0: 3}),
        (halves, [0, 0, 1, 0, 1, 1], 2, {1: 4}),
        (thirds, [0, 1, 0, 1, 1, 0], 3, {}),
        (thirds, [0, 1, 1, 1, 1, 0], 0, {0: 2, 5: 1}),
        (shuffled, [0, 1, 1, 0, 1, 1], 2, {}),
        (shuffled, [0, 1, 1, 1, 1, 1], 0, {0: 3}),
        # Parts of a size that is written down leave as a whole, where ties by place do not help.
        (in_pairs, [0, 0, 1, 1, 1, 1], 2, {}),
        (in_pairs, [1, 1, 0, 0, 1, 0], 0, {2: 0, 3: 1, 5: 1}),
        (in_pairs, [0, 1, 0, 1, 0, 1], 0, {0: 1, 2: 3, 4: 5}),
        (in_pairs, [0, 1, 0, 1, 0, 0], 2, {0: 1, 2: 3}),
    ],
)
def test_parts_stay_alike_by_place_or_as_a_whole(act, shares, removed, pinned):
    result = pruned(act, shares)
    assert result.removed == {"a": removed}
    expected = {unit: f"coupled with 'a' {other}, which stays" for unit, other in pinned.items()}
    assert result.pinned.get("a", {}) == expected


def fixed_halves(x):
    left, right = x.split([3, 3], dim=-1)
    return torch.cat([left.tanh(), right.cos()], -1)


def fixed_pairs(x):
    return x.view(len(x), 3, 2).flip(2).flatten(1)


@pytest.mark.parametrize(
    ("shares", "pinned"), [([0, 1, 1, 1, 1], [0]), ([1, 1, 1, 1, 0], [4]), ([1, 1, 0, 1, 1], []), ([0, 1, 1, 0, 1], [])]
)
def test_parts_of_different_sizes_are_not_tied(shares, pinned):
    """Of 2, 2 and 1 channels; of four channels 2, 1 and 1 are made."""
    result = pruned(thirds, shares, read=5)
    assert result.removed == {"a": 0 if pinned else shares.count(0)}
    assert result.pinned.get("a", {}) == dict.fromkeys(pinned, "tensor_split holds its number of channels fixed")


@pytest.mark.parametrize("act", [fixed_halves, fixed_pairs])
@pytest.mark.parametrize("shares", [[0, 1, 1, 0, 1, 1], [0, 0, 1, 1, 1, 1], [0, 0, 1, 0, 0, 1]])
def test_sizes_of_parts_that_are_written_down_keep_all_channels(act, shares):
    result = pruned(act, shares)
    assert result.removed == {"a": 0}
    reasons = set(result.pinned["a"].values())
    assert any("holds its number of channels fixed" in why or "which stays" in why for why in reasons)


def test_operations_that_are_alike_are_tied_alike_and_others_not():
    """The same line of code twice, and a layer beside it that is not split."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.out = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            x = halves(torch.relu(self.a(x)))
            x = halves(torch.relu(self.b(x)))
            return self.out(torch.relu(self.c(x)))

    torch.manual_seed(0)
    shares = np.array([0, 1, 1, 0, 1, 1.0])
    result = check(Twice(), {"a": shares, "b": shares, "c": np.array([0, 1, 1, 1, 1, 1.0])}, rows(5, 4))
    assert result.removed == {"a": 2, "b": 2, "c": 1}
    result = check(Twice(), {"a": np.array([0, 1, 1, 1, 1, 1.0]), "b": shares}, rows(5, 4))
    assert result.removed == {"a": 0, "b": 2}


def grouped(groups=2, **given):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=groups, **given), nn.Conv2d(6, 2, 1))


@pytest.mark.parametrize(
    ("before", "after", "removed", "pinned"),
    [
        # As many of each group leave as of the group of which the fewest can, those with the smallest shares first.
        ([0, 0, 1, 0, 1, 1], [1] * 6, {"0": 2, "2": 0}, {"0": [0]}),
        ([0.004, 0, 0.002, 0, 1, 1], [1] * 6, {"0": 2, "2": 0}, {"0": [0, 2]}),
        ([0.002, 0, 0.004, 1, 0, 0], [1] * 6, {"0": 4, "2": 0}, {"0": [2]}),
        ([1] * 6, [0, 1, 1, 1, 1, 1], {"0": 0, "2": 0}, {"2": [0]}),
        ([1] * 6, [0, 1, 1, 1, 0, 1], {"0": 0, "2": 2}, {}),
        ([1] * 6, [0, 0, 0, 1, 1, 1], {"0": 0, "2": 0}, {"2": [0, 1, 2]}),
        # A group that is neither read nor reads leaves as a whole, and then asks nothing of the other.
        ([0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 1], {"0": 4, "2": 4}, {}),
    ],
)
def test_groups_of_a_convolution_keep_as_many_channels_each(before, after, removed, pinned):
    shares = {"0": np.array(before, dtype=float), "2": np.array(after, dtype=float)}
    result = check(grouped(), shares, images())
    assert result.removed == removed
    assert {name: sorted(reasons) for name, reasons in result.pinned.items()} == pinned
    for reasons in result.pinned.values():
        assert set(reasons.values()) == {"the groups of '2' keep as many channels each"}


def test_a_depthwise_convolution_of_two_channels_has_no_groups_to_keep_alike():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 3, groups=2), nn.ReLU(), nn.Conv2d(2, 3, 1))
    result = check(model, {"0": np.array([0, 1.0]), "2": np.array([1, 1.0])}, images())
    assert result.kept["0"].tolist() == result.kept["2"].tolist() == [1]


def test_shuffled_groups_lose_the_same_places_of_each():
    class Shuffle(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.g, self.b = nn.Conv2d(1, 6, 1), nn.Conv2d(6, 6, 1, groups=2), nn.Conv2d(6, 2, 1)

        def forward(self, x):
            return self.b(functional.channel_shuffle(torch.relu(self.g(torch.relu(self.a(x)))), 2))

    torch.manual_seed(0)
    shares = {"a": np.ones(6), "g": np.array([0, 1, 1, 0, 1, 1.0])}
    assert check(Shuffle(), shares, images()).removed == {"a": 0, "g": 2}
    shares = {"a": np.ones(6), "g": np.array([0, 1, 1, 1, 0, 1.0])}
    assert not check(Shuffle(), shares, images()).removed["a"]
