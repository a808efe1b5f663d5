"""Merge of the channels of a region, and the spread of a merged gradient back over them."""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import map_rows


@triton.jit
def merge_tile(m, k0, TILE: tl.constexpr):
    """(A, argmax channel) of a tile [ROWS, BLOCK_L] that starts at channel k0: [R_PAD, BLOCK_L], or the tile itself for
    "none". The mean of a tile that holds some of the K channels is their share of the mean.

    NaN counts as the maximum and the first of equals wins, as torch.argmax has it; a plain maximum drops NaN.
    """
    K_PAD: tl.constexpr = TILE.K_PAD
    R_PAD: tl.constexpr = TILE.R_PAD
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    K: tl.constexpr = TILE.K
    if TILE.MERGE == "none":
        return m, 0
    else:
        by_channel = tl.reshape(m, [K_PAD, R_PAD, BLOCK_L])
        if TILE.MERGE == "mean":
            return tl.sum(by_channel, 0) / K, 0
        else:
            k = k0 + tl.arange(0, K_PAD)[:, None, None]
            is_nan = by_channel != by_channel
            has_nan = tl.max(is_nan.to(tl.int32), 0) > 0
            largest = tl.max(tl.where((k < K) & (is_nan == 0), by_channel, float("-inf")), 0)
            is_max = is_nan | ((has_nan[None, :, :] == 0) & (by_channel == largest[None, :, :]))
            argmax = tl.min(tl.where(is_max & (k < K), k, K), 0)
            return tl.where(has_nan, float("nan"), largest), argmax


@triton.jit
def spread_tile(da, argmax, k0, TILE: tl.constexpr):
    """Gradient [ROWS, BLOCK_L] of the refined maps from that of A; argmax [R_PAD, BLOCK_L] int32 for "max"."""
    ROWS: tl.constexpr = TILE.ROWS
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    if TILE.MERGE == "none":
        return da
    else:
        k = k0 + tl.arange(0, TILE.K_PAD)[:, None, None]
        if TILE.MERGE == "mean":
            spread = tl.where(k < TILE.K, da[None, :, :] / TILE.K, 0.0)
        else:
            spread = tl.where(argmax[None, :, :] == k, da[None, :, :], 0.0)
        return tl.reshape(spread, [ROWS, BLOCK_L])


@triton.jit
def refined_gradient_tile(grads, k0, r0, l0, L, TILE: tl.constexpr):
    """dm' [ROWS,BLOCK_L] from a GradSource of one sample: the gradient of A, its slices added in order, spread over the
    channels."""
    ROWS: tl.constexpr = TILE.ROWS
    R_PAD: tl.constexpr = TILE.R_PAD
    BLOCK_L: tl.constexpr = TILE.BLOCK_L
    A: tl.constexpr = TILE.A
    pos = l0 + tl.arange(0, BLOCK_L)
    n, _, valid = map_rows(k0, r0, TILE)
    r = r0 + tl.arange(0, R_PAD)
    row = n if TILE.MERGE == "none" else r
    row_inside = valid if TILE.MERGE == "none" else r < TILE.R
    inside = row_inside[:, None] & (pos < L)[None, :]
    offset = row[:, None] * L + pos[None, :]
    if grads.attention is not None:
        da = tl.load(grads.attention + offset, mask=inside, other=0.0).to(tl.float32)
    else:
        da = tl.zeros([ROWS if TILE.MERGE == "none" else R_PAD, BLOCK_L], tl.float32)
    if grads.partial_attention is not None:
        for slice_id in range(grads.slices):
            da += tl.load(grads.partial_attention + slice_id * (A * L) + offset, mask=inside, other=0.0)
        delta = tl.zeros([da.shape[0]], tl.float32)
        for part in range(grads.partials):
            delta += tl.load(grads.partial_delta + part * A + row, mask=row_inside, other=0.0)
        da = tl.where(inside, da - delta[:, None], 0.0)
    argmax = tl.load(grads.argmax + offset, mask=inside, other=0).to(tl.int32) if TILE.MERGE == "max" else 0
    return spread_tile(da, argmax, k0, TILE)
