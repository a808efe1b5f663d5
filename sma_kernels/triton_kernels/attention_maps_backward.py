"""From the gradient of a tile of maps to logits, features and weight. A tile starts at channel k0 and region r0."""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import map_rows


@triton.jit
def logits_gradient(m, dm, row_dot, L, SOFTMAX: tl.constexpr):
    """Gradient of the logits; row_dot is sum_l m*dm of each row. A softmax over one position is 1 whatever its logit,
    and dm - row_dot there rounding alone."""
    if SOFTMAX:
        return m * (dm - row_dot[:, None]) * tl.where(L > 1, 1.0, 0.0)
    else:
        return dm * m * (1.0 - m)


@triton.jit
def features_gradient(
    dz,  # float32 [K_PAD*R_PAD,BLOCK_L]
    weight,  # [R,K,D]
    k0,
    r0,
    d0,
    R: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    PART_D: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """w^T dz for the features d0.. of each group: [PART_D,BLOCK_L] with G = 1, else [K_PAD,PART_D,BLOCK_L]."""
    d = d0 + tl.arange(0, PART_D)
    if G == 1:
        n, _, valid = map_rows(k0, r0, R, K, R_PAD, K_PAD)
        w = tl.load(weight + n[None, :] * D + d[:, None], mask=valid[None, :] & (d < D)[:, None], other=0.0)
        return tl.dot(w.to(NARROW), dz.to(NARROW), input_precision=PRECISION)
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        r = r0 + tl.arange(0, R_PAD)[None, None, :]
        w = tl.load(
            weight + (r * K + k) * D + d[None, :, None],
            mask=(k < K) & (r < R) & (d < D)[None, :, None],
            other=0.0,
        )
        grouped = tl.reshape(dz, [K_PAD, R_PAD, dz.shape[1]])
        return tl.dot(w.to(NARROW), grouped.to(NARROW), input_precision=PRECISION)


@triton.jit
def store_features_tile(
    grad_features,  # T [G*D,L], one sample
    df,  # as features_gradient returns it
    g_c,
    g_l,
    k0,
    d0,
    l0,
    L,
    K: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    K_PAD: tl.constexpr,
    PART_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
):
    pos = l0 + tl.arange(0, BLOCK_L)
    d = d0 + tl.arange(0, PART_D)
    if G == 1:
        tl.store(
            grad_features + d[:, None] * g_c + pos[None, :] * g_l,
            df,
            mask=(d < D)[:, None] & (pos < L)[None, :],
        )
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        inside = (k < K) & (d < D)[None, :, None] & (pos < L)[None, None, :]
        tl.store(grad_features + (k * D + d[None, :, None]) * g_c + pos[None, None, :] * g_l, df, mask=inside)


@triton.jit
def weight_gradient(
    weight_sum,  # float32 sum over the tiles so far: [K_PAD*R_PAD,PART_D] with G = 1, else [K_PAD,R_PAD,PART_D]
    dz,  # float32 [K_PAD*R_PAD,BLOCK_L]
    features,  # T [G*D,L], one sample
    f_c,
    f_l,
    k0,
    d0,
    l0,
    L,
    K: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    PART_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """weight_sum + dz F^T."""
    pos = l0 + tl.arange(0, BLOCK_L)
    d = d0 + tl.arange(0, PART_D)
    if G == 1:
        f = tl.load(
            features + d[:, None] * f_c + pos[None, :] * f_l,
            mask=(d < D)[:, None] & (pos < L)[None, :],
            other=0.0,
        )
        return tl.dot(dz.to(NARROW), tl.trans(f).to(NARROW), weight_sum, input_precision=PRECISION)
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        f = tl.load(
            features + (k * D + d[None, :, None]) * f_c + pos[None, None, :] * f_l,
            mask=(k < K) & (d < D)[None, :, None] & (pos < L)[None, None, :],
            other=0.0,
        )
        grouped = tl.reshape(dz, [K_PAD, R_PAD, BLOCK_L])
        return tl.dot(grouped.to(NARROW), tl.permute(f, (0, 2, 1)).to(NARROW), weight_sum, input_precision=PRECISION)


@triton.jit
def store_weight_gradient(
    out,  # float32 [R,K,D]
    weight_sum,  # as in weight_gradient
    k0,
    r0,
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
    if G == 1:
        n, _, valid = map_rows(k0, r0, R, K, R_PAD, K_PAD)
        tl.store(out + n[:, None] * D + d[None, :], weight_sum, mask=valid[:, None] & (d < D)[None, :])
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        r = r0 + tl.arange(0, R_PAD)[None, :, None]
        tl.store(
            out + (r * K + k) * D + d[None, None, :],
            weight_sum,
            mask=(k < K) & (r < R) & (d < D)[None, None, :],
        )
