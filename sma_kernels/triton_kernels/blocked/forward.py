"""Forward for more maps, or more positions, than one program holds: blocks of maps instead of all of them.

A block holds K_PAD channels of R_PAD regions; block r*KB + c starts at channel c*K_PAD and region r*R_PAD, with
KB = ceil(K / K_PAD). Every block is recomputed from the features wherever it is needed, so that no map is stored in float32.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import (
    advance,
    attention_maps_tile,
    attention_maps_tile_online,
    divided,
    load_map_tile,
    map_rows,
    program_chunk,
    strides_of,
)
from sma_kernels.triton_kernels.correlation import load_scalar
from sma_kernels.triton_kernels.kernel_args import GradSource, MapSource
from sma_kernels.triton_kernels.mask import count_valid, inverse_row_sums, valid_positions
from sma_kernels.triton_kernels.merge import merge_tile, refined_gradient_tile


@triton.jit
def block_start(block, TILE: tl.constexpr):
    """(first channel, first region) of a block of maps."""
    KB: tl.constexpr = (TILE.K + TILE.K_PAD - 1) // TILE.K_PAD
    return block % KB * TILE.K_PAD, block // KB * TILE.R_PAD


@triton.jit
def moments_kernel(
    outputs,  # Moments
    grads,  # GradSource
    inputs,  # MapInputs
    L,
    F: tl.constexpr,  # Layout of the features
    TILE: tl.constexpr,
):
    """Program (chunk of positions of a sample, block i, block j): the products of block i with block j; if j = 0, also the
    results of block i alone. Sums over one of several chunks are left to combine_kernel."""
    N: tl.constexpr = TILE.N
    ROWS: tl.constexpr = TILE.ROWS
    PRECISION: tl.constexpr = TILE.PRECISION
    MERGED: tl.constexpr = (grads.attention is not None) or (grads.partial_attention is not None)
    NORMALIZED: tl.constexpr = TILE.SOFTMAX and (inputs.features is not None)
    ALONE: tl.constexpr = TILE.K <= TILE.K_PAD and TILE.R <= TILE.R_PAD  # one block holds all maps
    DIVIDED: tl.constexpr = TILE.CHUNK_L > 0
    chunk = tl.program_id(0).to(tl.int64)
    sample, l_first, l_end = program_chunk(L, TILE.CHUNK_L)
    is_writer = tl.program_id(2) == 0
    k_i, r_i = block_start(tl.program_id(1), TILE)
    k_j, r_j = block_start(tl.program_id(2), TILE)
    n_i, _region, valid_i = map_rows(k_i, r_i, TILE)
    n_j, _region, valid_j = map_rows(k_j, r_j, TILE)
    f_c, f_l = strides_of(inputs.row_stride, F)
    source = MapSource(
        advance(inputs.features, sample * divided(inputs.batch_stride, F.VEC)),
        advance(inputs.maps, sample * N * L),
        inputs.weight,
        inputs.bias,
        advance(inputs.mask, sample * L),
        f_c,
        f_l,
    )
    grads = GradSource(
        advance(grads.attention, sample * TILE.A * L),
        advance(grads.partial_attention, sample * grads.slices * TILE.A * L),
        advance(grads.partial_delta, sample * grads.partials * TILE.A),
        advance(grads.maps, sample * N * L),
        advance(grads.argmax, sample * TILE.R * L),
        grads.slices,
        grads.partials,
    )

    max_i = tl.full([ROWS], float("-inf"), tl.float32)
    sum_i = tl.zeros([ROWS], tl.float32)
    max_j = tl.full([ROWS], float("-inf"), tl.float32)
    sum_j = tl.zeros([ROWS], tl.float32)
    gram_ij = tl.zeros([ROWS, ROWS], tl.float32)
    p_ij = tl.zeros([ROWS, ROWS], tl.float32)
    delta_i = tl.zeros([ROWS], tl.float32)
    for l0 in range(l_first, l_end, TILE.BLOCK_L):
        m_i, max_i, sum_i, alpha_i = attention_maps_tile_online(source, max_i, sum_i, k_i, r_i, l0, L, TILE)
        if MERGED:
            dm_refined = refined_gradient_tile(grads, k_i, r_i, l0, L, TILE)
        if outputs.gram is not None:
            if ALONE:
                m_j, max_j, sum_j, alpha_j = m_i, max_i, sum_i, alpha_i
            else:
                m_j, max_j, sum_j, alpha_j = attention_maps_tile_online(source, max_j, sum_j, k_j, r_j, l0, L, TILE)
            gram_ij = gram_ij * alpha_i[:, None] * alpha_j[None, :]
            gram_ij = tl.dot(m_i, tl.trans(m_j), gram_ij, input_precision=PRECISION)
            if outputs.products is not None:
                p_ij = p_ij * alpha_j[None, :]
                p_ij = tl.dot(dm_refined, tl.trans(m_j), p_ij, input_precision=PRECISION)
        if outputs.delta is not None:
            tile_delta = tl.zeros([ROWS], tl.float32)
            if MERGED and (outputs.products is None):
                tile_delta += tl.sum(dm_refined * m_i, 1)
            if grads.maps is not None:
                pos = l0 + tl.arange(0, TILE.BLOCK_L)
                inside = valid_i[:, None] & valid_positions(source.mask, pos, L)[None, :]
                tile_delta += tl.sum(load_map_tile(grads.maps, n_i, inside, pos, L) * m_i, 1)
            delta_i = delta_i * alpha_i + tile_delta
    inverse_i = inverse_row_sums(sum_i, valid_i, source.mask, L)
    inverse_j = inverse_row_sums(sum_j, valid_j, source.mask, L)
    if NORMALIZED and not DIVIDED:
        gram_ij = gram_ij * inverse_i[:, None] * inverse_j[None, :]
        p_ij = p_ij * inverse_j[None, :]
        delta_i = delta_i * inverse_i
    square = chunk * N * N + n_i[:, None] * N + n_j[None, :]
    inside = valid_i[:, None] & valid_j[None, :]
    if outputs.gram is not None:
        tl.store(outputs.gram + square, gram_ij, mask=inside)
    if outputs.products is not None:
        tl.store(outputs.products + square, p_ij, mask=inside)
    if outputs.statistics is not None:
        STATISTICS: tl.constexpr = 3 if DIVIDED else 2
        tl.store(outputs.statistics + chunk * STATISTICS * N + n_i, max_i, mask=valid_i & is_writer)
        sums = sum_i if DIVIDED else inverse_i
        tl.store(outputs.statistics + chunk * STATISTICS * N + N + n_i, sums, mask=valid_i & is_writer)
        if DIVIDED:
            count = l_end - l_first if source.mask is None else count_valid(source.mask, l_first, l_end)
            counts = tl.zeros([ROWS], tl.float32) + count
            tl.store(outputs.statistics + chunk * STATISTICS * N + 2 * N + n_i, counts, mask=valid_i & is_writer)
    if outputs.delta is not None:
        tl.store(outputs.delta + chunk * N + n_i, delta_i, mask=valid_i & is_writer)


@triton.jit
def attention_maps_block(source, statistics, k0, r0, l0, L, TILE: tl.constexpr):
    """attention_maps_tile with the row statistics, float32 [2,N] of one sample or None, read back."""
    ROWS: tl.constexpr = TILE.ROWS
    n, _, valid = map_rows(k0, r0, TILE)
    if statistics is not None:
        row_max = tl.load(statistics + n, mask=valid, other=0.0)
        inverse_row_sum = tl.load(statistics + TILE.N + n, mask=valid, other=0.0)
    else:
        row_max = tl.zeros([ROWS], tl.float32)
        inverse_row_sum = row_max
    return attention_maps_tile(source, row_max, inverse_row_sum, k0, r0, l0, L, TILE)


@triton.jit
def blocked_attention_kernel(
    outputs,  # ForwardOutputs: attention, maps, attention_sum, argmax
    inputs,  # MapInputs
    statistics,  # float32 [B,2,N] or None
    correlation,  # float32 [B,N,N] or None
    gate,  # Scalar
    L,
    F: tl.constexpr,  # Layout of the features
    TILE: tl.constexpr,
):
    """Program (chunk of positions of a sample, block of regions), with merge "none" block of maps: refines and merges its
    maps. attention_sum, float32 [B,chunks,A], holds the sums over each chunk."""
    ROWS: tl.constexpr = TILE.ROWS
    R_PAD: tl.constexpr = TILE.R_PAD
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    N: tl.constexpr = TILE.N
    R: tl.constexpr = TILE.R
    A: tl.constexpr = TILE.A
    KB: tl.constexpr = (TILE.K + TILE.K_PAD - 1) // TILE.K_PAD
    BLOCKS: tl.constexpr = KB * ((R + R_PAD - 1) // R_PAD)
    MERGED_BLOCKS: tl.constexpr = 1 if TILE.MERGE == "none" else KB
    chunk = tl.program_id(0).to(tl.int64)
    sample, l_first, l_end = program_chunk(L, TILE.CHUNK_L)
    first = tl.program_id(1) * MERGED_BLOCKS
    f_c, f_l = strides_of(inputs.row_stride, F)
    g = load_scalar(gate)
    source = MapSource(
        advance(inputs.features, sample * divided(inputs.batch_stride, F.VEC)),
        advance(inputs.maps, sample * N * L),
        inputs.weight,
        inputs.bias,
        advance(inputs.mask, sample * L),
        f_c,
        f_l,
    )
    statistics = advance(statistics, sample * 2 * N)
    k_first, r_first = block_start(first, TILE)
    n_first, _region, valid_first = map_rows(k_first, r_first, TILE)
    r = r_first + tl.arange(0, R_PAD)
    row = n_first if TILE.MERGE == "none" else r
    row_inside = valid_first if TILE.MERGE == "none" else r < R
    attention_sum = tl.zeros([ROWS if TILE.MERGE == "none" else R_PAD], tl.float32)
    for l0 in range(l_first, l_end, BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        if TILE.MERGE == "none":
            a = tl.zeros([ROWS, BLOCK_L], tl.float32)
        elif TILE.MERGE == "mean":
            a = tl.zeros([R_PAD, BLOCK_L], tl.float32)
        else:
            a = tl.full([R_PAD, BLOCK_L], float("-inf"), tl.float32)
            argmax = tl.zeros([R_PAD, BLOCK_L], tl.int32)
        for block in range(first, first + MERGED_BLOCKS):
            k_i, r_i = block_start(block, TILE)
            n_i, _region, valid_i = map_rows(k_i, r_i, TILE)
            m = attention_maps_block(source, statistics, k_i, r_i, l0, L, TILE)
            if outputs.maps is not None:
                tl.store(
                    outputs.maps + (sample * N + n_i[:, None]) * L + pos[None, :],
                    m,
                    mask=valid_i[:, None] & (pos < L)[None, :],
                )
            if correlation is not None:
                mixed = tl.zeros([ROWS, BLOCK_L], tl.float32)
                for other in range(0, BLOCKS):
                    k_j, r_j = block_start(other, TILE)
                    n_j, _region, valid_j = map_rows(k_j, r_j, TILE)
                    m_j = m if BLOCKS == 1 else attention_maps_block(source, statistics, k_j, r_j, l0, L, TILE)
                    s = tl.load(
                        correlation + sample * N * N + n_i[:, None] * N + n_j[None, :],
                        mask=valid_i[:, None] & valid_j[None, :],
                        other=0.0,
                    )
                    mixed = tl.dot(s, m_j, mixed, input_precision=TILE.PRECISION)
                m = m + g * (mixed - m)
            block_a, block_argmax = merge_tile(m, k_i, TILE)
            if TILE.MERGE == "max":
                greater_or_nan = (block_a > a) | ((block_a != block_a) & (a == a))
                argmax = tl.where(greater_or_nan, block_argmax, argmax)
                a = tl.where(greater_or_nan, block_a, a)
            else:
                a += block_a
        stored = row_inside[:, None] & (pos < L)[None, :]
        if outputs.attention is not None:
            tl.store(outputs.attention + (sample * A + row[:, None]) * L + pos[None, :], a, mask=stored)
        if outputs.argmax is not None:
            tl.store(outputs.argmax + (sample * R + r[:, None]) * L + pos[None, :], argmax.to(tl.uint8), mask=stored)
        attention_sum += tl.sum(tl.where(stored, a, 0.0), 1)
    if outputs.attention_sum is not None:
        tl.store(outputs.attention_sum + chunk * A + row, attention_sum, mask=row_inside)
