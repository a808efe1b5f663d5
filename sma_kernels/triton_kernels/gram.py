"""The cosine Gram matrix of the maps of one sample, its hinge, and its backward to the maps."""

import triton
import triton.language as tl

NORM_FLOOR = tl.constexpr(1e-6)


@triton.jit
def diagonal(matrix, SIZE: tl.constexpr):
    """The diagonal [SIZE] of a matrix [SIZE,SIZE]; NaN elsewhere has no effect."""
    i = tl.arange(0, SIZE)
    return tl.sum(tl.where(i[:, None] == i[None, :], matrix, 0.0), 1)


@triton.jit
def inverse_of_norm(squared):
    """(1 / max(norm, floor), norm > floor) from squared norms."""
    norm = tl.sqrt(squared)
    return 1.0 / tl.maximum(norm, NORM_FLOOR, propagate_nan=tl.PropagateNan.ALL), norm > NORM_FLOOR


@triton.jit
def inverse_norms(gram, SIZE: tl.constexpr):
    """(1 / max(norm, floor), norm > floor) of each map, from the Gram matrix in registers."""
    return inverse_of_norm(diagonal(gram, SIZE))


@triton.jit
def load_inverse_norms(gram, n, N: tl.constexpr):
    """inverse_norms of the maps n, from the stored Gram matrix [N,N] of one sample."""
    return inverse_of_norm(tl.load(gram + n.to(tl.int64) * (N + 1), mask=n < N, other=0.0))


@triton.jit
def cosine_gram(gram, inverse_i, inverse_j):
    return gram * inverse_i[:, None] * inverse_j[None, :]


@triton.jit
def channel_pairs(region, valid, SIZE: tl.constexpr):
    """[SIZE,SIZE] mask of the pairs of different channels of one region."""
    i = tl.arange(0, SIZE)
    same = (region[:, None] == region[None, :]) & (i[:, None] != i[None, :])
    return same & valid[:, None] & valid[None, :]


@triton.jit
def hinge_diversity(cos, pairs, margin):
    """Sum of max(0, cos - margin) over the pairs of each row; a NaN cosine stays NaN."""
    excess = cos - margin
    return tl.sum(tl.where(pairs, tl.where(excess <= 0.0, 0.0, excess), 0.0), 1)


@triton.jit
def gram_backward(dcos, cos, inverse, above_floor, SIZE: tl.constexpr):
    """Q [SIZE,SIZE] with dm = Q m: from the gradient of cos, through cos = m^ m^T and m^ = m / max(norm, floor)."""
    dcos_sym = dcos + tl.trans(dcos)
    row_projection = tl.where(above_floor, inverse * inverse * tl.sum(dcos_sym * cos, 1), 0.0)
    i = tl.arange(0, SIZE)
    scaled = inverse[:, None] * dcos_sym * inverse[None, :]
    return scaled - tl.where(i[:, None] == i[None, :], row_projection[:, None], 0.0)
