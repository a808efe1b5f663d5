"""The cosine Gram matrix of a sample's maps, the hinge on it, and the way back to the maps."""

import triton
import triton.language as tl

NORM_FLOOR = tl.constexpr(1e-6)


@triton.jit
def diagonal(matrix, SIZE: tl.constexpr):
    """The diagonal [SIZE] of a matrix [SIZE,SIZE]; nothing beside it is touched, NaN or not."""
    i = tl.arange(0, SIZE)
    return tl.sum(tl.where(i[:, None] == i[None, :], matrix, 0.0), 1)


@triton.jit
def inverse_norms(gram, SIZE: tl.constexpr):
    """(1 / max(norm, floor), norm > floor) from an un-normalised Gram matrix, whose diagonal holds norm**2."""
    norm = tl.sqrt(diagonal(gram, SIZE))
    return 1.0 / tl.maximum(norm, NORM_FLOOR, propagate_nan=tl.PropagateNan.ALL), norm > NORM_FLOOR


@triton.jit
def channel_pairs(region, valid, SIZE: tl.constexpr):
    """[SIZE,SIZE] mask of the pairs of different channels of one region."""
    i = tl.arange(0, SIZE)
    same = (region[:, None] == region[None, :]) & (i[:, None] != i[None, :])
    return same & valid[:, None] & valid[None, :]


@triton.jit
def hinge_rows(cos, pairs, margin):
    """Sum of max(0, cos - margin) over the pairs of each row; a NaN cosine stays NaN."""
    excess = cos - margin
    return tl.sum(tl.where(pairs, tl.where(excess <= 0.0, 0.0, excess), 0.0), 1)


@triton.jit
def gram_backward(dcos, cos, inverse, above_floor, SIZE: tl.constexpr):
    """Q [SIZE,SIZE] with dm = Q m: from the gradient of cos, through cos = m^ m^T and m^ = m / max(norm, floor)."""
    both = dcos + tl.trans(dcos)
    along = tl.where(above_floor, inverse * inverse * tl.sum(both * cos, 1), 0.0)
    i = tl.arange(0, SIZE)
    return inverse[:, None] * both * inverse[None, :] - tl.where(i[:, None] == i[None, :], along[:, None], 0.0)
