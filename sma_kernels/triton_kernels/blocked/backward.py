"""Backward in blocks of maps, for more maps or positions than one program holds; blocked/forward.py defines a block.

moments_kernel -> softmax_rows_kernel -> blocked_gram_backward_kernel -> one or two launches of blocked_maps_backward_kernel:
dm_i = dMaps_i + sum_j Q_ij m_j + (1 - g) dm'_i + g sum_j S_ji dm'_j.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import (
    advance,
    divided,
    features_gradient,
    load_map_tile,
    logits_gradient,
    map_rows,
    program_chunk,
    store_features_gradient,
    store_weight_gradient,
    strides_of,
    weight_gradient,
    zero_features_gradient,
    zero_weight_gradient,
)
from sma_kernels.triton_kernels.blocked.forward import attention_maps_block, block_start
from sma_kernels.triton_kernels.correlation import load_scalar
from sma_kernels.triton_kernels.kernel_args import GradSource, MapSource
from sma_kernels.triton_kernels.mask import valid_positions
from sma_kernels.triton_kernels.merge import refined_gradient_tile


@triton.jit
def blocked_maps_backward_kernel(
    outputs,  # MapGrads
    grads,  # GradSource
    correlation,  # float32 [B,N,N] or None: S, if a refinement comes between dm' and dm
    q,  # float32 [B,N,N] or None
    delta,  # float32 [B,N] or None
    statistics,  # float32 [B,2,N] or None
    inputs,  # MapInputs
    gate,  # Scalar
    L,
    DF: tl.constexpr,  # Layout of the features' gradient
    F: tl.constexpr,  # of the features
    TILE: tl.constexpr,
    OFFSETS: tl.constexpr,  # ParamOffsets
    PROGRAM_BLOCKS: tl.constexpr,
    BLOCK_STEP: tl.constexpr,
):
    """Program (chunk of positions of a sample, i, block of D) handles the PROGRAM_BLOCKS blocks i, i + BLOCK_STEP, ... of maps:
    one, unless several blocks share the features whose gradient it writes."""
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    N: tl.constexpr = TILE.N
    ROWS: tl.constexpr = TILE.ROWS
    PRECISION: tl.constexpr = TILE.PRECISION
    KB: tl.constexpr = (TILE.K + TILE.K_PAD - 1) // TILE.K_PAD
    BLOCKS: tl.constexpr = KB * ((TILE.R + TILE.R_PAD - 1) // TILE.R_PAD)
    MERGED: tl.constexpr = (grads.attention is not None) or (grads.partial_attention is not None)
    NEEDS_WEIGHT: tl.constexpr = OFFSETS.WEIGHT >= 0
    chunk = tl.program_id(0).to(tl.int64)
    sample, l_first, l_end = program_chunk(L, TILE.CHUNK_L)
    first = tl.program_id(1)
    d0 = tl.program_id(2) * TILE.PART_D
    is_writer = tl.program_id(2) == 0
    f_c, f_l = strides_of(inputs.row_stride, F)
    df_c, df_l = strides_of(outputs.row_stride, DF)
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
    grad_features = advance(outputs.features, sample * divided(outputs.batch_stride, DF.VEC))
    grads = GradSource(
        advance(grads.attention, sample * TILE.A * L),
        advance(grads.partial_attention, sample * grads.slices * TILE.A * L),
        advance(grads.partial_delta, sample * grads.partials * TILE.A),
        grads.maps,
        advance(grads.argmax, sample * TILE.R * L),
        grads.slices,
        grads.partials,
    )
    statistics = advance(statistics, sample * 2 * N)
    dw = zero_weight_gradient(TILE)
    k_first, r_first = block_start(first, TILE)
    dbias = tl.zeros([ROWS], tl.float32)
    for l0 in range(l_first, l_end, BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        if outputs.features is not None:
            df = zero_features_gradient(TILE)
        for block in range(0, PROGRAM_BLOCKS):
            k_i, r_i = block_start(first + block * BLOCK_STEP, TILE)
            n_i, _region, valid_i = map_rows(k_i, r_i, TILE)
            inside = valid_i[:, None] & valid_positions(source.mask, pos, L)[None, :]
            m = attention_maps_block(source, statistics, k_i, r_i, l0, L, TILE)
            if grads.maps is not None:
                dm = load_map_tile(grads.maps + sample * N * L, n_i, inside, pos, L)
            else:
                dm = tl.zeros([ROWS, BLOCK_L], tl.float32)
            if MERGED:
                dm_refined = refined_gradient_tile(grads, k_i, r_i, l0, L, TILE)
                dm += dm_refined * (1.0 - g) if correlation is not None else dm_refined
            if (q is not None) or (correlation is not None):
                for other in range(0, BLOCKS):
                    k_j, r_j = block_start(other, TILE)
                    n_j, _region, valid_j = map_rows(k_j, r_j, TILE)
                    pairs = valid_i[:, None] & valid_j[None, :]
                    if q is not None:
                        m_j = m if BLOCKS == 1 else attention_maps_block(source, statistics, k_j, r_j, l0, L, TILE)
                        q_ij = tl.load(q + sample * N * N + n_i[:, None] * N + n_j[None, :], mask=pairs, other=0.0)
                        dm = tl.dot(q_ij, m_j, dm, input_precision=PRECISION)
                    if correlation is not None:
                        refined_j = dm_refined if BLOCKS == 1 else refined_gradient_tile(grads, k_j, r_j, l0, L, TILE)
                        s_ji = tl.load(
                            correlation + sample * N * N + n_j[None, :] * N + n_i[:, None],
                            mask=pairs,
                            other=0.0,
                        )
                        dm = tl.dot(g * s_ji, refined_j, dm, input_precision=PRECISION)
            if outputs.maps is not None:
                tl.store(outputs.maps + (sample * N + n_i[:, None]) * L + pos[None, :], dm, mask=inside)
            if inputs.features is not None:
                delta_i = tl.load(delta + sample * N + n_i, mask=valid_i, other=0.0)
                dz = tl.where(inside, logits_gradient(m, dm, delta_i, L, TILE.SOFTMAX), 0.0)
                if TILE.SOFTMAX:
                    dbias = 0.0 * delta_i
                else:
                    dbias += tl.sum(dz, 1)
                if outputs.features is not None:
                    df += features_gradient(dz, inputs.weight, k_i, r_i, d0, TILE)
                if NEEDS_WEIGHT:
                    dw = weight_gradient(dw, dz, source, k_i, d0, l0, L, TILE)
        if outputs.features is not None:
            store_features_gradient(grad_features, df, source.mask, df_c, df_l, k_first, d0, l0, L, TILE)
    if NEEDS_WEIGHT:
        out = outputs.partial + chunk * OFFSETS.NUMEL + OFFSETS.WEIGHT
        store_weight_gradient(out, dw, k_first, r_first, d0, TILE)
    if OFFSETS.BIAS >= 0:
        n, _region, valid = map_rows(k_first, r_first, TILE)
        tl.store(outputs.partial + chunk * OFFSETS.NUMEL + OFFSETS.BIAS + n, dbias, mask=valid & is_writer)
