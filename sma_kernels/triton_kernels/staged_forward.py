"""Forward for more maps, or more positions, than one program holds: blocks of maps instead of all of them.

A block holds K_PAD channels of R_PAD regions; block r*KB + c starts at channel c*K_PAD and region r*R_PAD, with
KB = ceil(K / K_PAD). Every block is derived from the features wherever it is needed, so no map leaves in float32.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import (
    derive_tile,
    feature_strides,
    given_tile,
    map_rows,
    scan_tile,
)
from sma_kernels.triton_kernels.correlation import scalar_of
from sma_kernels.triton_kernels.merge import merge_tile, refined_gradient_tile


@triton.jit
def block_start(block, K: tl.constexpr, R_PAD: tl.constexpr, K_PAD: tl.constexpr):
    """(first channel, first region) of a block of maps."""
    KB: tl.constexpr = (K + K_PAD - 1) // K_PAD
    return block % KB * K_PAD, block // KB * R_PAD


@triton.jit
def moments_kernel(
    gram,  # float32 [B,N,N] or None: m m^T
    products,  # float32 [B,N,N] or None: P = dm' m^T
    statistics,  # float32 [B,2,N] or None: peak of the logits, and 1 / sum exp(z - peak)
    row_dot,  # float32 [B,N] or None: sum_l m * (dMaps, and dm' where no refinement comes between)
    grad_attention,  # T [B,A,L] or None
    partial_attention,  # float32 [B,slices,A,L] or None
    partial_along,  # float32 [B,alongs,A], read with partial_attention
    grad_maps_out,  # T [B,N,L] or None
    winner,  # uint8 [B,R,L] or None
    features,  # T [B,G*D,L] or None
    maps_in,  # T [B,N,L] or None
    weight,  # [R,K,D] or None
    bias,  # [R,K] or None
    f_batch,
    f_stride,
    L,
    slices,
    alongs,
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
    BLOCK_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Program (b, block i, block j): the products of block i with block j; those of j = 0 write what belongs to i."""
    N: tl.constexpr = R * K
    ROWS: tl.constexpr = K_PAD * R_PAD
    A: tl.constexpr = N if MERGE == "none" else R
    NORMALISED: tl.constexpr = SOFTMAX and (features is not None)
    sample = tl.program_id(0).to(tl.int64)
    owns = tl.program_id(2) == 0
    k_i, r_i = block_start(tl.program_id(1), K, R_PAD, K_PAD)
    k_j, r_j = block_start(tl.program_id(2), K, R_PAD, K_PAD)
    n_i, _region, valid_i = map_rows(k_i, r_i, R, K, R_PAD, K_PAD)
    n_j, _region, valid_j = map_rows(k_j, r_j, R, K, R_PAD, K_PAD)
    f_c, f_l = feature_strides(f_stride, F_LAST, F_VEC)
    if features is not None:
        features += sample * (f_batch // F_VEC * F_VEC)
    else:
        maps_in += sample * N * L
    if grad_attention is not None:
        grad_attention += sample * A * L
    if partial_attention is not None:
        partial_attention += sample * slices * A * L
        partial_along += sample * alongs * A
    if grad_maps_out is not None:
        grad_maps_out += sample * N * L
    if winner is not None:
        winner += sample * R * L

    peak_i = tl.full([ROWS], float("-inf"), tl.float32)
    total_i = tl.zeros([ROWS], tl.float32)
    peak_j = tl.full([ROWS], float("-inf"), tl.float32)
    total_j = tl.zeros([ROWS], tl.float32)
    gram_ij = tl.zeros([ROWS, ROWS], tl.float32)
    p_ij = tl.zeros([ROWS, ROWS], tl.float32)
    dot_i = tl.zeros([ROWS], tl.float32)
    for l0 in range(0, L, BLOCK_L):
        m_i, peak_i, total_i, shrink_i = scan_tile(
            features, maps_in, weight, bias, peak_i, total_i,
            f_c, f_l, k_i, r_i, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
        )  # fmt: skip
        if (grad_attention is not None) or (partial_attention is not None):
            dm_refined = refined_gradient_tile(
                grad_attention,
                partial_attention,
                partial_along,
                winner,
                k_i,
                r_i,
                l0,
                L,
                slices,
                alongs,
                R,
                K,
                R_PAD,
                K_PAD,
                MERGE,
                BLOCK_L,
            )
        if gram is not None:
            m_j, peak_j, total_j, shrink_j = scan_tile(
                features, maps_in, weight, bias, peak_j, total_j,
                f_c, f_l, k_j, r_j, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
            )  # fmt: skip
            gram_ij = gram_ij * shrink_i[:, None] * shrink_j[None, :]
            gram_ij = tl.dot(m_i, tl.trans(m_j), gram_ij, input_precision=PRECISION)
            if products is not None:
                p_ij = p_ij * shrink_j[None, :]
                p_ij = tl.dot(dm_refined, tl.trans(m_j), p_ij, input_precision=PRECISION)
        if row_dot is not None:
            gained = tl.zeros([ROWS], tl.float32)
            if ((grad_attention is not None) or (partial_attention is not None)) and (products is None):
                gained += tl.sum(dm_refined * m_i, 1)
            if grad_maps_out is not None:
                pos = l0 + tl.arange(0, BLOCK_L)
                inside = valid_i[:, None] & (pos < L)[None, :]
                gained += tl.sum(given_tile(grad_maps_out, n_i, inside, pos, L) * m_i, 1)
            dot_i = dot_i * shrink_i + gained
    inverse_i = tl.where(valid_i, 1.0 / total_i, 0.0)
    inverse_j = tl.where(valid_j, 1.0 / total_j, 0.0)
    if NORMALISED:
        gram_ij = gram_ij * inverse_i[:, None] * inverse_j[None, :]
        p_ij = p_ij * inverse_j[None, :]
        dot_i = dot_i * inverse_i
    square = sample * N * N + n_i[:, None] * N + n_j[None, :]
    inside = valid_i[:, None] & valid_j[None, :]
    if gram is not None:
        tl.store(gram + square, gram_ij, mask=inside)
    if products is not None:
        tl.store(products + square, p_ij, mask=inside)
    if statistics is not None:
        tl.store(statistics + sample * 2 * N + n_i, peak_i, mask=valid_i & owns)
        tl.store(statistics + sample * 2 * N + N + n_i, inverse_i, mask=valid_i & owns)
    if row_dot is not None:
        tl.store(row_dot + sample * N + n_i, dot_i, mask=valid_i & owns)


@triton.jit
def staged_tile(
    features,
    maps_in,
    weight,
    bias,
    statistics,  # float32 [2,N], one sample, or None
    f_c,
    f_l,
    k0,
    r0,
    l0,
    L,
    R: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    SOFTMAX: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """derive_tile with the row statistics of the block read back."""
    n, _, valid = map_rows(k0, r0, R, K, R_PAD, K_PAD)
    if statistics is not None:
        peak = tl.load(statistics + n, mask=valid, other=0.0)
        inverse_total = tl.load(statistics + R * K + n, mask=valid, other=0.0)
    else:
        peak = tl.zeros([K_PAD * R_PAD], tl.float32)
        inverse_total = peak
    return derive_tile(
        features, maps_in, weight, bias, peak, inverse_total,
        f_c, f_l, k0, r0, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
    )  # fmt: skip


@triton.jit
def staged_attention_kernel(
    attention,  # T [B,A,L] or None
    maps_out,  # T [B,N,L] or None
    attention_sum,  # float32 [B,A] or None
    winner,  # uint8 [B,R,L] or None
    features,  # T [B,G*D,L] or None
    maps_in,  # T [B,N,L] or None
    weight,  # [R,K,D] or None
    bias,  # [R,K] or None
    statistics,  # float32 [B,2,N] or None
    correlation,  # float32 [B,N,N] or None
    gate_tensor,  # [] or None
    gate,
    f_batch,
    f_stride,
    L,
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
    BLOCK_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Program (b, block of regions), with merge "none" (b, block of maps): refines and merges its maps."""
    N: tl.constexpr = R * K
    KB: tl.constexpr = (K + K_PAD - 1) // K_PAD
    BLOCKS: tl.constexpr = KB * ((R + R_PAD - 1) // R_PAD)
    A: tl.constexpr = N if MERGE == "none" else R
    MERGED_BLOCKS: tl.constexpr = 1 if MERGE == "none" else KB
    sample = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * MERGED_BLOCKS
    f_c, f_l = feature_strides(f_stride, F_LAST, F_VEC)
    gate = scalar_of(gate_tensor, gate)
    if features is not None:
        features += sample * (f_batch // F_VEC * F_VEC)
    else:
        maps_in += sample * N * L
    if statistics is not None:
        statistics += sample * 2 * N
    k_first, r_first = block_start(first, K, R_PAD, K_PAD)
    n_first, _region, valid_first = map_rows(k_first, r_first, R, K, R_PAD, K_PAD)
    r = r_first + tl.arange(0, R_PAD)
    row = n_first if MERGE == "none" else r
    row_inside = valid_first if MERGE == "none" else r < R
    row_sum = tl.zeros([K_PAD * R_PAD if MERGE == "none" else R_PAD], tl.float32)
    for l0 in range(0, L, BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        if MERGE == "none":
            a = tl.zeros([K_PAD * R_PAD, BLOCK_L], tl.float32)
        elif MERGE == "mean":
            a = tl.zeros([R_PAD, BLOCK_L], tl.float32)
        else:
            a = tl.full([R_PAD, BLOCK_L], float("-inf"), tl.float32)
            winning = tl.zeros([R_PAD, BLOCK_L], tl.int32)
        for block in range(first, first + MERGED_BLOCKS):
            k_i, r_i = block_start(block, K, R_PAD, K_PAD)
            n_i, _region, valid_i = map_rows(k_i, r_i, R, K, R_PAD, K_PAD)
            m = staged_tile(
                features, maps_in, weight, bias, statistics,
                f_c, f_l, k_i, r_i, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
            )  # fmt: skip
            if maps_out is not None:
                tl.store(
                    maps_out + (sample * N + n_i[:, None]) * L + pos[None, :],
                    m,
                    mask=valid_i[:, None] & (pos < L)[None, :],
                )
            if correlation is not None:
                mixed = tl.zeros([K_PAD * R_PAD, BLOCK_L], tl.float32)
                for other in range(0, BLOCKS):
                    k_j, r_j = block_start(other, K, R_PAD, K_PAD)
                    n_j, _region, valid_j = map_rows(k_j, r_j, R, K, R_PAD, K_PAD)
                    m_j = staged_tile(
                        features, maps_in, weight, bias, statistics,
                        f_c, f_l, k_j, r_j, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
                    )  # fmt: skip
                    s = tl.load(
                        correlation + sample * N * N + n_i[:, None] * N + n_j[None, :],
                        mask=valid_i[:, None] & valid_j[None, :],
                        other=0.0,
                    )
                    mixed = tl.dot(s, m_j, mixed, input_precision=PRECISION)
                m = m + gate * (mixed - m)
            found, found_winner = merge_tile(m, k_i, K, R_PAD, K_PAD, BLOCK_L, MERGE)
            if MERGE == "max":
                better = (found > a) | ((found != found) & (a == a))
                winning = tl.where(better, found_winner, winning)
                a = tl.where(better, found, a)
            else:
                a += found
        stored = row_inside[:, None] & (pos < L)[None, :]
        if attention is not None:
            tl.store(attention + (sample * A + row[:, None]) * L + pos[None, :], a, mask=stored)
        if winner is not None:
            tl.store(winner + (sample * R + r[:, None]) * L + pos[None, :], winning.to(tl.uint8), mask=stored)
        row_sum += tl.sum(tl.where(stored, a, 0.0), 1)
    if attention_sum is not None:
        tl.store(attention_sum + sample * A + row, row_sum, mask=row_inside)
