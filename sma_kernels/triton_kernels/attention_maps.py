"""Tiles of attention maps in registers: logits and activation, and their backward to features and weight.

A tile starts at channel k0 and region r0.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.mask import valid_only, valid_positions


@triton.jit
def advance(pointer, offset):
    """pointer + offset; None stays None."""
    if pointer is not None:
        return pointer + offset


@triton.jit
def divided(size, VEC: tl.constexpr):
    """`size`, a multiple of VEC, in a form that tells the compiler how wide loads may be."""
    return size // VEC * VEC


@triton.jit
def strides_of(row_stride, LAYOUT: tl.constexpr):
    """(channel stride, position stride) of a dense map."""
    known = divided(row_stride, LAYOUT.VEC)
    if LAYOUT.LAST:
        return 1, known
    else:
        return known, 1


@triton.jit
def program_chunk(L, CHUNK_L: tl.constexpr):
    """(sample, first position, end) of program_id(0), which counts the chunks of all samples; CHUNK_L = 0: not divided."""
    program = tl.program_id(0).to(tl.int64)
    if CHUNK_L == 0:
        return program, 0, L
    else:
        chunks = tl.cdiv(L, CHUNK_L)
        first = (tl.program_id(0) % chunks) * CHUNK_L
        return program // chunks, first, tl.minimum(first + CHUNK_L, L)


@triton.jit
def map_rows(k0, r0, TILE: tl.constexpr):
    """Map number n = r*K + k of each row of the tile, its region, and whether the row holds a map."""
    row = tl.arange(0, TILE.ROWS)
    region = r0 + row % TILE.R_PAD
    channel = k0 + row // TILE.R_PAD
    return region * TILE.K + channel, region, (region < TILE.R) & (channel < TILE.K)


@triton.jit
def weight_product(w, f, acc, PRECISION: tl.constexpr):
    """acc + w f. With 16-bit features, a float32 weight is split into two parts: rounding it would use up most of the
    error allowed for the gradient of the gate."""
    T: tl.constexpr = f.dtype
    high = w.to(T)
    acc = tl.dot(high, f, acc, input_precision=PRECISION)
    if w.dtype != T:
        acc = tl.dot((w - high.to(w.dtype)).to(T), f, acc, input_precision=PRECISION)
    return acc


@triton.jit
def logits_tile(source, k0, r0, l0, L, TILE: tl.constexpr):
    """Logits [ROWS, BLOCK_L] of the positions from l0 on; padded rows and columns are arbitrary."""
    ROWS: tl.constexpr = TILE.ROWS
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    K_PAD: tl.constexpr = TILE.K_PAD
    R_PAD: tl.constexpr = TILE.R_PAD
    D: tl.constexpr = TILE.D
    K: tl.constexpr = TILE.K
    pos = l0 + tl.arange(0, BLOCK_L)
    n, _, valid = map_rows(k0, r0, TILE)
    if TILE.G == 1:
        z = tl.zeros([ROWS, BLOCK_L], tl.float32)
        for d0 in range(0, D, TILE.BLOCK_D):
            d = d0 + tl.arange(0, TILE.BLOCK_D)
            w = tl.load(source.weight + n[:, None] * D + d[None, :], mask=valid[:, None] & (d < D)[None, :], other=0.0)
            f = tl.load(
                source.features + d[:, None] * source.channel_stride + pos[None, :] * source.position_stride,
                mask=(d < D)[:, None] & (pos < L)[None, :],
                other=0.0,
            )
            z = weight_product(w, f, z, TILE.PRECISION)
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        r = r0 + tl.arange(0, R_PAD)[None, :, None]
        grouped = tl.zeros([K_PAD, R_PAD, BLOCK_L], tl.float32)
        for d0 in range(0, D, TILE.BLOCK_D):
            d = d0 + tl.arange(0, TILE.BLOCK_D)
            w = tl.load(
                source.weight + (r * K + k) * D + d[None, None, :],
                mask=(k < K) & (r < TILE.R) & (d < D)[None, None, :],
                other=0.0,
            )
            row = (k * D + d[None, :, None]) * source.channel_stride
            f = tl.load(
                source.features + row + pos[None, None, :] * source.position_stride,
                mask=(k < K) & (d < D)[None, :, None] & (pos < L)[None, None, :],
                other=0.0,
            )
            grouped = weight_product(w, f, grouped, TILE.PRECISION)
        z = tl.reshape(grouped, [ROWS, BLOCK_L])
    if source.bias is not None:
        z += tl.load(source.bias + n, mask=valid, other=0.0).to(tl.float32)[:, None]
    return z


@triton.jit
def load_map_tile(maps, n, inside, pos, L):
    """Tile of the stored maps [N,L] of one sample, in float32."""
    return tl.load(maps + n[:, None] * L + pos[None, :], mask=inside, other=0.0).to(tl.float32)


@triton.jit
def safe_row_max(row_max):
    """Subtracted before exp; 0 for a row that so far contains only -inf, to avoid inf - inf."""
    return tl.where(row_max == float("-inf"), 0.0, row_max)


@triton.jit
def online_softmax_update(z, inside, row_max, row_sum):
    """(exp(z - new maximum), new row_max, new row_sum, alpha: the factor by which all earlier sums shrink)."""
    new_max = tl.maximum(row_max, tl.max(tl.where(inside, z, float("-inf")), 1))
    safe_max = safe_row_max(new_max)
    alpha = tl.exp(row_max - safe_max)
    m = tl.where(inside, tl.exp(z - safe_max[:, None]), 0.0)
    return m, new_max, row_sum * alpha + tl.sum(m, 1), alpha


@triton.jit
def sigmoid_tile(z, inside):
    return tl.where(inside, 1.0 / (1.0 + tl.exp(-z)), 0.0)


@triton.jit
def softmax_tile(z, inside, row_max, inverse_row_sum):
    """Softmax once the whole rows are known: inverse_row_sum is 1 / sum_l exp(z - row_max)."""
    return tl.where(inside, tl.exp(z - safe_row_max(row_max)[:, None]) * inverse_row_sum[:, None], 0.0)


@triton.jit
def attention_maps_tile_online(source, row_max, row_sum, k0, r0, l0, L, TILE: tl.constexpr):
    """First pass: (tile of maps, row_max, row_sum, alpha), from the running maximum and sum [ROWS] of each row. Softmax maps
    are still relative to the new row_max, and all sums over earlier tiles must be multiplied by alpha; other maps are
    final, and alpha is 1."""
    ROWS: tl.constexpr = TILE.ROWS
    pos = l0 + tl.arange(0, TILE.BLOCK_L)
    n, _, valid = map_rows(k0, r0, TILE)
    inside = valid[:, None] & valid_positions(source.mask, pos, L)[None, :]
    if source.features is None:
        m = load_map_tile(source.maps, n, inside, pos, L)
        return m, row_max, row_sum, tl.full([ROWS], 1.0, tl.float32)
    else:
        z = logits_tile(source, k0, r0, l0, L, TILE)
        if TILE.SOFTMAX:
            return online_softmax_update(z, inside, row_max, row_sum)
        else:
            return sigmoid_tile(z, inside), row_max, row_sum, tl.full([ROWS], 1.0, tl.float32)


@triton.jit
def attention_maps_tile(source, row_max, inverse_row_sum, k0, r0, l0, L, TILE: tl.constexpr):
    """Second pass: the finished tile of maps."""
    pos = l0 + tl.arange(0, TILE.BLOCK_L)
    n, _, valid = map_rows(k0, r0, TILE)
    inside = valid[:, None] & valid_positions(source.mask, pos, L)[None, :]
    if source.features is None:
        return load_map_tile(source.maps, n, inside, pos, L)
    else:
        z = logits_tile(source, k0, r0, l0, L, TILE)
        if TILE.SOFTMAX:
            return softmax_tile(z, inside, row_max, inverse_row_sum)
        else:
            return sigmoid_tile(z, inside)


@triton.jit
def logits_gradient(m, dm, delta, L, SOFTMAX: tl.constexpr):
    """Gradient of the logits; delta is sum_l m*dm of each row. A softmax over a single position is always 1, so its
    gradient is set to 0: dm - delta would only be rounding error."""
    if SOFTMAX:
        return m * (dm - delta[:, None]) * tl.where(L > 1, 1.0, 0.0)
    else:
        return dm * m * (1.0 - m)


@triton.jit
def zero_features_gradient(TILE: tl.constexpr):
    PART_D: tl.constexpr = TILE.PART_D
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    K_PAD: tl.constexpr = TILE.K_PAD
    return tl.zeros([PART_D, BLOCK_L] if TILE.G == 1 else [K_PAD, PART_D, BLOCK_L], tl.float32)


@triton.jit
def features_gradient(dz, weight, k0, r0, d0, TILE: tl.constexpr):
    """w^T dz for the features d0.. of each group, from dz [ROWS,BLOCK_L] and the weight [R,K,D]: [PART_D,BLOCK_L] with
    G = 1, else [K_PAD,PART_D,BLOCK_L]."""
    K_PAD: tl.constexpr = TILE.K_PAD
    R_PAD: tl.constexpr = TILE.R_PAD
    D: tl.constexpr = TILE.D
    d = d0 + tl.arange(0, TILE.PART_D)
    if TILE.G == 1:
        n, _, valid = map_rows(k0, r0, TILE)
        w = tl.load(weight + n[None, :] * D + d[:, None], mask=valid[None, :] & (d < D)[:, None], other=0.0)
        return tl.dot(w.to(TILE.DOT_DTYPE), dz.to(TILE.DOT_DTYPE), input_precision=TILE.PRECISION)
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        r = r0 + tl.arange(0, R_PAD)[None, None, :]
        w = tl.load(
            weight + (r * TILE.K + k) * D + d[None, :, None],
            mask=(k < TILE.K) & (r < TILE.R) & (d < D)[None, :, None],
            other=0.0,
        )
        grouped = tl.reshape(dz, [K_PAD, R_PAD, dz.shape[1]])
        return tl.dot(w.to(TILE.DOT_DTYPE), grouped.to(TILE.DOT_DTYPE), input_precision=TILE.PRECISION)


@triton.jit
def store_features_gradient(out, df, mask, channel_stride, position_stride, k0, d0, l0, L, TILE: tl.constexpr):
    """Stores df, as features_gradient returns it, in T [G*D,L] of one sample; 0 where the mask excludes a position, even with
    a weight that is not finite."""
    pos = l0 + tl.arange(0, TILE.BLOCK_L)
    d = d0 + tl.arange(0, TILE.PART_D)
    if TILE.G == 1:
        tl.store(
            out + d[:, None] * channel_stride + pos[None, :] * position_stride,
            valid_only(df, mask, pos[None, :], L),
            mask=(d < TILE.D)[:, None] & (pos < L)[None, :],
        )
    else:
        k = k0 + tl.arange(0, TILE.K_PAD)[:, None, None]
        inside = (k < TILE.K) & (d < TILE.D)[None, :, None] & (pos < L)[None, None, :]
        row = (k * TILE.D + d[None, :, None]) * channel_stride
        df = valid_only(df, mask, pos[None, None, :], L)
        tl.store(out + row + pos[None, None, :] * position_stride, df, mask=inside)


@triton.jit
def zero_weight_gradient(TILE: tl.constexpr):
    ROWS: tl.constexpr = TILE.ROWS
    PART_D: tl.constexpr = TILE.PART_D
    K_PAD: tl.constexpr = TILE.K_PAD
    R_PAD: tl.constexpr = TILE.R_PAD
    return tl.zeros([ROWS, PART_D] if TILE.G == 1 else [K_PAD, R_PAD, PART_D], tl.float32)


@triton.jit
def weight_gradient(dw, dz, source, k0, d0, l0, L, TILE: tl.constexpr):
    """dw + dz F^T for dz [ROWS,BLOCK_L]: [ROWS,PART_D] with G = 1, else [K_PAD,R_PAD,PART_D]."""
    K_PAD: tl.constexpr = TILE.K_PAD
    R_PAD: tl.constexpr = TILE.R_PAD
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    DTYPE: tl.constexpr = TILE.DOT_DTYPE
    pos = l0 + tl.arange(0, BLOCK_L)
    d = d0 + tl.arange(0, TILE.PART_D)
    if TILE.G == 1:
        f = tl.load(
            source.features + d[:, None] * source.channel_stride + pos[None, :] * source.position_stride,
            mask=(d < TILE.D)[:, None] & (pos < L)[None, :],
            other=0.0,
        )
        f = valid_only(f, source.mask, pos[None, :], L)
        return tl.dot(dz.to(DTYPE), tl.trans(f).to(DTYPE), dw, input_precision=TILE.PRECISION)
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        row = (k * TILE.D + d[None, :, None]) * source.channel_stride
        f = tl.load(
            source.features + row + pos[None, None, :] * source.position_stride,
            mask=(k < TILE.K) & (d < TILE.D)[None, :, None] & (pos < L)[None, None, :],
            other=0.0,
        )
        f = valid_only(f, source.mask, pos[None, None, :], L)
        grouped = tl.reshape(dz, [K_PAD, R_PAD, BLOCK_L])
        return tl.dot(grouped.to(DTYPE), tl.permute(f, (0, 2, 1)).to(DTYPE), dw, input_precision=TILE.PRECISION)


@triton.jit
def store_weight_gradient(out, dw, k0, r0, d0, TILE: tl.constexpr):
    """Stores dw, as in weight_gradient, in float32 [R,K,D]."""
    D: tl.constexpr = TILE.D
    d = d0 + tl.arange(0, TILE.PART_D)
    if TILE.G == 1:
        n, _, valid = map_rows(k0, r0, TILE)
        tl.store(out + n[:, None] * D + d[None, :], dw, mask=valid[:, None] & (d < D)[None, :])
    else:
        k = k0 + tl.arange(0, TILE.K_PAD)[:, None, None]
        r = r0 + tl.arange(0, TILE.R_PAD)[None, :, None]
        tl.store(
            out + (r * TILE.K + k) * D + d[None, None, :],
            dw,
            mask=(k < TILE.K) & (r < TILE.R) & (d < D)[None, None, :],
        )
