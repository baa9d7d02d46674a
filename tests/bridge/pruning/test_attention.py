"""Attention that a model writes itself: whole heads leave with their queries and keys, or all channels stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.bridge.pruning.pruned import check


class Attending(nn.Module):
    """Heads of some channels, with a function of queries, keys and values (rows, heads, tokens, channels)."""

    def __init__(self, act, heads=3, few=3, size=2):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(4, heads * size), nn.Linear(4, few * size), nn.Linear(4, few * size)
        self.out, self.act, self.size = nn.Linear(heads * size, 3), act, size

    def forward(self, x):
        parts = (layer(x).unflatten(-1, (-1, self.size)).transpose(-2, -3) for layer in (self.q, self.k, self.v))
        return self.out(self.act(*parts).transpose(-2, -3).flatten(-2))


def by_hand(q, k, v):
    return torch.softmax(q @ k.mT / 2**0.5, dim=-1) @ v


def by_hand_along_a_named_axis(q, k, v):
    return (k @ q.mT).softmax(dim=2).mT.matmul(v)


def linear(q, k, v):
    return q.matmul(k.mT) @ v


fused = functional.scaled_dot_product_attention


def grouped(q, k, v):
    return fused(q, k, v, enable_gqa=True)


def tokens(*leading):
    return torch.randn(*leading, 5, 4, generator=torch.Generator().manual_seed(0))


def model_of(act, seed=0, **sizes):
    torch.manual_seed(seed)
    return Attending(act, **sizes)


ACTS = [by_hand, by_hand_along_a_named_axis, linear, fused]


@pytest.mark.parametrize("act", ACTS)
def test_a_head_whose_values_are_silent_leaves_with_its_queries_and_keys(act):
    result = check(model_of(act), {"v": np.array([1, 0.5, 0, 0, 1, 1.0])}, tokens(2))
    assert not result.pinned
    for name in ("q", "k", "v"):
        assert len(result.model.get_submodule(name).weight) == 4, name
    assert result.model.out.in_features == 4
    assert torch.equal(result.model.q.weight[2:], model_of(act).q.weight[4:])
    assert torch.equal(result.model.out.weight[:, 2:], model_of(act).out.weight[:, 4:])


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", ["q", "k"])
def test_silent_queries_or_keys_alone_leave_what_the_values_say(act, name):
    """They make the attention uniform, and the values go on; without a softmax the product is 0, which is not seen."""
    result = check(model_of(act), {name: np.array([1, 1, 0, 0, 1, 1.0])}, tokens(2))
    assert not result.removed[name]
    assert sorted(result.pinned[name]) == [2, 3]


@pytest.mark.parametrize("act", ACTS)
def test_a_part_of_a_head_stays(act):
    result = check(model_of(act), {"v": np.array([1, 1, 0, 1, 1, 1.0])}, tokens(2))
    assert result.pinned == {"v": {2: "coupled with 'v' 3, which stays"}}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("leading", [(), (2, 3)])
def test_heads_of_one_channel_and_any_number_of_axes_before_them(act, leading):
    if act is by_hand_along_a_named_axis:
        act = by_hand
    result = check(model_of(act, size=1), {"v": np.array([1, 0, 1.0])}, tokens(*leading))
    assert result.model.q.out_features == result.model.v.out_features == 2


def test_heads_of_queries_that_share_keys_and_values_leave_together():
    sizes = {"heads": 6, "few": 2, "size": 3}
    result = check(model_of(grouped, **sizes), {"v": np.array([0, 0, 0, 1, 1, 1.0])}, tokens(2))
    assert [result.model.get_submodule(name).out_features for name in ("q", "k", "v")] == [9, 3, 3]
    assert torch.equal(result.model.q.weight, model_of(grouped, **sizes).q.weight[9:])
    one = {"q": np.array([0.0] * 3 + [1.0] * 15)}
    assert check(model_of(grouped, **sizes), one, tokens(2)).removed == {"q": 0}


@pytest.mark.parametrize("act", [by_hand, fused])
def test_one_head_of_keys_and_values_for_all_queries_stays_as_long_as_it_is_heard(act):
    result = check(model_of(act, few=1), {"v": np.array([0, 1.0])}, tokens(2))
    assert result.pinned == {"v": {0: "coupled with 'v' 1, which stays"}}
    result = check(model_of(act, few=1), {"v": np.zeros(2)}, tokens(2))
    assert result.removed == {"v": 0}
    assert all("at weight 0" in why for why in result.pinned["v"].values())


def test_keys_and_values_without_the_rows_of_the_queries():
    """Fused attention takes fewer axes of them."""

    class Pooled(Attending):
        def forward(self, x):
            q, k, v = (layer(part).unflatten(-1, (-1, 2)).transpose(-2, -3) for layer, part in self.parts(x))
            return self.out(self.act(q, k, v).transpose(-2, -3).flatten(-2))

        def parts(self, x):
            return (self.q, x), (self.k, x.mean(0)), (self.v, x.mean(0))

    torch.manual_seed(0)
    result = check(Pooled(fused), {"v": np.array([1, 1, 0, 0, 1, 1.0])}, tokens(2))
    assert result.model.q.out_features == result.model.v.out_features == 4


def channels_attend(q, k, v):
    return (torch.softmax(q.mT @ k, dim=-1) @ v.mT).mT


def soft_channels(q, k, v):
    return fused(q, k, torch.softmax(v, dim=-1))


def soft_values(q, k, v):
    return fused(q, k, torch.softmax(v, dim=-2))


def masked_by_keys(q, k, v):
    return fused(q, k, v, attn_mask=k @ k.mT)


def turned(q, k, v):
    return fused(q.mT, k.mT, v.mT).mT


@pytest.mark.parametrize("act", [channels_attend, soft_channels, turned])
def test_channels_that_are_mixed_stay(act):
    result = check(model_of(act), {"v": np.array([1, 1, 0, 0, 1, 1.0])}, tokens(2))
    assert not result.removed["v"]
    assert len(result.model.q.weight) == 6


def test_a_mask_that_depends_on_channels_keeps_them():
    result = check(model_of(masked_by_keys), {"v": np.array([1, 1, 0, 0, 1, 1.0])}, tokens(2))
    assert not result.removed["v"]
    causal = lambda q, k, v: fused(q, k, v, attn_mask=torch.ones(5, 5).tril().bool())  # noqa: E731
    assert check(model_of(causal), {"v": np.array([1, 1, 0, 0, 1, 1.0])}, tokens(2)).removed == {"v": 2}


def test_a_softmax_along_the_tokens_keeps_the_channels_apart():
    """Silent values are spread evenly over the tokens then, and are not 0."""
    result = check(model_of(soft_values), {"v": np.array([1, 1, 0, 0, 1, 1.0])}, tokens(2))
    assert sorted(result.pinned["v"]) == [2, 3]
    class_token = nn.Sequential(nn.Linear(4, 6), nn.Softmax(dim=1), nn.Linear(6, 2))
    assert check(class_token, {"0": np.array([1, 1, 0, 0, 1, 1.0])}, tokens(2)).removed == {"0": 0}
