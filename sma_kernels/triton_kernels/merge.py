"""Merge of the channels of a region, and the spread of a merged gradient back over them."""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import map_rows


@triton.jit
def merge_tile(
    m,
    k0,
    K: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    BLOCK_L: tl.constexpr,
    MERGE: tl.constexpr,
):
    """(A, winning channel) of a tile [K_PAD*R_PAD, BLOCK_L] that starts at channel k0: [R_PAD, BLOCK_L], or the tile
    itself for "none". The mean of a tile that holds some of the K channels is their share of the mean.

    NaN counts as the maximum and the first of equals wins, as torch.argmax has it; a plain maximum drops NaN.
    """
    if MERGE == "none":
        return m, 0
    else:
        by_channel = tl.reshape(m, [K_PAD, R_PAD, BLOCK_L])
        if MERGE == "mean":
            return tl.sum(by_channel, 0) / K, 0
        else:
            k = k0 + tl.arange(0, K_PAD)[:, None, None]
            is_nan = by_channel != by_channel
            has_nan = tl.max(is_nan.to(tl.int32), 0) > 0
            largest = tl.max(tl.where((k < K) & (is_nan == 0), by_channel, float("-inf")), 0)
            takes = is_nan | ((has_nan[None, :, :] == 0) & (by_channel == largest[None, :, :]))
            winner = tl.min(tl.where(takes & (k < K), k, K), 0)
            return tl.where(has_nan, float("nan"), largest), winner


@triton.jit
def spread_tile(
    da,
    winner,
    k0,
    K: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    BLOCK_L: tl.constexpr,
    MERGE: tl.constexpr,
):
    """Gradient [K_PAD*R_PAD, BLOCK_L] of the refined maps from that of A; winner [R_PAD, BLOCK_L] int32 for "max"."""
    if MERGE == "none":
        return da
    else:
        k = k0 + tl.arange(0, K_PAD)[:, None, None]
        if MERGE == "mean":
            spread = tl.where(k < K, da[None, :, :] / K, 0.0)
        else:
            spread = tl.where(winner[None, :, :] == k, da[None, :, :], 0.0)
        return tl.reshape(spread, [K_PAD * R_PAD, BLOCK_L])


@triton.jit
def refined_gradient_tile(
    grad_attention,  # T [A,L], one sample, or None
    partial_attention,  # float32 [slices,A,L], one sample, or None
    partial_along,  # float32 [alongs,A], one sample, with partial_attention
    winner,  # uint8 [R,L], one sample, with MERGE "max"
    k0,
    r0,
    l0,
    L,
    slices,
    alongs,
    R: tl.constexpr,
    K: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    MERGE: tl.constexpr,
    BLOCK_L: tl.constexpr,
):
    """dm' [K_PAD*R_PAD,BLOCK_L]: the gradient of A, its slices added in order, spread over the channels."""
    A: tl.constexpr = R * K if MERGE == "none" else R
    pos = l0 + tl.arange(0, BLOCK_L)
    n, _, valid = map_rows(k0, r0, R, K, R_PAD, K_PAD)
    r = r0 + tl.arange(0, R_PAD)
    row = n if MERGE == "none" else r
    row_inside = valid if MERGE == "none" else r < R
    inside = row_inside[:, None] & (pos < L)[None, :]
    offset = row[:, None] * L + pos[None, :]
    if grad_attention is not None:
        da = tl.load(grad_attention + offset, mask=inside, other=0.0).to(tl.float32)
    else:
        da = tl.zeros([K_PAD * R_PAD if MERGE == "none" else R_PAD, BLOCK_L], tl.float32)
    if partial_attention is not None:
        for part in range(slices):
            da += tl.load(partial_attention + part * (A * L) + offset, mask=inside, other=0.0)
        along = tl.zeros([da.shape[0]], tl.float32)
        for part in range(alongs):
            along += tl.load(partial_along + part * A + row, mask=row_inside, other=0.0)
        da = tl.where(inside, da - along[:, None], 0.0)
    winning = tl.load(winner + offset, mask=inside, other=0).to(tl.int32) if MERGE == "max" else 0
    return spread_tile(da, winning, k0, K, R_PAD, K_PAD, BLOCK_L, MERGE)
