"""Backward in blocks of maps, for more maps or positions than one program holds; see staged_forward for the blocks.

moments_kernel -> softmax_rows_kernel -> staged_gram_backward_kernel -> one or two walks that write gradients:
dm_i = dMaps_i + sum_j Q_ij m_j - along_i m_i + (1 - g) dm'_i + g sum_j S_ji dm'_j.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import feature_strides, given_tile, map_rows
from sma_kernels.triton_kernels.attention_maps_backward import (
    features_gradient,
    logits_gradient,
    store_features_tile,
    store_weight_gradient,
    weight_gradient,
)
from sma_kernels.triton_kernels.correlation import scalar_of
from sma_kernels.triton_kernels.merge import refined_gradient_tile
from sma_kernels.triton_kernels.staged_forward import block_start, inverse_norms_of, staged_tile


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
    along_rows,  # float32 [B,N]: sum_j S dS
    grad_correlation,  # float32 [B,N,N] or None
    correlation,  # float32 [B,N,N]
    products,  # float32 [B,N,N] or None
    gate_tensor,  # [] or None
    gate,
    N: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Program (b, rows i)."""
    sample = tl.program_id(0).to(tl.int64)
    gate = scalar_of(gate_tensor, gate)
    i = tl.program_id(1) * BLOCK_I + tl.arange(0, BLOCK_I)
    along = tl.zeros([BLOCK_I], tl.float32)
    for j0 in range(0, N, BLOCK_J):
        j = j0 + tl.arange(0, BLOCK_J)
        at = sample * N * N + i[:, None] * N + j[None, :]
        inside = (i < N)[:, None] & (j < N)[None, :]
        ds = correlation_gradient_tile(grad_correlation, products, gate, at, inside)
        along += tl.sum(ds * tl.load(correlation + at, mask=inside, other=0.0), 1)
    tl.store(along_rows + sample * N + i, along, mask=i < N)


@triton.jit
def staged_gram_backward_kernel(
    q,  # float32 [B,N,N]: gradient of the maps is q m - along m, through the Gram matrix
    along,  # float32 [B,N]
    row_dot,  # float32 [B,N], completed here
    partial,  # float32 [B,TOTAL] or None: each sample's parameter gradients
    grad_diversity,  # float32 [B] or None
    grad_correlation,  # float32 [B,N,N] or None
    correlation,  # float32 [B,N,N] or None
    along_rows,  # float32 [B,N], read with `correlation`
    gram,  # float32 [B,N,N]
    products,  # float32 [B,N,N] or None
    temperature_tensor,  # [] or None
    gate_tensor,  # [] or None
    temperature,
    gate,
    margin,
    N: tl.constexpr,
    K: tl.constexpr,
    SCORES: tl.constexpr,
    AT_RELATION: tl.constexpr,
    AT_TEMPERATURE: tl.constexpr,
    AT_GATE: tl.constexpr,
    TOTAL: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Program b."""
    PAIRS: tl.constexpr = N * (K - 1) if K > 1 else 1
    sample = tl.program_id(0).to(tl.int64)
    square = sample * N * N
    gate = scalar_of(gate_tensor, gate)
    temperature = scalar_of(temperature_tensor, temperature)
    if partial is not None:
        partial += sample * TOTAL
    dtemperature = tl.zeros([BLOCK_I], tl.float32)
    dgate = tl.zeros([BLOCK_I], tl.float32)
    for i0 in range(0, N, BLOCK_I):
        i = i0 + tl.arange(0, BLOCK_I)
        inverse_i, above_floor = inverse_norms_of(gram + square, i, N)
        along_i = tl.zeros([BLOCK_I], tl.float32)
        dot_i = tl.load(row_dot + sample * N + i, mask=i < N, other=0.0)
        for j0 in range(0, N, BLOCK_J):
            j = j0 + tl.arange(0, BLOCK_J)
            inside = (i < N)[:, None] & (j < N)[None, :]
            at = i[:, None] * N + j[None, :]
            mirrored = j[None, :] * N + i[:, None]
            inverse_j, _above = inverse_norms_of(gram + square, j, N)
            gram_ij = tl.load(gram + square + at, mask=inside, other=0.0)
            cos = gram_ij * inverse_i[:, None] * inverse_j[None, :]
            both = tl.zeros([BLOCK_I, BLOCK_J], tl.float32)  # dcos + dcos^T
            if grad_diversity is not None:
                pushed = (
                    inside
                    & (i[:, None] // K == j[None, :] // K)
                    & (i[:, None] != j[None, :])
                    & (cos > margin)
                )
                both += tl.where(pushed, 2.0 * tl.load(grad_diversity + sample) / PAIRS, 0.0)
            if SCORES:
                s = tl.load(correlation + square + at, mask=inside, other=0.0)
                ds = correlation_gradient_tile(grad_correlation, products, gate, square + at, inside)
                row_i = tl.load(along_rows + sample * N + i, mask=i < N, other=0.0)
                dscores = s * (ds - row_i[:, None])
                s_ji = tl.load(correlation + square + mirrored, mask=inside, other=0.0)
                ds_ji = correlation_gradient_tile(grad_correlation, products, gate, square + mirrored, inside)
                row_j = tl.load(along_rows + sample * N + j, mask=j < N, other=0.0)
                both += (dscores + s_ji * (ds_ji - row_j[None, :])) / temperature
                dtemperature -= tl.sum(dscores * cos, 1) / (temperature * temperature)
                if AT_RELATION >= 0:
                    tl.store(partial + AT_RELATION + at, dscores, mask=inside)
                if products is not None:
                    p = tl.load(products + square + at, mask=inside, other=0.0)
                    p_ji = tl.load(products + square + mirrored, mask=inside, other=0.0)
                    diagonal = tl.sum(tl.where(i[:, None] == j[None, :], p, 0.0), 1)
                    dgate += tl.sum(s * p, 1) - diagonal
                    dot_i += (1.0 - gate) * diagonal + gate * tl.sum(s_ji * p_ji, 1)
            q_ij = inverse_i[:, None] * both * inverse_j[None, :]
            along_i += tl.sum(both * cos, 1)
            dot_i += tl.sum(q_ij * gram_ij, 1)
            tl.store(q + square + at, q_ij, mask=inside)
        along_i = tl.where(above_floor, inverse_i * inverse_i * along_i, 0.0)
        norm = tl.load(gram + square + i * (N + 1), mask=i < N, other=0.0)
        tl.store(along + sample * N + i, along_i, mask=i < N)
        tl.store(row_dot + sample * N + i, dot_i - along_i * norm, mask=i < N)
    if AT_TEMPERATURE >= 0:
        tl.store(partial + AT_TEMPERATURE, tl.sum(dtemperature))
    if AT_GATE >= 0:
        tl.store(partial + AT_GATE, tl.sum(dgate))


@triton.jit
def staged_maps_backward_kernel(
    grad_features,  # T [B,G*D,L] or None
    grad_maps,  # T [B,N,L] or None
    partial,  # float32 [B,TOTAL] or None
    grad_attention,  # T [B,A,L] or None
    partial_attention,  # float32 [B,slices,A,L] or None
    partial_along,  # float32 [B,alongs,A], read with partial_attention
    grad_maps_out,  # T [B,N,L] or None
    correlation,  # float32 [B,N,N] or None: S, where a refinement comes between dm' and dm
    winner,  # uint8 [B,R,L] or None
    q,  # float32 [B,N,N] or None
    along,  # float32 [B,N], read with q
    row_dot,  # float32 [B,N] or None
    statistics,  # float32 [B,2,N] or None
    features,  # T [B,G*D,L] or None
    maps_in,  # T [B,N,L] or None
    weight,  # [R,K,D] or None
    bias,  # [R,K] or None
    gate_tensor,  # [] or None
    gate,
    g_batch,
    g_stride,
    f_batch,
    f_stride,
    L,
    slices,
    alongs,
    G_LAST: tl.constexpr,
    G_VEC: tl.constexpr,
    F_LAST: tl.constexpr,
    F_VEC: tl.constexpr,
    R: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    SOFTMAX: tl.constexpr,
    MERGE: tl.constexpr,
    AT_WEIGHT: tl.constexpr,
    AT_BIAS: tl.constexpr,
    TOTAL: tl.constexpr,
    SHARING: tl.constexpr,
    BLOCK_STEP: tl.constexpr,
    PART_D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Program (b, i, block of D) takes the SHARING blocks i, i + BLOCK_STEP, ... of maps: one, except where several
    blocks share the features whose gradient it writes."""
    N: tl.constexpr = R * K
    ROWS: tl.constexpr = K_PAD * R_PAD
    KB: tl.constexpr = (K + K_PAD - 1) // K_PAD
    BLOCKS: tl.constexpr = KB * ((R + R_PAD - 1) // R_PAD)
    A: tl.constexpr = N if MERGE == "none" else R
    MERGED: tl.constexpr = (grad_attention is not None) or (partial_attention is not None)
    NEEDS_WEIGHT: tl.constexpr = AT_WEIGHT >= 0
    sample = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1)
    d0 = tl.program_id(2) * PART_D
    owns = tl.program_id(2) == 0
    f_c, f_l = feature_strides(f_stride, F_LAST, F_VEC)
    g_c, g_l = feature_strides(g_stride, G_LAST, G_VEC)
    gate = scalar_of(gate_tensor, gate)
    if features is not None:
        features += sample * (f_batch // F_VEC * F_VEC)
    else:
        maps_in += sample * N * L
    if grad_features is not None:
        grad_features += sample * (g_batch // G_VEC * G_VEC)
    if grad_attention is not None:
        grad_attention += sample * A * L
    if partial_attention is not None:
        partial_attention += sample * slices * A * L
        partial_along += sample * alongs * A
    if winner is not None:
        winner += sample * R * L
    if statistics is not None:
        statistics += sample * 2 * N
    if G == 1:
        weight_sum = tl.zeros([ROWS, PART_D], tl.float32)
    else:
        weight_sum = tl.zeros([K_PAD, R_PAD, PART_D], tl.float32)
    k_first, r_first = block_start(first, K, R_PAD, K_PAD)
    bias_sum = tl.zeros([ROWS], tl.float32)
    for l0 in range(0, L, BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        if grad_features is not None:
            if G == 1:
                df = tl.zeros([PART_D, BLOCK_L], tl.float32)
            else:
                df = tl.zeros([K_PAD, PART_D, BLOCK_L], tl.float32)
        for shared in range(0, SHARING):
            k_i, r_i = block_start(first + shared * BLOCK_STEP, K, R_PAD, K_PAD)
            n_i, _region, valid_i = map_rows(k_i, r_i, R, K, R_PAD, K_PAD)
            inside = valid_i[:, None] & (pos < L)[None, :]
            m = staged_tile(
                features, maps_in, weight, bias, statistics,
                f_c, f_l, k_i, r_i, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
            )  # fmt: skip
            if grad_maps_out is not None:
                dm = given_tile(grad_maps_out + sample * N * L, n_i, inside, pos, L)
            else:
                dm = tl.zeros([ROWS, BLOCK_L], tl.float32)
            if MERGED:
                dm_refined = refined_gradient_tile(
                    grad_attention, partial_attention, partial_along, winner,
                    k_i, r_i, l0, L, slices, alongs, R, K, R_PAD, K_PAD, MERGE, BLOCK_L,
                )  # fmt: skip
                dm += dm_refined * (1.0 - gate) if correlation is not None else dm_refined
            if (q is not None) or (correlation is not None):
                for other in range(0, BLOCKS):
                    k_j, r_j = block_start(other, K, R_PAD, K_PAD)
                    n_j, _region, valid_j = map_rows(k_j, r_j, R, K, R_PAD, K_PAD)
                    pairs = valid_i[:, None] & valid_j[None, :]
                    if q is not None:
                        m_j = staged_tile(
                            features, maps_in, weight, bias, statistics,
                            f_c, f_l, k_j, r_j, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
                        )  # fmt: skip
                        q_ij = tl.load(
                            q + sample * N * N + n_i[:, None] * N + n_j[None, :], mask=pairs, other=0.0
                        )
                        dm = tl.dot(q_ij, m_j, dm, input_precision=PRECISION)
                    if correlation is not None:
                        refined_j = refined_gradient_tile(
                            grad_attention, partial_attention, partial_along, winner,
                            k_j, r_j, l0, L, slices, alongs, R, K, R_PAD, K_PAD, MERGE, BLOCK_L,
                        )  # fmt: skip
                        s_ji = tl.load(
                            correlation + sample * N * N + n_j[None, :] * N + n_i[:, None],
                            mask=pairs,
                            other=0.0,
                        )
                        dm = tl.dot(gate * s_ji, refined_j, dm, input_precision=PRECISION)
            if q is not None:
                dm -= tl.load(along + sample * N + n_i, mask=valid_i, other=0.0)[:, None] * m
            if grad_maps is not None:
                tl.store(grad_maps + (sample * N + n_i[:, None]) * L + pos[None, :], dm, mask=inside)
            if features is not None:
                dot_i = tl.load(row_dot + sample * N + n_i, mask=valid_i, other=0.0)
                dz = tl.where(inside, logits_gradient(m, dm, dot_i, SOFTMAX), 0.0)
                if SOFTMAX:
                    bias_sum = 0.0 * dot_i
                else:
                    bias_sum += tl.sum(dz, 1)
                if grad_features is not None:
                    df += features_gradient(
                        dz, weight, k_i, r_i, d0, R, K, D, G, R_PAD, K_PAD, PART_D, NARROW, PRECISION
                    )
                if NEEDS_WEIGHT:
                    weight_sum = weight_gradient(
                        weight_sum, dz, features, f_c, f_l, k_i, d0, l0, L,
                        K, D, G, R_PAD, K_PAD, PART_D, BLOCK_L, NARROW, PRECISION,
                    )  # fmt: skip
        if grad_features is not None:
            store_features_tile(
                grad_features, df, g_c, g_l, k_first, d0, l0, L, K, D, G, K_PAD, PART_D, BLOCK_L
            )
    if NEEDS_WEIGHT:
        store_weight_gradient(
            partial + sample * TOTAL + AT_WEIGHT,
            weight_sum,
            k_first,
            r_first,
            d0,
            R,
            K,
            D,
            G,
            R_PAD,
            K_PAD,
            PART_D,
        )
    if AT_BIAS >= 0:
        n, _region, valid = map_rows(k_first, r_first, R, K, R_PAD, K_PAD)
        tl.store(partial + sample * TOTAL + AT_BIAS + n, bias_sum, mask=valid & owns)
