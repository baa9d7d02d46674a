"""Counter-based random numbers: one independent stream per network, the same on every device.

A draw is a pure function of (seed, purpose, counter, position), not of what was drawn before. So a network's draws do
not depend on which other networks are trained beside it, nor in which order, and the numbers of a CPU and of a GPU
are equal to the last bit. With ``mix`` the 64-bit finaliser of SplitMix64 (a bijection; products wrap around),

    key[k]     = mix(mix(mix(seed[k]) + purpose) + counter)
    bits[k, i] = mix(mix(i) xor key[k]).

Index conventions: the first axis of a result is the network, the others are the shape asked for.

Reference: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, section 5, with the
constants of Stafford's variant 13 ("mix13"); the counter-based design is that of Salmon et al., SC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Purposes of all draws, in one place so that no two uses of a seed meet. Their counters: layer, epoch, epoch, step,
# step.
INITIAL_WEIGHTS, ORDER, LABELS, MASKS, MOMENTS = range(5)

GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _signed(word: int) -> int:
    """The int64 with the bits of an unsigned 64-bit number."""
    return word - 2**64 if word >= 2**63 else word


def _mix(words: Tensor) -> Tensor:
    """SplitMix64's output function on int64 words, IN PLACE; the added constant moves the fixed point off 0."""
    words.add_(_signed(GOLDEN))
    for shift, factor in ((30, FIRST), (27, SECOND)):
        words.bitwise_xor_((words >> shift).bitwise_and_((1 << (64 - shift)) - 1)).mul_(_signed(factor))
    return words.bitwise_xor_((words >> 31).bitwise_and_((1 << 33) - 1))


def stream_keys(seeds: Tensor, purpose: int) -> Tensor:
    """mix(mix(seed) + purpose): where all draws of a network for one purpose start from; (networks,) int64."""
    return _mix(_mix(seeds.clone()).add_(purpose))


def words(seeds: Tensor, purpose: int, counter: int, shape: Sequence[int]) -> Tensor:
    """64 random bits for every network and position; no two positions of one draw have the same.

    Args:
        seeds: (networks,) int64, one seed per network; its device is where the draws are made.
        purpose: what the draws are for, so that two uses of a seed do not meet.
        counter: which draw for that purpose (an epoch, a step), 0, 1, 2, ...
        shape: shape of one network's draw.

    Returns:
        int64 tensor (networks, *shape), uniform over all 2**64 values.

    >>> both, alone = words(torch.tensor([3, 4]), 0, 7, (5,)), words(torch.tensor([4]), 0, 7, (5,))
    >>> torch.equal(both[1:], alone)
    True
    """
    keys = _mix(stream_keys(seeds, purpose).add_(counter))
    positions = _mix(torch.arange(math.prod(shape), device=seeds.device))
    return _mix(positions ^ keys[:, None]).view(len(seeds), *shape)


def uniforms(
    seeds: Tensor, purpose: int, counter: int, shape: Sequence[int], dtype: torch.dtype = torch.float32
) -> Tensor:
    """Uniform numbers in the OPEN interval (0, 1): never 0, never 1, symmetric about 1/2.

    U = (B + 1/2) / 2**b with B the upper b bits, b = 23 in float32 and 52 in float64, so that every U is exact.

    Args:
        seeds: (networks,) int64, one seed per network.
        purpose: what the draws are for.
        counter: which draw for that purpose, 0, 1, 2, ...
        shape: shape of one network's draw.
        dtype: torch.float32 or torch.float64.

    Returns:
        Tensor (networks, *shape) of ``dtype``.

    >>> draws = uniforms(torch.arange(100), 0, 0, (100,))
    >>> bool((draws > 0).all() and (draws < 1).all() and abs(draws.mean() - 0.5) < 0.01)
    True
    """
    kept = 52 if dtype == torch.float64 else 23
    upper = (words(seeds, purpose, counter, shape) >> (64 - kept)).bitwise_and_((1 << kept) - 1)
    return upper.to(dtype).add_(0.5).mul_(0.5**kept)


def permutations(seeds: Tensor, purpose: int, counter: int, count: int) -> Tensor:
    """A random order of ``count`` things for every network: the order in which random words sort.

    Args:
        seeds: (networks,) int64, one seed per network.
        purpose: what the draws are for.
        counter: which draw for that purpose, 0, 1, 2, ...
        count: number of things to permute.

    Returns:
        int64 tensor (networks, count), each row a permutation of 0 .. count - 1.

    >>> order = permutations(torch.tensor([1, 2]), 0, 0, 10)
    >>> bool((order.sort(dim=1).values == torch.arange(10)).all())
    True
    """
    keys = words(seeds, purpose, counter, (count,))
    if keys.device.type == "cpu":  # NumPy sorts by vector instructions, in a third of torch's time; there are no ties
        return torch.from_numpy(keys.numpy().argsort(axis=1))
    return keys.argsort(dim=1)
