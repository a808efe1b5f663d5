"""From the gradient of a tile of maps to logits, features and weight."""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import map_rows


@triton.jit
def logits_gradient(m, dm, row_dot, SOFTMAX: tl.constexpr):
    """Gradient of the logits; row_dot is sum_l m*dm of each row."""
    if SOFTMAX:
        return m * (dm - row_dot[:, None])
    else:
        return dm * m * (1.0 - m)


@triton.jit
def features_backward(
    grad_features,  # T [G*D,L], one sample, or None
    weight_sum,  # float32 sum over the tiles so far: [K_PAD,R_PAD,PART_D], with G = 1 [K_PAD*R_PAD,PART_D]
    dz,  # float32 [K_PAD*R_PAD,BLOCK_L]
    features,  # T [G*D,L], one sample
    weight,  # [R,K,D]
    f_c,
    f_l,
    g_c,
    g_l,
    d0,
    l0,
    L,
    R: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    PART_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
    NEEDS_WEIGHT: tl.constexpr,
):
    """Stores the gradient of features d0.. of every group at this tile; returns weight_sum with the tile added."""
    l = l0 + tl.arange(0, BLOCK_L)
    d = d0 + tl.arange(0, PART_D)
    n, _, valid = map_rows(R, K, R_PAD, K_PAD)
    if G == 1:
        inside = (d < D)[:, None] & (l < L)[None, :]
        narrow = dz.to(NARROW)
        if grad_features is not None:
            w = tl.load(weight + n[None, :] * D + d[:, None], mask=valid[None, :] & (d < D)[:, None], other=0.0)
            df = tl.dot(w.to(NARROW), narrow, input_precision=PRECISION)
            tl.store(grad_features + d[:, None] * g_c + l[None, :] * g_l, df, mask=inside)
        if NEEDS_WEIGHT:
            f = tl.load(features + d[:, None] * f_c + l[None, :] * f_l, mask=inside, other=0.0)
            weight_sum = tl.dot(narrow, tl.trans(f).to(NARROW), weight_sum, input_precision=PRECISION)
    else:
        k = tl.arange(0, K_PAD)[:, None, None]
        r = tl.arange(0, R_PAD)[None, None, :]
        channel = k * D + d[None, :, None]
        inside = (k < K) & (d < D)[None, :, None] & (l < L)[None, None, :]
        narrow = tl.reshape(dz, [K_PAD, R_PAD, BLOCK_L]).to(NARROW)
        if grad_features is not None:
            w = tl.load(
                weight + (r * K + k) * D + d[None, :, None],
                mask=(k < K) & (r < R) & (d < D)[None, :, None],
                other=0.0,
            )
            df = tl.dot(w.to(NARROW), narrow, input_precision=PRECISION)
            tl.store(grad_features + channel * g_c + l[None, None, :] * g_l, df, mask=inside)
        if NEEDS_WEIGHT:
            f = tl.load(features + channel * f_c + l[None, None, :] * f_l, mask=inside, other=0.0)
            weight_sum = tl.dot(narrow, tl.permute(f, (0, 2, 1)).to(NARROW), weight_sum, input_precision=PRECISION)
    return weight_sum


@triton.jit
def store_weight_gradient(
    out,  # float32 [R,K,D]
    weight_sum,  # as in features_backward
    d0,
    R: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    PART_D: tl.constexpr,
):
    d = d0 + tl.arange(0, PART_D)
    n, _, valid = map_rows(R, K, R_PAD, K_PAD)
    if G == 1:
        tl.store(out + n[:, None] * D + d[None, :], weight_sum, mask=valid[:, None] & (d < D)[None, :])
    else:
        k = tl.arange(0, K_PAD)[:, None, None]
        r = tl.arange(0, R_PAD)[None, :, None]
        tl.store(
            out + (r * K + k) * D + d[None, None, :], weight_sum, mask=(k < K) & (r < R) & (d < D)[None, None, :]
        )
