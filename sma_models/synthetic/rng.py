"""Random numbers addressed by (seed, subject, index) instead of by the order of calls."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sma_models.synthetic.types import FloatArray

# The multipliers of the splitmix64 generator: a full-avalanche mix of 64 bits.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)

# One tag per purpose, so that labels, identities and scenes never share random numbers.
LABELS, IDENTITY, SCENE = 1, 2, 3


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))


def normals(seed: int, subjects: ArrayLike, indices: ArrayLike, columns: int) -> FloatArray:
    """Standard normals, float64 [n, columns], for n (subject, index) pairs.

    Each row depends only on its own pair: it is the same alone or among a million others, in any order.
    """
    key = _mix(np.array([seed], np.uint64) ^ np.uint64(LABELS << 56))
    key = _mix(key ^ np.asarray(subjects, np.uint64))
    key = _mix(key ^ np.asarray(indices, np.uint64))
    counter = np.arange(2 * columns, dtype=np.uint64)
    bits = _mix(key[:, None] ^ (counter[None, :] * _GOLDEN))
    # 53 bits, shifted by half a step: a uniform that is never 0, so its logarithm is finite.
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    # Box-Muller: one half of the columns gives the radius, the other half the angle.
    radius = np.sqrt(-2.0 * np.log(uniform[:, :columns]))
    return radius * np.cos(2.0 * np.pi * uniform[:, columns:])


def generator(purpose: int, seed: int, *key: int) -> np.random.Generator:
    """A numpy Generator for one identity or one scene; `purpose` is one of the tags above."""
    return np.random.default_rng((purpose, seed, *key))
