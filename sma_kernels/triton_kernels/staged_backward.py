"""Backward in blocks of maps, for more maps or positions than one program holds; see staged_forward for the blocks.

moments_kernel -> softmax_rows_kernel -> staged_gram_backward_kernel -> one or two walks that write gradients:
dm_i = dMaps_i + sum_j Q_ij m_j + (1 - g) dm'_i + g sum_j S_ji dm'_j.
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
from sma_kernels.triton_kernels.staged_forward import block_start, staged_tile


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
    weight_sum = tl.zeros([ROWS, PART_D], tl.float32) if G == 1 else tl.zeros([K_PAD, R_PAD, PART_D], tl.float32)
    k_first, r_first = block_start(first, K, R_PAD, K_PAD)
    bias_sum = tl.zeros([ROWS], tl.float32)
    for l0 in range(0, L, BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        if grad_features is not None:
            df = tl.zeros([PART_D, BLOCK_L] if G == 1 else [K_PAD, PART_D, BLOCK_L], tl.float32)
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
                        q_ij = tl.load(q + sample * N * N + n_i[:, None] * N + n_j[None, :], mask=pairs, other=0.0)
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
            if grad_maps is not None:
                tl.store(grad_maps + (sample * N + n_i[:, None]) * L + pos[None, :], dm, mask=inside)
            if features is not None:
                dot_i = tl.load(row_dot + sample * N + n_i, mask=valid_i, other=0.0)
                dz = tl.where(inside, logits_gradient(m, dm, dot_i, L, SOFTMAX), 0.0)
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
            store_features_tile(grad_features, df, g_c, g_l, k_first, d0, l0, L, K, D, G, K_PAD, PART_D, BLOCK_L)
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
