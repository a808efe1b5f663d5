"""Forward of one sample in one program: maps, Gram, diversity, correlation, refinement, merge, and pooling.

If the positions fit one tile (SINGLE), the maps are computed once and stay in registers. Otherwise there are two passes over
the positions: the first gathers the softmax statistics and the un-normalized Gram matrix, the second recomputes each tile,
refines, merges and stores it.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import (
    advance,
    attention_maps_tile,
    attention_maps_tile_online,
    divided,
    map_rows,
    strides_of,
)
from sma_kernels.triton_kernels.correlation import correlation, load_scalar, refine
from sma_kernels.triton_kernels.gram import channel_pairs, cosine_gram, hinge_diversity, inverse_norms
from sma_kernels.triton_kernels.kernel_args import ForwardOutputs, MapSource
from sma_kernels.triton_kernels.mask import inverse_row_sums, valid_only
from sma_kernels.triton_kernels.merge import merge_tile
from sma_kernels.triton_kernels.pool import pool_tile, store_pooled, values_tile


@triton.jit
def attention_tile(out, m, s, gate, is_writer, l0, L, REFINE: tl.constexpr, TILE: tl.constexpr):
    """Refines, with S [ROWS,ROWS] if REFINE, and merges one tile of maps [ROWS,BLOCK_L]; the sample's writer stores what
    ForwardOutputs of one sample has pointers for. Returns A."""
    pos = l0 + tl.arange(0, TILE.BLOCK_L)
    n, _, valid = map_rows(0, 0, TILE)
    stored = ((pos < L) & is_writer)[None, :]
    if out.maps is not None:
        tl.store(out.maps + n[:, None] * L + pos[None, :], m, mask=valid[:, None] & stored)
    if REFINE:
        m = refine(m, s, gate, TILE.PRECISION)
    a, argmax = merge_tile(m, 0, TILE)
    r = tl.arange(0, TILE.R_PAD)
    if out.attention is not None:
        if TILE.MERGE == "none":
            tl.store(out.attention + n[:, None] * L + pos[None, :], a, mask=valid[:, None] & stored)
        else:
            tl.store(out.attention + r[:, None] * L + pos[None, :], a, mask=(r < TILE.R)[:, None] & stored)
    if out.argmax is not None:
        tl.store(out.argmax + r[:, None] * L + pos[None, :], argmax.to(tl.uint8), mask=(r < TILE.R)[:, None] & stored)
    return tl.where((pos < L)[None, :], a, 0.0)


@triton.jit
def forward_kernel(
    outputs,  # ForwardOutputs
    values,  # DenseMap [B,C,L], read if `pooled` is written
    inputs,  # MapInputs
    relation_bias,  # [N,N] or None
    temperature,  # Scalar
    gate,  # Scalar
    margin,
    C,
    L,
    X: tl.constexpr,  # Layout of the values
    F: tl.constexpr,  # of the features
    TILE: tl.constexpr,
    SINGLE: tl.constexpr,
    SLICE_C: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """Program (b, slice of C); slice 0 writes everything but `pooled`. Over several tiles a slice is one block."""
    N: tl.constexpr = TILE.N
    ROWS: tl.constexpr = TILE.ROWS
    A: tl.constexpr = TILE.A
    A_PAD: tl.constexpr = ROWS if TILE.MERGE == "none" else TILE.R_PAD
    PRECISION: tl.constexpr = TILE.PRECISION
    GRAM: tl.constexpr = (outputs.diversity is not None) or (outputs.correlation is not None)
    REFINE: tl.constexpr = outputs.correlation is not None
    ROW_STATISTICS: tl.constexpr = TILE.SOFTMAX and (inputs.features is not None)
    TILES: tl.constexpr = (
        (outputs.attention is not None) or (outputs.maps is not None) or (outputs.attention_sum is not None)
    )
    sample = tl.program_id(0).to(tl.int64)
    slice_id = tl.program_id(1)
    is_writer = slice_id == 0
    L = L if F.LAST else divided(L, F.VEC)
    f_c, f_l = strides_of(inputs.row_stride, F)
    n, region, valid = map_rows(0, 0, TILE)
    source = MapSource(
        advance(inputs.features, sample * divided(inputs.batch_stride, F.VEC)),
        advance(inputs.maps, sample * N * L),
        inputs.weight,
        inputs.bias,
        advance(inputs.mask, sample * L),
        f_c,
        f_l,
    )
    out = ForwardOutputs(
        outputs.pooled,
        advance(outputs.attention, sample * A * L),
        advance(outputs.maps, sample * N * L),
        outputs.diversity,
        outputs.correlation,
        outputs.attention_sum,
        advance(outputs.argmax, sample * TILE.R * L),
    )

    row_max = tl.full([ROWS], float("-inf"), tl.float32)
    row_sum = tl.zeros([ROWS], tl.float32)
    gram = tl.zeros([ROWS, ROWS], tl.float32)
    if SINGLE:
        m, row_max, row_sum, _ = attention_maps_tile_online(source, row_max, row_sum, 0, 0, 0, L, TILE)
        if GRAM:
            gram = tl.dot(m, tl.trans(m), input_precision=PRECISION)
    elif GRAM or ROW_STATISTICS:
        for l0 in range(0, L, TILE.BLOCK_L):
            m_online, row_max, row_sum, alpha = attention_maps_tile_online(source, row_max, row_sum, 0, 0, l0, L, TILE)
            if GRAM:
                if ROW_STATISTICS:
                    gram = gram * alpha[:, None] * alpha[None, :]
                gram = tl.dot(m_online, tl.trans(m_online), gram, input_precision=PRECISION)
    inverse_row_sum = inverse_row_sums(row_sum, valid, source.mask, L)
    if ROW_STATISTICS:
        gram = gram * inverse_row_sum[:, None] * inverse_row_sum[None, :]

    s = gram
    gate_value = load_scalar(gate)
    if GRAM:
        inverse, _ = inverse_norms(gram, ROWS)
        cos = cosine_gram(gram, inverse, inverse)
        if outputs.diversity is not None:
            hinge = tl.sum(hinge_diversity(cos, channel_pairs(region, valid, ROWS), margin))
            PAIRS: tl.constexpr = N * (TILE.K - 1) if TILE.K > 1 else 1
            tl.store(outputs.diversity + sample, hinge / PAIRS, mask=is_writer)
        if outputs.correlation is not None:
            s = correlation(cos, load_scalar(temperature), relation_bias, n, valid, N)
            square = outputs.correlation + sample * N * N + n[:, None] * N + n[None, :]
            tl.store(square, s, mask=valid[:, None] & valid[None, :] & is_writer)

    if TILES:
        row_a = n if TILE.MERGE == "none" else tl.arange(0, TILE.R_PAD)
        inside_a = valid if TILE.MERGE == "none" else tl.arange(0, TILE.R_PAD) < TILE.R
        attention_sum = tl.zeros([A_PAD], tl.float32)
        if outputs.pooled is not None:
            x_c, x_l = strides_of(values.row_stride, X)
            C = divided(C, X.VEC) if X.LAST else C
            X_L = L if X.LAST else divided(L, X.VEC)
            x_data = values.data + sample * divided(values.batch_stride, X.VEC)
            pooled = outputs.pooled + sample * A * C
            first = slice_id * SLICE_C
        if SINGLE:
            pos = tl.arange(0, TILE.BLOCK_L)
            if ROW_STATISTICS:
                m = valid_only(m * inverse_row_sum[:, None], source.mask, pos[None, :], L)
            a = attention_tile(out, m, s, gate_value, is_writer, 0, L, REFINE, TILE)
            attention_sum = tl.sum(a, 1)
            if outputs.pooled is not None:
                for c0 in range(first, first + SLICE_C, BLOCK_C):
                    c = c0 + tl.arange(0, BLOCK_C)
                    x = valid_only(values_tile(x_data, x_c, x_l, c, pos, C, X_L), source.mask, pos[:, None], L)
                    acc = pool_tile(a, x, tl.zeros([A_PAD, BLOCK_C], tl.float32), TILE.DOT_DTYPE, PRECISION)
                    store_pooled(pooled, acc, attention_sum, row_a, inside_a, c, C)
        else:
            acc = tl.zeros([A_PAD, BLOCK_C], tl.float32)
            for l0 in range(0, L, TILE.BLOCK_L):
                m_tile = attention_maps_tile(source, row_max, inverse_row_sum, 0, 0, l0, L, TILE)
                a_tile = attention_tile(out, m_tile, s, gate_value, is_writer, l0, L, REFINE, TILE)
                attention_sum += tl.sum(a_tile, 1)
                if outputs.pooled is not None:
                    c = first + tl.arange(0, BLOCK_C)
                    pos = l0 + tl.arange(0, TILE.BLOCK_L)
                    x = valid_only(values_tile(x_data, x_c, x_l, c, pos, C, X_L), source.mask, pos[:, None], L)
                    acc = pool_tile(a_tile, x, acc, TILE.DOT_DTYPE, PRECISION)
            if outputs.pooled is not None:
                c = first + tl.arange(0, BLOCK_C)
                store_pooled(pooled, acc, attention_sum, row_a, inside_a, c, C)
        if outputs.attention_sum is not None:
            tl.store(outputs.attention_sum + sample * A + row_a, attention_sum, mask=inside_a & is_writer)
