"""Diversity and correlation from a stored Gram matrix, in blocks of its rows and columns."""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import activate_tile, online_softmax_update
from sma_kernels.triton_kernels.correlation import scalar_of
from sma_kernels.triton_kernels.gram import NORM_FLOOR, hinge_rows


@triton.jit
def inverse_norms_of(gram, n, N: tl.constexpr):
    """As gram.inverse_norms, for the maps n of the stored matrix gram [N,N] of one sample."""
    norm = tl.sqrt(tl.load(gram + n.to(tl.int64) * (N + 1), mask=n < N, other=0.0))
    return 1.0 / tl.maximum(norm, NORM_FLOOR, propagate_nan=tl.PropagateNan.ALL), norm > NORM_FLOOR


@triton.jit
def scores_tile(gram, relation_bias, inverse_i, i, j, temperature, N: tl.constexpr):
    """(cos, scores, mask) of rows i and columns j of one sample."""
    inverse_j, _above = inverse_norms_of(gram, j, N)
    inside = (i < N)[:, None] & (j < N)[None, :]
    at = i[:, None] * N + j[None, :]
    cos = tl.load(gram + at, mask=inside, other=0.0) * inverse_i[:, None] * inverse_j[None, :]
    scores = cos / temperature
    if relation_bias is not None:
        scores += tl.load(relation_bias + at, mask=inside, other=0.0).to(tl.float32)
    return cos, scores, inside


@triton.jit
def staged_correlation_kernel(
    diversity,  # float32 [B] or None
    correlation,  # float32 [B,N,N] or None
    gram,  # float32 [B,N,N]
    relation_bias,  # [N,N] or None
    temperature_tensor,  # [] or None
    temperature,
    margin,
    N: tl.constexpr,
    K: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Program b: diversity and the rows of S of a sample from its Gram matrix."""
    sample = tl.program_id(0).to(tl.int64)
    gram += sample * N * N
    temperature = scalar_of(temperature_tensor, temperature)
    hinge = tl.zeros([BLOCK_I], tl.float32)
    for i0 in range(0, N, BLOCK_I):
        i = i0 + tl.arange(0, BLOCK_I)
        inverse_i, _above = inverse_norms_of(gram, i, N)
        peak = tl.full([BLOCK_I], float("-inf"), tl.float32)
        total = tl.zeros([BLOCK_I], tl.float32)
        for j0 in range(0, N, BLOCK_J):
            j = j0 + tl.arange(0, BLOCK_J)
            cos, scores, inside = scores_tile(gram, relation_bias, inverse_i, i, j, temperature, N)
            pairs = inside & (i[:, None] // K == j[None, :] // K) & (i[:, None] != j[None, :])
            hinge += hinge_rows(cos, pairs, margin)
            _e, peak, total, _shrink = online_softmax_update(scores, inside, peak, total)
        if correlation is not None:
            for j0 in range(0, N, BLOCK_J):
                j = j0 + tl.arange(0, BLOCK_J)
                _cos, scores, inside = scores_tile(gram, relation_bias, inverse_i, i, j, temperature, N)
                s = activate_tile(scores, inside, peak, 1.0 / total, True)
                tl.store(correlation + sample * N * N + i[:, None] * N + j[None, :], s, mask=inside)
    if diversity is not None:
        PAIRS: tl.constexpr = N * (K - 1) if K > 1 else 1
        tl.store(diversity + sample, tl.sum(hinge) / PAIRS)
