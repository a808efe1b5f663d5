"""Forward of one sample in one program: maps, Gram, diversity, correlation, refinement, merge, and pooling.

Where the positions fit one tile (SINGLE) the maps are derived once and stay in registers. Otherwise the positions are
walked twice: the first walk gathers the softmax statistics and the un-normalised Gram matrix, the second derives each
tile again, refines, merges and stores it.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import derive_tile, feature_strides, map_rows, scan_tile
from sma_kernels.triton_kernels.correlation import correlation_of, refine_tile, scalar_of
from sma_kernels.triton_kernels.gram import channel_pairs, hinge_rows, inverse_norms
from sma_kernels.triton_kernels.merge import merge_tile
from sma_kernels.triton_kernels.pool import floored, pool_tile, values_tile


@triton.jit
def attention_tile(
    attention,  # T [A,L], one sample, or None
    maps_out,  # T [N,L], one sample, or None
    winner,  # uint8 [R,L], one sample, or None
    m,  # float32 [K_PAD*R_PAD,BLOCK_L]
    s,  # float32 [K_PAD*R_PAD,K_PAD*R_PAD], read with REFINE
    gate,
    owns,
    l0,
    L,
    R: tl.constexpr,
    K: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    REFINE: tl.constexpr,
    MERGE: tl.constexpr,
    BLOCK_L: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Refines and merges one tile of maps; the program that owns the sample stores what has a pointer. Returns A."""
    pos = l0 + tl.arange(0, BLOCK_L)
    n, _, valid = map_rows(0, 0, R, K, R_PAD, K_PAD)
    stored = ((pos < L) & owns)[None, :]
    if maps_out is not None:
        tl.store(maps_out + n[:, None] * L + pos[None, :], m, mask=valid[:, None] & stored)
    if REFINE:
        m = refine_tile(m, s, gate, PRECISION)
    a, winning = merge_tile(m, 0, K, R_PAD, K_PAD, BLOCK_L, MERGE)
    r = tl.arange(0, R_PAD)
    if attention is not None:
        if MERGE == "none":
            tl.store(attention + n[:, None] * L + pos[None, :], a, mask=valid[:, None] & stored)
        else:
            tl.store(attention + r[:, None] * L + pos[None, :], a, mask=(r < R)[:, None] & stored)
    if winner is not None:
        tl.store(winner + r[:, None] * L + pos[None, :], winning.to(tl.uint8), mask=(r < R)[:, None] & stored)
    return tl.where((pos < L)[None, :], a, 0.0)


@triton.jit
def forward_kernel(
    pooled,  # T [B,A,C] or None; A is R, or N for merge "none"
    attention,  # T [B,A,L] or None
    maps_out,  # T [B,N,L] or None
    diversity,  # float32 [B] or None
    correlation,  # float32 [B,N,N] or None
    attention_sum,  # float32 [B,A] or None
    winner,  # uint8 [B,R,L] or None
    values,  # T [B,C,L], read with `pooled`
    features,  # T [B,G*D,L] or None
    maps_in,  # T [B,N,L] or None
    weight,  # [R,K,D] or None
    bias,  # [R,K] or None
    relation_bias,  # [N,N] or None
    temperature_tensor,  # [] or None
    gate_tensor,  # [] or None
    temperature,
    gate,
    margin,
    x_batch,
    x_stride,
    f_batch,
    f_stride,
    C,
    L,
    X_LAST: tl.constexpr,
    X_VEC: tl.constexpr,
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
    SINGLE: tl.constexpr,
    SLICE_C: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Program (b, slice of C); slice 0 writes everything but `pooled`. Over several tiles a slice is one block."""
    N: tl.constexpr = R * K
    ROWS: tl.constexpr = K_PAD * R_PAD
    A: tl.constexpr = N if MERGE == "none" else R
    A_PAD: tl.constexpr = ROWS if MERGE == "none" else R_PAD
    GRAM: tl.constexpr = (diversity is not None) or (correlation is not None)
    REFINE: tl.constexpr = correlation is not None
    ROW_STATISTICS: tl.constexpr = SOFTMAX and (features is not None)
    TILES: tl.constexpr = (attention is not None) or (maps_out is not None) or (attention_sum is not None)
    sample = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    owns = part == 0
    L = L if F_LAST else L // F_VEC * F_VEC
    f_c, f_l = feature_strides(f_stride, F_LAST, F_VEC)
    n, region, valid = map_rows(0, 0, R, K, R_PAD, K_PAD)
    if features is not None:
        features += sample * (f_batch // F_VEC * F_VEC)
    else:
        maps_in += sample * N * L
    if attention is not None:
        attention += sample * A * L
    if maps_out is not None:
        maps_out += sample * N * L
    if winner is not None:
        winner += sample * R * L

    peak = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    gram = tl.zeros([ROWS, ROWS], tl.float32)
    if SINGLE:
        m, peak, total, _ = scan_tile(
            features, maps_in, weight, bias, peak, total,
            f_c, f_l, 0, 0, 0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
        )  # fmt: skip
        if GRAM:
            gram = tl.dot(m, tl.trans(m), input_precision=PRECISION)
    elif GRAM or ROW_STATISTICS:
        for l0 in range(0, L, BLOCK_L):
            m_scan, peak, total, shrink = scan_tile(
                features, maps_in, weight, bias, peak, total,
                f_c, f_l, 0, 0, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
            )  # fmt: skip
            if GRAM:
                if ROW_STATISTICS:
                    gram = gram * shrink[:, None] * shrink[None, :]
                gram = tl.dot(m_scan, tl.trans(m_scan), gram, input_precision=PRECISION)
    inverse_total = tl.where(valid, 1.0 / total, 0.0)
    if ROW_STATISTICS:
        gram = gram * inverse_total[:, None] * inverse_total[None, :]

    s = gram
    gate = scalar_of(gate_tensor, gate)
    if GRAM:
        inverse, _ = inverse_norms(gram, ROWS)
        cos = gram * inverse[:, None] * inverse[None, :]
        if diversity is not None:
            hinge = tl.sum(hinge_rows(cos, channel_pairs(region, valid, ROWS), margin))
            PAIRS: tl.constexpr = N * (K - 1) if K > 1 else 1
            tl.store(diversity + sample, hinge / PAIRS, mask=owns)
        if correlation is not None:
            s = correlation_of(cos, scalar_of(temperature_tensor, temperature), relation_bias, n, valid, N)
            out = correlation + sample * N * N + n[:, None] * N + n[None, :]
            tl.store(out, s, mask=valid[:, None] & valid[None, :] & owns)

    if TILES:
        row_a = n if MERGE == "none" else tl.arange(0, R_PAD)
        inside_a = valid if MERGE == "none" else tl.arange(0, R_PAD) < R
        row_sum = tl.zeros([A_PAD], tl.float32)
        if pooled is not None:
            x_c, x_l = feature_strides(x_stride, X_LAST, X_VEC)
            C = C // X_VEC * X_VEC if X_LAST else C
            X_L = L if X_LAST else L // X_VEC * X_VEC
            values += sample * (x_batch // X_VEC * X_VEC)
            pooled += sample * A * C
            first = part * SLICE_C
        if SINGLE:
            if ROW_STATISTICS:
                m = m * inverse_total[:, None]
            a = attention_tile(
                attention, maps_out, winner, m, s, gate, owns,
                0, L, R, K, R_PAD, K_PAD, REFINE, MERGE, BLOCK_L, PRECISION,
            )  # fmt: skip
            row_sum = tl.sum(a, 1)
            if pooled is not None:
                pos = tl.arange(0, BLOCK_L)
                for c0 in range(first, first + SLICE_C, BLOCK_C):
                    c = c0 + tl.arange(0, BLOCK_C)
                    x = values_tile(values, x_c, x_l, c, pos, C, X_L)
                    acc = pool_tile(a, x, tl.zeros([A_PAD, BLOCK_C], tl.float32), NARROW, PRECISION)
                    tl.store(
                        pooled + row_a[:, None] * C + c[None, :],
                        acc / floored(row_sum)[:, None],
                        mask=inside_a[:, None] & (c < C)[None, :],
                    )
        else:
            acc = tl.zeros([A_PAD, BLOCK_C], tl.float32)
            for l0 in range(0, L, BLOCK_L):
                m_tile = derive_tile(
                    features, maps_in, weight, bias, peak, inverse_total,
                    f_c, f_l, 0, 0, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
                )  # fmt: skip
                a_tile = attention_tile(
                    attention, maps_out, winner, m_tile, s, gate, owns,
                    l0, L, R, K, R_PAD, K_PAD, REFINE, MERGE, BLOCK_L, PRECISION,
                )  # fmt: skip
                row_sum += tl.sum(a_tile, 1)
                if pooled is not None:
                    x = values_tile(values, x_c, x_l, first + tl.arange(0, BLOCK_C), l0 + tl.arange(0, BLOCK_L), C, X_L)
                    acc = pool_tile(a_tile, x, acc, NARROW, PRECISION)
            if pooled is not None:
                c = first + tl.arange(0, BLOCK_C)
                tl.store(
                    pooled + row_a[:, None] * C + c[None, :],
                    acc / floored(row_sum)[:, None],
                    mask=inside_a[:, None] & (c < C)[None, :],
                )
        if attention_sum is not None:
            tl.store(attention_sum + sample * A + row_a, row_sum, mask=inside_a & owns)
