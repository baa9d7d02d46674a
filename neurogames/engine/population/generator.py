"""The small compiled generator of the simulations: xoshiro256++, one state of four words for each replica.

Each replica has its own state, drawn row by row from the caller's generator, so that its path depends neither on how
many other replicas there are nor on the order in which they are played.

Reference: D. Blackman and S. Vigna, Scrambled linear pseudorandom number generators, ACM Transactions on Mathematical
Software 47 (2021), arXiv 1805.01407.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.compiled import compiled

_U = np.uint64
_EVERY_DRAW = _U(2**64 - 1)
_LOW = _U(2**32 - 1)
_UNIT = 2.0**-53


def states(replicas: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Draw a state for each replica; the first rows do not depend on how many follow.

    >>> few, many = (states(count, np.random.default_rng(1)) for count in (2, 5))
    >>> bool((few == many[:2]).all())
    True
    """
    if not isinstance(rng, np.random.Generator):
        raise invalid_argument("rng", rng, "a numpy.random.Generator")
    return rng.integers(2**64, size=(replicas, 4), dtype=np.uint64)


def thresholds(log_probability: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Integers t for which a 64-bit draw u < t has the given probabilities, resolved to 2^-64.

    >>> thresholds(np.log([0.5, 1.0])).tolist() == [2**63, 2**64 - 1]
    True
    """
    scaled = np.ldexp(np.exp(log_probability), 64)
    certain = scaled >= 2.0**64
    return np.where(certain, _EVERY_DRAW, np.where(certain, 0.0, scaled).astype(np.uint64))


@compiled
def draw(state: Any) -> Any:
    """Next 64 bits and the state after them."""
    a, b, c, d = state
    total = a + d
    bits = ((total << _U(23)) | (total >> _U(41))) + a
    shifted = b << _U(17)
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = (d << _U(45)) | (d >> _U(19))
    return bits, (a, b, c, d)


@compiled
def unit(state: Any) -> Any:
    """A number in [0, 1), and the state after it."""
    bits, state = draw(state)
    return share_of(bits), state


@compiled
def share_of(bits: Any) -> Any:
    """A number in [0, 1) by 64 bits."""
    return np.float64(bits >> _U(11)) * _UNIT


@compiled
def uniform(size: Any, state: Any) -> Any:
    """A whole number below ``size`` < 2^31, and the state after it."""
    bits, state = draw(state)
    number, _ = split(bits, size)
    return number, state


@compiled
def split(bits: Any, size: Any) -> Any:
    """The words of ``bits`` times ``size``: a whole number below ``size`` < 2^31, and 64 bits that are left over."""
    high = (bits >> _U(32)) * _U(size) + (((bits & _LOW) * _U(size)) >> _U(32))
    return np.int64(high >> _U(32)), bits * _U(size)


@compiled
def successes(trials: Any, threshold: Any, state: Any) -> Any:
    """Binomial number of ``trials`` 64-bit draws below ``threshold``, and the state after them.

    64 trials are compared with the threshold bit by bit, highest first, one draw for each bit until all are decided:
    after about seven draws they are.
    """
    count = 0
    while trials > 0:
        undecided = _EVERY_DRAW if trials >= 64 else (_U(1) << _U(trials)) - _U(1)
        below = undecided if threshold == _EVERY_DRAW else _U(0)
        rest = _U(0) if threshold == _EVERY_DRAW else threshold
        while undecided != 0 and rest != 0:
            bits, state = draw(state)
            if rest >> _U(63):
                below |= undecided & ~bits
                undecided &= bits
            else:
                undecided &= ~bits
            rest <<= _U(1)
        count += _ones(below)
        trials -= 64
    return count, state


@compiled
def _ones(x: Any) -> Any:
    """Number of ones among 64 bits."""
    x -= (x >> _U(1)) & _U(0x5555555555555555)
    x = (x & _U(0x3333333333333333)) + ((x >> _U(2)) & _U(0x3333333333333333))
    x = (x + (x >> _U(4))) & _U(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * _U(0x0101010101010101)) >> _U(56))
