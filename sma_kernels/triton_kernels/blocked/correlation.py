"""Diversity and correlation from a stored Gram matrix, and their backward to the matrix Q, with dm = Q m, in blocks of
rows and columns."""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import advance, online_softmax_update, softmax_tile
from sma_kernels.triton_kernels.correlation import load_scalar
from sma_kernels.triton_kernels.gram import cosine_gram, hinge_diversity, load_inverse_norms


@triton.jit
def scores_tile(gram, relation_bias, inverse_i, i, j, temperature, N: tl.constexpr):
    """(cos, scores, mask) of rows i and columns j of one sample."""
    inverse_j, _above = load_inverse_norms(gram, j, N)
    inside = (i < N)[:, None] & (j < N)[None, :]
    at = i[:, None] * N + j[None, :]
    cos = cosine_gram(tl.load(gram + at, mask=inside, other=0.0), inverse_i, inverse_j)
    scores = cos / temperature
    if relation_bias is not None:
        scores += tl.load(relation_bias + at, mask=inside, other=0.0).to(tl.float32)
    return cos, scores, inside


@triton.jit
def blocked_correlation_kernel(
    outputs,  # ForwardOutputs: diversity, correlation
    gram,  # float32 [B,N,N]
    relation_bias,  # [N,N] or None
    temperature,  # Scalar
    margin,
    N: tl.constexpr,
    K: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Program b: diversity and the rows of S of a sample from its Gram matrix."""
    sample = tl.program_id(0).to(tl.int64)
    gram += sample * N * N
    t = load_scalar(temperature)
    hinge = tl.zeros([BLOCK_I], tl.float32)
    for i0 in range(0, N, BLOCK_I):
        i = i0 + tl.arange(0, BLOCK_I)
        inverse_i, _above = load_inverse_norms(gram, i, N)
        row_max = tl.full([BLOCK_I], float("-inf"), tl.float32)
        row_sum = tl.zeros([BLOCK_I], tl.float32)
        for j0 in range(0, N, BLOCK_J):
            j = j0 + tl.arange(0, BLOCK_J)
            cos, scores, inside = scores_tile(gram, relation_bias, inverse_i, i, j, t, N)
            pairs = inside & (i[:, None] // K == j[None, :] // K) & (i[:, None] != j[None, :])
            hinge += hinge_diversity(cos, pairs, margin)
            _e, row_max, row_sum, _alpha = online_softmax_update(scores, inside, row_max, row_sum)
        if outputs.correlation is not None:
            for j0 in range(0, N, BLOCK_J):
                j = j0 + tl.arange(0, BLOCK_J)
                _cos, scores, inside = scores_tile(gram, relation_bias, inverse_i, i, j, t, N)
                s = softmax_tile(scores, inside, row_max, 1.0 / row_sum)
                tl.store(outputs.correlation + sample * N * N + i[:, None] * N + j[None, :], s, mask=inside)
    if outputs.diversity is not None:
        PAIRS: tl.constexpr = N * (K - 1) if K > 1 else 1
        tl.store(outputs.diversity + sample, tl.sum(hinge) / PAIRS)


@triton.jit
def correlation_gradient_tile(grad_correlation, products, gate, at, inside):
    """dS = dCorrelation + g P at the offsets `at` of one sample."""
    ds = tl.zeros(at.shape, tl.float32)
    if grad_correlation is not None:
        ds += tl.load(grad_correlation + at, mask=inside, other=0.0)
    if products is not None:
        ds += gate * tl.load(products + at, mask=inside, other=0.0)
    return ds


@triton.jit
def softmax_rows_kernel(
    score_delta,  # float32 [B,N]: sum_j S dS
    grad_correlation,  # float32 [B,N,N] or None
    correlation,  # float32 [B,N,N]
    products,  # float32 [B,N,N] or None
    gate,  # Scalar
    N: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Program (b, rows i)."""
    sample = tl.program_id(0).to(tl.int64)
    g = load_scalar(gate)
    i = tl.program_id(1) * BLOCK_I + tl.arange(0, BLOCK_I)
    delta = tl.zeros([BLOCK_I], tl.float32)
    for j0 in range(0, N, BLOCK_J):
        j = j0 + tl.arange(0, BLOCK_J)
        at = sample * N * N + i[:, None] * N + j[None, :]
        inside = (i < N)[:, None] & (j < N)[None, :]
        ds = correlation_gradient_tile(grad_correlation, products, g, at, inside)
        delta += tl.sum(ds * tl.load(correlation + at, mask=inside, other=0.0), 1)
    tl.store(score_delta + sample * N + i, delta, mask=i < N)


@triton.jit
def blocked_gram_backward_kernel(
    q,  # float32 [B,N,N]: through the Gram matrix, the gradient of the maps is q m
    delta,  # float32 [B,N], completed here
    partial,  # float32 [>=B,NUMEL] or None: parameter gradients; row b is written here
    grad_diversity,  # float32 [B] or None
    grad_correlation,  # float32 [B,N,N] or None
    correlation,  # float32 [B,N,N] or None
    score_delta,  # float32 [B,N], read with `correlation`
    gram,  # float32 [B,N,N]
    products,  # float32 [B,N,N] or None
    temperature,  # Scalar
    gate,  # Scalar
    margin,
    N: tl.constexpr,
    K: tl.constexpr,
    SCORES: tl.constexpr,
    OFFSETS: tl.constexpr,  # ParamOffsets
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Program b."""
    PAIRS: tl.constexpr = N * (K - 1) if K > 1 else 1
    sample = tl.program_id(0).to(tl.int64)
    square = sample * N * N
    g = load_scalar(gate)
    t = load_scalar(temperature)
    partial = advance(partial, sample * OFFSETS.NUMEL)
    dtemperature = tl.zeros([BLOCK_I], tl.float32)
    dgate = tl.zeros([BLOCK_I], tl.float32)
    for i0 in range(0, N, BLOCK_I):
        i = i0 + tl.arange(0, BLOCK_I)
        inverse_i, above_floor = load_inverse_norms(gram + square, i, N)
        row_projection = tl.zeros([BLOCK_I], tl.float32)
        diag_i = tl.zeros([BLOCK_I], tl.float32)
        delta_i = tl.load(delta + sample * N + i, mask=i < N, other=0.0)
        for j0 in range(0, N, BLOCK_J):
            j = j0 + tl.arange(0, BLOCK_J)
            inside = (i < N)[:, None] & (j < N)[None, :]
            at = i[:, None] * N + j[None, :]
            mirrored = j[None, :] * N + i[:, None]
            inverse_j, _above = load_inverse_norms(gram + square, j, N)
            gram_ij = tl.load(gram + square + at, mask=inside, other=0.0)
            cos = cosine_gram(gram_ij, inverse_i, inverse_j)
            dcos_sym = tl.zeros([BLOCK_I, BLOCK_J], tl.float32)  # dcos + dcos^T
            if grad_diversity is not None:
                pairs = inside & (i[:, None] // K == j[None, :] // K) & (i[:, None] != j[None, :])
                above_margin = pairs & (cos > margin)
                dcos_sym += tl.where(above_margin, 2.0 * tl.load(grad_diversity + sample) / PAIRS, 0.0)
            if SCORES:
                s = tl.load(correlation + square + at, mask=inside, other=0.0)
                ds = correlation_gradient_tile(grad_correlation, products, g, square + at, inside)
                row_i = tl.load(score_delta + sample * N + i, mask=i < N, other=0.0)
                dscores = s * (ds - row_i[:, None])
                s_ji = tl.load(correlation + square + mirrored, mask=inside, other=0.0)
                ds_ji = correlation_gradient_tile(grad_correlation, products, g, square + mirrored, inside)
                row_j = tl.load(score_delta + sample * N + j, mask=j < N, other=0.0)
                dcos_sym += (dscores + s_ji * (ds_ji - row_j[None, :])) / t
                dtemperature -= tl.sum(dscores * cos, 1) / (t * t)
                if OFFSETS.RELATION_BIAS >= 0:
                    tl.store(partial + OFFSETS.RELATION_BIAS + at, dscores, mask=inside)
                if products is not None:
                    p = tl.load(products + square + at, mask=inside, other=0.0)
                    p_ji = tl.load(products + square + mirrored, mask=inside, other=0.0)
                    diag_p = tl.sum(tl.where(i[:, None] == j[None, :], p, 0.0), 1)
                    p_ii = tl.load(products + square + i * (N + 1), mask=i < N, other=0.0)
                    dgate += tl.sum(s * (p - p_ii[:, None]), 1)  # rows of s sum to 1
                    delta_i += (1.0 - g) * diag_p + g * tl.sum(s_ji * p_ji, 1)
            q_ij = inverse_i[:, None] * dcos_sym * inverse_j[None, :]
            row_projection += tl.sum(dcos_sym * cos, 1)
            delta_i += tl.sum(q_ij * gram_ij, 1)
            on_diagonal = i[:, None] == j[None, :]
            diag_i += tl.sum(tl.where(on_diagonal, q_ij, 0.0), 1)
            # The diagonal is stored once, below: of two stores by different threads either might come last.
            tl.store(q + square + at, q_ij, mask=inside & ~on_diagonal)
        row_projection = tl.where(above_floor, inverse_i * inverse_i * row_projection, 0.0)
        # Nearly equal: subtracted here, in float32, since a product of TF32 operands would keep the rounding of each.
        tl.store(q + square + i * (N + 1), diag_i - row_projection, mask=i < N)
        norm = tl.load(gram + square + i * (N + 1), mask=i < N, other=0.0)
        tl.store(delta + sample * N + i, delta_i - row_projection * norm, mask=i < N)
    if OFFSETS.TEMPERATURE >= 0:
        tl.store(partial + OFFSETS.TEMPERATURE, tl.sum(dtemperature))
    if OFFSETS.GATE >= 0:
        tl.store(partial + OFFSETS.GATE, tl.sum(dgate))
