"""Tiles of attention maps in registers: addresses, logits, activation."""

import triton
import triton.language as tl


@triton.jit
def feature_strides(stride, IS_LAST: tl.constexpr, VEC: tl.constexpr):
    """(channel stride, position stride) of a dense map; dividing and multiplying by VEC tells the compiler how wide
    a row may be read."""
    known = stride // VEC * VEC
    if IS_LAST:
        return 1, known
    else:
        return known, 1


@triton.jit
def map_rows(k0, r0, R: tl.constexpr, K: tl.constexpr, R_PAD: tl.constexpr, K_PAD: tl.constexpr):
    """Map number n = r*K + k of each row of the tile that starts at channel k0 and region r0, its region, and whether
    the row holds a map."""
    row = tl.arange(0, K_PAD * R_PAD)
    region = r0 + row % R_PAD
    channel = k0 + row // R_PAD
    return region * K + channel, region, (region < R) & (channel < K)


@triton.jit
def weight_product(w, f, acc, PRECISION: tl.constexpr):
    """acc + w f. A float32 weight meets 16-bit features in two parts, or its rounding alone would take most of what
    the gradient of the gate may be wrong by."""
    T: tl.constexpr = f.dtype
    high = w.to(T)
    acc = tl.dot(high, f, acc, input_precision=PRECISION)
    if w.dtype != T:
        acc = tl.dot((w - high.to(w.dtype)).to(T), f, acc, input_precision=PRECISION)
    return acc


@triton.jit
def logits_tile(
    features,  # T [G*D,L], one sample
    weight,  # [R,K,D]
    bias,  # [R,K] or None
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
    PRECISION: tl.constexpr,
):
    """Logits [K_PAD*R_PAD, BLOCK_L] of the positions from l0 on; rows and columns of padding hold anything."""
    pos = l0 + tl.arange(0, BLOCK_L)
    n, _, valid = map_rows(k0, r0, R, K, R_PAD, K_PAD)
    if G == 1:
        z = tl.zeros([K_PAD * R_PAD, BLOCK_L], tl.float32)
        for d0 in range(0, D, BLOCK_D):
            d = d0 + tl.arange(0, BLOCK_D)
            w = tl.load(weight + n[:, None] * D + d[None, :], mask=valid[:, None] & (d < D)[None, :], other=0.0)
            f = tl.load(
                features + d[:, None] * f_c + pos[None, :] * f_l,
                mask=(d < D)[:, None] & (pos < L)[None, :],
                other=0.0,
            )
            z = weight_product(w, f, z, PRECISION)
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        r = r0 + tl.arange(0, R_PAD)[None, :, None]
        grouped = tl.zeros([K_PAD, R_PAD, BLOCK_L], tl.float32)
        for d0 in range(0, D, BLOCK_D):
            d = d0 + tl.arange(0, BLOCK_D)
            w = tl.load(
                weight + (r * K + k) * D + d[None, None, :],
                mask=(k < K) & (r < R) & (d < D)[None, None, :],
                other=0.0,
            )
            f = tl.load(
                features + (k * D + d[None, :, None]) * f_c + pos[None, None, :] * f_l,
                mask=(k < K) & (d < D)[None, :, None] & (pos < L)[None, None, :],
                other=0.0,
            )
            grouped = weight_product(w, f, grouped, PRECISION)
        z = tl.reshape(grouped, [K_PAD * R_PAD, BLOCK_L])
    if bias is not None:
        z += tl.load(bias + n, mask=valid, other=0.0).to(tl.float32)[:, None]
    return z


@triton.jit
def given_tile(maps, n, inside, pos, L):
    """Tile of the maps [N,L] of one sample that a caller passed, in float32."""
    return tl.load(maps + n[:, None] * L + pos[None, :], mask=inside, other=0.0).to(tl.float32)


@triton.jit
def anchor_of(peak):
    """What is subtracted before exp: a row that has only seen -inf must not turn into inf - inf."""
    return tl.where(peak == float("-inf"), 0.0, peak)


@triton.jit
def online_softmax_update(z, inside, peak, total):
    """(exp(z - new peak), new peak, new total, factor by which everything summed so far shrinks)."""
    new_peak = tl.maximum(peak, tl.max(tl.where(inside, z, float("-inf")), 1))
    anchor = anchor_of(new_peak)
    shrink = tl.exp(peak - anchor)
    m = tl.where(inside, tl.exp(z - anchor[:, None]), 0.0)
    return m, new_peak, total * shrink + tl.sum(m, 1), shrink


@triton.jit
def sigmoid_tile(z, inside):
    return tl.where(inside, 1.0 / (1.0 + tl.exp(-z)), 0.0)


@triton.jit
def activate_tile(z, inside, peak, inverse_total, SOFTMAX: tl.constexpr):
    """The maps of a tile once the whole rows are known: inverse_total is 1 / sum_l exp(z - peak)."""
    if SOFTMAX:
        return tl.where(inside, tl.exp(z - anchor_of(peak)[:, None]) * inverse_total[:, None], 0.0)
    else:
        return sigmoid_tile(z, inside)


@triton.jit
def scan_tile(
    features,  # T [G*D,L], one sample, or None
    maps,  # T [N,L], one sample, where there are no features
    weight,  # [R,K,D]
    bias,  # [R,K] or None
    peak,  # float32 [K_PAD*R_PAD], running maximum of the logits
    total,  # float32 [K_PAD*R_PAD], running sum of exp(z - peak)
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
    """First walk: (tile of maps, peak, total, shrink). Softmax maps are still relative to the new peak, and all sums
    over earlier tiles must be multiplied by shrink; the others are final, and shrink is 1."""
    pos = l0 + tl.arange(0, BLOCK_L)
    n, _, valid = map_rows(k0, r0, R, K, R_PAD, K_PAD)
    inside = valid[:, None] & (pos < L)[None, :]
    if features is None:
        return given_tile(maps, n, inside, pos, L), peak, total, tl.full([K_PAD * R_PAD], 1.0, tl.float32)
    else:
        z = logits_tile(
            features,
            weight,
            bias,
            f_c,
            f_l,
            k0,
            r0,
            l0,
            L,
            R,
            K,
            D,
            G,
            R_PAD,
            K_PAD,
            BLOCK_D,
            BLOCK_L,
            PRECISION,
        )
        if SOFTMAX:
            return online_softmax_update(z, inside, peak, total)
        else:
            return sigmoid_tile(z, inside), peak, total, tl.full([K_PAD * R_PAD], 1.0, tl.float32)


@triton.jit
def derive_tile(
    features,  # as in scan_tile
    maps,
    weight,
    bias,
    peak,
    inverse_total,  # float32 [K_PAD*R_PAD], 1 / total once every tile is scanned
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
    """Second walk: the finished tile of maps."""
    pos = l0 + tl.arange(0, BLOCK_L)
    n, _, valid = map_rows(k0, r0, R, K, R_PAD, K_PAD)
    inside = valid[:, None] & (pos < L)[None, :]
    if features is None:
        return given_tile(maps, n, inside, pos, L)
    else:
        z = logits_tile(
            features,
            weight,
            bias,
            f_c,
            f_l,
            k0,
            r0,
            l0,
            L,
            R,
            K,
            D,
            G,
            R_PAD,
            K_PAD,
            BLOCK_D,
            BLOCK_L,
            PRECISION,
        )
        return activate_tile(z, inside, peak, inverse_total, SOFTMAX)
