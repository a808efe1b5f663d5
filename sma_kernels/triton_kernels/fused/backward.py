"""Backward of one sample from the gradients of A, maps, diversity and correlation to everything but the values.

With P = dm' m^T (N x N) all row sums over positions follow from N x N matrices, so that one pass gathers the Gram matrix and
P, and the second writes gradients: dm = dMaps + Q m + W dm', where W = (1 - g) I + g S^T and Q carries the gradient of the
cosines (gram_backward). Each program recomputes the N x N matrices and writes one block of D.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import (
    advance,
    attention_maps_tile,
    attention_maps_tile_online,
    divided,
    features_gradient,
    load_map_tile,
    logits_gradient,
    map_rows,
    store_features_gradient,
    store_weight_gradient,
    strides_of,
    weight_gradient,
    zero_weight_gradient,
)
from sma_kernels.triton_kernels.correlation import correlation_backward, load_scalar
from sma_kernels.triton_kernels.gram import channel_pairs, cosine_gram, diagonal, gram_backward, inverse_norms
from sma_kernels.triton_kernels.kernel_args import GradSource, MapSource
from sma_kernels.triton_kernels.mask import inverse_row_sums, valid_positions
from sma_kernels.triton_kernels.merge import refined_gradient_tile


@triton.jit
def maps_gradient_tile(grads, m, q, w, n, inside, l0, L, REFINED: tl.constexpr, GRAM: tl.constexpr, TILE: tl.constexpr):
    """dm = dMaps + W dm' + Q m [ROWS,BLOCK_L] from a GradSource of one sample; W and Q if REFINED and GRAM."""
    if grads.maps is not None:
        dm = load_map_tile(grads.maps, n, inside, l0 + tl.arange(0, TILE.BLOCK_L), L)
    else:
        dm = tl.zeros(m.shape, tl.float32)
    if (grads.attention is not None) or (grads.partial_attention is not None):
        dm_refined = refined_gradient_tile(grads, 0, 0, l0, L, TILE)
        if REFINED:
            dm = tl.dot(w, dm_refined, dm, input_precision=TILE.PRECISION)
        else:
            dm += dm_refined
    if GRAM:
        dm = tl.dot(q, m, dm, input_precision=TILE.PRECISION)
    return dm


@triton.jit
def store_score_gradients(partial, dscores, dtemperature, dgate, square, inside, is_writer, OFFSETS: tl.constexpr):
    """Stores one sample's gradients of the relation bias, temperature and gate, as far as needed."""
    if OFFSETS.RELATION_BIAS >= 0:
        tl.store(partial + OFFSETS.RELATION_BIAS + square, dscores, mask=inside & is_writer)
    if OFFSETS.TEMPERATURE >= 0:
        tl.store(partial + OFFSETS.TEMPERATURE, dtemperature, mask=is_writer)
    if OFFSETS.GATE >= 0:
        tl.store(partial + OFFSETS.GATE, dgate, mask=is_writer)


@triton.jit
def backward_kernel(
    outputs,  # MapGrads
    grads,  # GradSource
    grad_diversity,  # float32 [B] or None
    grad_correlation,  # float32 [B,N,N] or None
    correlation,  # float32 [B,N,N] or None
    inputs,  # MapInputs
    temperature,  # Scalar
    gate,  # Scalar
    margin,
    L,
    DF: tl.constexpr,  # Layout of the features' gradient
    F: tl.constexpr,  # of the features
    TILE: tl.constexpr,
    OFFSETS: tl.constexpr,  # ParamOffsets
    CORRELATE: tl.constexpr,
):
    """Program (b, block of D); block 0 writes everything but the gradients of features and weight."""
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    N: tl.constexpr = TILE.N
    ROWS: tl.constexpr = TILE.ROWS
    PRECISION: tl.constexpr = TILE.PRECISION
    MERGED: tl.constexpr = (grads.attention is not None) or (grads.partial_attention is not None)
    REFINED: tl.constexpr = CORRELATE and MERGED
    SCORES: tl.constexpr = REFINED or (grad_correlation is not None)
    GRAM: tl.constexpr = SCORES or (grad_diversity is not None)
    NORMALIZED: tl.constexpr = TILE.SOFTMAX and (inputs.features is not None)
    sample = tl.program_id(0).to(tl.int64)
    d0 = tl.program_id(1) * TILE.PART_D
    is_writer = tl.program_id(1) == 0
    L = L if F.LAST else divided(L, F.VEC)
    f_c, f_l = strides_of(inputs.row_stride, F)
    df_c, df_l = strides_of(outputs.row_stride, DF)
    n, region, valid = map_rows(0, 0, TILE)
    both_valid = valid[:, None] & valid[None, :]
    square = n[:, None] * N + n[None, :]
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
    grad_maps = advance(outputs.maps, sample * N * L)
    grads = GradSource(
        advance(grads.attention, sample * TILE.A * L),
        advance(grads.partial_attention, sample * grads.slices * TILE.A * L),
        advance(grads.partial_delta, sample * grads.partials * TILE.A),
        advance(grads.maps, sample * N * L),
        advance(grads.argmax, sample * TILE.R * L),
        grads.slices,
        grads.partials,
    )
    partial = advance(outputs.partial, sample * OFFSETS.NUMEL)

    row_max = tl.full([ROWS], float("-inf"), tl.float32)
    row_sum = tl.zeros([ROWS], tl.float32)
    gram = tl.zeros([ROWS, ROWS], tl.float32)
    p = tl.zeros([ROWS, ROWS], tl.float32)
    delta = tl.zeros([ROWS], tl.float32)  # sum_l m * dm of each map
    for l0 in range(0, L, BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        m, row_max, row_sum, alpha = attention_maps_tile_online(source, row_max, row_sum, 0, 0, l0, L, TILE)
        if GRAM:
            if NORMALIZED:
                gram = gram * alpha[:, None] * alpha[None, :]
            gram = tl.dot(m, tl.trans(m), gram, input_precision=PRECISION)
        tile_delta = tl.zeros([ROWS], tl.float32)
        if MERGED:
            dm_refined = refined_gradient_tile(grads, 0, 0, l0, L, TILE)
            if REFINED:
                if NORMALIZED:
                    p = p * alpha[None, :]
                p = tl.dot(dm_refined, tl.trans(m), p, input_precision=PRECISION)
            else:
                tile_delta += tl.sum(dm_refined * m, 1)
        if grads.maps is not None:
            inside = valid[:, None] & valid_positions(source.mask, pos, L)[None, :]
            tile_delta += tl.sum(load_map_tile(grads.maps, n, inside, pos, L) * m, 1)
        delta = delta * alpha + tile_delta
    inverse_row_sum = inverse_row_sums(row_sum, valid, source.mask, L)
    if NORMALIZED:
        delta = delta * inverse_row_sum
        p = p * inverse_row_sum[None, :]
        gram = gram * inverse_row_sum[:, None] * inverse_row_sum[None, :]

    g = load_scalar(gate)
    t = load_scalar(temperature)
    q = gram
    w = p
    dtemperature = 0.0
    dgate = 0.0
    dscores = tl.zeros([ROWS, ROWS], tl.float32)
    if GRAM:
        inverse, above_floor = inverse_norms(gram, ROWS)
        cos = cosine_gram(gram, inverse, inverse)
        dcos = tl.zeros([ROWS, ROWS], tl.float32)
        if grad_diversity is not None:
            PAIRS: tl.constexpr = N * (TILE.K - 1) if TILE.K > 1 else 1
            above_margin = channel_pairs(region, valid, ROWS) & (cos > margin)
            dcos += tl.where(above_margin, tl.load(grad_diversity + sample) / PAIRS, 0.0)
        if SCORES:
            s = tl.load(correlation + sample * N * N + square, mask=both_valid, other=0.0)
            if grad_correlation is not None:
                ds = tl.load(grad_correlation + sample * N * N + square, mask=both_valid, other=0.0)
            else:
                ds = tl.zeros([ROWS, ROWS], tl.float32)
            if REFINED:
                ds += g * p
                sp = s * p
                diag = diagonal(p, ROWS)
                # Rows of s sum to 1. Subtracting per term cancels less but needs registers, which TF32 does not justify.
                dgate = tl.sum(sp) - tl.sum(diag) if PRECISION == "tf32" else tl.sum(s * (p - diag[:, None]))
                delta += (1.0 - g) * diag + g * tl.sum(sp, 0)
                i = tl.arange(0, ROWS)
                w = g * tl.trans(s) + tl.where(i[:, None] == i[None, :], 1.0 - g, 0.0)
            dscores = correlation_backward(s, ds)
            dtemperature = -tl.sum(dscores * cos) / (t * t)
            dcos += dscores / t
        q = gram_backward(dcos, cos, inverse, above_floor, ROWS)
        delta += tl.sum(q * gram, 1)
    store_score_gradients(partial, dscores, dtemperature, dgate, square, both_valid, is_writer, OFFSETS)

    if (outputs.features is not None) or (outputs.maps is not None) or OFFSETS.WEIGHT >= 0 or OFFSETS.BIAS >= 0:
        dw = zero_weight_gradient(TILE)
        dbias = tl.zeros([ROWS], tl.float32)
        for l0 in range(0, L, BLOCK_L):
            pos = l0 + tl.arange(0, BLOCK_L)
            inside = valid[:, None] & valid_positions(source.mask, pos, L)[None, :]
            m = attention_maps_tile(source, row_max, inverse_row_sum, 0, 0, l0, L, TILE)
            dm = maps_gradient_tile(grads, m, q, w, n, inside, l0, L, REFINED, GRAM, TILE)
            if outputs.maps is not None:
                tl.store(grad_maps + n[:, None] * L + pos[None, :], dm, mask=inside)
            if inputs.features is not None:
                dz = tl.where(inside, logits_gradient(m, dm, delta, L, TILE.SOFTMAX), 0.0)
                if TILE.SOFTMAX:
                    dbias = 0.0 * delta  # a softmax ignores a constant per row: 0, or NaN if the row has one
                else:
                    dbias += tl.sum(dz, 1)
                if outputs.features is not None:
                    df = features_gradient(dz, inputs.weight, 0, 0, d0, TILE)
                    store_features_gradient(grad_features, df, source.mask, df_c, df_l, 0, d0, l0, L, TILE)
                if OFFSETS.WEIGHT >= 0:
                    dw = weight_gradient(dw, dz, source, 0, d0, l0, L, TILE)
        if OFFSETS.WEIGHT >= 0:
            store_weight_gradient(partial + OFFSETS.WEIGHT, dw, 0, 0, d0, TILE)
        if OFFSETS.BIAS >= 0:
            tl.store(partial + OFFSETS.BIAS + n, dbias, mask=valid & is_writer)
